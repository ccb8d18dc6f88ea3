"""Signed requests (HTTP Message Signatures, RFC 9421): signed by an implementation of its own, over HTTP/1 and HTTP/2; and what isn't
good is refused."""
import os
import time

from gatehouse import Case, Gateway
from h2peer import H2Client
from peers import Client, answer
from signatures import SECRET, Key, content_digest, signed

ALGORITHMS = ("hmac-sha256", "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256")
COVERED = ["@method", "@authority", "@path", "@query"]
HOST = "shop.example"


class Signed(Case):
    def setUp(self):
        super().setUp()
        self.keys = {algorithm: Key(algorithm) for algorithm in ALGORITHMS}
        self.upstream = self.origin(lambda request, sock: answer(request.body))
        self.key = self.keys["ed25519"]

    def settings(self, more=""):
        keys = []
        for name, key in self.keys.items():
            path = os.path.join(self.folder, name + ".pem")
            with open(path, "w", encoding="utf-8") as file:
                file.write(key.public_pem())
            keys.append(f'{{ id = "{name}"; algorithm = "{name}"; key = "file:{path}"; consumer = "shop"; }}')
        return f'{{ keys = ( {", ".join(keys)} ); {more} }}'

    def start(self, enabled="true", **more):
        """A route for each of some settings."""
        settings = {"plain": "", **more}
        declared = " ".join(f"{name} = {self.settings(text)};" for name, text in settings.items())
        routes = [f'{{ match = {{ path = "/{name}/{{rest*}}"; }}; hmac = "{name}"; proxy = {{ upstream = "origin"; }}; }}'
                  for name in settings]
        routes.append('{ match = { path = "/who"; }; hmac = "plain"; respond = { status = 200; '
                      'body = "${consumer} ${consumer.groups} ${auth.scheme} ${auth.subject}"; }; }')
        return self.gateway(
            apis=f'{{ name = "a"; routes = ( {", ".join(routes)} ); }}',
            upstreams=f'origin = {{ endpoints = ( "{self.upstream.text}" ); }};',
            extra=f'auth = {{ hmac = {{ {declared} }}; }}; '
                  f'consumers = ( {{ name = "shop"; groups = [ "partners" ]; enabled = {enabled}; }} );')

    def parameters(self, keyid="ed25519", created=0, more="", alg=True):
        return f';created={int(time.time()) + created};keyid="{keyid}"' + (f';alg="{keyid}"' if alg else "") + more

    def ask(self, gateway, fields, target="/plain/x?a=b", method="GET", body=None, says=None):
        """Over both versions; `says`: what the 401 tells; None: it is to pass."""
        with Client(gateway.port) as client:
            first = client.request(method, target, fields, body, host=HOST)
        with H2Client(gateway.port) as client:
            second = client.request(method, target, [(name.lower(), value) for name, value in fields], body, host=HOST)
        self.assertEqual(first.status, second.status, first.body)
        if says is None:
            self.assertEqual(first.status, 200, first.body)
        else:
            self.problem(first, 401, says)
        return first

    def sign(self, covered=None, parameters=None, key=None, method="GET", target="/plain/x?a=b", fields=(), **more):
        return signed(key or self.key, COVERED if covered is None else covered, parameters or self.parameters(), method,
                      target, HOST, fields, **more)

    def test_algorithms(self):
        gateway = self.start()
        for name, key in self.keys.items():
            for alg in (True, False):
                with self.subTest(algorithm=name, alg=alg):
                    self.ask(gateway, self.sign(key=key, parameters=self.parameters(name, alg=alg)))
            with self.subTest(algorithm=name):
                other = "hmac-sha256" if name != "hmac-sha256" else "ed25519"
                for key, parameters in (
                        (self.keys[other], self.parameters(name, alg=False)),  # another's key
                        (self.keys[other], self.parameters(name)),
                        (self.keys[name], self.parameters(other, alg=False)),
                        (self.keys[name], self.parameters(name, alg=False, more=f';alg="{other}"'))):
                    self.ask(gateway, self.sign(key=key, parameters=parameters), says="isn't one of a key")

    def test_who(self):
        gateway = self.start(sometimes='nonce = "required"; tag = "t"; label = "mine";')
        got = self.ask(gateway, self.sign(target="/who", parameters=self.parameters("ed25519")), "/who")
        self.assertEqual(got.body, b"shop partners hmac ed25519")
        got = self.ask(gateway, [], says="who calls")
        self.assertIn("credentials-missing", got.body.decode())
        self.assertEqual(got.get("WWW-Authenticate"), 'Signature realm="plain"')
        self.assertEqual(got.get("Accept-Signature"), 'sig=("@method" "@authority" "@path" "@query");created;keyid')
        got = self.ask(gateway, [], "/sometimes/x", says="who calls")
        self.assertEqual(got.get("Accept-Signature"),
                         'mine=("@method" "@authority" "@path" "@query");created;keyid;nonce;tag="t"')

    def test_switched_off(self):
        gateway = self.start("false")
        self.ask(gateway, self.sign(), says="is switched off")

    def test_public_key_as_a_secret(self):
        """What everybody knows of an asymmetric key makes no HMAC that counts."""
        gateway = self.start()
        import signatures
        pem = self.key.public_pem()
        for secret in (pem, pem.rstrip("\n")):
            key = Key("hmac-sha256")
            signatures.SECRET, before = secret.encode(), SECRET
            try:
                for alg in ("ed25519", "hmac-sha256"):
                    fields = self.sign(key=key, parameters=self.parameters(alg=False, more=f';alg="{alg}"'))
                    self.ask(gateway, fields, says="isn't one of a key")
            finally:
                signatures.SECRET = before

    def test_components(self):
        gateway = self.start(list='components = [ "@method", "@target-uri", "x-kind" ];')
        fields = [("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("X-List", "a"), ("X-List", "b , c"), ("Example", "k=1;x, l=(a  b)")]
        self.ask(gateway, self.sign([*COVERED, "date", "x-list", "@query-param;name=\"a\"", "@scheme", "@request-target"],
                                    fields=fields))
        self.ask(gateway, self.sign(["@target-uri", "@method"]))
        self.ask(gateway, self.sign(["@request-target", "@method", "@authority"]))
        for covered, says in (([], "doesn't cover @method"), (COVERED[1:], "doesn't cover @method"),
                              (COVERED[:3], "doesn't cover @query"), (COVERED[:2], "doesn't cover @path"),
                              ([*COVERED, "x-none"], "covers x-none, which is not in the request")):
            self.ask(gateway, self.sign(covered, fields=fields), says=says)
        path = "/list/x?a=b"
        self.ask(gateway, self.sign(["@method", "@target-uri", "x-kind"], target=path, fields=[("X-Kind", "k")]), path)
        self.ask(gateway, self.sign(["@method", "@target-uri"], target=path, fields=[("X-Kind", "k")]), path,
                 says="doesn't cover x-kind")

    def test_changed(self):
        """What is covered can't be changed on its way."""
        gateway = self.start()
        fields = self.sign([*COVERED, "x-list"], fields=[("X-List", "a"), ("X-List", "b")])
        self.ask(gateway, fields)
        bad = "isn't one of a key"
        self.ask(gateway, fields, target="/plain/x?a=c", says=bad)
        self.ask(gateway, fields, target="/plain/x?a=b&c", says=bad)
        self.ask(gateway, fields, target="/plain/y?a=b", says=bad)
        self.ask(gateway, fields, target="/plain/./x?a=b", says=bad)
        self.ask(gateway, fields, method="DELETE", says=bad)
        self.ask(gateway, [("X-List", "a"), *fields[1:]], says=bad) if fields[1][1] != "b" else None
        self.ask(gateway, [("X-List", "b"), *fields[1:]], says=bad)
        self.ask(gateway, [*fields, ("X-List", "c")], says=bad)
        self.ask(gateway, fields[1:], says=bad)
        gateway_fields = dict(fields)
        for name, old, new in (("Signature-Input", "created=1", "created=01"), ("Signature-Input", ";keyid", ";x=1;keyid"),
                               ("Signature", "sig=:", "sig=:AAAA")):
            changed = gateway_fields[name].replace(old, new)
            if old == "created=1":  # another way to write the same: its canonical form is signed
                continue
            self.ask(gateway, [(at, changed if at == name else value) for at, value in fields],
                     says="" if name == "Signature" else bad)

    def test_times(self):
        gateway = self.start()
        for parameters, says in (
                (self.parameters(created=-250), None), (self.parameters(created=20), None),
                (self.parameters(created=-340), "is too old"), (self.parameters(created=90), "made in the future"),
                (self.parameters(more=f";expires={int(time.time()) + 60}"), None),
                (self.parameters(created=-100, more=f";expires={int(time.time()) - 60}"), "has expired"),
                (';keyid="ed25519"', "when it was made"), (';created=-1;keyid="ed25519"', "isn't a number of seconds"),
                (';created=99999999999999;keyid="ed25519"', "made in the future"),
                (f';created={int(time.time())}.0;keyid="ed25519"', "isn't a number of seconds")):
            with self.subTest(parameters=parameters):
                self.ask(gateway, self.sign(parameters=parameters), says=says)

    def test_malformed(self):
        gateway = self.start()
        good = dict(self.sign())
        for name, value, says in (
                ("Signature-Input", "sig", "isn't a list"), ("Signature-Input", "sig=(", "aren't dictionaries"),
                ("Signature-Input", 'sig=("@method")', "when it was made|isn't one of a key"),
                ("Signature-Input", 'sig=("@method" "@method");created=1', "twice"),
                ("Signature-Input", "sig=" + "(" + " ".join(f'"x{i}"' for i in range(40)) + ");created=1", "more than 32"),
                ("Signature-Input", 'a=1, b=2, c=3, d=4, ' + good["Signature-Input"], "isn't a list"),
                ("Signature-Input", "x" * 9000, "longer than anybody's"),
                ("Signature", "sig=1", "not in Signature"), ("Signature", "other=:AAAA:", "not in Signature"),
                ("Signature", "sig=:AAA:", "aren't dictionaries"), ("Signature", "sig=::", "isn't one of a key"),
                ("Signature", "sig=:" + "A" * 4000 + ":", "longer than any"), ("Signature", "", "who calls"),
                ("Signature", good["Signature"] + ", " + good["Signature"], "aren't dictionaries")):
            with self.subTest(name=name, value=value[:60]), gateway.client() as client:
                got = client.request("GET", "/plain/x?a=b", list({**good, name: value}.items()), host=HOST)
                self.problem(got, 401)
                self.assertRegex(got.body.decode(), says)
        self.ask(gateway, [], says="who calls")
        self.ask(gateway, [("Signature-Input", good["Signature-Input"])], says="who calls")

    def test_several(self):
        """One that counts is enough; which count may be said."""
        gateway = self.start(label='label = "mine";', tag='tag = "shop";')
        bad = self.sign(key=Key("ed25519"), label="first")
        self.ask(gateway, [*bad, *self.sign(label="second")])
        self.ask(gateway, [*self.sign(label="second"), *bad])
        path = "/label/x"
        self.ask(gateway, [*bad, *self.sign(target=path, label="mine")], path)
        self.ask(gateway, self.sign(target=path, label="other"), path, says="who calls")
        path = "/tag/x"
        self.ask(gateway, self.sign(target=path, parameters=self.parameters(more=';tag="shop"')), path)
        self.ask(gateway, self.sign(target=path, parameters=self.parameters(more=';tag="other"')), path, says="who calls")
        self.ask(gateway, self.sign(target=path), path, says="who calls")

    def test_bodies(self):
        gateway = self.start(without="digest = false;")
        body = b'{"hello": "world"}'
        good = [("Content-Digest", content_digest(body, "sha-512"))]
        self.ask(gateway, self.sign([*COVERED, "content-digest"], method="POST", fields=good), method="POST", body=body)
        self.ask(gateway, self.sign(method="POST", fields=good), method="POST", body=body, says="doesn't cover content-digest")
        self.ask(gateway, self.sign([*COVERED, 'content-digest;key="sha-512"'], method="POST", fields=[]) if False else
                 self.sign(method="POST"), method="POST", body=body, says="doesn't cover content-digest")
        with gateway.client() as client:
            got = client.request("POST", "/plain/x?a=b", self.sign([*COVERED, "content-digest"], method="POST", fields=good),
                                 b'{"hello": "worlD"}', host=HOST)
            self.problem(got, 400)
            self.assertIn(b"digest-mismatch", got.body)
        path = "/without/x"
        self.ask(gateway, self.sign(method="POST", target=path), path, "POST", body)

    def test_nonces(self):
        gateway = self.start(needed='nonce = "required";', once='nonce = "once";')
        path = "/needed/x"
        self.ask(gateway, self.sign(target=path, parameters=self.parameters(more=';nonce="n"')), path)
        self.ask(gateway, self.sign(target=path), path, says="has no nonce")
        for keyid in ("ed25519", "hmac-sha256"):  # each key has its own
            fields = self.sign(target="/once/x", key=self.keys[keyid], parameters=self.parameters(keyid, more=';nonce="n-1"'))
            statuses = []
            for _ in range(6):  # whichever worker gets it
                with gateway.client() as client:
                    statuses.append(client.request("GET", "/once/x", fields, host=HOST).status)
            self.assertEqual(statuses, [200] + 5 * [401])
        # One that isn't good uses nothing up.
        bad = self.sign(target="/once/x", key=Key("ed25519"), parameters=self.parameters(more=';nonce="n-2"'))
        good = self.sign(target="/once/x", parameters=self.parameters(more=';nonce="n-2"'))
        for fields, status in ((bad, 401), (good, 200), (good, 401)):
            with gateway.client() as client:
                self.assertEqual(client.request("GET", "/once/x", fields, host=HOST).status, status)

    def test_wrong(self):
        gateway = Gateway(self.folder)
        private = os.path.join(self.folder, "private.pem")
        with open(private, "w", encoding="utf-8") as file:
            file.write(self.key.private_pem())
        self.settings()
        public = os.path.join(self.folder, "ed25519.pem")
        for setting, words in (
                ("", "keys"), ("keys = ( );", "keys"),
                (f'keys = ( {{ id = "a"; algorithm = "ed25519"; key = "file:{private}"; }} );', "\"a\".*is not a public key"),
                (f'keys = ( {{ id = "a"; algorithm = "rsa-pss-sha512"; key = "file:{public}"; }} );', "an RSA key"),
                ('keys = ( { id = "a"; algorithm = "hmac-sha256"; key = "short"; } );', "shorter than 16 bytes"),
                ('keys = ( { id = "a"; algorithm = "hmac-sha256"; key = "not base64"; encoding = "base64"; } );', "in base64"),
                (f'keys = ( {{ id = "a"; algorithm = "ed25519"; key = "file:{public}"; }}, '
                 f'{{ id = "a"; algorithm = "ed25519"; key = "file:{public}"; }} );', "\"a\" is there twice"),
                (f'keys = ( {{ id = "a"; algorithm = "ed25519"; key = "file:{public}"; consumer = "nobody"; }} );',
                 'a consumer "nobody" that isn\'t there'),
                (f'keys = ( {{ id = "a"; algorithm = "ed25519"; key = "file:{public}"; }} ); components = [ "Date" ];',
                 "components: .*Date")):
            with self.subTest(setting=setting):
                gateway.write(extra=f'auth = {{ hmac = {{ x = {{ {setting} }}; }}; }}; defaults = {{ hmac = "x"; }};')
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)
