"""Which route a request comes to, end to end: patterns, conditions, priorities, versions; and what `check` says of
routes that are wrong."""
import os
import re

from gatehouse import Case, answer, command


def route(match, name=None, more="", respond="${route}"):
    """A route that answers with its name, or with `respond`."""
    named = f'name = "{name}"; ' if name else ""
    return f'{{ {named}match = {{ {match} }}; {more} respond = {{ status = 200; body = "{respond}"; }}; }}'


def api(routes, name="a", more=""):
    return f'{{ name = "{name}"; {more} routes = (\n' + ",\n".join(routes) + "\n); }"


class Routing(Case):
    def reaches(self, gateway, name, target, fields=(), method="GET", **options):
        message = gateway.get(target, fields=fields, method=method, **options)
        self.assertEqual((message.status, message.body.decode()), (200, name), f"{method} {target} {fields}")
        return message

    def test_patterns(self):
        gateway = self.gateway(apis=api((
            route('path = "/users/me";', "literal"),
            route(r'regex = "/users/(?<id>\\d+)";', "number", respond="${params.tenant} ${params.id}"),
            route(r'regex = "/users/(?<rest>.*)";', "rest", respond="${params.rest}"),
            route('regex = "/users/[0-9]+/x"; priority = 1; methods = [ "POST" ];', "post"),
            route(r'regex = "/a(/(?<b>\\w+))?";', "optional", respond="${params.b:-none}"),
        ), more='prefix = "/{tenant}";'))
        self.reaches(gateway, "literal", "/acme/users/me")
        self.reaches(gateway, "acme 12", "/acme/users/12")
        self.reaches(gateway, "x/y z", "/acme/users/x/y%20z")  # decoded, as those of a template are
        self.reaches(gateway, "post", "/acme/users/1/x", method="POST")
        self.assertEqual(self.refused(gateway, "/acme/users/1/x", 405).get("Allow"), "POST")
        self.reaches(gateway, "none", "/acme/a")
        self.reaches(gateway, "b", "/acme/a/b")
        self.refused(gateway, "/acme/users", 404)
        self.refused(gateway, "/users/12", 404)

    def refused(self, gateway, target, status, says="", fields=()):
        message = gateway.get(target, fields=fields)
        self.problem(message, status, says)
        return message

    def test_pattern_and_upstream(self):
        """A group lands in the upstream's path like any parameter; without `path` it is the request's."""
        origin = self.origin(lambda request, sock: answer(request.target.encode()))
        gateway = self.gateway(
            upstreams=f'u = {{ endpoints = ( "{origin.text}" ); }};',
            apis=r"""{ name = "a"; prefix = "/api"; routes = (
                { match = { regex = "/v(?<major>[0-9]+)/(?<rest>.+)"; };
                  proxy = { upstream = "u"; path = "/{major}/{rest}/{rest*}"; }; },
                { match = { regex = "/plain/.*"; }; proxy = { upstream = "u"; strip_prefix = true; }; } ); }""")
        self.reaches(gateway, "/2/a%2Fb%20c/a/b%20c", "/api/v2/a/b%20c")
        self.reaches(gateway, "/plain/x?y=1", "/api/plain/x?y=1")

    def test_pattern_that_costs_too_much(self):
        """Such a request counts as no match; the worker serves on, and tells it once, not each time."""
        gateway = self.gateway(workers=1, apis=api((
            route('regex = "/(a+)+[cd]";', "slow"), route('path = "/{x}"; query = "q";', "other"))))
        for _ in range(20):
            self.refused(gateway, "/" + "a" * 3000, 404)
        self.reaches(gateway, "slow", "/aaac")
        self.reaches(gateway, "other", "/aaaa?q")
        gateway.wait_error(r"warning.*route slow: a pattern takes too long")
        self.assertEqual(len(re.findall("takes too long", gateway.errors())), 1)

    def test_conditions(self):
        gateway = self.gateway(apis=api((
            route('path = "/x";', "plain"),
            route('path = "/x"; headers = "X-Beta";', "beta"),
            route('path = "/x"; headers = ( "X-Beta", { name = "X-Env"; equals = "canary"; } );', "canary"),
            route('path = "/x"; query = { name = "v"; regex = "[0-9]+ beta"; };', "query"),
            route('path = "/x"; headers = { name = "User-Agent"; prefix = "curl/"; }; priority = 1;', "curl"),
            route('path = "/y/{id}"; headers = { name = "Authorization"; not = true; };', "anonymous"),
            route('prefix = "/y"; methods = "GET";', "below"),
        )))
        self.reaches(gateway, "plain", "/x")
        self.reaches(gateway, "beta", "/x", [("x-BETA", "")])
        self.reaches(gateway, "canary", "/x", [("X-Env", "canary"), ("X-Beta", "1")])
        self.reaches(gateway, "plain", "/x", [("X-Env", "canary")])
        self.reaches(gateway, "query", "/x?a=1&v=17%20beta")
        self.reaches(gateway, "query", "/x?v=17+beta")
        self.reaches(gateway, "plain", "/x?v=beta")
        self.reaches(gateway, "curl", "/x?v=17+beta", [("User-Agent", "curl/8.0"), ("X-Beta", "1")])
        self.reaches(gateway, "anonymous", "/y/1", method="PUT")
        self.reaches(gateway, "below", "/y/1", [("Authorization", "Bearer x")])
        message = gateway.get("/y/1", fields=[("Authorization", "Bearer x")], method="PUT")
        self.problem(message, 405)
        self.assertEqual(message.get("Allow"), "GET, HEAD")

    def test_hosts_come_first(self):
        """A host's own routes are all there is for it: patterns of other hosts, and of none, don't count."""
        gateway = self.gateway(apis=",\n".join((
            api([route('regex = "/.*";', "any")], "any"),
            api([route('regex = "/w.*";', "wild")], "wild", 'host = "*.example.com";'),
            api([route('path = "/e"; query = "q";', "exact")], "exact", 'host = "a.example.com";'))))
        self.reaches(gateway, "any", "/e", host="elsewhere.example")
        self.reaches(gateway, "wild", "/w", host="b.example.com:8080")
        self.reaches(gateway, "exact", "/e?q", host="A.Example.com")
        for target, host in (("/e", "a.example.com"), ("/w", "a.example.com"), ("/e", "b.example.com")):
            self.problem(gateway.get(target, host=host), 404, "no-route")

    def test_version_by_path(self):
        origin = self.origin(lambda request, sock: answer(request.target.encode()))
        gateway = self.gateway(
            upstreams=f'u = {{ endpoints = ( "{origin.text}" ); }};',
            apis=",\n".join(f"""{{ name = "shop {name}"; prefix = "/shop/{{tenant}}"; version = {version};
                routes = ( {{ match = {{ path = "/u/{{id}}"; }}; proxy = {{ upstream = "u"; strip_prefix = true; }}; }},
                           {{ match = {{ path = "/api"; }}; respond = {{ body = "${{api}}"; }}; }} ); }}"""
                            for name, version in (("one", '"1"'),
                                                  ("two", '{ name = "2"; segment = "second"; default = true; }'))))
        self.reaches(gateway, "/u/7?q=1", "/shop/acme/v1/u/7?q=1")
        self.reaches(gateway, "/u/7", "/shop/acme/second/u/7")
        self.reaches(gateway, "/u/7", "/shop/acme/u/7")
        message = self.reaches(gateway, "shop one", "/shop/acme/v1/api")
        self.assertIsNone(message.get("Vary"))
        self.reaches(gateway, "shop two", "/shop/acme/second/api")
        self.reaches(gateway, "shop two", "/shop/acme/api")
        self.refused(gateway, "/shop/acme/v3/api", 404, "/shop/acme/v3/api")

    def by(self, kind):
        """Two versions, the first being the default, and an API without one."""
        return ",\n".join((
            api([route('path = "/x";', "v1")], "one",
                f'prefix = "/shop"; version = {{ name = "1"; by = "{kind}"; default = true; }};'),
            api([route('path = "/x";', "v2"), route('path = "/new";', "new"),
                 route('path = "/two";', "two")], "two",
                f'prefix = "/shop"; version = {{ name = "2"; by = "{kind}"; }};'),
            api([route('prefix = "/shop/old";', "old"), route('path = "/shop/new"; methods = "PUT";', "put")], "none")))

    def test_version_by_header(self):
        gateway = self.gateway(apis=self.by("header"))
        for name, version in (("v1", None), ("v1", "1"), ("v2", "2")):
            fields = [("api-version", version)] if version else []
            self.assertEqual(self.reaches(gateway, name, "/shop/x", fields).all("Vary"), ["Api-Version"])
        message = self.refused(gateway, "/shop/x", 404, r'no route for /shop/x on host localhost in version \"9\" '
                               "(field Api-Version)", [("Api-Version", "9")])
        self.assertEqual(message.all("Vary"), ["Api-Version"])
        self.reaches(gateway, "new", "/shop/new", [("Api-Version", "2")])
        self.refused(gateway, "/shop/two", 404, "without a version (field Api-Version)")
        self.assertEqual(self.refused(gateway, "/shop/new", 405).all("Vary"), ["Api-Version"])
        self.assertIsNone(self.reaches(gateway, "old", "/shop/old", [("Api-Version", "9")]).get("Vary"))
        # It had no version to choose from, but the answer would have been another with one.
        message = self.reaches(gateway, "put", "/shop/new", method="PUT")
        self.assertEqual(message.all("Vary"), ["Api-Version"])
        message = self.refused(gateway, "/shop/nowhere", 404, "on host localhost\"", [("Api-Version", "9")])
        self.assertIsNone(message.get("Vary"))

    def test_version_by_media_type(self):
        gateway = self.gateway(apis=self.by("media-type"))
        vendor = "application/vnd.acme.v{}+json".format
        for name, accept in (("v1", None), ("v1", "*/*"), ("v1", vendor(1)), ("v2", vendor(2)),
                             ("v2", "application/json; version=2"), ("v2", vendor(9) + ", " + vendor(2) + ";q=0.1"),
                             ("v1", vendor(9) + ", */*;q=0.1"), ("v1", vendor(2) + ";q=0.1, " + vendor(1))):
            fields = [("Accept", accept)] if accept else []
            self.assertEqual(self.reaches(gateway, name, "/shop/x", fields).all("Vary"), ["Accept"])
        message = self.refused(gateway, "/shop/x", 404, r'in version \"9\" (field Accept)', [("Accept", vendor(9))])
        self.assertEqual(message.all("Vary"), ["Accept"])

    def test_versions_by_many_fields(self):
        """Up to four fields are named; of more, Vary says that nobody can tell."""
        def apis(count):
            return ",\n".join(
                api([route('path = "/x"; methods = "GET";', f"v{i}")], f"a{i}",
                    f'version = {{ name = "{i}"; by = "header"; header = "V{i}"; }};') for i in range(count))

        gateway = self.gateway(apis=apis(4))
        for count in (4, 5, 6):
            vary = ["V0", "V1", "V2", "V3"] if count == 4 else ["*"]
            gateway.replace(apis=apis(count))
            message = self.reaches(gateway, f"v{count - 1}", "/x", [(f"V{count - 1}", str(count - 1))])
            self.assertEqual(message.all("Vary"), vary)
            message = self.refused(gateway, "/x", 404, "without a version (field V0)")
            self.assertEqual(message.all("Vary"), vary)

    def test_deprecation(self):
        """Every answer of a deprecated API says so: of the upstream, of the gateway, and its errors."""
        def serve(request, _):
            fields = [("Vary", "Origin, API-version"), ("Sunset", "never"), ("Deprecation", "true"), ("Link", "</>; rel=x")]
            return answer(b"up", fields=fields if request.target.endswith("own") else ())

        origin = self.origin(serve)
        version = 'version = { name = "1"; by = "header"; default = true; deprecation = "2026-01-01"; ' \
                  'sunset = "2027-01-01T00:00:00Z"; link = "https://example.com/end?a=1"; };'
        gateway = self.gateway(
            upstreams=f'u = {{ endpoints = ( "{origin.text}" ); }}; gone = {{ endpoints = ( "127.0.0.1:1" ); }};',
            apis=f"""{{ name = "old"; {version} routes = (
                {{ match = {{ path = "/up/{{x}}"; }}; proxy = "u"; }}, {{ match = {{ path = "/gone"; }}; proxy = "gone"; }},
                {{ match = {{ path = "/here"; methods = "GET"; }}; respond = {{ status = 204; }}; }} ); }},
                {{ name = "new"; version = {{ name = "2"; by = "header"; }};
                   routes = ( {{ match = {{ path = "/here"; }}; respond = {{ status = 204; }}; }} ); }},
                {{ name = "ending"; version = {{ name = "3"; sunset = "2030-06-01"; link = "/bye"; }};
                   routes = ( {{ match = {{ path = "/x"; }}; respond = {{ status = 204; }}; }} ); }},
                {{ name = "never"; version = {{ name = "4"; sunset = "9999-12-31T23:59:59Z"; }};
                   routes = ( {{ match = {{ path = "/x"; }}; respond = {{ status = 204; }}; }} ); }}""")
        said = {"Deprecation": ["@1767225600"], "Sunset": ["Fri, 01 Jan 2027 00:00:00 GMT"],
                "Link": ['<https://example.com/end?a=1>; rel="deprecation"'], "Vary": ["Api-Version"]}

        def check(message, status, **other):
            self.assertEqual(message.status, status)
            for name, values in {**said, **other}.items():
                self.assertEqual(message.all(name), values, message)

        check(gateway.get("/up/plain"), 200)
        check(gateway.get("/up/own"), 200, Vary=["Origin, API-version"], Link=["</>; rel=x", *said["Link"]])
        check(gateway.get("/gone"), 502)
        check(gateway.get("/here"), 204)
        check(gateway.get("/here", fields=[("Api-Version", "2")]), 204, Deprecation=[], Sunset=[], Link=[])
        check(gateway.get("/v3/x"), 204, Deprecation=[], Sunset=["Sat, 01 Jun 2030 00:00:00 GMT"],
              Link=['</bye>; rel="sunset"'], Vary=[])
        check(gateway.get("/v4/x"), 204, Deprecation=[], Sunset=["Fri, 31 Dec 9999 23:59:59 GMT"], Link=[], Vary=[])

    def test_reload(self):
        """Patterns belong to their generation: they go with it, and the next has its own."""
        def apis(number):
            return api([route(f'regex = "/g{number}/(?<x>\\\\d+)"; headers = {{ name = "A"; regex = "b+"; not = true; }};',
                              respond=f"{number} ${{params.x}}")])

        gateway = self.gateway(apis=apis(0))
        for number in range(3):
            if number:
                gateway.replace(apis=apis(number))
            self.reaches(gateway, f"{number} 5", f"/g{number}/5", [("A", "c")])
            self.refused(gateway, f"/g{number}/5", 404, fields=[("A", "bb")])
            self.refused(gateway, f"/g{number}/x", 404)
            self.refused(gateway, f"/g{number + 1}/5", 404)
        gateway.write(apis=api([route('regex = "/(";')]))
        done = gateway.run("reload")
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.text, r"gatehouse\.conf:\d+: match\.regex: .*missing closing parenthesis")
        self.reaches(gateway, "2 5", "/g2/5")


