"""The main job: requests go in, are routed, and answers come out. Also run under valgrind."""
import json
import os
import re

from gatehouse import Case, Client, answer, get, wait_until

APIS = """
    { name = "shop"; host = "shop.example"; prefix = "/v1"; routes = (
        { name = "user"; match = { path = "/users/{id}"; methods = [ "GET", "HEAD" ]; };
          proxy = { upstream = "origin"; path = "/internal/users/{id}"; }; },
        { name = "new"; match = { path = "/users"; methods = "POST"; }; proxy = { upstream = "origin"; }; }
    ); },
    { name = "wild"; host = "*.example"; routes = (
        { match = { path = "/who"; }; respond = { status = 200; body = "wild"; }; }
    ); },
    { name = "all"; routes = (
        { match = { path = "/ping"; }; respond = { status = 200; type = "text/plain"; body = "pong"; }; },
        { match = { path = "/moved"; }; redirect = { location = "https://elsewhere.example/"; status = 308; }; },
        { match = { prefix = "/raw"; }; proxy = { upstream = "origin"; }; },
        { match = { path = "/dead"; }; proxy = { upstream = "dead"; }; },
        { match = { path = "/files/{rest*}"; }; proxy = { upstream = "origin"; path = "/f/{rest*}"; }; }
    ); }
"""


