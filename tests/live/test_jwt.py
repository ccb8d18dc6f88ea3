"""The scheme jwt: tokens signed by an independent library, forged ones of every kind, what a token must say, and where it stands."""
import base64
import hashlib
import hmac
import json
import time

import jwt as pyjwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certificates import Authority, TlsClient
from gatehouse import Case, free_port, wait_until
from issuer import KEYS, Issuer
from peers import answer

SECRET = "a secret of thirty-two bytes or more, for HS256 and its like, sixty-four for HS512"
ISSUER = "https://id.example.com"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1, "ES256K": ec.SECP256K1}
PRIVATE = {**{name: RSA for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
           **{name: ec.generate_private_key(curve()) for name, curve in CURVES.items()},
           "EdDSA": ed25519.Ed25519PrivateKey.generate(), **{name: SECRET for name in ("HS256", "HS384", "HS512")}}


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**more):
    now = int(time.time())
    said = {"iss": ISSUER, "sub": "alice", "aud": "api", "exp": now + 600, "iat": now, "nbf": now}
    said.update(more)
    return {name: value for name, value in said.items() if value is not None}


def token(algorithm="HS256", key=None, headers=None, **more):
    return pyjwt.encode(claims(**more), key or PRIVATE[algorithm], algorithm=algorithm, headers=headers)


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def by_hand(header, payload, key=SECRET):
    """As its parts are written, and signed by HS256."""
    text = b64(header if isinstance(header, str) else json.dumps(header)) + "." + b64(payload)
    return text + "." + b64(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())


def bearer(value):
    return [("Authorization", "Bearer " + value)]