class Check(Case):
    """What `gatehouse check` says, with the line."""

    def check(self, *lines):
        path = os.path.join(self.folder, "test.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        return command("check", "-c", path)

    def wrong(self, lines, *patterns):
        done = self.check(*lines)
        self.assertEqual(done.status, 1, done)
        for pattern in patterns:
            self.assertRegex(done.text, "(?m)" + pattern)
        return done

    def routes(self, *matches):
        """Lines of a file whose first line is the API's, the next the routes', one each."""
        return ['apis = ( { name = "a"; routes = (',
                *(route(match) + ("," if i + 1 < len(matches) else "") for i, match in enumerate(matches)), "); } );"]

    def test_patterns(self):
        self.wrong(self.routes('regex = "/a(b";', 'path = "/x"; headers = { name = "A"; regex = "*"; };',
                               'path = "/y"; query = ( "a", { name = "B"; regex = "a{2,1}"; } );'),
                   r'test\.conf:2: match\.regex: "/a\(b" is not a pattern: missing closing parenthesis, at its end',
                   r'test\.conf:3: match\.headers\.regex: "\*" is not a pattern: .*, at offset 0, before "\*"',
                   r"test\.conf:4: match\.query\.regex: .* at offset 5")
        done = self.check('apis = ( { name = "a"; routes = ( {', "match = {", "methods = [ \"GET\" ];", 'regex = "[";',
                          "}; respond = 200; } ); } );")
        self.assertRegex(done.text, r"test\.conf:4: match\.regex: ")

    def test_match(self):
        self.wrong(self.routes('path = "/a"; regex = "/b";', 'methods = "GET";', 'path = "/a"; headers = "a b";',
                               'path = "/a"; query = { name = "x"; equals = "1"; prefix = "2"; };',
                               'path = "/a"; header = "x";', 'path = "/a"; priority = "high";'),
                   r"test\.conf:2: .*\.match\.regex: a route has one of path, prefix and regex",
                   r"test\.conf:3: .*\.match: has none of path, prefix and regex",
                   r'test\.conf:4: .*\.match\.headers\.name: "a b" is not the name of a header field',
                   r"test\.conf:5: .*\.match\.query\.prefix: one of equals, prefix and regex",
                   r"test\.conf:6: .*\.match\.header: unknown setting \(did you mean \"headers\"",
                   r"test\.conf:7: .*\.match\.priority: must be a whole number")

    def test_paths_that_no_request_has(self):
        self.wrong(self.routes('path = "/a//b";', 'path = "/a/../b";', 'path = "/%61";', 'path = "/%2f";', 'prefix = "/é";'),
                   *(rf"test\.conf:{line}: match: the path .* is malformed: (requests come|no request has)"
                     for line in range(2, 7)))

    def test_not_told_apart(self):
        same = r"test\.conf:3: match: the path \"[^\"]+\" can't be told apart from the one at .*test\.conf:2 "
        self.wrong(self.routes('regex = "/a"; priority = 3;', 'regex = "/a"; priority = 3;'), same)
        self.wrong(self.routes('path = "/a"; query = ( "a", "b" );', 'path = "/a"; query = ( "b", "a" );'), same)
        for first, second in (('regex = "/a";', 'regex = "/a"; priority = 3;'),
                              ('path = "/a"; query = "a";', 'path = "/a"; query = "b";'),
                              ('path = "/a"; headers = "a";', 'path = "/a"; query = "a";'),
                              ('path = "/a";', 'path = "/a"; methods = "GET";')):
            done = self.check(*self.routes(first, second))
            self.assertEqual(done.status, 0, done)

    def test_versions(self):
        self.wrong(['apis = ( { name = "a"; version = { name = "1"; by = "header";', 'deprecation = "1.1.2026";',
                    'sunset = "2026-02-29"; link = "https://x y"; };', "routes = (", route('path = "/a";'), "); } );"],
                   r'test\.conf:2: .*\.version\.deprecation: "1\.1\.2026" is not a date',
                   r'test\.conf:3: .*\.version\.sunset: "2026-02-29" is not a date',
                   r"test\.conf:3: .*\.version\.link: .* is not a URL")
        both = [f'{{ name = "{name}"; version = {{ name = "{name}"; by = "header"; default = true; }}; routes = (\n'
                + route('path = "/a";') + "); }" for name in ("1", "2")]
        self.wrong(["apis = (", ",\n".join(both), ");"],
                   r"test\.conf:5: .*can't be told apart from the one at .*test\.conf:3 when a request names no version")

    def test_dump_reads_back_the_same(self):
        gateway_text = "\n".join((
            'apis = ( { name = "a"; version = { name = "1"; default = true; sunset = "2030-01-01"; }; routes = (',
            route('regex = "/(a|b)\\\\d"; headers = ( "A", { name = "B"; regex = "x"; not = true; } ); priority = -3;'),
            ', { match = { path = "/q"; query = { name = "q"; equals = ""; }; }; respond = 204; } ); } );'))
        path = os.path.join(self.folder, "first.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(gateway_text)
        first = command("config", "--dump", "-c", path)
        self.assertEqual(first.status, 0, first)
        with open(path, "w", encoding="utf-8") as file:
            file.write(first.out)
        second = command("config", "--dump", "-c", path)
        self.assertEqual(second.out, first.out)
        self.assertIn('segment = "v1"', first.out)
        self.assertIn("not = true", first.out)