class Smoke(Case):
    def start(self, serve=None, **settings):
        self.backend = self.origin(serve)
        dead = self.origin()
        dead.close()
        settings.setdefault("apis", APIS)
        settings.setdefault("upstreams", f"""
            origin = {{ endpoints = ( "{self.backend.text}" ); }};
            dead = {{ endpoints = ( "{dead.text}" ); }};""")
        return self.gateway(**settings)

    def test_content(self):
        gateway = self.start()
        ping = gateway.get("/ping")
        self.assertEqual((ping.status, ping.body, ping.get("Content-Type")), (200, b"pong", "text/plain"))
        moved = gateway.get("/moved")
        self.assertEqual((moved.status, moved.get("Location")), (308, "https://elsewhere.example/"))
        self.assertEqual(gateway.get("/who", host="a.example").body, b"wild")

    def test_proxy(self):
        gateway = self.start(lambda request, sock: answer(request.target.encode(), fields=[("X-From", "origin")]))
        with gateway.client() as client:
            first = client.request("GET", "/v1/users/42?a=1", host="shop.example")
            self.assertEqual((first.status, first.body, first.get("X-From")), (200, b"/internal/users/42", "origin"))
            second = client.request("HEAD", "/v1/users/43", host="shop.example")
            self.assertEqual((second.status, second.body), (200, b""))
            third = client.request("POST", "/v1/users", body=b"name=x", host="shop.example")
            self.assertEqual(third.status, 200)
            self.assertEqual(client.request("GET", "/raw/a/b?q=1").body, b"/raw/a/b?q=1")
            self.assertEqual(client.request("GET", "/files/a/b/c").body, b"/f/a/b/c")
        seen = self.backend.requests
        self.assertEqual([request.method for request in seen], ["GET", "HEAD", "POST", "GET", "GET"])
        self.assertEqual(seen[2].body, b"name=x")
        self.assertTrue(seen[0].get("X-Request-Id"))
        self.assertEqual(seen[0].get("X-Forwarded-For"), "127.0.0.1")
        self.assertEqual(len(seen[0].all("Host")), 1)

    def test_parameters_cannot_leave_their_segment(self):
        gateway = self.start(lambda request, sock: answer(request.target.encode()))
        target = gateway.get("/v1/users/a%3Fb%26c%20d", host="shop.example").body.decode()
        self.assertRegex(target, r"^/internal/users/a%3[Ff]b(%26|&)c%20d$")

    def test_kept_connections(self):
        gateway = self.start(workers=1)
        with gateway.client() as client:
            for _ in range(20):
                self.assertEqual(client.request("GET", "/raw/x").status, 200)
        self.assertEqual(self.backend.connections, 1)

    def test_bodies_stream_both_ways(self):
        """A body larger than any buffer, chunked in both directions, arrives whole."""

        def serve(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(request.body), 7777):
                piece = request.body[start : start + 7777]
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")

        gateway = self.start(serve, extra='client = { max_body = "64M"; };')
        body = os.urandom(3_000_000)
        with Client(gateway.port, 60) as client:
            client.send("POST /raw/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 100_000):
                piece = body[start : start + 100_000]
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
            got = client.answer()
            self.assertEqual(got.status, 200)
            self.assertTrue(got.body == body, f"{len(got.body)} bytes came back of {len(body)}")
            self.assertEqual(client.request("POST", "/raw/echo", body=b"again").body, b"again")

    def test_expect_continue(self):
        gateway = self.start(lambda request, sock: answer(request.body))
        with gateway.client() as client:
            client.send("POST /raw/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.answer(informational=True).status, 100)
            client.send("hello")
            self.assertEqual(client.answer().body, b"hello")

    def test_problems(self):
        gateway = self.start()
        missing = self.problem(gateway.get("/nothing"), 404)
        self.assertTrue(missing["type"])
        refused = gateway.get("/v1/users/42", method="DELETE", host="shop.example")
        self.problem(refused, 405)
        self.assertEqual(sorted(re.split(r", *", refused.get("Allow"))), ["GET", "HEAD"])
        self.problem(gateway.get("/dead"), 502, says="dead")
        self.assertEqual(self.backend.requests, [])

    def test_time_out(self):
        hold = []
        gateway = self.start(lambda request, sock: hold.append(sock), upstreams=f"""
            origin = {{ endpoints = ( "{self.origin(lambda request, sock: None).text}" );
                        timeout = {{ response = "200ms"; }}; }};
            dead = {{ endpoints = ( "127.0.0.1:9" ); }};""")
        self.problem(gateway.get("/raw/x"), 504, says="origin")

    def test_kept_connection_closed_by_the_origin(self):
        """The origin closes each connection after its answer without saying so: nobody sees an error."""

        def serve(request, sock):
            sock.sendall(answer(b"once"))
            raise ConnectionError

        gateway = self.start(serve)
        with gateway.client() as client:
            for _ in range(50):
                self.assertEqual(client.request("GET", "/raw/x").body, b"once")

    def test_unix_socket_and_weights(self):
        path = os.path.join(self.folder, "origin.sock")
        heavy = self.origin(lambda request, sock: answer(b"heavy"), path)
        os.chmod(path, 0o777)
        light = self.origin(lambda request, sock: answer(b"light"))
        gateway = self.gateway(workers=1, apis='{ name = "a"; routes = ( { match = { prefix = "/"; };'
                               ' proxy = { upstream = "both"; }; } ); }', upstreams=f"""
            both = {{ endpoints = ( {{ address = "{heavy.text}"; weight = 3; }}, "{light.text}" ); }};""")
        with gateway.client() as client:
            bodies = [client.request("GET", "/").body for _ in range(40)]
        self.assertEqual((bodies.count(b"heavy"), bodies.count(b"light")), (30, 10))

    def test_logs_and_status(self):
        gateway = self.start()
        given = gateway.get("/ping").get("X-Request-Id")
        gateway.get("/nothing")
        lines = gateway.wait_access(2)
        self.assertEqual(sorted(line["status"] for line in lines), [200, 404])
        ping = next(line for line in lines if line["status"] == 200)
        self.assertIn("/ping", json.dumps(ping))
        if given:
            self.assertIn(given, json.dumps(ping))
        status = wait_until(gateway.status, "the status")
        for role, count in (("worker", 2), ("keeper", 1), ("logger", 1)):
            self.assertEqual(len(gateway.processes(role)), count, status)
        text = gateway.run("status")
        self.assertEqual(text.status, 0, text)
        self.assertIn("worker", text.out)

    def test_stop(self):
        gateway = self.start()
        self.assertEqual(gateway.get("/ping").status, 200)
        self.assertEqual(gateway.stop(), 0)
        with self.assertRaises(OSError):
            get(gateway.port, "/ping")
