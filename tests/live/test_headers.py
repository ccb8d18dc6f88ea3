"""The policy `headers`: what it takes out and puts in, and what it refuses."""
import os

from gatehouse import Case, answer, command

REQUEST = """headers = { request = {
    remove = [ "X-Internal", "X-Debug-*", "User-Agent" ];
    set = [ "X-User: ${params.id}", "X-Old: ${header.x-internal}", "X-Empty: ${query.none}", "X-Real-IP: ${client}",
            "X-Fixed: a b", "X-Value: ${query.v}" ];
    add = [ "X-Tag: one", "X-Tag: ${query.tag}", "Accept: text/plain" ]; }; };"""


DEFAULTS = 'defaults = { headers = { request = { set = [ "X-Value: ${query.v}" ]; }; }; };'


class Headers(Case):
    def start(self, routes, api="", origin=None, **settings):
        self.upstream = origin or self.origin()
        dead = os.path.join(self.folder, "dead.sock")
        return self.gateway(workers=1, apis=f'{{ name = "a"; {api} routes = ( {routes} ); }}', upstreams=f"""
            origin = {{ endpoints = ( "{self.upstream.text}" ); }}; dead = {{ endpoints = ( "unix:{dead}" ); }};""", **settings)

    def last(self):
        return self.upstream.requests[-1]

    def test_requests(self):
        gateway = self.start('{ match = { path = "/u/{id}"; }; proxy = "origin"; ' + REQUEST + " }")
        gateway.get("/u/7?tag=two", fields=[
            ("x-internal", "secret"), ("X-DEBUG-level", "9"), ("X-Debug-", "9"), ("X-Debug", "kept"), ("User-Agent", "me"),
            ("X-User", "admin"), ("X-User", "root"), ("X-Empty", "full"), ("X-Real-IP", "6.6.6.6"), ("X-Tag", "zero"),
            ("Accept", "a/b"), ("X-Forwarded-For", "6.6.6.6")])
        seen = self.last()
        for name, values in (
                ("X-Internal", []), ("X-Debug-Level", []), ("X-Debug-", []), ("X-Debug", ["kept"]), ("User-Agent", []),
                ("X-User", ["7"]), ("X-Old", ["secret"]), ("X-Empty", []), ("X-Real-IP", ["127.0.0.1"]),
                ("X-Fixed", ["a b"]), ("X-Value", []), ("X-Tag", ["zero", "one", "two"]),
                ("Accept", ["a/b", "text/plain"]), ("X-Forwarded-For", ["127.0.0.1"])):
            self.assertEqual(seen.all(name), values, name)

    def test_values_cannot_leave_their_line(self):
        gateway = self.start('{ match = { path = "/u/{id}"; }; proxy = "origin"; ' + REQUEST + " }")
        for value, expected in (("a%0D%0AX-Evil:%201", "a"), ("a%0Ab", "a"), ("a%0Db", "a"), ("a%01b", "a"),
                                ("%0D%0A", None), ("a%7Fb", "a"), ("%20a%20b%09", "a b"), ("a%09b", "a\tb"),
                                ("%20", None), ("%C3%A4", "\xc3\xa4"), ("a%00b", "a")):
            self.assertEqual(gateway.get("/u/7?v=" + value).status, 200)
            self.assertEqual((value, self.last().get("X-Value")), (value, expected))
            self.assertIsNone(self.last().get("X-Evil"))
        # A value longer than fits is an error, not half a value.
        self.assertEqual(gateway.get("/u/7?v=" + "x" * 4000).status, 200)
        self.assertEqual(self.last().get("X-Value"), "x" * 4000)
        self.problem(gateway.get("/u/7?v=" + "x" * 9000), 431, "X-Value")

    def test_what_is_refused_already_stays_what_it_is(self):
        """Nothing of it goes to an upstream: a value that is too long there is nobody's trouble."""
        gateway = self.gateway(workers=1, extra=DEFAULTS,
                               apis='{ name = "a"; routes = ( { match = { path = "/"; }; respond = 204; } ); }')
        self.problem(gateway.get("/nowhere?v=" + "x" * 9000), 404)
        self.problem(gateway.get("/?v=" + "x" * 9000), 431, "X-Value")

    def test_answers(self):
        origin = self.origin(lambda request, sock: answer(b"x", fields=[
            ("Server", "old"), ("X-Powered-By", "it"), ("X-Count", "1"), ("Set-Cookie", "a=b")]))
        change = """headers = { response = { remove = [ "X-Powered-By" ]; set = [ "Server: gatehouse ${response.server}" ];
                    add = [ "X-Count: 2", "X-Status: ${status}", "X-Upstream: ${upstream}", "Set-Cookie: c=d" ]; }; };"""
        gateway = self.start("""{ match = { path = "/proxy"; }; proxy = "origin"; },
            { match = { path = "/respond"; methods = "GET"; }; respond = { body = "x"; }; },
            { match = { path = "/dead"; }; proxy = "dead"; },
            { match = { path = "/off"; }; headers = false; respond = 204; },
            { match = { path = "/other"; }; headers = { response = { set = "X-Other: 1"; }; }; respond = 204; }""",
                             api=change, origin=origin)
        proxied = gateway.get("/proxy")
        for name, values in (("Server", ["gatehouse old"]), ("X-Powered-By", []), ("X-Count", ["1", "2"]),
                             ("X-Status", ["200"]), ("X-Upstream", ["origin"]), ("Set-Cookie", ["a=b", "c=d"])):
            self.assertEqual(proxied.all(name), values, name)
        self.assertEqual(gateway.get("/respond").all("Server"), ["gatehouse"])
        failed = gateway.get("/dead")
        self.problem(failed, 502)
        self.assertEqual((failed.get("X-Status"), failed.get("X-Upstream")), ("502", "dead"))
        self.assertEqual(len(failed.all("X-Request-Id")), 1)
        self.assertIsNone(gateway.get("/off").get("X-Status"))
        other = gateway.get("/other")
        self.assertEqual((other.get("X-Other"), other.get("X-Status")), ("1", None))
        # Without a route the defaults hold.
        self.assertIsNone(gateway.get("/nothing").get("X-Status"))
        gateway.replace(extra="defaults = {" + change + "};")
        self.assertEqual(gateway.get("/nothing").get("X-Status"), "404")
        self.assertEqual(gateway.get("/respond", method="POST").get("X-Status"), "405")
        with gateway.client() as client:
            client.send("GET /proxy HTTP/1.1\r\n\r\n")
            refused = client.answer()
        self.assertEqual((refused.status, refused.get("X-Status")), (400, "400"))

    def test_an_answer_too_long_goes_without(self):
        gateway = self.start("""{ match = { path = "/x"; }; respond = 204;
            headers = { response = { set = [ "X-Value: ${query.v}", "X-Other: 1" ]; }; }; }""")
        got = gateway.get("/x?v=" + "x" * 9000)
        self.assertEqual((got.status, got.get("X-Value"), got.get("X-Other")), (204, None, "1"))
        gateway.wait_error("X-Value is longer")

    def test_what_is_refused(self):
        path = os.path.join(self.folder, "test.conf")

        def check(direction, inside):
            with open(path, "w", encoding="utf-8") as file:
                file.write('apis = ( { name = "a"; routes = ( { match = { path = "/{id}"; }; respond = 204;\n'
                           f"headers = {{ {direction} = {{\n{inside} }}; }}; }} ); }} );")
            return command("check", "-c", path)
        for inside, says in (
                ('set = "Host: x";', r"test\.conf:3: apis\[0\]\.routes\[0\]\.headers\.request\.set: Host .*proxy\.host"),
                ('add = "content-length: 5";', r"add: content-length can't be changed .*where a body ends"),
                ('set = [ "X-A: 1",\n"Transfer-Encoding: x" ];', "Transfer-Encoding"),
                ('remove = "Connection";', "remove: Connection .*two neighbours"),
                ('set = "Keep-Alive: 5";', "Keep-Alive"), ('set = "TE: x";', "TE"), ('set = "Trailer: x";', "Trailer"),
                ('set = "Upgrade: x";', "Upgrade"), ('set = "Proxy-Connection: x";', "Proxy-Connection"),
                ('set = "Expect: x";', "Expect"), ('set = "Via: x";', r"Via .*forwarded\.via"),
                ('set = "X-Request-Id: x";', r"X-Request-Id .*\$\{id\}"), ('remove = "x-request-id";', "x-request-id"),
                ('set = "X-Forwarded-For: x";', "X-Forwarded-For .*trusted_proxies"),
                ('set = "Forwarded: x";', "Forwarded"),
                ('set = "X A: 1";', '"X A" is no name'), ('set = ": 1";', '"" is no name'),
                ('set = "X-A";', "no colon.*Name: value"), ('set = [ "X-A: 1", "x-a: 2" ];', "x-a is set twice"),
                ('add = "X-Real-IP: 1";', "X-Real-IP has one value"),
                ('set = "X-A: ${nothing}";', r"there is no \$\{nothing\}"),
                ('set = "X-A: ${params.other}";', r"no parameter \{other\}"),
                ('set = "X-A: a\\r\\nb";', "control character"),
                ('remove = "*";', r"a \* stands at the end"), ('remove = "X-*-Y";', r"a \* stands at the end"),
                ('remove = "X y";', "is no name"), ('sett = "X-A: 1";', 'did you mean "set"')):
            done = check("request", inside)
            self.assertEqual((inside, done.status), (inside, 1))
            self.assertRegex(done.text, says)
            self.assertRegex(done.text, r"test\.conf:[2-4]: ")
        self.assertRegex(check("response", 'set = "Content-Length: 5";').text, r"headers\.response\.set: Content-Length")
        self.assertEqual(check("response", 'set = "Server: x"; remove = [ "X-*", "Date" ]; add = "Vary: a";').status, 0)

    def test_a_pattern_spares_what_is_the_gateways(self):
        gateway = self.start("""{ match = { prefix = "/"; }; proxy = "origin";
            headers = { request = { remove = [ "X-*", "C*" ]; }; response = { remove = [ "X-*", "C*", "V*", "D*" ]; }; }; }""",
                             extra='trusted_proxies = "127.0.0.1";')
        got = gateway.get("/", fields=[("X-Forwarded-For", "192.0.2.7"), ("X-Request-Id", "id1"), ("X-A", "1")],
                          method="POST", body=b"body")
        seen = self.last()
        self.assertEqual((seen.body, seen.get("X-A"), seen.get("X-Request-Id")), (b"body", None, "id1"))
        self.assertEqual(seen.get("X-Forwarded-For"), "192.0.2.7, 127.0.0.1")
        self.assertEqual((got.body, got.get("X-Request-Id"), got.get("Via")), (b"hello from the origin", "id1", "1.1 gatehouse"))
