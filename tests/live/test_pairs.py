"""All that a route can ask for is the same over HTTP/1.1 and HTTP/2, from clients and to upstreams: one table of cases for the
four pairs, in cleartext, and a smaller one over TLS. Whoever adds a policy adds a case here."""
import json
import ssl

from callers import CALLERS
from certificates import Authority, TlsClient
from gatehouse import Case, free_port, wait_until
from service import Reply, Service

BODY = bytes(range(256)) * 4096  # 1 MB: more than all windows and buffers

ROUTES = """
    { name = "tree"; match = { path = "/tree/{kind}/{rest*}"; methods = [ "GET", "POST" ]; };
      proxy = { upstream = "service"; path = "/inner/{kind}?rest={rest}"; }; },
    { name = "beta"; match = { path = "/beta"; headers = ( { name = "X-Beta"; equals = "yes"; } ); query = ( "v" ); };
      respond = { status = 200; body = "beta"; }; },
    { match = { path = "/moved/{id}"; }; redirect = { status = 308; location = "https://new.example/{id}"; }; },
    { match = { path = "/fields"; }; proxy = "service";
      headers = { request = { remove = [ "X-Secret", "X-Debug-*" ]; set = [ "X-Who: ${client}", "X-Said: ${header.x-said}!" ];
                              add = [ "X-Tag: edge" ]; };
                  response = { remove = [ "Server" ]; set = [ "X-From: ${upstream}" ]; add = [ "X-Tag: out" ]; }; }; },
    { match = { path = "/limited"; }; limit = { rate = "1/h"; burst = 2; headers = true; }; proxy = "service"; },
    { match = { path = "/keyed"; }; limit = { rate = "1/h"; burst = 1; by = "header.x-key"; };
      respond = { status = 200; body = "in"; }; },
    { match = { path = "/quota"; }; quota = "2/month"; proxy = "service"; },
    { match = { path = "/single"; }; concurrency = { max = 1; }; proxy = { upstream = "service"; path = "/stall/single"; }; },
    { match = { path = "/flaky"; }; proxy = "flaky"; },
    { match = { path = "/spare"; }; proxy = "service";
      breaker = { errors = 1; open = "1m"; fallback = { status = 200; type = "text/plain"; body = "spare"; }; }; },
    { match = { path = "/mirrored"; }; mirror = { upstream = "shadow"; path = "/copy"; }; proxy = "service"; },
    { match = { path = "/split"; };
      proxy = { split = ( { upstream = "service"; weight = 0; }, { upstream = "shadow"; weight = 1; } );
                sticky = { cookie = "variant"; ttl = "1h"; }; }; },
    { match = { path = "/fault"; }; fault = { abort = 503; headers = ( "X-Fault" ); }; proxy = "service"; },
    { match = { path = "/slow"; }; proxy = { upstream = "hasty"; path = "/stall/slow"; }; },
    { match = { path = "/never"; }; proxy = { upstream = "hasty"; path = "/never"; }; },
    { match = { path = "/dead"; }; proxy = "dead"; },
    { match = { path = "/versions"; }; respond = { status = 200; body = "${version} ${scheme} ${host}"; }; },
    { match = { prefix = "/"; }; proxy = "service"; }
"""


