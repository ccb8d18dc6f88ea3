"""What browsers are told not to do with answers, and requests that pages of other sites make them send."""
from gatehouse import Case, Gateway
from h2peer import H2Client
from peers import Client, answer

PLAIN = {"x-content-type-options": "nosniff", "x-frame-options": "DENY",
         "referrer-policy": "strict-origin-when-cross-origin"}
NAMES = {*PLAIN, "content-security-policy", "content-security-policy-report-only", "permissions-policy",
         "cross-origin-opener-policy", "cross-origin-embedder-policy", "cross-origin-resource-policy"}


def said(message):
    found = [(name.lower(), value) for name, value in message.fields if name.lower() in NAMES]
    assert len(found) == len(dict(found)), message
    return dict(found)


class SecureHeaders(Case):
    def test_fields(self):
        origin = self.origin(lambda request, sock: answer(b"", fields=(
            ("x-frame-options", "ALLOWALL"), ("Content-Security-Policy", "default-src *"), ("X-Other", "1"))))
        gateway = self.gateway(upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};', apis="""
            { name = "a"; secure_headers = true; routes = (
                { match = { path = "/plain"; }; proxy = { upstream = "origin"; }; },
                { match = { path = "/off"; }; secure_headers = false; proxy = { upstream = "origin"; }; },
                { match = { path = "/limited"; }; limit = { rate = "1/d"; burst = 1; }; respond = 200; },
                { match = { path = "/all"; }; proxy = { upstream = "origin"; }; secure_headers = {
                    csp = "default-src 'self'; frame-ancestors 'none'"; frame = "sameorigin"; referrer = "no-referrer";
                    permissions = "camera=(), geolocation=(self)"; opener = "same-origin"; embedder = "require-corp";
                    resource = "same-site"; }; },
                { match = { path = "/keep"; }; proxy = { upstream = "origin"; };
                  secure_headers = { csp = "default-src 'self'"; keep = true; referrer = "off"; }; },
                { match = { path = "/made"; }; respond = 200;
                  secure_headers = { csp = "default-src 'self' ${header.x-source}; object-src 'none'"; report_only = true;
                                     nosniff = false; frame = "off"; referrer = "off"; }; } ); }""")
        csp = "content-security-policy"
        for target, wanted in (
                ("/plain", {**PLAIN, csp: "default-src *"}),
                ("/off", {"x-frame-options": "ALLOWALL", csp: "default-src *"}),
                ("/limited", PLAIN), ("/limited", PLAIN),  # the second time it is the gateway's own
                ("/all", {**PLAIN, "x-frame-options": "SAMEORIGIN", "referrer-policy": "no-referrer",
                          csp: "default-src 'self'; frame-ancestors 'none'",
                          "permissions-policy": "camera=(), geolocation=(self)",
                          "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp",
                          "cross-origin-resource-policy": "same-site"}),
                ("/keep", {"x-content-type-options": "nosniff", "x-frame-options": "ALLOWALL", csp: "default-src *"})):
            with self.subTest(target=target), H2Client(gateway.port) as client:
                self.assertEqual(said(gateway.get(target)), wanted)
                self.assertEqual(said(client.request("GET", target)), wanted)
        only = "content-security-policy-report-only"
        for source, wanted in (
                ("https://cdn.example", "default-src 'self' https://cdn.example; object-src 'none'"),
                ("x; script-src *", "default-src 'none'"), ("x, script-src *", "default-src 'none'")):
            self.assertEqual(said(gateway.get("/made", fields=[("X-Source", source)])), {only: wanted})

    def test_wrong(self):
        gateway = Gateway(self.folder)
        for setting, words in (('secure_headers = { frame = "none"; }', "secure_headers.frame"),
                               ('secure_headers = { report_only = true; }', "secure_headers.report_only: .*add csp"),
                               ('secure_headers = { csp = "a\\nb"; }', "secure_headers.csp"),
                               ('secure_headers = { csp = "${nonsense}"; }', "secure_headers.csp"),
                               ('csrf = { origins = "*"; }', "csrf.origins: .*no protection"),
                               ('csrf = { origins = "example.com"; }', "csrf.origins: .*scheme")):
            gateway.write(extra=f"defaults = {{ {setting}; }};")
            done = gateway.run("check")
            self.assertEqual(done.status, 1)
            self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)


APP, EVIL = "https://app.example.com", "https://evil.example"

# Method, target, fields, whether it passes. The host is shop.example.
TABLE = (
    # A browser of today.
    ("POST", "/a", {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"}, True),
    ("POST", "/a", {"Sec-Fetch-Site": "none"}, True),
    ("POST", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("POST", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
    ("POST", "/a", {"Sec-Fetch-Site": "cross-site"}, False),
    ("POST", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": APP}, True),
    ("POST", "/a", {"Sec-Fetch-Site": "same-site", "Origin": "https://b.shop.example"}, False),
    ("POST", "/site", {"Sec-Fetch-Site": "same-site", "Origin": "https://b.shop.example"}, True),
    ("POST", "/site", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("POST", "/a", {"Sec-Fetch-Site": "whatever"}, False),
    ("PUT", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("DELETE", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("PROPFIND", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("GET", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, True),
    ("HEAD", "/a", {"Sec-Fetch-Site": "cross-site"}, True),
    ("OPTIONS", "/a", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, True),
    # One that says Origin alone.
    ("POST", "/a", {"Origin": "https://shop.example"}, True),
    ("POST", "/a", {"Origin": "http://SHOP.example"}, True),
    ("POST", "/a", {"Origin": "https://shop.example:8443"}, False),
    ("POST", "/a", {"Origin": "https://shop.example.evil.example"}, False),
    ("POST", "/a", {"Origin": "https://evil.example/shop.example"}, False),
    ("POST", "/a", {"Origin": "shop.example"}, False),
    ("POST", "/a", {"Origin": "://"}, False),
    ("POST", "/a", {"Origin": "null"}, False),
    ("POST", "/a", {"Origin": EVIL}, False),
    ("POST", "/a", {"Origin": APP}, True),
    # No browser.
    ("POST", "/a", {}, True),
    ("POST", "/strict", {}, False),
    ("POST", "/strict", {"Origin": "https://shop.example"}, True),
    # Only where a cookie is at stake.
    ("POST", "/cookie", {"Origin": EVIL}, True),
    ("POST", "/cookie", {"Origin": EVIL, "Cookie": "other=1"}, True),
    ("POST", "/cookie", {"Origin": EVIL, "Cookie": "other=1; session=2"}, False),
    # Not asked for.
    ("POST", "/off", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, True),
)


class Csrf(Case):
    def test_table(self):
        gateway = self.gateway(apis=f"""
            {{ name = "a"; csrf = "{APP}"; routes = (
                {{ match = {{ path = "/a"; }}; respond = 200; }},
                {{ match = {{ path = "/site"; }}; csrf = {{ same_site = true; }}; respond = 200; }},
                {{ match = {{ path = "/strict"; }}; csrf = {{ strict = true; }}; respond = 200; }},
                {{ match = {{ path = "/cookie"; }}; csrf = {{ cookies = [ "session" ]; }}; respond = 200; }},
                {{ match = {{ path = "/off"; }}; csrf = false; respond = 200; }} ); }}""")
        with Client(gateway.port) as older, H2Client(gateway.port) as newer:
            for method, target, fields, passes in TABLE:
                with self.subTest(method=method, target=target, fields=fields):
                    fields = list(fields.items())
                    got = older.request(method, target, fields, host="shop.example")
                    self.assertEqual(got.status, 200 if passes else 403)
                    if not passes:
                        self.problem(got, 403)
                        self.assertIn(b"problem:cross-site", got.body)
                    got = newer.request(method, target, [(name.lower(), value) for name, value in fields],
                                        host="shop.example")
                    self.assertEqual(got.status, 200 if passes else 403)
            got = older.request("POST", "/a", [("Origin", APP), ("Origin", EVIL)], host="shop.example")
            self.assertEqual(got.status, 403)
            got = older.request("POST", "/a", [("Origin", "http://shop.example")], host="shop.example:80")
            self.assertEqual(got.status, 200)

    def test_tunnels(self):
        """The same-origin policy doesn't hold for WebSocket: its handshake is a GET, with cookies."""
        gateway = self.gateway(upstreams='dead = { endpoints = ( "127.0.0.1:1" ); };', apis="""
            { name = "a"; routes = (
                { match = { path = "/chat"; }; websocket = true; csrf = { }; proxy = { upstream = "dead"; }; } ); }""")
        fields = [("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                  ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        for origin, status in ((EVIL, 403), ("http://localhost", 502)):
            self.problem(gateway.get("/chat", fields=[*fields, ("Origin", origin)]), status)
