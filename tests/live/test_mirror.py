"""The mirror: a copy of the request, of which the client never hears."""
import os
import re
import socket
import threading

from gatehouse import Case, Load, answer, command, wait_until
from pair import Headers


class Mirror(Case):
    def start(self, mirror='mirror = "shadow";', shadow=None, content='proxy = "origin";', more="", upstreams="", **settings):
        self.real = self.origin(settings.pop("serve", None))
        self.shadow = shadow or self.origin()
        text = getattr(self.shadow, "text", self.shadow)
        return self.gateway(workers=1, upstreams=f"""origin = {{ endpoints = ( "{self.real.text}" ); }};
            shadow = {{ endpoints = ( "{text}" ); }}; {upstreams}""", apis=f"""{{ name = "a"; prefix = "/v1"; routes = (
            {{ match = {{ prefix = "/"; }}; {mirror} {content} {more} }} ); }}""", **settings)

    def stats(self, gateway):
        stats = gateway.status()["stats"]
        return stats["mirrors"], stats["mirrors_dropped"], stats["mirrors_failed"]

    def wait_stats(self, gateway, *expected):
        wait_until(lambda: self.stats(gateway) == expected, f"mirrors {expected}")

    def test_a_copy(self):
        gateway = self.start(more='headers = { request = { set = "X-User: ${client}"; }; };')
        got = gateway.get("/v1/a/../b?c=d", fields=[("X-A", "1"), ("Accept", "*/*")], host="a.example")
        self.assertEqual(got.body, b"hello from the origin")
        self.shadow.wait(lambda shadow: shadow.requests)
        real, copy = self.real.requests[0], self.shadow.requests[0]
        self.assertEqual(copy.first, "GET /v1/b?c=d HTTP/1.1")
        self.assertEqual(copy.get("X-Mirrored"), "1")
        self.assertEqual([field for field in copy.fields if field[0] != "X-Mirrored"], real.fields)
        self.assertEqual(copy.get("X-User"), "127.0.0.1")
        self.assertIsNone(real.get("X-Mirrored"))
        self.wait_stats(gateway, 1, 0, 0)

    def test_bodies(self):
        gateway = self.start('mirror = { upstream = "shadow"; max_body = "100K"; };')
        for size in (0, 1, 5000, 102400):
            gateway.get("/v1/length", method="POST", body=b"x" * size)
            with gateway.client() as client:
                pieces = [b"y" * 1000] * (size // 1000) + [b"y" * (size % 1000)] * (size % 1000 > 0)
                client.send("PUT /v1/chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in pieces:
                    client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                client.send("0\r\n\r\n")
                self.assertEqual(client.answer().status, 200)
            self.shadow.wait(lambda shadow: len(shadow.requests) == 2)
            copies = {copy.target: copy for copy in self.shadow.requests}
            for target, method, body in (("/v1/length", "POST", b"x" * size), ("/v1/chunked", "PUT", b"y" * size)):
                copy = copies[target]
                self.assertEqual((copy.method, copy.body, copy.all("Content-Length")), (method, body, [str(size)]))
                self.assertIsNone(copy.get("Transfer-Encoding"))
            self.shadow.requests.clear()
        self.assertEqual([len(request.body) for request in self.real.requests],
                         [size for size in (0, 1, 5000, 102400) for _ in range(2)])
        self.wait_stats(gateway, 8, 0, 0)
        # Too large: the original goes, the copy doesn't.
        gateway.get("/v1/", method="POST", body=b"x" * 102401)
        with gateway.client() as client:
            client.send("PUT /v1/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "19000\r\n" + "x" * 102400 + "\r\n1\r\nx\r\n0\r\n\r\n")
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(len(self.real.requests[-1].body), 102401)
        self.wait_stats(gateway, 8, 2, 0)
        self.assertEqual(self.shadow.requests, [])

    def test_a_share(self):
        gateway = self.start('mirror = { upstream = "shadow"; percent = 10; in_flight = 100000; };')
        with gateway.client() as client:
            for _ in range(2000):
                client.request("GET", "/v1/")
        wait_until(lambda: self.stats(gateway)[0] == len(self.shadow.requests) > 0, "the copies")
        self.assertLess(abs(len(self.shadow.requests) - 200), 6 * 13.5)
        gateway.replace(apis=gateway.settings["apis"].replace("percent = 10", "percent = 0"))
        before = len(self.shadow.requests)
        gateway.get("/v1/")
        self.assertEqual(len(self.shadow.requests), before)

    def test_a_shadow_that_never_answers(self):
        """It holds no client up, is cut after its time, and only so many copies are under way."""
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            raise ConnectionError
        gateway = self.start('mirror = { upstream = "shadow"; in_flight = 3; timeout = "300ms"; };', self.origin(stall))
        for _ in range(5):
            self.assertEqual(gateway.get("/v1/").status, 200)
        wait_until(lambda: sum(self.stats(gateway)) == 5, "all copies to be over")
        sent, dropped, failed = self.stats(gateway)
        self.assertEqual((sent, dropped + failed), (0, 5))
        self.assertGreaterEqual(failed, 3)
        gateway.get("/v1/")
        wait_until(lambda: sum(self.stats(gateway)) == 6, "another copy")

    def test_the_cap(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            return answer()
        gateway = self.start('mirror = { upstream = "shadow"; in_flight = 2; };', self.origin(stall))
        for _ in range(5):
            self.assertEqual(gateway.get("/v1/").status, 200)
        self.wait_stats(gateway, 0, 3, 0)
        release.set()
        self.wait_stats(gateway, 2, 3, 0)
        gateway.get("/v1/")
        self.wait_stats(gateway, 3, 3, 0)

    def test_a_shadow_that_is_dead(self):
        dead = "unix:" + os.path.join(self.folder, "dead.sock")
        gateway = self.start(shadow=dead)
        for number in range(3):
            self.assertEqual(gateway.get("/v1/", method="POST", body=b"x").status, 200)
            self.wait_stats(gateway, 0, 0, number + 1)
        gateway.wait_error(r"upstream shadow: .*can't connect")
        self.assertEqual([line["status"] for line in gateway.wait_access(3)], [200] * 3)

    def test_a_shadow_that_talks_nonsense(self):
        def nonsense(request, sock):
            if request.target == "/v1/garbage":
                return b"garbage\r\n\r\n"
            if request.target == "/v1/cut":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
                raise ConnectionError
            return b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"z" * 1000000)
        gateway = self.start(shadow=self.origin(nonsense))
        for target in ("/v1/garbage", "/v1/cut"):
            self.assertEqual(gateway.get(target).body, b"hello from the origin")
        self.wait_stats(gateway, 0, 0, 2)
        for _ in range(3):
            self.assertEqual(gateway.get("/v1/large").body, b"hello from the origin")
        self.wait_stats(gateway, 3, 0, 2)

    def test_the_client_leaves(self):
        """While it sends: there is no copy. While it waits: the copy goes on."""
        release = threading.Event()
        self.addCleanup(release.set)

        def wait(_request, _sock):
            release.wait(60)
            return answer()
        gateway = self.start(shadow=self.origin(wait), serve=wait)
        with gateway.client() as client:
            client.send("POST /v1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            self.real.wait(lambda real: real.connections == 1)
        self.wait_stats(gateway, 0, 1, 0)
        with gateway.client() as client:
            client.send_head("GET", "/v1/")
            self.shadow.wait(lambda shadow: len(shadow.requests) == 1)
        wait_until(lambda: gateway.status()["stats"]["aborted"] == 2, "both clients to be gone")
        release.set()
        self.wait_stats(gateway, 1, 1, 0)

    def test_contents_that_read_no_body(self):
        gateway = self.start(content="respond = 204;")
        self.assertEqual(gateway.get("/v1/a").status, 204)
        self.shadow.wait(lambda shadow: len(shadow.requests) == 1)
        self.wait_stats(gateway, 1, 0, 0)
        self.assertEqual(gateway.get("/v1/a", method="POST", body=b"x").status, 204)
        self.wait_stats(gateway, 1, 1, 0)

    def test_a_drain_does_not_wait(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            raise ConnectionError
        gateway = self.start(shadow=self.origin(stall))
        before = gateway.wait_processes("worker", 1)
        gateway.get("/v1/")
        gateway.get("/v1/", method="POST", body=b"x")
        self.shadow.wait(lambda shadow: len(shadow.requests) == 2)
        gateway.replace()
        wait_until(lambda: not any(process["pid"] in before for process in gateway.processes(states=None)),
                   "the old worker to end")
        self.wait_stats(gateway, 0, 0, 2)
        gateway.get("/v1/")
        self.shadow.wait(lambda shadow: len(shadow.requests) == 3)
        self.assertEqual(gateway.stop(), 0)

    def test_copies_give_way_when_descriptors_run_out(self):
        """A shadow that never answers holds as many connections as it can get: clients get theirs all the same."""
        release, held = threading.Event(), threading.Event()
        self.addCleanup(release.set)
        held.set()

        def stall(_request, _sock):
            release.wait(60)
            raise ConnectionError
        gateway = self.start('mirror = { upstream = "shadow"; in_flight = 100000; };', self.origin(stall),
                             serve=lambda request, sock: held.wait(60) and answer(), extra="max_connections = 16;")
        pid = gateway.wait_processes("worker", 1)[0]
        with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
            limit = int(re.search(r"Max open files +(\d+)", file.read()).group(1))
        for _ in range(limit):
            self.assertEqual(gateway.get("/v1/").status, 200)
        clients = [gateway.client() for _ in range(12)]
        held.clear()
        for client in clients:
            self.addCleanup(client.close)
            client.send_head("GET", "/v1/")
        self.real.wait(lambda real: len(real.requests) == limit + len(clients))
        held.set()
        self.assertEqual([client.answer().status for client in clients], [200] * len(clients))
        release.set()
        wait_until(lambda: sum(self.stats(gateway)) == limit + len(clients), "all copies to be over")

    def test_a_shadow_that_is_full(self):
        """Copies wait for a connection as other calls do, in their own time; who leaves doesn't matter to them."""
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            return answer()
        gateway = self.start(shadow=self.origin(stall))
        gateway.replace(upstreams=gateway.settings["upstreams"].replace(
            f'"{self.shadow.text}" );', f'"{self.shadow.text}" ); max_connections = 1; queue = {{ size = 2; timeout = "20s"; }};'))
        for _ in range(5):
            self.assertEqual(gateway.get("/v1/", method="POST", body=b"x").status, 200)
        self.wait_stats(gateway, 0, 0, 2)
        self.assertEqual(gateway.status()["stats"]["upstream_busy"], 2)
        release.set()
        self.wait_stats(gateway, 3, 0, 2)
        self.assertEqual(self.shadow.connections, 1)

    def test_copies_in_a_queue_are_cut(self):
        """By their own time-out, and by the end of their worker."""
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            raise ConnectionError
        gateway = self.start(shadow=self.origin(stall))
        full = gateway.settings["upstreams"].replace(
            f'"{self.shadow.text}" );', f'"{self.shadow.text}" ); max_connections = 1; queue = {{ timeout = "60s"; }};')
        gateway.replace(upstreams=full, apis=gateway.settings["apis"].replace(
            'mirror = "shadow"', 'mirror = { upstream = "shadow"; timeout = "300ms"; }'))
        for _ in range(3):
            self.assertEqual(gateway.get("/v1/").status, 200)
        self.wait_stats(gateway, 0, 0, 3)
        gateway.replace(apis=gateway.settings["apis"].replace("300ms", "1h"))
        before = gateway.wait_processes("worker", 1)
        for _ in range(3):
            self.assertEqual(gateway.get("/v1/").status, 200)
        wait_until(lambda: gateway.status()["stats"]["upstream_queued"] == 4, "two more in the queue")
        gateway.replace()
        wait_until(lambda: not any(process["pid"] in before for process in gateway.processes(states=None)),
                   "the old worker to end")
        self.wait_stats(gateway, 0, 0, 6)

    def test_a_shadow_that_reads_nothing(self):
        """Of a body that its socket doesn't take whole."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        gateway = self.start('mirror = { upstream = "shadow"; max_body = "16M"; timeout = "500ms"; };',
                             shadow="127.0.0.1:%d" % listener.getsockname()[1])
        body = b"x" * (15 << 20)
        self.assertEqual(gateway.get("/v1/", method="POST", body=body).status, 200)
        self.wait_stats(gateway, 0, 0, 1)
        self.assertEqual(self.real.requests[0].body, body)

    def test_mirrors_have_caps_of_their_own(self):
        """A shadow that stalls takes no copies from another."""
        release = threading.Event()
        self.addCleanup(release.set)

        def stall(_request, _sock):
            release.wait(60)
            raise ConnectionError
        good = self.origin()
        gateway = self.start('mirror = ( { upstream = "shadow"; in_flight = 2; }, { upstream = "good"; in_flight = 2; } );',
                             self.origin(stall), upstreams=f'good = {{ endpoints = ( "{good.text}" ); }};')
        for number in range(5):
            self.assertEqual(gateway.get("/v1/").status, 200)
            good.wait(lambda good: len(good.requests) == number + 1)
            wait_until(lambda: self.stats(gateway)[0] == number + 1, "the copy to be over")
        self.assertEqual(self.stats(gateway), (5, 3, 0))

    def test_under_load_and_reload(self):
        """Every request is answered, and every one has its copy, or a reason why not."""
        port = self.nginx()
        gateway = self.gateway(workers=2, upstreams=f"""origin = {{ endpoints = ( "127.0.0.1:{port}" ); }};
            shadow = {{ endpoints = ( "127.0.0.1:{port}" ); }};""", apis="""{ name = "a"; routes = (
            { match = { prefix = "/"; }; mirror = "shadow"; proxy = "origin"; } ); }""")
        load = Load(gateway.port, seconds=3, connections=32)
        while load.running():
            gateway.reload()
        result = load.finish()
        self.assertEqual(result["errors"], 0, result["text"])
        wait_until(lambda: gateway.status()["stats"]["requests"] == sum(self.stats(gateway)), "all copies to be over")
        self.assertGreater(self.stats(gateway)[0], 100)

    def test_a_copy_is_not_copied(self):
        gateway = self.start()
        gateway.get("/v1/", fields=[("X-Mirrored", "1")])
        gateway.get("/nothing")
        gateway.get("/v1/%2F")
        gateway.get("/v1/", method="OPTIONS", fields=[("Max-Forwards", "5")])
        self.problem(gateway.get("/v1/", fields=[("Via", ", ".join(["1.1 gatehouse"] * 9))]), 508)
        self.assertEqual(self.shadow.requests, [])
        self.assertEqual(self.stats(gateway), (0, 0, 0))
        # In `defaults`: nothing of what is refused is copied.
        gateway.replace(extra='defaults = { mirror = "shadow"; };')
        self.problem(gateway.get("/nothing"), 404)
        self.problem(gateway.get("/v1/%2F"), 400)
        with gateway.client() as client:
            client.send("GET /v1/ HTTP/1.1\r\n\r\n")
            self.problem(client.answer(), 400)
        self.assertEqual(self.shadow.requests, [])
        self.assertEqual(self.stats(gateway), (0, 0, 0))
        # Two that mirror to each other don't multiply.
        gateway.replace(upstreams=f"""origin = {{ endpoints = ( "{self.real.text}" ); }};
                       shadow = {{ endpoints = ( "127.0.0.1:{gateway.port}" ); }};""")
        gateway.get("/v1/")
        self.wait_stats(gateway, 1, 0, 0)
        self.real.wait(lambda real: len(real.requests) == 4)

    def test_paths_and_several(self):
        third = self.origin()
        gateway = self.start("""mirror = ( { upstream = "shadow"; strip_prefix = true; host = "endpoint"; },
            { upstream = "third"; path = "/x?t=${query.a}"; host = "t.example"; } );""",
                             upstreams=f'third = {{ endpoints = ( "{third.text}" ); }};')
        gateway.get("/v1/a?a=1")
        self.shadow.wait(lambda shadow: len(shadow.requests) == 1)
        third.wait(lambda third: len(third.requests) == 1)
        self.assertEqual((self.shadow.requests[0].target, self.shadow.requests[0].all("Host")),
                         ("/a?a=1", [self.shadow.text]))
        self.assertEqual((third.requests[0].target, third.requests[0].all("Host")), ("/x?t=1", ["t.example"]))

    def test_proxy_protocol(self):
        """The shadow is told the ends of the client's connection, which may be over by then."""
        shadow = Headers(lambda reader: reader.line())
        self.addCleanup(shadow.close)
        gateway = self.start(shadow=shadow)
        gateway.replace(upstreams=gateway.settings["upstreams"].replace(
            f'"{shadow.text}" );', f'"{shadow.text}" ); proxy_protocol = "v1";'))
        with gateway.client() as client:
            port = client.sock.getsockname()[1]
            client.request("POST", "/v1/", body=b"x")
        self.wait_stats(gateway, 1, 0, 0)
        self.assertEqual(shadow.got, [f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {gateway.port}"])

    def test_the_shadow_has_its_own_balance(self):
        shadows = [self.origin() for _ in range(3)]
        gateway = self.start(upstreams="many = { balance = \"hash\"; hash = { by = \"${header.x-user}\"; load = 0; }; endpoints = ( %s ); };"
                             % ", ".join(f'"{shadow.text}"' for shadow in shadows))
        gateway.replace(apis=gateway.settings["apis"].replace('mirror = "shadow"', 'mirror = "many"'))
        for number in range(60):
            gateway.get(f"/v1/{number % 20}", fields=[("X-User", str(number % 20))])
        self.wait_stats(gateway, 60, 0, 0)
        seen = [{request.target for request in shadow.requests} for shadow in shadows]
        self.assertEqual(sum(map(len, seen)), 20)  # each user has one shadow
        self.assertTrue(all(seen))

    def test_what_is_refused(self):
        path = os.path.join(self.folder, "test.conf")
        for inside, says in (("", r"test\.conf:2: .*mirror\.upstream: is missing"),
                             ('upstream = "b";', r'mirror\.upstream: there is no upstream "b" \(did you mean "a"\?\)'),
                             ('upstream = "a"; percent = 101;', "percent: 101 is too large"),
                             ('upstream = "a"; max_body = "1G";', "max_body"),
                             ('upstream = "a"; in_flight = 0;', "in_flight"),
                             ('upstream = "a"; path = "x";', r"mirror\.path: \"x\" doesn't begin with /"),
                             ('upstream = "a"; path = "/"; strip_prefix = true;', r"mirror\.strip_prefix")):
            with open(path, "w", encoding="utf-8") as file:
                file.write('upstreams = { a = { endpoints = "127.0.0.1:1"; }; };\n'
                           'apis = ( { name = "a"; routes = ( { match = "/"; respond = 204; mirror = {'
                           + inside + " }; } ); } );")
            done = command("check", "-c", path)
            self.assertEqual((inside, done.status), (inside, 1))
            self.assertRegex(done.text, says)
