"""Who a request is from: keys of consumers, several schemes on one route, and what is told of them."""
import hashlib
import json

from gatehouse import Case, Gateway, command, slow
from h2peer import H2Client
from peers import answer

KEYS = {"gold": "key-of-gold-0123456789", "late": "key-of-late-0123456789", "off": "key-of-off-0123456789",
        "second": "second-key-of-gold-012345", "old": "old-key-of-gold-0123456789"}


def digest(key):
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


CONSUMERS = f"""consumers = (
    {{ name = "gold"; keys = ( "{digest(KEYS['gold'])}", "{digest(KEYS['second'])}",
         {{ digest = "{digest(KEYS['old'])}"; expires = "2001-01-01"; }} );
       plan = "big"; groups = [ "staff", "eu" ]; metadata = {{ tier = "one"; }}; }},
    {{ name = "late"; keys = "{digest(KEYS['late'])}"; expires = "2001-01-01T00:00:00Z"; }},
    {{ name = "off"; keys = "{digest(KEYS['off'])}"; enabled = false; }} );
"""
AUTH = """auth = { api_key = { partners = { }; query = { in = "query"; name = "key"; };
                                cookie = { in = "cookie"; name = "k"; }; bare = { name = "X-Bare"; strip = false; }; }; };
"""


class Identity(Case):
    def told(self, apis, more=""):
        """A gateway before an origin that answers what fields it got."""
        origin = self.origin(lambda request, sock: answer(json.dumps(
            {name.lower(): value for name, value in request.fields}).encode()))
        return self.gateway(extra=CONSUMERS + AUTH + more, apis=apis,
                            upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')

    def refused(self, message, cause, status=401):
        self.assertEqual(message.status, status, message)
        self.assertEqual(json.loads(message.body)["type"], "urn:gatehouse:problem:" + cause)

    def test_api_key(self):
        gateway = self.told("""{ name = "a"; api_key = "partners"; routes = (
            { match = { path = "/"; }; proxy = { upstream = "origin"; };
              headers = { request = { set = [ "X-Consumer: ${consumer}", "X-Plan: ${consumer.plan}",
                  "X-Groups: ${consumer.groups}", "X-Tier: ${consumer.tier}", "X-Scheme: ${auth.scheme}",
                  "X-Subject: ${auth.subject}", "X-Claim: ${claim.sub}" ]; }; }; },
            { match = { path = "/open"; }; api_key = false; respond = { body = "-${consumer}-"; }; },
            { match = { path = "/query"; }; api_key = "query"; respond = { body = "${consumer}"; }; },
            { match = { path = "/both"; }; api_key = [ "bare", "partners" ]; proxy = { upstream = "origin"; }; },
            { match = { path = "/two"; }; api_key = [ "cookie", "bare" ]; proxy = { upstream = "origin"; }; } ); }""")
        for name in ("gold", "second"):
            got = json.loads(gateway.get("/", fields=[
                ("X-Api-Key", KEYS[name]), ("X-Consumer", "forged"), ("X-Claim", "forged")]).body)
            self.assertEqual({name: got.get(name) for name in (
                "x-consumer", "x-plan", "x-groups", "x-tier", "x-scheme", "x-subject", "x-claim", "x-api-key")},
                {"x-consumer": "gold", "x-plan": "big", "x-groups": "staff,eu", "x-tier": "one", "x-scheme": "api_key",
                 "x-subject": "gold", "x-claim": None, "x-api-key": None})
        for fields, cause in (([], "credentials-missing"), ([("X-Api-Key", "nonsense")], "credentials-refused"),
                              ([("X-Api-Key", "")], "credentials-malformed"),
                              ([("X-Api-Key", "x" * 600)], "credentials-malformed"),
                              ([("X-Api-Key", digest(KEYS["gold"]))], "credentials-refused"),
                              ([("X-Api-Key", KEYS["gold"]), ("x-api-key", KEYS["gold"])], "credentials-malformed"),
                              ([("X-Api-Key", KEYS["late"])], "credentials-expired"),
                              ([("X-Api-Key", KEYS["old"])], "credentials-expired"),
                              ([("X-Api-Key", KEYS["off"])], "credentials-refused")):
            message = gateway.get("/", fields=fields)
            with self.subTest(fields=fields):
                self.refused(message, cause)
                self.assertEqual([value for name, value in message.fields if name.lower() == "www-authenticate"],
                                 ['ApiKey realm="partners", in="header", name="X-Api-Key"'])
        self.assertEqual(gateway.get("/open").body, b"--")
        self.assertEqual(gateway.get("/query?a=1&key=" + KEYS["gold"].replace("-", "%2d")).body, b"gold")
        self.refused(gateway.get("/query?a=1"), "credentials-missing")
        self.refused(gateway.get("/query?key=%zz"), "credentials-refused")
        got = json.loads(gateway.get("/both", fields=[("X-Bare", KEYS["gold"]), ("X-Api-Key", "another")]).body)
        self.assertEqual((got["x-bare"], got.get("x-api-key")), (KEYS["gold"], None))
        self.assertEqual(gateway.get("/two", fields=[("Cookie", "a=b; k=" + KEYS["gold"])]).status, 200)
        self.assertEqual(json.loads(gateway.get("/two", fields=[("X-Bare", KEYS["gold"])]).body)["x-bare"], KEYS["gold"])
        message = gateway.get("/two")
        self.assertEqual(len([1 for name, _ in message.fields if name.lower() == "www-authenticate"]), 2)
        with H2Client(gateway.port) as client:
            self.refused(client.request("GET", "/"), "credentials-missing")
            self.assertEqual(client.request("GET", "/open").status, 200)

    def test_limit_by_consumer(self):
        gateway = self.told("""{ name = "a"; api_key = "partners"; routes = (
            { match = { path = "/"; }; limit = { rate = "1/d"; burst = 2; by = "consumer"; }; respond = 200; } ); }""")
        fields = [("X-Api-Key", KEYS["gold"])]
        self.assertEqual([gateway.get("/", fields=fields).status for _ in range(3)], [200, 200, 429])
        for _ in range(3):  # who is nobody uses up nobody's
            self.refused(gateway.get("/"), "credentials-missing")

    def test_any(self):
        gateway = self.told("""{ name = "a"; auth_mode = "any"; routes = (
            { match = { path = "/"; }; api_key = "partners"; respond = { body = "${consumer}"; }; },
            { match = { path = "/none"; }; respond = 200; } ); }""")
        self.assertEqual(gateway.get("/", fields=[("X-Api-Key", KEYS["gold"])]).body, b"gold")
        self.refused(gateway.get("/"), "credentials-missing")
        self.refused(gateway.get("/", fields=[("X-Api-Key", KEYS["late"])]), "credentials-expired")
        self.assertEqual(gateway.get("/none").status, 200)

    def test_access(self):
        networks = ", ".join(f'"10.{i // 250}.{i % 250}.0/24"' for i in range(10000))
        gateway = self.told(f"""{{ name = "a"; api_key = "partners"; routes = (
            {{ match = {{ path = "/gold"; }}; access = {{ consumers = "gold"; }}; respond = 200; }},
            {{ match = {{ path = "/staff"; }}; access = {{ groups = [ "other", "staff" ]; }}; respond = 200; }},
            {{ match = {{ path = "/other"; }}; access = {{ groups = "other"; }}; respond = 200; }},
            {{ match = {{ path = "/scope"; }}; access = {{ scopes = "read"; }}; respond = 200; }},
            {{ match = {{ path = "/claim"; }}; access = {{ claims = {{ tenant = "a"; }}; }}; respond = 200; }},
            {{ match = {{ path = "/many"; }}; api_key = false; access = {{ ip = [ {networks} ]; }}; respond = 200; }},
            {{ match = {{ path = "/here"; }}; api_key = false; access = {{ ip = [ {networks}, "127.0.0.0/8" ]; }}; respond = 200; }},
            {{ match = {{ path = "/not"; }}; access = {{ deny_ip = "127.0.0.1"; }}; respond = 200; }},
            {{ match = {{ path = "/get"; }}; api_key = false; access = {{ methods = "GET"; }}; respond = 200; }} ); }}""")
        fields = [("X-Api-Key", KEYS["gold"])]
        for target, status in (("/gold", 200), ("/staff", 200), ("/other", 403), ("/scope", 403), ("/claim", 403),
                               ("/many", 403), ("/here", 200), ("/not", 403), ("/get", 200)):
            with self.subTest(target=target):
                message = gateway.get(target, fields=fields)
                self.assertEqual(message.status, status, message)
                if status == 403:
                    self.refused(message, "forbidden", 403)
        self.refused(gateway.get("/not"), "forbidden", 403)  # where from is asked first
        self.refused(gateway.get("/gold"), "credentials-missing")

    def test_many_consumers(self):
        """100,000 consumers of a configuration that is included, and a key that the program has made."""
        count = 1999 if slow() else 99999
        done = command("key", "new")
        self.assertEqual(done.status, 0, done.err)
        key, line = done.out.splitlines()[1], done.out.splitlines()[3]
        self.assertEqual(line, f'"{digest(key)}"')
        self.assertNotEqual(command("key", "new").out, done.out)
        for words in (("key",), ("key", "old"), ("key", "new", "x")):
            self.assertEqual(command(*words).status, 2)
        with open(self.folder + "/consumers.conf", "w", encoding="utf-8") as file:
            file.write("consumers = (\n" + "".join(
                f'{{ name = "c{i}"; keys = "{digest(f"key-{i}")}"; groups = [ "g{i % 10}" ]; }},\n' for i in range(count)))
            file.write(f'{{ name = "made"; keys = {line}; }} );\n')
        gateway = self.gateway(extra=AUTH + '@include "consumers.conf"\n', apis="""{ name = "a"; api_key = "partners"; routes = (
            { match = { path = "/"; }; respond = { body = "${consumer} ${consumer.groups}"; }; } ); }""")
        self.assertEqual(gateway.get("/", fields=[("X-Api-Key", key)]).body, b"made ")
        for i in (0, 777, count // 2, count - 1):
            self.assertEqual(gateway.get("/", fields=[("X-Api-Key", f"key-{i}")]).body, f"c{i} g{i % 10}".encode())
        self.refused(gateway.get("/", fields=[("X-Api-Key", f"key-{count}")]), "credentials-refused")
        with open(self.folder + "/consumers.conf", "w", encoding="utf-8") as file:
            file.write(f'consumers = ( {{ name = "one"; keys = {line}; }} );\n')
        self.assertEqual(gateway.run("reload").status, 0)
        self.assertEqual(gateway.get("/", fields=[("X-Api-Key", key)]).body, b"one ")
        self.refused(gateway.get("/", fields=[("X-Api-Key", "key-777")]), "credentials-refused")

    def test_wrong(self):
        gateway = Gateway(self.folder)
        good = digest("x")
        for more, route, words in (
                ('auth = { api_key = { partners = { }; }; };', 'api_key = "partner";',
                 r'api_key.use: there is no "partner" under auth.api_key \(did you mean "partners"\?\)'),
                ('', 'api_key = "partners";', r'no "partners" under auth.api_key \(declare it there\)'),
                ('auth = { api_kee = { a = { }; }; };', '', r'auth.api_kee: .*did you mean "api_key"'),
                ('auth = { api_key = { a = { name = "a b"; }; }; };', '', "auth.api_key.a.name"),
                ('auth = { api_key = { a = { inn = "query"; }; }; };', '', r'auth.api_key.a.inn: .*did you mean "in"'),
                ('auth = { api_key = 5; };', '', "auth.api_key: must be a group"),
                ('auth = 5;', '', "auth: must be a group"),
                ('', 'auth_mode = "some";', "auth_mode"),
                ('', 'access = { ip = "10.0.0"; };', "access.ip: .*is not an address"),
                ('', 'access = { };', "access: asks for nothing"),
                ('', 'access = { groups = "a"; };', "access: asks who calls, but the route .* has no scheme"),
                ('', 'access = { consumers = "a"; };', 'access.consumers: there is no consumer "a"'),
                ('consumers = ( { name = "a"; keys = "secret"; } );', '', "the SHA-256 of the key, not the key"),
                (f'consumers = ( {{ name = "a"; keys = "{good}"; }}, {{ name = "b"; keys = "{good}"; }} );', '',
                 r'consumers\[1\].keys\[0\]: is a key of "a" too'),
                ('consumers = ( { name = "a"; }, { name = "a"; } );', '', r'consumers\[1\].name: "a" is taken'),
                ('consumers = ( { name = ""; } );', '', "is empty"),
                ('consumers = ( { name = "a"; groups = "x,y"; } );', '', "comma"),
                ('consumers = ( { name = "a"; expires = "soon"; } );', '', "is not a date"),
                ('consumers = ( { name = "a"; metadata = { plan = "x"; }; } );', '', "name it otherwise")):
            with self.subTest(more=more, route=route):
                gateway.write(extra=more, apis=f'{{ name = "a"; routes = ( {{ match = {{ path = "/"; }}; {route} '
                                               'respond = 200; } ); }')
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)
