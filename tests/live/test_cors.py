"""CORS (Fetch, section 3.2): who is allowed what, over HTTP/1 and HTTP/2; the last word has a browser."""
import json
import os
import re
import shutil
import subprocess
import unittest

from gatehouse import Case, Gateway, free_port
from h2peer import H2Client
from peers import Client, answer

APP = "https://app.example.com"
PREFLIGHT_VARY = {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
ROUTES = """
    { match = { path = "/users"; methods = [ "GET", "PUT" ]; }; proxy = { upstream = "origin"; }; },
    { match = { path = "/users"; methods = [ "DELETE" ]; }; cors = false; proxy = { upstream = "origin"; }; },
    { match = { path = "/any"; }; proxy = { upstream = "origin"; }; },
    { match = { path = "/limited"; }; limit = { rate = "1/d"; burst = 1; }; respond = { status = 200; }; },
    { match = { path = "/known"; }; mtls = "m"; respond = { status = 200; }; },
    { match = { path = "/dead"; }; proxy = { upstream = "dead"; }; },
    { match = { path = "/chosen"; headers = ( { name = "X-Kind"; equals = "new"; } ); methods = [ "PATCH" ]; };
      respond = { status = 200; body = "new"; }; },
    { match = { path = "/chosen"; methods = [ "GET" ]; }; cors = false; respond = { status = 200; body = "old"; }; },
    { match = { path = "/own"; methods = [ "GET" ]; }; cors = false; respond = { status = 200; }; },
    { match = { path = "/own"; methods = [ "OPTIONS" ]; }; cors = false;
      respond = { status = 200; body = "the service's own"; }; }
"""


def upstream(request, sock):
    """A service that reflects whoever asks, as too many do."""
    return answer(b"data", fields=(("Access-Control-Allow-Origin", request.get("Origin") or "*"),
                                   ("access-control-allow-credentials", "true"), ("Access-Control-Max-Age", "99999"),
                                   ("Vary", "Accept-Encoding"), ("X-Total", "7")))


def ask(method=None, headers=None, origin=APP, **more):
    """The fields of a preflight."""
    fields = [("Origin", origin)] if origin is not None else []
    if method:
        fields.append(("Access-Control-Request-Method", method))
    if headers is not None:
        fields.append(("Access-Control-Request-Headers", headers))
    return fields + [(name.replace("_", "-"), value) for name, value in more.items()]


def said(message):
    """What an answer says of CORS: {the end of the name: value}; each stands there once."""
    found = {}
    for name, value in message.fields:
        name = name.lower()
        if name.startswith("access-control-"):
            name = name[len("access-control-"):]
            assert name not in found, f"{name} twice: {message}"
            found[name] = value
    return found


def vary(message):
    return {name.strip() for value in message.all("Vary") + (message.all("vary") if not message.all("Vary") else [])
            for name in value.split(",")}


class Cors(Case):
    def start(self, cors, routes=ROUTES, **settings):
        self.origin_ = self.origin(upstream)
        return self.gateway(
            apis=f'{{ name = "a"; cors = {{ {cors} }}; routes = ( {routes} ); }}',
            extra="auth = { mtls = { m = { unknown = true; }; }; };",
            upstreams=f'origin = {{ endpoints = ( "{self.origin_.text}" ); }}; '
                      f'dead = {{ endpoints = ( "127.0.0.1:{free_port()}" ); }};', **settings)

    def both(self, gateway, method, target, fields):
        """The answers over both versions."""
        with Client(gateway.port) as client:
            first = client.request(method, target, fields)
        with H2Client(gateway.port) as client:
            second = client.request(method, target, [(name.lower(), value) for name, value in fields])
        self.assertEqual(first.status, second.status)
        self.assertEqual(said(first), said(second))
        self.assertEqual(vary(first), vary(second))
        return first

    def test_preflights(self):
        gateway = self.start(f'origins = [ "{APP}", "https://*.example.org", "http://localhost:*" ]; '
                             'patterns = [ "https://pr-[0-9]+\\\\.example\\\\.net" ]; credentials = true; '
                             'headers = [ "Content-Type", "X-Kind" ]; expose = [ "X-Total" ]; max_age = "1h";')
        good = {"allow-credentials": "true", "allow-headers": "Content-Type, X-Kind", "max-age": "3600"}
        for origin in (APP, "https://a.example.org", "https://a.b.example.org", "http://localhost:3000",
                       "http://localhost", "https://pr-12.example.net"):
            for target, method, methods in (
                    ("/users", "PUT", "GET, PUT"), ("/users", "GET", "GET, PUT"),
                    ("/users", "PATCH", "GET, PUT"),  # none has it: the browser is told what there is
                    ("/any", "PATCH", "PATCH"), ("/any", "QUERY", "QUERY"),
                    ("/chosen", "PATCH", None)):
                with self.subTest(origin=origin, target=target, method=method):
                    got = self.both(gateway, "OPTIONS", target, ask(method, "content-type,x-kind", origin))
                    self.assertEqual(got.status, 204)
                    self.assertEqual(said(got), {**good, "allow-origin": origin, "allow-methods": methods or "PATCH"})
                    self.assertEqual(vary(got), PREFLIGHT_VARY)
        self.assertEqual(self.origin_.requests, [])

    def test_who_is_not_allowed(self):
        gateway = self.start(f'origins = [ "{APP}", "https://*.example.org" ]; credentials = true;')
        for origin in ("https://evil.example", "http://app.example.com", APP + ".evil.example", APP + ":8443", APP + "/",
                       "https://example.org", "https://evilexample.org", "https://evil.example#.example.org", "null", "x",
                       APP + " " + APP, APP.upper()):
            with self.subTest(origin=origin):
                got = self.both(gateway, "OPTIONS", "/users", ask("PUT", origin=origin))
                self.assertEqual((got.status, said(got)), (403, {}))
                self.assertEqual(json.loads(got.body)["type"], "urn:gatehouse:problem:origin-not-allowed")
                self.assertEqual(vary(got), PREFLIGHT_VARY)
                got = self.both(gateway, "GET", "/users", ask(origin=origin))
                self.assertEqual((got.status, said(got)), (200, {}))
                self.assertEqual(vary(got), {"Origin", "Accept-Encoding"})
        with gateway.client() as client:  # two of them: no browser does so
            got = client.request("GET", "/users", [("Origin", APP), ("Origin", APP)])
            self.assertEqual((got.status, said(got)), (200, {}))

    def test_answers(self):
        gateway = self.start(f'origins = "{APP}"; credentials = true; expose = [ "X-Total", "ETag" ];')
        good = {"allow-origin": APP, "allow-credentials": "true", "expose-headers": "X-Total, ETag"}
        got = self.both(gateway, "GET", "/users", ask())
        self.assertEqual((got.status, said(got)), (200, good))
        self.assertEqual(vary(got), {"Origin", "Accept-Encoding"})
        got = self.both(gateway, "GET", "/users", [])  # a cache must not give this one to a page
        self.assertEqual((said(got), vary(got)), ({}, {"Origin", "Accept-Encoding"}))
        self.assertEqual(gateway.get("/limited").status, 200)
        for target, status in (("/limited", 429), ("/dead", 502), ("/known", 401)):
            got = self.both(gateway, "GET", target, ask())
            self.assertEqual((got.status, said(got), vary(got)), (status, good, {"Origin"}))
        self.assertEqual(self.both(gateway, "OPTIONS", "/known", ask("GET")).status, 204)  # preflights have no credentials
        got = self.both(gateway, "DELETE", "/users", ask())  # without cors: the service's own business
        self.assertEqual(said(got)["allow-origin"], APP)
        self.assertEqual(said(got)["max-age"], "99999")

    def test_which_route(self):
        """A preflight is the business of the route that the request will come to."""
        gateway = self.start(f'origins = "{APP}";')
        got = self.both(gateway, "OPTIONS", "/users", ask("DELETE"))  # that one has no cors
        self.assertEqual((got.status, said(got)), (405, {}))
        got = self.both(gateway, "OPTIONS", "/own", ask("GET"))
        self.assertEqual((got.status, bytes(got.body)), (200, b"the service's own"))
        got = self.both(gateway, "OPTIONS", "/chosen", ask("GET", "x-other"))
        self.assertEqual((got.status, said(got)), (405, {}))
        got = self.both(gateway, "OPTIONS", "/chosen", ask("PATCH"))  # without the field that its condition is about
        self.assertEqual((got.status, said(got)), (405, {}))
        self.assertEqual(self.both(gateway, "OPTIONS", "/nowhere", ask("GET")).status, 404)
        # What is no preflight is an OPTIONS as any other.
        for fields in (ask(), ask("PUT", origin=None), ask("P UT"), []):
            self.assertEqual(self.both(gateway, "OPTIONS", "/users", fields).status, 405)
        self.assertEqual(self.both(gateway, "OPTIONS", "/any", ask()).status, 200)
        self.assertEqual([request.method for request in self.origin_.requests], ["OPTIONS", "OPTIONS"])

    def test_grpc_web(self):
        """What a caller by gRPC-Web has to read of a failure is exposed without being asked for."""
        gateway = self.gateway(
            apis=f'{{ name = "a"; cors = {{ origins = "{APP}"; expose = "X-Total"; }}; grpc = true; routes = ( '
                 '{ match = { path = "/{rest*}"; methods = [ "POST" ]; }; proxy = { upstream = "dead"; }; } ); }',
            upstreams=f'dead = {{ endpoints = ( "127.0.0.1:{free_port()}" ); protocol = "h2c"; }};')
        fields = ask() + [("Content-Type", "application/grpc-web")]
        got = self.both(gateway, "POST", "/shop.Cart/Add", fields)
        self.assertEqual((got.status, got.get("grpc-status")), (200, "14"))
        self.assertEqual(said(got), {"allow-origin": APP,
                                     "expose-headers": "X-Total, grpc-status, grpc-message, grpc-status-details-bin"})
        got = self.both(gateway, "OPTIONS", "/shop.Cart/Add", ask("POST", "content-type,x-grpc-web"))
        self.assertEqual((got.status, said(got)["allow-headers"]), (204, "content-type,x-grpc-web"))

    def test_of_the_defaults(self):
        """A page may read why nothing is there."""
        gateway = self.gateway(apis='{ name = "a"; routes = ( { match = { path = "/a"; methods = [ "GET" ]; }; '
                                    'respond = 200; } ); }', extra=f'defaults = {{ cors = "{APP}"; }};')
        self.assertEqual(self.both(gateway, "OPTIONS", "/nowhere", ask("PUT")).status, 204)
        got = self.both(gateway, "PUT", "/nowhere", ask())
        self.assertEqual((got.status, said(got)["allow-origin"]), (404, APP))
        got = self.both(gateway, "PUT", "/a", ask())
        self.assertEqual((got.status, said(got)["allow-origin"]), (405, APP))
        got = self.both(gateway, "OPTIONS", "/a%2Fb", ask("PUT"))
        self.assertEqual(got.status, 400)

    def test_all_origins(self):
        gateway = self.start('origins = "*"; methods = [ "GET", "PATCH" ]; private_network = true; expose = "*";')
        got = self.both(gateway, "OPTIONS", "/any",
                        ask("PATCH", "authorization,x-a", Access_Control_Request_Private_Network="true"))
        self.assertEqual(said(got), {"allow-origin": "*", "allow-methods": "PATCH", "allow-headers": "authorization,x-a",
                                     "max-age": "600", "allow-private-network": "true"})
        self.assertEqual(vary(got), PREFLIGHT_VARY - {"Origin"} | {"Access-Control-Request-Private-Network"})
        got = self.both(gateway, "OPTIONS", "/any", ask("DELETE", "x;y"))
        self.assertEqual(said(got), {"allow-origin": "*", "max-age": "600"})
        self.assertEqual(said(self.both(gateway, "OPTIONS", "/users", ask("PUT"))),
                         {"allow-origin": "*", "allow-methods": "GET", "max-age": "600"})
        got = self.both(gateway, "GET", "/any", ask(origin="null"))
        self.assertEqual((said(got), vary(got)), ({"allow-origin": "*", "expose-headers": "*"}, {"Accept-Encoding"}))
        with gateway.client() as client:
            got = client.request("OPTIONS", "/any", ask("GET", "x-" + "a" * 5000))
            self.assertNotIn("allow-headers", said(got))

    def test_wrong(self):
        gateway = Gateway(self.folder)
        for setting, words in (
                ('{ origins = "*"; credentials = true; }', "cors.credentials: can't be allowed to all"),
                ('{ origins = "null"; credentials = true; }', 'cors.credentials: can\'t be allowed to "null"'),
                ('{ patterns = ".*"; credentials = true; }', r"cors.patterns: .* matches https://elsewhere.invalid"),
                ('{ patterns = "(a"; }', "cors.patterns: .* is not a pattern"),
                ('{ origins = "https://app.example.com/"; }', "cors.origins: .* something behind its host"),
                ('{ origins = "app.example.com"; }', "cors.origins: .* scheme"),
                ('{ origins = "https://app.example.com"; methods = [ "G T" ]; }', "cors.methods: .* is no method"),
                ('{ origins = "https://app.example.com"; expose = "*"; credentials = true; }', "cors.expose: "),
                ('{ credentials = true; }', "cors: allows nobody")):
            with self.subTest(setting=setting):
                gateway.write(extra=f"defaults = {{ cors = {setting}; }};")
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)


