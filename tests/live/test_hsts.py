"""Strict-Transport-Security (RFC 6797): over TLS, whoever answers, once."""
from certificates import Authority, TlsClient
from gatehouse import Case, Gateway, free_port
from peers import answer

APIS = """{ name = "all"; hsts = { max_age = "1y"; subdomains = true; }; routes = (
    { match = { path = "/own"; }; respond = { status = 200; }; },
    { match = { path = "/off"; }; hsts = false; respond = { status = 200; }; },
    { match = { path = "/short"; }; hsts = "1h"; respond = { status = 200; }; },
    { match = { path = "/limited"; }; limit = { rate = "1/d"; burst = 1; }; respond = { status = 200; }; },
    { match = { path = "/{rest*}"; }; proxy = { upstream = "origin"; }; } ); }"""
FIELD = "Strict-Transport-Security"


class Hsts(Case):
    def test_over_tls_only(self):
        authority = Authority(self.folder)
        leaf = authority.issue("localhost")
        origin = self.origin(lambda request, sock: answer(b"", fields=(("strict-transport-security", "max-age=1"),)))
        port, plain = free_port(), free_port()
        gateway = self.gateway(
            apis=APIS, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};',
            listeners=f'{{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }}, '
                      f'{{ listen = "127.0.0.1:{plain}"; }}')
        gateway.port = plain
        with TlsClient(authority).open(port) as client:
            for target, value in (("/own", "max-age=31536000; includeSubDomains"), ("/off", None),
                                  ("/short", "max-age=3600"), ("/proxied", "max-age=31536000; includeSubDomains"),
                                  ("/limited", "max-age=31536000; includeSubDomains")):
                said = client.request("GET", target)
                self.assertEqual([text for name, text in said.fields if name.lower() == FIELD.lower()],
                                 [value] if value else [], target)
            said = client.request("GET", "/limited")
            self.assertEqual(said.status, 429)  # the gateway's own
            self.assertEqual(said.get(FIELD), "max-age=31536000; includeSubDomains")
        self.assertIsNone(gateway.get("/own").get(FIELD))
        self.assertEqual(gateway.get("/proxied").get(FIELD), "max-age=1")  # the service's own business

    def test_wrong(self):
        gateway = Gateway(self.folder)
        for setting, words in (('{ max_age = "1y"; preload = true; }', "hsts.preload: needs subdomains = true"),
                               ('{ max_age = "30d"; subdomains = true; preload = true; }', "hsts.preload: needs"),
                               ('{ max_age = "a while"; }', "hsts.max_age")):
            gateway.write(extra=f"defaults = {{ hsts = {setting}; }};")
            done = gateway.run("check")
            self.assertEqual(done.status, 1)
            self.assertRegex(done.err, words)
