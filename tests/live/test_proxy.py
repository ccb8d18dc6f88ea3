"""Peers that misbehave, and what must not be lost or confused on the way: each was a fault once."""
import os
import select
import socket
import threading

from gatehouse import answer, wait_until
from pair import ALL, Pair
from peers import Reader

UUIDV7 = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


class Proxy(Pair):
    def test_heads_that_are_hardly_any(self):
        for head in (b"\r\n\r\n", b"X\r\n\r\n", b"\r\n", b"HTTP/1.1 2\r\n\r\n"):
            def serve(sock, head=head):
                Reader(sock).message(True)
                sock.sendall(head)
            gateway = self.proxy(self.raw(serve).text)
            self.problem(gateway.get("/"), 502)
            gateway.stop()

    def test_more_endpoints_than_a_word_has_bits(self):
        dead = ", ".join(f'"unix:{self.folder}/dead{number}"' for number in range(70))
        gateway = self.gateway(workers=1, upstreams=f"origin = {{ endpoints = ( {dead} ); }};", apis="""{ name = "a"; routes = (
            { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; },
            { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; } ); }""")
        details = self.problem(gateway.get("/x"), 502)
        self.assertIn("origin", details["detail"])
        self.assertEqual(gateway.get("/ping").body, b"pong")

    def test_prefix_with_a_parameter_is_stripped_by_segments(self):
        origin = self.origin(lambda request, sock: answer(request.target.encode()))
        gateway = self.proxy(origin.text, apis="""{ name = "a"; prefix = "/x/{tenant}"; routes = (
            { match = { prefix = "/"; }; proxy = { upstream = "origin"; strip_prefix = true; }; } ); }""")
        for target, expected in (("/x/abcdefghijklm/y?z", b"/y?z"), ("/x/q/y", b"/y"), ("/x/q", b"/"), ("/x/q/", b"/")):
            self.assertEqual(gateway.get(target).body, expected)

    def test_templates_keep_what_is_in_normal_form(self):
        origin = self.origin(lambda request, sock: answer(request.target.encode()))
        gateway = self.proxy(origin.text, apis="""{ name = "a"; routes = (
            { match = { prefix = "/r"; }; redirect = { location = "https://${host}${path}?${query}"; }; },
            { match = { prefix = "/p"; }; proxy = { upstream = "origin"; path = "/in${path}?q=${query.a}&${query}"; }; },
            { match = { prefix = "/q"; }; proxy = { upstream = "origin"; path = "/in?p=${path}"; }; } ); }""")
        moved = gateway.get("/r/a/b?x=1&y=2", host="h.example:80")
        self.assertEqual(moved.get("Location"), "https://h.example:80/r/a/b?x=1&y=2")
        self.assertEqual(gateway.get("/p/a/b?a=1%262&b=3").body, b"/in/p/a/b?q=1%262&a=1%262&b=3")
        self.assertEqual(gateway.get("/q/a&b").body, b"/in?p=%2Fq%2Fa%26b")

    def slow_reading(self, path=None):
        """An origin that answers and closes at once; a client that reads late gets all of it."""
        body = b"0123456789" * 300000
        closed = threading.Event()

        def serve(sock):
            Reader(sock).message(True)
            sock.sendall(answer(body, close=True))
            sock.close()
            closed.set()
        gateway = self.proxy(self.raw(serve, path).text)
        for _ in range(5):
            closed.clear()
            with gateway.client() as client:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                client.send_head("GET", "/")
                while not closed.wait(0.001):
                    client.reader.more()
                # By the time that another request is answered, the gateway has heard of the end.
                self.assertEqual(gateway.get("/").status, 200)
                self.assertEqual(client.answer().body, body)

    def test_slow_client_of_an_origin_that_closed(self):
        self.slow_reading()

    def test_slow_client_of_a_unix_origin_that_closed(self):
        self.slow_reading(os.path.join(self.folder, "origin.sock"))

    def early(self, path=None):
        def serve(sock):
            sock.recv(1000)
            sock.sendall(answer(b"too much", "413 Content Too Large", close=True))
        gateway = self.proxy(self.raw(serve, path).text)
        for _ in range(10):
            with gateway.client() as client:
                try:
                    client.send_head("POST", "/", body=b"x" * 5000000)
                except OSError:
                    pass  # the gateway may close while we send; the answer is there
                self.assertEqual(client.answer().status, 413)

    def test_answer_before_the_body_is_sent(self):
        self.early()

    def test_answer_before_the_body_is_sent_of_a_unix_origin(self):
        self.early(os.path.join(self.folder, "origin.sock"))

    def test_head_behind_a_request_has_its_time(self):
        gateway = self.gateway(workers=1, extra='client = { header_timeout = "1s"; keepalive_timeout = "1h"; };',
                               apis='{ name = "a"; routes = ( { match = { path = "/"; }; respond = 204; } ); }')
        with gateway.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
            self.assertEqual(client.answer().status, 204)
            self.problem(client.answer(), 408)

    def test_one_request_a_connection(self):
        gateway = self.gateway(workers=1, extra='client = { keepalive_timeout = "0"; };',
                               apis='{ name = "a"; routes = ( { match = { path = "/"; }; respond = 204; } ); }')
        with gateway.client() as client:
            self.assertEqual(client.request("GET", "/").get("Connection"), "close")

    def test_where_it_came_from_is_not_the_clients_to_say(self):
        origin = self.origin()
        gateway = self.proxy(origin.text)
        claims = [("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("X-Forwarded-For", "1.2.3.4")]
        gateway.get("/", fields=claims)
        seen = origin.requests[0]
        self.assertEqual((seen.get("Forwarded"), seen.get("X-Real-IP")), (None, None))
        self.assertEqual(seen.all("X-Forwarded-For"), ["127.0.0.1"])

    def test_answer_cut_is_logged_with_its_bytes(self):
        def serve(sock):
            Reader(sock).message(True)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
        gateway = self.proxy(self.raw(serve).text)
        with gateway.client() as client:
            client.send_head("GET", "/")
            with self.assertRaises((EOFError, ConnectionResetError)):
                client.answer()
        gateway.wait_access(1)
        self.assertGreater(gateway.accesses()[0]["bytes_out"], 40000)

    def test_pipelined_requests_are_all_answered(self):
        """More than one read takes, all at once: nothing of it is lost, the answers come in order."""
        origin = self.origin(lambda request, sock: answer(request.target.encode()))
        gateway = self.proxy(origin.text)
        count, fill = 1500, "f" * 350
        with gateway.client() as client:
            data = b"".join(f"GET /{n} HTTP/1.1\r\nHost: a\r\nX-Fill: {fill}\r\n\r\n".encode() for n in range(count))
            threading.Thread(target=client.sock.sendall, args=(data,), daemon=True).start()
            for number in range(count):
                self.assertEqual(client.answer().body, b"/%d" % number)

    def test_client_that_pauses_in_its_body(self):
        """It is its own time-out that ends it, not the upstream's."""
        origin = self.origin()
        gateway = self.gateway(workers=1, apis=ALL, extra='client = { body_timeout = "2s"; };', upstreams=f"""
            origin = {{ endpoints = ( "{origin.text}" ); timeout = {{ response = "200ms"; idle = "200ms"; }}; }};""")
        with gateway.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            self.problem(client.answer(), 408)

    def test_answer_cut_at_the_drain_looks_cut(self):
        def serve(sock):
            Reader(sock).message(True)
            sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nbeginning")
            sock.recv(1)
        gateway = self.proxy(self.raw(serve).text, extra='drain_timeout = "300ms";')
        with gateway.client() as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            client.reader.head()
            gateway.reload()
            with self.assertRaises(ConnectionResetError):
                client.reader.to_end()

    def test_time_outs_between_bytes_and_in_total(self):
        def drip(sock):
            Reader(sock).message(True)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                sock.sendall(b"x")
                if select.select([sock], [], [], 0.05)[0]:
                    return

        def stall(sock):
            Reader(sock).message(True)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
            sock.recv(1)
        for serve, setting, says in ((drip, 'total = "500ms"; idle = "10s";', "total time-out"),
                                     (stall, 'idle = "300ms";', "idle time-out")):
            gateway = self.gateway(workers=1, apis=ALL, upstreams=f"""
                origin = {{ endpoints = ( "{self.raw(serve).text}" ); timeout = {{ {setting} }}; }};""")
            with gateway.client() as client:
                client.send_head("GET", "/")
                with self.assertRaises((EOFError, ConnectionResetError)):
                    client.answer()
            wait_until(lambda: gateway.status()["stats"]["upstream_timeouts"] == 1, says)
            gateway.stop()

    def test_id_of_a_trusted_proxy_only(self):
        origin = self.origin()
        for trusted, expected in (("127.0.0.0/8", "id_1.2-3"), ("10.0.0.0/8", None)):
            gateway = self.proxy(origin.text, extra=f'trusted_proxies = "{trusted}";')
            got = gateway.get("/", fields=[("X-Request-Id", "id_1.2-3")]).get("X-Request-Id")
            self.assertEqual(origin.requests[-1].get("X-Request-Id"), got)
            if expected:
                self.assertEqual(got, expected)
                bad = gateway.get("/", fields=[("X-Request-Id", "no good")]).get("X-Request-Id")
                self.assertRegex(bad, UUIDV7)
            else:
                self.assertRegex(got, UUIDV7)
            gateway.stop()

    def test_least_goes_where_less_is_in_progress(self):
        release = threading.Event()

        def serve(request, sock):
            if request.target == "/hold":
                release.wait(20)
            return answer()
        first, second = self.origin(serve), self.origin(serve)
        gateway = self.gateway(workers=1, apis=ALL, upstreams=f"""
            origin = {{ endpoints = ( "{first.text}", "{second.text}" ); balance = "least"; }};""")
        with gateway.client() as held:
            held.send_head("GET", "/hold")
            wait_until(lambda: len(first.requests) + len(second.requests) == 1, "the held request")
            busy, free = (first, second) if first.requests else (second, first)
            for _ in range(6):
                gateway.get("/quick")
            self.assertEqual((len(busy.requests), len(free.requests)), (1, 6))
            release.set()
            self.assertEqual(held.answer().status, 200)

    def test_formats_of_the_access_log(self):
        for setting, pattern in (
                ('format = "combined";', r'127\.0\.0\.1 - - \[20.*\] "GET /a\?b HTTP/1\.1" 204 \d+ "-" "x\\x22y"'),
                ('format = "template"; template = "${method} ${status} ${header.user-agent} ${cookie.c:-none}";',
                 r'GET 204 x\\x22y none')):
            gateway = self.gateway(workers=1, log=f"""log = {{ error = "gatehouse.error.log";
                access = {{ file = "gatehouse.access.log"; {setting} }}; }};""",
                apis='{ name = "a"; routes = ( { match = { path = "/a"; }; respond = 204; } ); }')
            gateway.get("/a?b", fields=[("User-Agent", 'x"y')])
            gateway.stop()
            with open(os.path.join(self.folder, "gatehouse.access.log"), encoding="utf-8") as file:
                self.assertRegex(file.read(), pattern)