class Jwt(Case):
    def path(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def keys(self, *algorithms):
        """Settings of their keys."""
        made = []
        for name in algorithms:
            if name.startswith("HS"):
                made.append(f'{{ alg = "{name}"; secret = "{SECRET}"; }}')
            else:
                made.append(f'{{ alg = "{name}"; pem = "file:{self.path(name + ".pem", pem(PRIVATE[name]))}"; }}')
        return "keys = ( " + ", ".join(made) + " );"

    def start(self, said=None, route="", extra="", others="", **settings):
        """A gateway before an origin that answers what fields it got."""
        said = f'issuer = "{ISSUER}"; audience = [ "api", "other" ]; {self.keys("HS256")}' if said is None else said
        origin = self.origin(lambda request, sock: answer(json.dumps(
            {name.lower(): value for name, value in request.fields}).encode()))
        return self.gateway(extra=f"auth = {{ jwt = {{ corp = {{ {said} }}; {others} }}; {settings.pop('auth', '')} }};\n{extra}",
                            upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};',
                            apis=f"""{{ name = "a"; routes = ( {{ match = {{ path = "/"; }}; proxy = "origin";
                                {route or 'jwt = "corp";'} }} ); }}""", **settings)

    def accepted(self, gateway, text, fields=(), **options):
        message = gateway.get("/", fields=[*bearer(text), *fields], **options)
        self.assertEqual(message.status, 200, message)
        return json.loads(message.body)

    def refused(self, gateway, text, cause="credentials-refused", says="", status=401, **options):
        message = gateway.get("/", fields=bearer(text), **options)
        problem = json.loads(message.body)
        self.assertEqual((message.status, problem["type"]), (status, "urn:gatehouse:problem:" + cause), (text[:200], problem))
        self.assertIn(says, problem["detail"])
        if status == 401:
            self.assertIn("Bearer realm=", message.get("WWW-Authenticate"))
        return message

    def test_algorithms(self):
        """Each by the library; one byte of the signature, or another key, and it is none. Those that are known stay known."""
        gateway = self.start(f'issuer = "{ISSUER}"; {self.keys(*PRIVATE)}', workers=2)
        for name in PRIVATE:
            with self.subTest(name=name):
                good = token(name)
                for _ in range(3):
                    self.accepted(gateway, good)
                head, payload, signature = good.split(".")
                raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
                raw[len(raw) // 2] ^= 1
                self.refused(gateway, f"{head}.{payload}.{b64(bytes(raw))}")
        stats = gateway.status()["stats"]
        self.assertEqual((stats["tokens_verified"], stats["tokens_known"]), (len(PRIVATE), 2 * len(PRIVATE)))
        self.refused(gateway, token("RS256", OTHER_RSA))

    def test_forged(self):
        """What attackers try: every one is refused, by a gateway that has a key of RSA and one of HMAC."""
        gateway = self.start(f'issuer = "{ISSUER}"; {self.keys("HS256", "RS256", "ES256")}')
        body = json.dumps(claims())
        public = pem(RSA)
        good = token("HS256")
        head, payload, signature = good.split(".")
        jwk = {"kty": "oct", "k": b64("attacker"), "alg": "HS256"}
        size = (PRIVATE["ES256"].key_size + 7) // 8
        es_text = b64('{"alg":"ES256"}') + "." + b64(body)
        forged = {
            **{f"alg {name!r}": b64(json.dumps({"alg": name})) + "." + b64(body) + "." for name in ("none", "None", "NONE", "nOnE", "")},
            "none, signed": by_hand({"alg": "none"}, body),
            "no alg": by_hand({"typ": "JWT"}, body),
            "alg twice": by_hand('{"alg":"HS256","alg":"none"}', body),
            "alg no text": by_hand('{"alg":256}', body),
            "hs256 in small letters": by_hand({"alg": "hs256"}, body),
            "an algorithm without a key": by_hand({"alg": "HS512"}, body),
            "the public key as a secret": by_hand({"alg": "HS256"}, body, public),
            "a jwk in the header": by_hand({"alg": "HS256", "jwk": jwk}, body, "attacker"),
            "a jku in the header": by_hand({"alg": "HS256", "jku": "http://127.0.0.1/keys"}, body, "attacker"),
            "an x5u in the header": by_hand({"alg": "HS256", "x5u": "http://127.0.0.1/keys"}, body, "attacker"),
            "a kid that is a path": by_hand({"alg": "HS256", "kid": "../../../../dev/null"}, body, ""),
            "crit": by_hand({"alg": "HS256", "crit": ["exp"]}, body),
            "crit of nothing": by_hand({"alg": "HS256", "crit": []}, body),
            "b64 false": by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, body),
            "no signature": f"{head}.{payload}.",
            "cut signature": good[:-2],
            "longer signature": good + "AA",
            "padded": good + "=",
            "spare bits": good[:-1] + chr(ord(good[-1]) + 1) if good[-1] in "AEIMQUYcgkosw048" else good[:-1] + "B",
            "another payload": f"{head}.{b64(body.replace('alice', 'bobby'))}.{signature}",
            "four parts": good + ".x",
            "two parts": f"{head}.{payload}",
            "one part": head,
            "a space in it": good.replace(".", ". ", 1),
            "other alphabet": good.replace("-", "+").replace("_", "/") + "+",
            "empty": ".",
            "ES256 r and s of 0": es_text + "." + b64(bytes(2 * size)),
            "ES256 too short": es_text + "." + b64(b"\1" * (2 * size - 1)),
            "ES256 too long": es_text + "." + b64(b"\1" * (2 * size + 1)),
            "ES256 in DER": es_text + "." + b64(b"\x30\x06\x02\x01\x01\x02\x01\x01"),
            "members twice": by_hand({"alg": "HS256"}, body[:-1] + ',"sub":"root"}'),
            "members twice, escaped": by_hand({"alg": "HS256"}, body[:-1] + ',"s\\u0075b":"root"}'),
            "an array": by_hand({"alg": "HS256"}, "[" + body + "]"),
            "text behind": by_hand({"alg": "HS256"}, body + "x"),
            "a mark of byte order": by_hand({"alg": "HS256"}, "\ufeff" + body),
            "nested": by_hand({"alg": "HS256", "cty": "JWT"}, good),
            "nested without saying so": by_hand({"alg": "HS256"}, good),
            "huge": by_hand({"alg": "HS256"}, json.dumps(claims(x="y" * 20000))),
        }
        self.accepted(gateway, good)
        self.accepted(gateway, token("RS256"))
        self.accepted(gateway, by_hand({"alg": "HS256"}, body))
        for name, text in forged.items():
            with self.subTest(name=name):
                message = gateway.get("/", fields=bearer(text))
                self.assertEqual(message.status, 401, (name, text[:200]))
        self.assertIn(gateway.get("/", fields=bearer("x" * (1 << 20))).status, (431, 0))
        self.accepted(gateway, good)

    def test_dates(self):
        gateway = self.start(f'issuer = "{ISSUER}"; leeway = "30s"; {self.keys("HS256")}')
        now = int(time.time())
        for said, cause, says in (
                ({"exp": now - 31}, "credentials-expired", "exp"), ({"exp": 0}, "credentials-expired", "exp"),
                ({"exp": -5}, "credentials-expired", "exp"), ({"exp": None}, "credentials-refused", "exp"),
                ({"nbf": now + 300}, "credentials-refused", "nbf"), ({"iat": now + 300}, "credentials-refused", "iat"),
                ({"exp": now + 10 ** 11}, "credentials-refused", "hundred"), ({"exp": 10 ** 30}, "credentials-malformed", "no date"),
                ({"exp": float(now + 600) + .5}, "credentials-malformed", "no date"), ({"exp": True}, "credentials-malformed", "no date"),
                ({"nbf": "now"}, "credentials-malformed", "no date")):
            with self.subTest(said=said):
                text = by_hand({"alg": "HS256"}, json.dumps(claims(**said)))
                self.refused(gateway, text, cause, says)
        for text in ('"%d"' % (now + 600), "%de0" % (now + 600), "%d.0" % (now + 600), "1e300", "[1]", "{}"):
            with self.subTest(exp=text):
                body = json.dumps(claims(exp=None))[:-1] + f', "exp": {text}}}'
                self.refused(gateway, by_hand({"alg": "HS256"}, body), "credentials-malformed", "no date")
        self.accepted(gateway, token(exp=now - 5))  # within the leeway
        self.accepted(gateway, token(nbf=now + 20))

    def test_it_ends_while_it_is_known(self):
        """A finding isn't kept beyond the token's end."""
        gateway = self.start(f'issuer = "{ISSUER}"; leeway = "0"; {self.keys("HS256")}', workers=1)
        text = token(exp=int(time.time()) + 2)
        self.accepted(gateway, text)
        wait_until(lambda: gateway.get("/", fields=bearer(text)).status == 401, "its end")
        self.refused(gateway, text, "credentials-expired")

    def test_for_whom(self):
        gateway = self.start()
        for aud in ("api", "other", ["x", "api"]):
            self.accepted(gateway, token(aud=aud))
        for aud in ("apix", ["x"], None, [], 5):
            self.refused(gateway, by_hand({"alg": "HS256"}, json.dumps(claims(aud=aud))), says="aud")
        for iss in ("https://id.example.com/", "https://other.example.com", None, [ISSUER]):
            self.refused(gateway, by_hand({"alg": "HS256"}, json.dumps(claims(iss=iss))), says="iss")
        message = gateway.get("/")
        self.assertEqual((message.status, json.loads(message.body)["type"]), (401, "urn:gatehouse:problem:credentials-missing"))
        self.assertEqual(message.get("WWW-Authenticate"), 'Bearer realm="corp"')
        self.assertEqual(gateway.get("/", fields=[("Authorization", "Basic YTpi")]).status, 401)
        self.assertIn('error="invalid_token"', gateway.get("/", fields=bearer("x")).get("WWW-Authenticate"))
        twice = gateway.get("/", fields=[*bearer(token()), *bearer(token())])
        self.assertEqual(json.loads(twice.body)["type"], "urn:gatehouse:problem:credentials-malformed")

    def test_issuers(self):
        """Two on a route, told apart by iss: the key of one is none of the other's."""
        other = f'second = {{ issuer = "https://second.example.com"; keys = ( {{ alg = "HS256"; secret = "{SECRET[::-1]}"; }} ); }};'
        gateway = self.start(others=other, route='jwt = [ "corp", "second" ];')
        self.accepted(gateway, token())
        self.accepted(gateway, token(key=SECRET[::-1], iss="https://second.example.com"))
        self.refused(gateway, token(key=SECRET[::-1]))
        self.refused(gateway, token(iss="https://second.example.com"))
        self.refused(gateway, token(iss="https://third.example.com"), says="iss")

    def test_rights(self):
        gateway = self.start(f"""issuer = "{ISSUER}"; {self.keys("HS256")}
            require = {{ scope = [ "orders:read", "orders:write" ]; roles = [ "admin", "clerk" ]; roles_claim = "realm_access.roles";
                         claims = {{ tenant = "acme"; level = {{ equals = [ "1", "2" ]; }}; mail = {{ pattern = "[a-z]+@example\\\\.com"; }};
                                     verified = "true"; }}; }};""")
        good = {"scope": "x orders:write orders:read", "realm_access": {"roles": ["clerk", "x"]}, "tenant": "acme", "level": 2,
                "mail": "a@example.com", "verified": True}
        self.accepted(gateway, token(**good))
        self.accepted(gateway, token(**{**good, "scope": None, "scp": ["orders:read", "orders:write"], "tenant": ["x", "acme"]}))
        for change, says in (({"scope": "orders:read"}, "scopes"), ({"scope": None}, "scopes"), ({"scope": "orders:read,orders:write"}, "scopes"),
                             ({"realm_access": {"roles": ["x"]}}, "roles"), ({"realm_access": "admin"}, "roles"),
                             ({"tenant": "acme2"}, "tenant"), ({"tenant": None}, "tenant"), ({"level": 3}, "level"), ({"level": 12}, "level"),
                             ({"mail": "a@example.com.evil.net"}, "mail"), ({"mail": "x a@example.com"}, "mail"), ({"verified": False}, "verified")):
            with self.subTest(change=change):
                for _ in range(2):
                    message = self.refused(gateway, token(**{**good, **change}), "forbidden", says, 403)
                self.assertIn('error="insufficient_scope", scope="orders:read orders:write"', message.get("WWW-Authenticate"))

    def test_services_are_told(self):
        """By fields that no client can set; the token goes on unless it is stripped; a known token tells the same."""
        said = f'issuer = "{ISSUER}"; {self.keys("HS256")} forward = {{ sub = "X-User"; roles = "X-Roles"; }};'
        gateway = self.start(said, workers=1)
        for _ in range(2):
            got = self.accepted(gateway, token(roles=["a", "b"]), [("X-User", "root"), ("x-roles", "root")])
            self.assertEqual((got["x-user"], got["x-roles"]), ("alice", "a b"))
            self.assertIn("authorization", got)
        got = self.accepted(gateway, token(sub="two\r\nlines"), [("X-User", "root")])
        self.assertNotIn("x-user", got)
        gateway.stop()
        route = """jwt = "corp"; api_key = "keys"; auth_mode = "any"; headers = { request = { set = [ "X-Claim: ${claim.a.b}",
            "X-Subject: ${auth.subject}", "X-Scheme: ${auth.scheme}", "X-Consumer: ${consumer}" ]; }; };"""
        gateway = self.start(said + ' strip = true; consumer = "client";', route=route, auth="api_key = { keys = { }; };", workers=1,
                             extra=f'consumers = ( {{ name = "mobile"; keys = "sha256:{hashlib.sha256(b"k").hexdigest()}"; }} );')
        for _ in range(2):
            got = self.accepted(gateway, token(a={"b": "deep"}, client="mobile"))
            self.assertEqual((got["x-claim"], got["x-subject"], got["x-scheme"], got["x-consumer"]), ("deep", "alice", "jwt", "mobile"))
            self.assertNotIn("authorization", got)
        got = json.loads(gateway.get("/", fields=[("X-Api-Key", "k"), ("X-User", "root")]).body)
        self.assertEqual((got["x-scheme"], got.get("x-user")), ("api_key", None))

    def test_places(self):
        for place, fields, target in (('in = "header"; name = "X-Token";', [("X-Token", token())], "/"),
                                      ('in = "cookie"; name = "token";', [("Cookie", "a=b; token=" + token())], "/"),
                                      ('in = "query"; name = "access_token";', [], "/?access_token=" + token())):
            with self.subTest(place=place):
                gateway = self.start(f'issuer = "{ISSUER}"; {self.keys("HS256")} {place}')
                self.assertEqual(gateway.get(target, fields=fields).status, 200)
                self.refused(gateway, token(), "credentials-missing")
                gateway.stop()

    def test_bound_to_a_certificate(self):
        """RFC 8705: somebody else's token is nobody's."""
        gateway = self.start(f'issuer = "{ISSUER}"; {self.keys("HS256")}', workers=1)
        for _ in range(2):
            self.refused(gateway, token(cnf={"x5t#S256": b64(bytes(32))}), says="cnf")
        self.refused(gateway, token(cnf={"x5t#S256": 5}), "credentials-malformed", says="cnf")
        gateway.stop()
        authority, people = Authority(self.folder), Authority(self.folder, "people")
        alice, bob = (people.issue(name, usage="client") for name in ("alice", "bob"))
        port = free_port()
        gateway = self.start(f'issuer = "{ISSUER}"; {self.keys("HS256")}', workers=1, listeners=f"""
            {{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {authority.issue("localhost").setting} );
               client_certificates = {{ mode = "optional"; ca = "{people.path}"; }}; }}; }}""")
        bound = token(cnf={"x5t#S256": b64(bytes.fromhex(alice.fingerprint()))})
        for _ in range(2):  # known or not
            for leaf, status in ((alice, 200), (bob, 401), (None, 401)):
                with TlsClient(authority, leaf=leaf).open(port) as client:
                    self.assertEqual(client.request("GET", "/", bearer(bound)).status, status)

    def test_a_key_set(self):
        """Its keys are fetched; one that the issuer takes away is none any more, for tokens that were known as well."""
        issuer = Issuer()
        self.addCleanup(issuer.close)
        published = [{**json.loads(pyjwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "RS256", "use": "sig"}
                     for kid, key in (("a", RSA), ("b", OTHER_RSA))]
        for key in published:
            key.pop("key_ops", None)
        issuer.keys = published
        gateway = self.start(f'issuer = "{ISSUER}"; key_set = "corp";', workers=2,
                             extra=f'key_sets = {{ corp = {{ url = "{issuer.url}{KEYS}"; refresh = "1s"; min_refresh = "1s"; }}; }};\n')
        first, second = (token("RS256", key, {"kid": kid}) for kid, key in (("a", RSA), ("b", OTHER_RSA)))
        wait_until(lambda: gateway.get("/", fields=bearer(first)).status == 200, "the keys")
        self.accepted(gateway, second)
        self.refused(gateway, token("RS256", OTHER_RSA, {"kid": "a"}))
        self.refused(gateway, token("RS256", RSA, {"kid": "c"}))
        issuer.keys = published[1:]
        wait_until(lambda: gateway.get("/", fields=bearer(first)).status == 401, "the end of a key")
        self.accepted(gateway, second)
        issuer.down()
        self.accepted(gateway, second)

    def test_check(self):
        path = self.path("bad.pem", "nothing")
        for said, says in (("", "has no key"), ('keys = ( { alg = "HS256"; } );', "HS256 has a secret"),
                           ('keys = ( { alg = "RS256"; secret = "x"; } );', "RS256 has a public key"),
                           ('keys = ( { alg = "none"; } );', "HS256"), ('keys = ( { alg = "HS256"; secret = "short"; } );', r"auth.jwt.corp.keys\[0\]"),
                           (f'keys = ( {{ alg = "RS256"; pem = "file:{path}"; }} );', r"auth.jwt.corp.keys\[0\]"),
                           (f'jwks = "file:{path}";', "auth.jwt.corp.jwks"), ('key_set = "x";', 'no "x" in key_sets'),
                           (f'{self.keys("HS256")} in = "header";', "name.*must be the name"), (f'{self.keys("HS256")} name = "x";', "name.*something else"),
                           (f'{self.keys("HS256")} require = {{ claims = {{ a = {{ }}; }}; }};', "says nothing"),
                           (f'{self.keys("HS256")} require = {{ claims = {{ a = {{ pattern = "("; }}; }}; }};', "auth.jwt.require.claims"),
                           (f'{self.keys("HS256")} forward = {{ sub = "X User"; }};', "no name of a field"), (f'{self.keys("HS256")} isuer = "x";', "issuer")):
            with self.subTest(said=said):
                gateway = self.start()
                gateway.write(extra=f"auth = {{ jwt = {{ corp = {{ {said} }}; }}; }};",
                              apis='{ name = "a"; jwt = "corp"; routes = ( { match = { path = "/"; }; respond = 200; } ); }')
                told = gateway.run("check")
                self.assertRegex(told.err + told.out, says)
                self.assertRegex(told.err + told.out, r"gatehouse.conf:\d+: ")
                gateway.stop()