BROWSERS = ("chromium-headless-shell", "chromium")

# Fetches, one after the other, and writes what came of each.
PAGE = """<!DOCTYPE html><title>CORS</title><pre id="said"></pre><script>
const cases = CASES;
(async () => {
    const results = {};
    for (const [name, url, options, field] of cases)
        try {
            const got = await fetch(url, options);
            results[name] = got.status + " " + (await got.text()) + (field ? " " + got.headers.get(field) : "");
        } catch (error) { results[name] = "refused"; }
    document.getElementById("said").textContent = "[[" + JSON.stringify(results) + "]]";
    await fetch("/done", { method: "POST" });
})();
</script>"""


@unittest.skipUnless(any(map(shutil.which, BROWSERS)), "no Chromium")
class Browser(Case):
    def visit(self, cases, cors, routes):
        """What a page of http://localhost:PORT makes of the gateway at 127.0.0.1: {case: result}."""
        site = self.origin(lambda request, sock: answer(page.encode(), fields=(("Content-Type", "text/html"),)))
        origin = self.origin(upstream)
        gateway = self.gateway(
            apis=f'{{ name = "a"; cors = {{ {cors.replace("SITE", f"http://localhost:{site.port}")} }}; '
                 f'routes = ( {routes} ); }}', upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        page = PAGE.replace("CASES", json.dumps([[name, f"http://127.0.0.1:{gateway.port}{path}", options, field]
                                                 for name, path, options, field in cases]))
        program = next(filter(None, map(shutil.which, BROWSERS)))
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
             "--disable-background-networking", f"--user-data-dir={os.path.join(self.folder, 'browser')}",
             "--virtual-time-budget=60000", "--dump-dom", f"http://localhost:{site.port}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100, check=False)
        found = re.search(r"\[\[(.*?)\]\]</pre>", done.stdout.decode(), re.S)
        self.assertTrue(found, f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(found.group(1)), gateway, origin

    def test_chromium(self):
        sent = {"headers": {"X-Kind": "new"}, "method": "PUT", "credentials": "include"}
        cases = [("simple", "/users", {}, "X-Total"), ("not exposed", "/users", {}, "X-Request-Id"),
                 ("preflighted", "/users", sent, "X-Total"), ("method", "/users", {"method": "DELETE"}, None),
                 ("field", "/users", {**sent, "headers": {"X-Other": "1"}}, None),
                 ("elsewhere", "/elsewhere", {}, None), ("elsewhere ahead", "/elsewhere", sent, None),
                 ("used up", "/limited", {}, None), ("limited", "/limited", {}, None)]
        results, gateway, origin = self.visit(
            cases, 'origins = [ "SITE" ]; credentials = true; headers = [ "X-Kind" ]; expose = [ "X-Total" ];',
            """{ match = { path = "/users"; methods = [ "GET", "PUT" ]; }; proxy = { upstream = "origin"; }; },
               { match = { path = "/elsewhere"; }; cors = "https://elsewhere.example"; proxy = { upstream = "origin"; }; },
               { match = { path = "/limited"; }; limit = { rate = "1/d"; burst = 1; }; respond = { status = 200; }; }""")
        limited = results.pop("limited")
        self.assertRegex(limited, "^429 .*rate-limited")
        self.assertEqual(results, {
            "simple": "200 data 7", "not exposed": "200 data null", "preflighted": "200 data 7", "method": "refused",
            "field": "refused", "elsewhere": "refused", "elsewhere ahead": "refused", "used up": "200 "})
        # What it refused to send never came: a GET is sent and not shown.
        self.assertEqual([(request.method, request.target) for request in origin.requests],
                         [("GET", "/users"), ("GET", "/users"), ("PUT", "/users"), ("GET", "/elsewhere")])

    def test_forgery(self):
        """What another site's page makes a browser send, with a cookie, is refused by what the browser says of itself."""
        simple = {"method": "POST", "mode": "no-cors", "credentials": "include", "body": "x"}
        results, _, origin = self.visit(
            [("forged", "/guarded", simple, None), ("not guarded", "/open", simple, None),
             ("allowed", "/guarded-too", {**simple, "mode": "cors"}, None)],
            'origins = [ "SITE" ]; credentials = true;',
            """{ match = { path = "/guarded"; }; csrf = { }; proxy = { upstream = "origin"; }; },
               { match = { path = "/open"; }; proxy = { upstream = "origin"; }; },
               { match = { path = "/guarded-too"; }; csrf = "http://localhost:*"; proxy = { upstream = "origin"; }; }""")
        self.assertEqual(results["allowed"], "200 data")
        self.assertEqual([(request.method, request.target) for request in origin.requests],
                         [("POST", "/open"), ("POST", "/guarded-too")])