class Pairs(Case):
    def serve(self, call):
        """What the service does, by the path."""
        path = call.target.partition("?")[0]
        if path.startswith("/inner/"):
            return Reply(200, f"{call.method} {call.target}".encode())
        if path.startswith("/stall/"):
            return Reply(200, b"half and more", stall=True)
        return getattr(self, "serve_" + path.strip("/").replace("/", "_"), self.echo)(call)

    @staticmethod
    def echo(call):
        said = {"method": call.method, "target": call.target, "host": call.host, "fields": call.fields,
                "trailers": call.trailers, "length": len(call.body)}
        return Reply(200, json.dumps(said).encode(), (("Content-Type", "application/json"), ("Server", "service"),
                                                      ("X-Tag", "in"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")))

    def serve_body(self, call):
        return Reply(200, call.body, (("Content-Type", "application/octet-stream"),))

    def serve_trailers(self, _):
        return Reply(200, b"with trailers", trailers=(("X-Sum", "13"), ("X-Other", "")))

    def serve_hints(self, _):
        return Reply(200, b"page", interims=((103, (("Link", "</a.css>; rel=preload"),)), (103, (("Link", "</b.js>"),))))

    def serve_empty(self, _):
        return Reply(204, fields=(("X-Kept", "yes"),))

    def serve_unmodified(self, _):
        return Reply(304, fields=(("ETag", '"v1"'),))

    def serve_large(self, _):
        return Reply(200, b"x", tuple((f"X-{letter}", letter * 7000) for letter in "abc"))

    def serve_missing(self, _):
        return Reply(404, b"no such thing", (("Content-Type", "text/plain"),))

    def serve_early(self, _):
        return Reply(413, b"too much")

    def serve_cut(self, _):
        return Reply(200, b"0123456789", cut=True)

    def serve_gone(self, _):
        return Reply(0, cut=True)

    def serve_never(self, _):
        return Reply(0, stall=True)

    def serve_spare(self, _):
        return Reply(500, b"broken")

    def serve_flaky(self, call):
        self.tries += 1
        return Reply(503, b"not now") if self.tries % 2 else self.echo(call)

    def start(self, client, upstream):
        self.tries, self.client, self.newer = 0, client, upstream == "h2"
        self.service, self.shadow = (self.new_service(upstream) for _ in range(2))
        more = self.upstream_settings(upstream)
        upstreams = "".join("%s = { endpoints = ( \"%s\" ); %s %s };" % one for one in (
            ("service", self.service.text, more, ""),
            ("shadow", self.shadow.text, more, ""),
            ("flaky", self.service.text, more, 'retry = { attempts = 2; statuses = [ 503 ]; backoff = { base = "1ms"; }; };'),
            ("hasty", self.service.text, more, 'timeout = { response = "150ms"; idle = "150ms"; };'),
            ("dead", f"127.0.0.1:{free_port()}", more, "")))
        self.running = self.open_gateway('{ name = "pairs"; routes = (' + ROUTES + "); }", upstreams)

    def cases(self, *names):
        """Each with a connection of its own, which it must not lose."""
        for name in names or sorted(name[5:] for name in dir(self) if name.startswith("case_")):
            with self.subTest(case=name):
                self.caller = self.open_caller()
                getattr(self, "case_" + name)()
                self.caller.close()
        self.assertEqual((self.service.errors, self.shadow.errors), ([], []), "what the gateway sent to its upstreams")

    # Short words for the cases

    def ask(self, method, target, fields=(), body=None, **more):
        return self.caller.ask(method, target, fields, body, **more)

    def echoed(self, method, target, fields=(), body=None, **more):
        got = self.ask(method, target, fields, body, **more)
        self.assertEqual(got.status, 200, got)
        said = json.loads(got.body)
        said["fields"] = [tuple(pair) for pair in said["fields"]]
        return got, said

    def refused(self, got, status, problem):
        self.problem(got, status)
        self.assertEqual(json.loads(got.body)["type"], "urn:gatehouse:problem:" + problem)
        self.assertEqual(json.loads(got.body)["instance"], got.get("x-request-id"))

    def logged(self, target):
        """The access log's line of the last request for that target."""
        def last():
            found = [line for line in self.running.accesses() if line["target"] == target]
            return found and found[-1]
        return wait_until(last, f"{target} in the access log")

    # The cases

    def case_routing(self):
        got = self.ask("GET", "/tree/a%20b/c/d?x=1")
        self.assertEqual((got.status, got.body), (200, b"GET /inner/a%20b?rest=c%2Fd"))
        self.assertEqual(self.ask("GET", "/beta?v", [("X-Beta", "yes")]).body, b"beta")
        self.assertNotEqual(self.ask("GET", "/beta?v", [("X-Beta", "no")]).body, b"beta")
        moved = self.ask("GET", "/moved/7%3F")
        self.assertEqual((moved.status, moved.get("location")), (308, "https://new.example/7%3F"))
        wrong = self.ask("DELETE", "/tree/a/b")
        self.refused(wrong, 405, "method-not-allowed")
        self.assertEqual(wrong.get("allow"), "GET, HEAD, POST")
        self.refused(self.ask("GET", "/a%2Fb"), 400, "bad-path")

    def case_what_goes_on(self):
        got, said = self.echoed("POST", "/any?q=%20&r", [("X-A", "1"), ("X-A", "2"), ("X-Empty", ""), ("X-Latin", "a\tb"),
                                                        ("Cookie", "c=1"), ("Accept", "*/*"), ("TE", "trailers")], b"12345")
        self.assertEqual((said["method"], said["target"], said["host"], said["length"]),
                         ("POST", "/any?q=%20&r", "pairs.example", 5))
        fields = said["fields"]
        for pair in (("x-a", "1"), ("x-a", "2"), ("x-empty", ""), ("cookie", "c=1"), ("content-length", "5"),
                     ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "pairs.example")):
            self.assertIn(pair, fields)
        via = dict(fields)["via"]
        self.assertRegex(via, r"^(1\.1|2) gatehouse$")
        self.assertEqual(got.all("set-cookie"), ["a=1", "b=2"])
        self.assertEqual(dict(fields)["x-request-id"], got.get("x-request-id"))

    def case_cookies(self):
        """RFC 9113, 8.2.3: those that HTTP/2 took apart are one field when they go on by HTTP/1.1."""
        _, said = self.echoed("GET", "/any", [("Cookie", "a=1"), ("Cookie", "b=2")])
        cookies = [value for name, value in said["fields"] if name == "cookie"]
        self.assertEqual("; ".join(cookies), "a=1; b=2")
        if self.caller.version == "HTTP/2" and not self.newer:
            self.assertEqual(len(cookies), 1)

    def case_header_fields(self):
        got, said = self.echoed("GET", "/fields", [("X-Secret", "s"), ("X-Debug-Level", "9"), ("X-Said", "hello"),
                                                   ("X-Tag", "mine"), ("X-Who", "me")])
        fields = said["fields"]
        self.assertEqual([name for name, _ in fields if name in ("x-secret", "x-debug-level")], [])
        self.assertEqual([value for name, value in fields if name == "x-tag"], ["mine", "edge"])
        self.assertEqual((dict(fields)["x-who"], dict(fields)["x-said"]), ("127.0.0.1", "hello!"))
        self.assertEqual((got.get("server"), got.get("x-from"), got.all("x-tag")), (None, "service", ["in", "out"]))

    def case_limit(self):
        self.assertEqual([self.ask("GET", "/limited").status for _ in range(2)], [200, 200])
        got = self.ask("GET", "/limited")
        self.refused(got, 429, "rate-limited")
        self.assertTrue(int(got.get("retry-after")) > 0 and got.get("ratelimit"), got)
        for key, status in (("a", 200), ("b", 200), ("a", 429)):
            self.assertEqual(self.ask("GET", "/keyed", [("X-Key", key)]).status, status)

    def case_quota(self):
        self.assertEqual([self.ask("GET", "/quota").status for _ in range(2)], [200, 200])
        self.refused(self.ask("GET", "/quota"), 429, "quota-exceeded")

    def case_concurrency(self):
        begun = self.caller.begin("GET", "/single", ended=True)
        self.service.wait(lambda service: any(call.target == "/stall/single" for call in service.calls), "the call")
        self.refused(self.ask("GET", "/single"), 429, "too-many-in-flight")
        begun.leave()
        self.service.wait(lambda service: "/stall/single" in service.broken, "its end")

    def case_retry(self):
        before = self.tries
        got, _ = self.echoed("GET", "/flaky")
        self.assertEqual(self.tries - before, 2)
        self.assertEqual(self.ask("POST", "/flaky", body=b"once").status, 503)
        self.assertEqual(self.tries - before, 3)
        got, said = self.echoed("PUT", "/flaky", body=b"again")
        self.assertEqual((got.status, said["length"]), (200, 5))

    def case_fallback(self):
        self.assertEqual(self.ask("GET", "/spare").status, 500)
        got = self.ask("GET", "/spare")
        self.assertEqual((got.status, got.body, got.get("content-type")), (200, b"spare", "text/plain"))

    def case_mirror(self):
        _, said = self.echoed("POST", "/mirrored", [("X-A", "1")], b"copied")
        self.assertEqual(said["length"], 6)
        self.shadow.wait(lambda shadow: any(call.target == "/copy" for call in shadow.calls), "the copy")
        copy = next(call for call in self.shadow.calls if call.target == "/copy")
        self.assertEqual((copy.method, copy.body, copy.get("x-mirrored"), copy.get("x-a"), copy.host),
                         ("POST", b"copied", "1", "1", "pairs.example"))

    def case_split(self):
        before = len(self.shadow.calls)
        got, _ = self.echoed("GET", "/split")
        self.assertEqual(len(self.shadow.calls), before + 1)
        cookie = next(value for value in got.all("set-cookie") if value.startswith("variant="))
        again, _ = self.echoed("GET", "/split", [("Cookie", cookie.partition(";")[0])])
        self.assertEqual(len(self.shadow.calls), before + 2)
        self.assertNotIn("variant", " ".join(again.all("set-cookie")))

    def case_fault(self):
        self.refused(self.ask("GET", "/fault", [("X-Fault", "1")]), 503, "fault-injected")
        self.assertEqual(self.ask("GET", "/fault").status, 200)

    def case_answers_without_a_body(self):
        got = self.ask("HEAD", "/any")
        self.assertEqual((got.status, got.body), (200, b""))
        self.assertTrue(int(got.get("content-length")) > 0)
        got = self.ask("GET", "/empty")
        self.assertEqual((got.status, got.body, got.get("content-length"), got.get("x-kept")), (204, b"", None, "yes"))
        got = self.ask("GET", "/unmodified", [("If-None-Match", '"v1"')])
        self.assertEqual((got.status, got.body, got.get("etag")), (304, b"", '"v1"'))
        self.assertEqual(self.ask("GET", "/missing").body, b"no such thing")
        self.assertEqual(self.ask("HEAD", "/no-route", host="other.example").status, 200)

    def case_trailers(self):
        got = self.ask("GET", "/trailers", [("TE", "trailers")])
        self.assertEqual((got.status, got.body), (200, b"with trailers"))
        self.assertEqual([(name.lower(), value) for name, value in got.trailers], [("x-sum", "13"), ("x-other", "")])
        _, said = self.echoed("POST", "/any", [("TE", "trailers")], b"body", trailers=[("X-Check", "4")])
        self.assertEqual((said["length"], [tuple(pair) for pair in said["trailers"]]), (4, [("x-check", "4")]))

    def case_interim_answers(self):
        got = self.ask("GET", "/hints")
        self.assertEqual((got.status, got.body), (200, b"page"))
        self.assertEqual([(status, dict(fields).get("link")) for status, fields in got.interims],
                         [(103, "</a.css>; rel=preload"), (103, "</b.js>")])

    def case_bodies(self):
        for body in (b"", b"x", BODY):
            got = self.ask("POST", "/body", [("Content-Type", "a/b")], body)
            self.assertEqual((got.status, len(got.body), got.body == body), (200, len(body), True))
        self.assertEqual(self.ask("PUT", "/body", body=b"of unknown length", trailers=[("X-End", "1")]).body, b"of unknown length")

    def case_an_early_answer(self):
        got = self.ask("POST", "/early", body=BODY)
        self.assertEqual((got.status, got.body), (413, b"too much"))
        self.assertEqual(self.ask("GET", "/any").status, 200)

    def case_a_client_that_leaves(self):
        begun = self.caller.begin("GET", "/stall/left", ended=True)
        self.service.wait(lambda service: any(call.target == "/stall/left" for call in service.calls), "the call")
        begun.leave()
        self.service.wait(lambda service: "/stall/left" in service.broken, "the end of the call")
        self.assertIn(self.logged("/stall/left")["aborted"], ("client", "reset"))

    def case_a_client_that_leaves_within_its_body(self):
        before = len(self.service.calls)
        begun = self.caller.begin("POST", "/body?left", body=b"first")
        begun.leave()
        self.assertTrue(self.logged("/body?left")["aborted"])
        self.assertEqual(len(self.service.calls), before)

    def case_a_service_that_breaks_off(self):
        got = self.ask("GET", "/cut")
        self.assertEqual((got.status, got.cut), (200, True), got)
        self.assertTrue(self.logged("/cut")["aborted"])
        self.refused(self.ask("POST", "/gone", body=b"x"), 502, "upstream-closed")
        self.assertEqual(self.ask("GET", "/any").status, 200)

    def case_a_service_that_is_slow(self):
        self.refused(self.ask("GET", "/never"), 504, "upstream-timeout")
        got = self.ask("GET", "/slow")
        self.assertEqual((got.status, got.cut), (200, True), got)

    def case_a_service_that_is_not_there(self):
        got = self.ask("GET", "/dead")
        self.refused(got, 502, "upstream-unreachable")
        self.assertIn("dead", json.loads(got.body)["detail"])
        self.assertEqual(self.ask("HEAD", "/dead").body, b"")

    def case_access_log(self):
        self.ask("POST", "/tree/log/ged", [("User-Agent", "pairs")], b"12345")
        line = self.logged("/tree/log/ged")
        self.assertEqual({name: line[name] for name in ("client", "method", "host", "version", "status", "api", "route",
                                                        "upstream", "endpoint", "problem", "aborted", "user_agent")},
                         {"client": "127.0.0.1", "method": "POST", "host": "pairs.example", "version": self.caller.version,
                          "status": 200, "api": "pairs", "route": "tree", "upstream": "service",
                          "endpoint": self.service.text, "problem": "", "aborted": "", "user_agent": "pairs"})
        self.assertGreater(line["bytes_in"], 5)
        self.assertGreater(line["bytes_out"], 0)
        self.assertGreater(line["upstream_time"], 0)

    def case_large_heads(self):
        """Larger than a frame of HTTP/2, so with CONTINUATION."""
        begun = [self.caller.begin("GET", "/large", ended=True) for _ in range(4)]
        for one in begun:
            got = one.answer()
            self.assertEqual([got.get("x-" + letter) for letter in "abc"], [letter * 7000 for letter in "abc"])
        _, said = self.echoed("GET", "/any", [("X-Large", "y" * 8000)] + [(f"X-{number}", "z") for number in range(50)])
        self.assertEqual(len(dict(said["fields"])["x-large"]), 8000)
        self.assertEqual(self.ask("GET", "/any", [("X-Large", "y" * 40000)]).status, 431)

    def case_the_whole_server(self):
        _, said = self.echoed("OPTIONS", "*")
        self.assertEqual(said["target"], "*")

class Clear(Pairs):
    def new_service(self, _):
        service = Service(self.serve)
        self.addCleanup(service.close)
        return service

    def upstream_settings(self, upstream):
        return 'protocol = "h2c";' if upstream == "h2" else ""

    def open_gateway(self, apis, upstreams):
        return self.gateway(apis=apis, upstreams=upstreams)

    def open_caller(self):
        return CALLERS[self.client](self.running.port)

    def test_h1_to_h1(self):
        self.start("h1", "h1")
        self.cases()

    def test_h2_to_h1(self):
        self.start("h2", "h1")
        self.cases()

    def test_h1_to_h2(self):
        self.start("h1", "h2")
        self.cases()

    def test_h2_to_h2(self):
        self.start("h2", "h2")
        self.cases()


class Secured(Pairs):
    """TLS on both sides, what is spoken by ALPN. The records are TLS's matter: of the cases those that move many bytes, or
    break off."""

    CASES = ("what_goes_on", "bodies", "trailers", "interim_answers", "answers_without_a_body", "an_early_answer",
             "a_client_that_leaves", "a_service_that_breaks_off", "a_service_that_is_not_there", "access_log")

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.leaf = self.authority.issue("localhost")

    def new_service(self, upstream):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.leaf.path, self.leaf.key_path)
        context.set_alpn_protocols(["h2"] if upstream == "h2" else ["http/1.1"])
        service = Service(self.serve, tls=context)
        self.addCleanup(service.close)
        return service

    def upstream_settings(self, upstream):
        return f'tls = {{ ca = "{self.authority.path}"; }};' + ('protocol = "h2";' if upstream == "h2" else "")

    def open_gateway(self, apis, upstreams):
        port = free_port()
        gateway = self.gateway(apis=apis, upstreams=upstreams, listeners=f"""{{ listen = "127.0.0.1:{port}";
            tls = {{ certificates = ( {self.leaf.setting} ); }}; }}""")
        gateway.port = port
        return gateway

    def open_caller(self):
        alpn = "h2" if self.client == "h2" else "http/1.1"
        return CALLERS[self.client](self.running.port, TlsClient(self.authority, alpn=(alpn,)))

    def test_h1_to_h1(self):
        self.start("h1", "h1")
        self.cases(*self.CASES)

    def test_h2_to_h1(self):
        self.start("h2", "h1")
        self.cases(*self.CASES)

    def test_h1_to_h2(self):
        self.start("h1", "h2")
        self.cases(*self.CASES)

    def test_h2_to_h2(self):
        self.start("h2", "h2")
        self.cases(*self.CASES)
