"""The scheme mtls: whose certificate a client has shown."""
import json

from certificates import Authority, TlsClient
from gatehouse import Case, Gateway, free_port
from h2peer import H2Client

WHO = ('respond = { status = 200; body = "${consumer}|${auth.scheme}|${auth.subject}"; };')


class Mtls(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.people = Authority(self.folder, "people")
        self.leaf = self.authority.issue("localhost")
        self.alice = self.people.issue("alice", ("alice.example", "spiffe://example/alice", "alice@example.org", "10.1.2.3"),
                                       usage="client")
        self.bob = self.people.issue("bob", ("bob.example",), usage="client")

    def serve(self, declared, routes=None, clients="", **settings):
        """An API whose routes take each of what is declared: {name: settings}."""
        port = free_port()
        routes = routes or ", ".join(f'{{ match = {{ path = "/{name}"; }}; mtls = "{name}"; {WHO} }}' for name in declared)
        asked = f'client_certificates = {{ mode = "optional"; ca = "{self.people.path}"; {clients} }};'
        text = " ".join(f"{name} = {said};" for name, said in declared.items())
        gateway = self.gateway(
            apis=f'{{ name = "a"; routes = ( {routes} ); }}',
            listeners=f'{{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {self.leaf.setting} ); {asked} }}; }}',
            extra=f"auth = {{ mtls = {{ {text} }}; }}; "
                  'consumers = ( { name = "alice"; }, { name = "shop"; groups = [ "partners" ]; }, '
                  '{ name = "old"; expires = "2020-01-01T00:00:00Z"; }, '
                  '{ name = "bob"; enabled = false; } );', **settings)
        gateway.port = port
        return gateway

    def ask(self, gateway, target, leaf=None, version=None):
        """(status, what it says), the same over both versions of HTTP."""
        with TlsClient(self.authority, leaf=leaf, maximum=version).open(gateway.port) as client:
            first = client.request("GET", target)
        with TlsClient(self.authority, alpn=("h2",), leaf=leaf, maximum=version).open(gateway.port) as connection:
            second = H2Client(sock=connection.sock).request("GET", target, host="localhost", scheme="https")
        self.assertEqual(first.status, second.status)
        if first.status == 200:
            self.assertEqual(first.body, bytes(second.body))
            return 200, first.body.decode()
        self.assertEqual(json.loads(first.body)["type"], json.loads(second.body)["type"])
        return first.status, json.loads(first.body)["type"].rpartition(":")[2]

    def test_whose(self):
        names = {"fingerprint": self.alice.fingerprint(), "subject": "CN=alice,O=Gatehouse tests", "common_name": "alice",
                 "dns": "alice.example", "uri": "spiffe://example/alice", "email": "alice@example.org", "ip": "10.1.2.3"}
        declared = {name: f'{{ certificates = ( {{ {name} = "{value}"; consumer = "shop"; }} ); by = "{name}"; }}'
                    for name, value in names.items()}
        gateway = self.serve({**declared, "plain": "{ }"})
        for name, value in names.items():
            with self.subTest(by=name):
                self.assertEqual(self.ask(gateway, "/" + name, self.alice), (200, f"shop|mtls|{value}"))
                self.assertEqual(self.ask(gateway, "/" + name, self.bob), (401, "credentials-refused"))
                self.assertEqual(self.ask(gateway, "/" + name), (401, "credentials-missing"))
        self.assertEqual(self.ask(gateway, "/plain", self.alice), (200, "alice|mtls|alice"))
        self.assertEqual(self.ask(gateway, "/plain", self.alice, "TLSv1_2"), (200, "alice|mtls|alice"))
        self.assertEqual(self.ask(gateway, "/plain", self.bob), (401, "credentials-refused"))

    def test_who_is_refused(self):
        gateway = self.serve({
            "plain": "{ }", "anybody": "{ unknown = true; }",
            "off": '{ certificates = ( { common_name = "alice"; consumer = "bob"; } ); unknown = true; }', "old": '{ certificates = ( { common_name = "bob"; '
            'consumer = "old"; } ); }', "others": '{ issuers = [ "CN=others,O=Gatehouse tests" ]; unknown = true; }',
            "people": '{ issuers = [ "CN=others,O=Gatehouse tests", "CN=people,O=Gatehouse tests" ]; }'})
        carol = self.people.issue("carol", usage="client")
        self.assertEqual(self.ask(gateway, "/anybody", carol), (200, "|mtls|carol"))
        self.assertEqual(self.ask(gateway, "/plain", carol), (401, "credentials-refused"))
        self.assertEqual(self.ask(gateway, "/anybody", self.bob), (401, "credentials-refused"))  # he is switched off
        self.assertEqual(self.ask(gateway, "/off", self.alice), (401, "credentials-refused"))
        self.assertEqual(self.ask(gateway, "/anybody"), (401, "credentials-missing"))
        self.assertEqual(self.ask(gateway, "/old", self.bob), (401, "credentials-expired"))
        self.assertEqual(self.ask(gateway, "/others", self.alice), (401, "credentials-refused"))
        self.assertEqual(self.ask(gateway, "/people", self.alice), (200, "alice|mtls|alice"))
        for leaf in (self.authority.issue("alice", usage="client"), self.people.issue("alice", days=-1, usage="client")):
            self.assertEqual(self.ask(gateway, "/plain", leaf), (401, "credentials-refused"))
            self.assertEqual(self.ask(gateway, "/anybody", leaf), (401, "credentials-refused"))
        with TlsClient(self.authority).open(gateway.port) as client:
            self.assertEqual(client.request("GET", "/plain").get("WWW-Authenticate"), 'Certificate realm="plain"')

    def test_plain_listener(self):
        """A field says nothing: who has no TLS has no certificate."""
        gateway = self.gateway(apis=f'{{ name = "a"; routes = ( {{ match = {{ path = "/"; }}; mtls = "m"; {WHO} }} ); }}',
                               extra="auth = { mtls = { m = { unknown = true; }; }; };")
        for fields in ((), [("Client-Cert", ":AAAA:"), ("X-SSL-Client-S-DN", "CN=alice")]):
            self.problem(gateway.get("/", fields=fields), 401)

    def test_wrong(self):
        gateway = Gateway(self.folder)
        for setting, words in (
                ('certificates = ( { consumer = "alice"; } );', "says 0 things"),
                ('certificates = ( { dns = "a"; uri = "b"; consumer = "alice"; } );', "says 2 things"),
                ('certificates = ( { dns = "a"; } );', "consumer"),
                ('certificates = ( { fingerprint = "AB:CD"; consumer = "alice"; } );', "64 hexadecimal"),
                ('certificates = ( { dns = "a"; consumer = "nobody"; } );', 'no consumer "nobody"'),
                ('certificates = ( { dns = "a"; consumer = "alice"; }, { dns = "a"; consumer = "alice"; } );', "twice"),
                ('by = "name";', "by")):
            with self.subTest(setting=setting):
                gateway.write(extra=f'auth = {{ mtls = {{ x = {{ {setting} }}; }}; }}; defaults = {{ mtls = "x"; }}; '
                                    'consumers = ( { name = "alice"; } );')
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)
