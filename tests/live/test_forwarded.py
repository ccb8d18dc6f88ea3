"""What upstreams are told of where a request came from, and whose word counts for it."""
import os

from gatehouse import Case

ROUTES = """{ match = { path = "/who"; }; respond = { body = "${client}|${peer}"; }; },
            { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; }"""


class Forwarded(Case):
    def start(self, extra="", listen=None, **settings):
        origin = self.origin()
        gateway = self.gateway(workers=1, apis=f'{{ name = "a"; routes = ( {ROUTES} ); }}', extra=extra,
                               upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};',
                               **({"listeners": f'{{ listen = "{listen}"; }}'} if listen else {}), **settings)
        return gateway, origin

    def seen(self, gateway, origin, *fields, **options):
        self.assertEqual(gateway.get("/", fields=fields, **options).status, 200)
        return origin.requests[-1]

    def test_a_stranger_is_not_believed(self):
        gateway, origin = self.start()
        claims = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil"),
                  ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4")]
        seen = self.seen(gateway, origin, *claims, host="a.example:80")
        self.assertEqual(seen.all("X-Forwarded-For"), ["127.0.0.1"])
        self.assertEqual(seen.all("X-Forwarded-Proto"), ["http"])
        self.assertEqual(seen.all("X-Forwarded-Host"), ["a.example:80"])
        self.assertEqual((seen.all("Forwarded"), seen.all("X-Real-IP")), ([], []))
        self.assertEqual(gateway.get("/who", fields=claims).body, b"127.0.0.1|127.0.0.1")

    def test_the_client_behind_trusted_proxies(self):
        """As nginx with real_ip_recursive."""
        gateway, _ = self.start('trusted_proxies = [ "127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48" ];')
        for lines, client in (
                ([], "127.0.0.1"),
                (["192.0.2.7"], "192.0.2.7"),
                (["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
                (["6.6.6.6, 192.0.2.7, 10.1.1.1"], "192.0.2.7"),
                (["6.6.6.6", "192.0.2.7", "10.1.1.1, 10.2.2.2"], "192.0.2.7"),
                (["10.0.0.1, 10.0.0.2"], "10.0.0.1"),  # all are trusted: the first of them
                (["192.0.2.7:4711, [2001:db8:1::5]:80, 2001:db8:1::6"], "192.0.2.7"),
                (["2001:db8:2::1, 10.0.0.1"], "2001:db8:2::1"),
                (["::ffff:192.0.2.7, ::ffff:10.0.0.1"], "192.0.2.7"),
                (["192.0.2.7, , 10.0.0.1,,"], "192.0.2.7"),
                (["192.0.2.7, unknown, 10.0.0.1"], "10.0.0.1"),  # what is malformed ends the walk
                (["192.0.2.7, 10.0.0.1 x"], "127.0.0.1"),
                (["10.0.0.9, " + ", ".join(["10.0.0.1"] * 64)], "10.0.0.1")):  # and so does its length
            fields = [("X-Forwarded-For", line) for line in lines]
            self.assertEqual(gateway.get("/who", fields=fields).body.decode(), client + "|127.0.0.1", lines)
        gateway.wait_access(13)
        self.assertEqual({line["client"] for line in gateway.accesses()},
                         {"127.0.0.1", "192.0.2.7", "10.0.0.1", "2001:db8:2::1"})

    def test_the_client_in_forwarded(self):
        gateway, origin = self.start('trusted_proxies = [ "127.0.0.0/8", "10.0.0.0/8" ];')
        for value, client in (
                ("for=192.0.2.7", "192.0.2.7"),
                ('For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
                ("for=6.6.6.6, for=192.0.2.7;host=x, for=10.0.0.1", "192.0.2.7"),
                ("for=192.0.2.7, for=_hidden, for=10.0.0.1", "10.0.0.1"),
                ('for=6.6.6.6, for="evil, for=192.0.2.7', "192.0.2.7"),
                ('for="', "127.0.0.1"),
                ("proto=https", "127.0.0.1")):
            self.assertEqual(gateway.get("/who", fields=[("Forwarded", value)]).body.decode(), client + "|127.0.0.1",
                             value)
        both = [("Forwarded", "for=192.0.2.7"), ("X-Forwarded-For", "192.0.2.8")]
        self.assertEqual(gateway.get("/who", fields=both).body, b"192.0.2.8|127.0.0.1")
        seen = self.seen(gateway, origin, ("Forwarded", "for=192.0.2.7;proto=https;host=a.example, for=10.0.0.1"))
        self.assertEqual(seen.all("X-Forwarded-For"), ["192.0.2.7, 127.0.0.1"])
        self.assertEqual(seen.all("X-Forwarded-Proto"), ["https"])
        self.assertEqual(seen.all("X-Forwarded-Host"), ["a.example"])
        self.assertEqual(seen.all("Forwarded"), ["for=192.0.2.7;proto=https;host=a.example, for=10.0.0.1"])
        seen = self.seen(gateway, origin, ("Forwarded", "for=unknown;proto=https"))
        self.assertEqual((seen.all("X-Forwarded-For"), seen.all("X-Forwarded-Proto")), (["127.0.0.1"], ["http"]))

    def test_trusted_lists_grow(self):
        gateway, origin = self.start('trusted_proxies = "127.0.0.1";')
        seen = self.seen(gateway, origin, ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "10.0.0.1"),
                         ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.example"), ("X-Real-IP", "192.0.2.7"))
        self.assertEqual(seen.all("X-Forwarded-For"), ["192.0.2.7, 10.0.0.1, 127.0.0.1"])
        self.assertEqual((seen.all("X-Forwarded-Proto"), seen.all("X-Forwarded-Host")), (["https"], ["a.example"]))
        self.assertEqual(seen.all("X-Real-IP"), ["192.0.2.7"])

    def test_forwarded_is_written_when_asked_for(self):
        gateway, origin = self.start("forwarded = { x_forwarded = false; forwarded = true; };")
        seen = self.seen(gateway, origin, ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4"), host="a.example:80")
        self.assertEqual(seen.all("Forwarded"), ['for=127.0.0.1;host="a.example:80";proto=http'])
        self.assertEqual([seen.get(f"X-Forwarded-{name}") for name in ("For", "Proto", "Host")], [None] * 3)
        gateway.replace(extra='trusted_proxies = "127.0.0.1"; forwarded = { x_forwarded = false; forwarded = true; };')
        seen = self.seen(gateway, origin, ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4"), host="a.example")
        self.assertEqual(seen.all("Forwarded"), ["for=1.2.3.4, for=127.0.0.1;host=a.example;proto=http"])
        self.assertEqual(seen.all("X-Forwarded-For"), ["1.2.3.4"])

    def test_forwarded_of_ipv6_and_unix_peers(self):
        path = os.path.join(self.folder, "gateway.sock")
        gateway, origin = self.start("forwarded = { forwarded = true; };", listen="unix:" + path)
        os.chmod(path, 0o666)
        with gateway.client(path) as client:
            client.request("GET", "/", host="a.example")
        self.assertEqual(origin.requests[-1].get("Forwarded"), "for=_hidden;host=a.example;proto=http")
        self.assertEqual(origin.requests[-1].get("X-Forwarded-For"), "unix:")
        gateway.replace(listeners=f'{{ listen = "[::1]:{gateway.port}"; }}')
        with gateway.client(("::1", gateway.port)) as client:
            client.request("GET", "/", host="a.example")
        self.assertEqual(origin.requests[-1].get("Forwarded"), 'for="[::1]";host=a.example;proto=http')
        self.assertEqual(origin.requests[-1].get("X-Forwarded-For"), "::1")

    def test_a_trusted_unix_proxy(self):
        path = os.path.join(self.folder, "gateway.sock")
        gateway, origin = self.start('trusted_proxies = "unix:";', listen="unix:" + path)
        os.chmod(path, 0o666)
        with gateway.client(path) as client:
            who = client.request("GET", "/who", fields=[("X-Forwarded-For", "192.0.2.7, unix:")])
            self.assertEqual(who.body, b"192.0.2.7|unix:")
            client.request("GET", "/", fields=[("X-Forwarded-For", "192.0.2.7")])
        self.assertEqual(origin.requests[-1].all("X-Forwarded-For"), ["192.0.2.7, unix:"])

    def test_via(self):
        gateway, origin = self.start('forwarded = { pseudonym = "edge"; };')
        answer = gateway.get("/", fields=[("Via", "1.0 a"), ("Via", "1.1 b (c)")])
        self.assertEqual(origin.requests[-1].all("Via"), ["1.0 a, 1.1 b (c), 1.1 edge"])
        self.assertEqual(answer.all("Via"), ["1.1 edge"])
        with gateway.client() as client:
            client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            client.answer()
        self.assertEqual(origin.requests[-1].all("Via"), ["1.0 edge"])
        gateway.replace(extra="forwarded = { via = false; };")
        answer = gateway.get("/", fields=[("Via", "1.0 a")])
        self.assertEqual((origin.requests[-1].all("Via"), answer.all("Via")), (["1.0 a"], []))

    def test_a_circle_is_broken(self):
        gateway, origin = self.start()
        for count, status in ((8, 200), (9, 508)):
            line = ", ".join(["1.1 Gatehouse", "1.1 other"] * count)
            answer = gateway.get("/", fields=[("Via", line)])
            self.assertEqual(answer.status, status)
        self.problem(answer, 508, "max_hops")
        self.assertEqual(len(origin.requests), 1)
        # A gateway whose upstream is itself.
        gateway.replace(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{gateway.port}" ); }};')
        self.problem(gateway.get("/"), 508, "loop-detected")

    def test_host(self):
        origin = self.origin()
        path = os.path.join(self.folder, "origin.sock")
        local = self.origin(address=path)
        os.chmod(path, 0o666)

        def route(name, upstream, host):
            return f'{{ match = {{ path = "/{name}"; }}; proxy = {{ upstream = "{upstream}"; {host} }}; }}'
        routes = [route("default", "origin", ""), route("client", "origin", 'host = "client";'),
                  route("endpoint", "origin", 'host = "endpoint";'), route("unix", "local", 'host = "endpoint";'),
                  route("text", "origin", 'host = "api.internal:80";'),
                  route("value", "origin", 'host = "${query.tenant}.internal";')]
        gateway = self.gateway(workers=1, apis=f'{{ name = "a"; routes = ( {", ".join(routes)} ); }}',
                               upstreams=f"""origin = {{ endpoints = ( "{origin.text}" ); }};
                               local = {{ endpoints = ( "{local.text}" ); }};""")
        for target, host in (("/default", "a.example"), ("/client", "a.example"), ("/endpoint", origin.text),
                             ("/text", "api.internal:80"), ("/value?tenant=t1", "t1.internal")):
            gateway.get(target, host="a.example")
            self.assertEqual(origin.requests[-1].all("Host"), [host])
            self.assertEqual(origin.requests[-1].all("X-Forwarded-Host"), ["a.example"])
        gateway.get("/unix")
        self.assertEqual(local.requests[-1].all("Host"), ["localhost"])
        count = len(origin.requests)
        for tenant in ("a/b", "a%20b", "a@b", "a%0d%0aX:%20b", "a%22", "%C3%A4", "x" * 2000):
            answer = gateway.get("/value?tenant=" + tenant)
            if answer.status == 200:  # a control ends a value: what stood before it is the host
                self.assertEqual((tenant, origin.requests[-1].get("Host")), ("a%0d%0aX:%20b", "a.internal"))
                count += 1
            else:
                self.problem(answer, 400, "makes no host")
        self.assertEqual(len(origin.requests), count)
        with gateway.client() as client:  # it names none
            client.send("GET /client HTTP/1.0\r\n\r\n")
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(origin.requests[-1].all("Host"), [origin.text])
        self.assertEqual(origin.requests[-1].all("X-Forwarded-Host"), [])
