"""The split of a route's requests over several upstreams."""
import os
import re

from gatehouse import Case, answer, command

SPLIT = 'split = ( { upstream = "stable"; weight = %d; }, { upstream = "canary"; weight = %d; } );'


class Split(Case):
    def origins(self):
        self.stable = self.origin(lambda request, sock: answer(b"stable"))
        self.canary = self.origin(lambda request, sock: answer(b"canary"))
        return (f'stable = {{ endpoints = ( "{self.stable.text}" ); }};'
                f'canary = {{ endpoints = ( "{self.canary.text}" ); }};')

    def apis(self, stable, canary, sticky="", more=""):
        return f"""{{ name = "a"; routes = ( {{ match = {{ prefix = "/"; }}; {more}
                   proxy = {{ {SPLIT % (stable, canary)} {sticky} }}; }} ); }}"""

    def picks(self, gateway, count, fields=lambda number: []):
        with gateway.client() as client:
            return [client.request("GET", f"/{number}", fields(number)).body.decode() for number in range(count)]

    def test_shares(self):
        gateway = self.gateway(workers=1, apis=self.apis(95, 5), upstreams=self.origins())
        count = self.picks(gateway, 10000).count("canary")
        self.assertLess(abs(count - 500), 6 * 21.8)  # six standard deviations
        self.assertEqual(len(self.canary.requests), count)
        logged = gateway.wait_access(10000)
        self.assertEqual([line["upstream"] for line in logged].count("canary"), count)

    def test_a_header_decides(self):
        """The same for every worker, after a reload, and for another gateway."""
        upstreams = self.origins()
        sticky = 'sticky = { header = "X-User"; };'
        gateway = self.gateway(workers=2, apis=self.apis(50, 50, sticky), upstreams=upstreams)

        def user(number):
            return [("X-User", f"user-{number}")]
        first = self.picks(gateway, 200, user)
        self.assertTrue(60 < first.count("canary") < 140, first.count("canary"))
        for _ in range(3):  # connections of their own: either worker
            self.assertEqual(self.picks(gateway, 200, user), first)
        gateway.replace()
        self.assertEqual(self.picks(gateway, 200, user), first)
        other = self.gateway(name="other", workers=1, apis=self.apis(50, 50, sticky), upstreams=upstreams)
        self.assertEqual(self.picks(other, 200, user), first)
        # More for the canary: who is there stays.
        gateway.replace(apis=self.apis(25, 75, sticky))
        later = self.picks(gateway, 200, user)
        self.assertTrue(all(after == "canary" for before, after in zip(first, later) if before == "canary"))
        self.assertGreater(later.count("canary"), first.count("canary"))
        gateway.replace(apis=self.apis(100, 0, sticky))
        self.assertEqual(set(self.picks(gateway, 200, user)), {"stable"})
        # Without the field, or with an empty one: by chance.
        gateway.replace(apis=self.apis(50, 50, sticky))
        for fields in ([], [("X-User", "")]):
            count = self.picks(gateway, 200, lambda number, fields=fields: fields).count("canary")
            self.assertTrue(57 < count < 143, count)

    def cookie_of(self, message):
        cookies = message.all("Set-Cookie")
        self.assertEqual(len(cookies), 1)
        found = re.fullmatch(r"variant=([0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax(; Max-Age=\d+)?", cookies[0])
        self.assertTrue(found, cookies)
        return found.group(1), found.group(2)

    def test_a_cookie_keeps(self):
        sticky = 'sticky = { cookie = "variant"; ttl = "2h"; };'
        gateway = self.gateway(workers=2, apis=self.apis(50, 50, sticky), upstreams=self.origins())
        tokens = {}
        while len(tokens) < 2:
            first = gateway.get("/")
            token, age = self.cookie_of(first)
            self.assertEqual(age, "; Max-Age=7200")
            self.assertEqual(tokens.setdefault(first.body.decode(), token), token)
        self.assertNotIn("stable", tokens["stable"])
        # It holds over workers, reloads and other weights, 0 too, and is not given again.
        for stable, canary in ((50, 50), (99, 1), (1, 0), (0, 1)):
            gateway.replace(apis=self.apis(stable, canary, sticky))
            for name, token in tokens.items():
                for _ in range(10):
                    got = gateway.get("/", fields=[("Cookie", f"a=b; variant={token}; c=d")])
                    self.assertEqual((got.body.decode(), got.all("Set-Cookie")), (name, []))
        # Unknown: a new pick, which has a weight.
        for value in ("canary", "0" * 16, "", tokens["stable"][:-1], tokens["stable"] + "0"):
            got = gateway.get("/", fields=[("Cookie", "variant=" + value)])
            self.assertEqual(self.cookie_of(got)[0], tokens["canary"])
            self.assertEqual(got.body, b"canary")
        # An upstream that is gone is an unknown one.
        gateway.replace(apis=self.apis(1, 0, sticky).replace('upstream = "canary"', 'upstream = "third"'),
                       upstreams=gateway.settings["upstreams"] + 'third = { endpoints = ( "127.0.0.1:9" ); };')
        got = gateway.get("/", fields=[("Cookie", "variant=" + tokens["canary"])])
        self.assertEqual(got.body, b"stable")
        self.cookie_of(got)

    def test_a_cookie_for_the_session(self):
        gateway = self.gateway(workers=1, apis=self.apis(1, 1, 'sticky = { cookie = "variant"; ttl = "0"; };'),
                               upstreams=self.origins())
        self.assertIsNone(self.cookie_of(gateway.get("/"))[1])

    def test_a_cookie_of_https(self):
        gateway = self.gateway(workers=1, apis=self.apis(1, 1, 'sticky = { cookie = "variant"; ttl = "1500ms"; };'),
                               upstreams=self.origins(), extra='trusted_proxies = "127.0.0.1";')
        for proto, more in (("http", ""), ("https", "; Secure")):
            cookie = gateway.get("/", fields=[("X-Forwarded-Proto", proto)]).get("Set-Cookie")
            self.assertRegex(cookie, "; SameSite=Lax; Max-Age=2" + more + "$")

    def test_all_are_dead(self):
        """Each client is told so of its own one, and gets no cookie that would keep it there."""
        dead = {name: f"unix:{self.folder}/{name}" for name in ("stable", "canary")}
        upstreams = "".join(f'{name} = {{ endpoints = ( "{text}" ); }};' for name, text in dead.items())
        sticky = 'sticky = { cookie = "variant"; };'
        gateway = self.gateway(workers=1, apis=self.apis(1, 1, sticky), upstreams=upstreams)
        told = set()
        for _ in range(40):
            got = gateway.get("/")
            told.add(re.search("upstream (stable|canary)", self.problem(got, 502)["detail"]).group(1))
            self.assertEqual(got.all("Set-Cookie"), [])
        self.assertEqual(told, {"stable", "canary"})
        # Who was there before stays, and is told; nobody is sent where it doesn't belong.
        gateway.replace(upstreams=self.origins())
        tokens = {}
        while len(tokens) < 2:
            got = gateway.get("/")
            tokens[got.body.decode()] = self.cookie_of(got)[0]
        gateway.replace(upstreams=upstreams)
        for name, token in tokens.items():
            got = gateway.get("/", fields=[("Cookie", "variant=" + token)])
            self.problem(got, 502, "upstream " + name)
            self.assertEqual(got.all("Set-Cookie"), [])

    def test_the_choice_is_known(self):
        gateway = self.gateway(workers=1, upstreams=self.origins(), apis=self.apis(
            0, 1, 'path = "/to/${upstream}";', 'headers = { response = { set = "X-Upstream: ${upstream}"; }; };'))
        self.assertEqual(gateway.get("/").get("X-Upstream"), "canary")
        self.assertEqual(self.canary.requests[-1].target, "/to/canary")

    def test_what_is_refused(self):
        path = os.path.join(self.folder, "test.conf")

        def check(inside):
            with open(path, "w", encoding="utf-8") as file:
                file.write('upstreams = { a = { endpoints = "127.0.0.1:1"; }; b = { endpoints = "127.0.0.1:2"; }; };\n'
                           'apis = ( { name = "a"; routes = ( { match = "/"; proxy = {\n' + inside + " }; } ); } );")
            return command("check", "-c", path)
        two = 'split = ( { upstream = "a"; },\n { upstream = "b"; weight = 2; } );'
        for inside, says in (
                ("", r"test\.conf:2: .*proxy: has neither upstream nor split"),
                ('upstream = "a";\n' + two, r"test\.conf:4: .*proxy\.split: has no meaning beside upstream"),
                ('upstream = "a";\n sticky = { header = "X"; };', r"test\.conf:4: .*proxy\.sticky: has no meaning without"),
                ('split = ( { upstream = "a"; },\n{ upstream = "c"; } );', r'test\.conf:4: .*no upstream "c"'),
                ('split = ( { upstream = "a"; },\n{ upstream = "a"; } );', r'test\.conf:4: .*split\[1\]\.upstream: "a" is there'),
                ('split = ( { upstream = "a"; weight = 0; } );', r"test\.conf:3: .*split: no upstream has a weight"),
                ("split = ( );", r"at least 1"), ('split = ( { upstream = "a"; weight = -1; } );', "too small"),
                (two + "sticky = { };", "sticky: has neither header nor cookie"),
                (two + 'sticky = { header = "X"; cookie = "y"; };', "sticky.cookie: has no meaning beside header"),
                (two + 'sticky = { header = "X Y"; };', '"X Y" is no name of a field'),
                (two + 'sticky = { cookie = "x;y"; };', '"x;y" is no name of a cookie'),
                (two + 'sticky = { cookie = "y"; ttl = 5; };', "a duration is text"),
                ('upstream = "a"; host = "";', "proxy.host: is empty"),
                ('upstream = "a"; host = "a b";', "proxy.host: has a space")):
            done = check(inside)
            self.assertEqual((inside, done.status), (inside, 1))
            self.assertRegex(done.text, says)
        self.assertEqual(check(two + 'sticky = { cookie = "y"; };').status, 0)
