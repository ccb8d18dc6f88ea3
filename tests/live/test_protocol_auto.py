"""protocol = "auto": TLS agrees with each endpoint on HTTP/2 or HTTP/1.1 (ALPN, RFC 7301)."""
import ssl

from callers import CALLERS
from certificates import Authority
from gatehouse import Case, command, wait_until
from service import Reply, Service


class ProtocolAuto(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.leaf = self.authority.issue("localhost")

    def service(self, *protocols):
        """`protocols`: that it agrees to; none: it knows nothing of ALPN."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.leaf.path, self.leaf.key_path)
        if protocols:
            context.set_alpn_protocols(protocols)
        service = Service(lambda call: Reply(200, call.body), tls=context)
        self.addCleanup(service.close)
        return service

    def upstream(self, name, service, more=""):
        return f"""{name} = {{ endpoints = ( "{service.text}" ); protocol = "auto"; tls = {{ ca = "{self.authority.path}"; }};
                               {more} }};"""

    def test_each_endpoint_gets_what_it_speaks(self):
        services = {"both": self.service("h2", "http/1.1"), "newer": self.service("h2"), "older": self.service("http/1.1"),
                    "none": self.service()}
        gateway = self.gateway(
            apis="{ name = \"auto\"; routes = (" + ",".join(
                f'{{ match = {{ path = "/{name}"; }}; proxy = "{name}"; }}' for name in services) + "); }",
            upstreams="".join(self.upstream(*one) for one in services.items()))
        body = bytes(range(256)) * 1024
        for _ in range(3):
            for name in services:
                with self.subTest(service=name):
                    with_body = CALLERS["h1"](gateway.port)
                    got = with_body.ask("POST", "/" + name, body=body)
                    with_body.close()
                    self.assertEqual((got.status, got.body == body), (200, True))
        versions = {name: {call.version for call in service.calls} for name, service in services.items()}
        older, newer = services["older"].calls[0].version, services["newer"].calls[0].version
        self.assertNotEqual(older, newer)
        self.assertEqual(versions, {"both": {newer}, "newer": {newer}, "older": {older}, "none": {older}})
        self.assertEqual([len(service.calls) for service in services.values()], [3] * 4)
        self.assertEqual([service.errors for service in services.values()], [[]] * 4)

    def test_probes_too(self):
        older = self.service("http/1.1")
        gateway = self.gateway(
            apis='{ name = "auto"; routes = ( { match = { prefix = "/"; }; proxy = "older"; } ); }',
            upstreams=self.upstream("older", older, 'health = { path = "/probe"; interval = "100ms"; };'))
        wait_until(lambda: sum(call.target == "/probe" for call in older.calls) >= 3, "three probes")
        self.assertEqual(gateway.get("/some").status, 200)
        self.assertNotIn("a probe failed", gateway.errors())

    def test_it_needs_tls(self):
        path = self.folder + "/plain.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write('upstreams = { a = { endpoints = ( "127.0.0.1:1" ); protocol = "auto"; }; };')
        self.assertIn('"auto" is what TLS agrees on', command("check", "-c", path).text)
