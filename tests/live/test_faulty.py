"""Peers that fail, one after the other, on either side: what the other side then sees, and that nothing is left of it."""
import json
import select
import socket
import threading

from gatehouse import descriptors, wait_until
from pair import ALL, Pair, reset
from peers import Reader, answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CUT = (EOFError, ConnectionResetError)
SHORT = 'timeout = { connect = "300ms"; response = "300ms"; idle = "300ms"; };'
PATIENT = 'timeout = { response = "1m"; idle = "1m"; };'


def until_closed(sock):
    """Takes what comes until the other side closes, or breaks off."""
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass


def flood(sock, data):
    """Sends the data again and again until the other side has enough; the bytes that it took."""
    sent = 0
    try:
        while True:
            sent += sock.send(data)
    except OSError:
        return sent


class Failing(Pair):
    """An origin that fails in steps that are given."""

    def failing(self, *steps, **settings):
        """A gateway before an origin that makes step N of its Nth request; what it was asked: (target, body)."""
        self.asked, self.closed = [], threading.Semaphore(0)

        def serve(sock):
            reader = Reader(sock)
            while request := reader.message(True):
                self.asked.append(request.target)
                if steps[min(len(self.asked), len(steps)) - 1](sock) is False:
                    break
        return self.proxy(self.raw(serve).text, upstream=SHORT, **settings)

    def saying(self, data, then=None):
        """A step that says some bytes and then: nothing, until the gateway closes; or the end, by close or reset."""

        def step(sock):
            sock.sendall(data)
            if then == "reset":
                reset(sock)
            elif then != "close":
                until_closed(sock)
                self.closed.release()
            return False
        return step

    def each(self, gateway, steps, check):
        """Asks once for each of the steps, and then for what is still right."""
        for _ in steps:
            with gateway.client() as client:
                client.send_head("GET", "/")
                check(client)
        self.assertEqual(len(self.asked), len(steps))
        self.assertEqual(gateway.get("/").body, b"right")

    def right(self, sock):
        sock.sendall(answer(b"right"))

    def is_cut(self, client):
        with self.assertRaises(CUT):
            self.assertNotEqual(client.answer().status // 100, 5, "a part of the answer was there")


class Origins(Failing):
    def test_ends_before_its_head_is_whole(self):
        steps = [self.saying(data, end) for data in (b"", b"H", b"HTTP/1.1 200 OK\r\n", HEAD[:-2], HEAD[:-1],
                                                     b"HTTP/1.1 103 Early Hints\r\n\r\n") for end in ("close", "reset")]
        gateway = self.failing(*steps, self.right)
        self.each(gateway, steps, lambda client: self.problem(client.answer(), 502, "upstream-closed"))

    def test_stalls_before_its_head_is_whole(self):
        steps = [self.saying(data) for data in (b"", b"H", HEAD[:-1], b"HTTP/1.1 103 Early Hints\r\n\r\n")]
        gateway = self.failing(*steps, self.right)
        self.each(gateway, steps, lambda client: self.problem(client.answer(), 504, "upstream-timeout"))
        for _ in steps:
            self.assertTrue(self.closed.acquire(timeout=10))

    def test_a_head_in_drops_has_one_time_out(self):
        def drip(sock):
            try:
                sock.sendall(HEAD[:-2])
                while not select.select([sock], [], [], 0.02)[0]:
                    sock.sendall(b"X")
            except OSError:
                pass
            return False
        gateway = self.failing(drip, self.right)
        self.each(gateway, [drip], lambda client: self.problem(client.answer(), 504, "upstream-timeout"))

    def test_stalls_in_its_body(self):
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        steps = [self.saying(data) for data in (HEAD, HEAD + b"x" * 99, chunked, chunked + b"3\r\nab", chunked + b"1\r\na\r\n",
                                                chunked + b"1\r\na\r\n0\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nx")]
        gateway = self.failing(*steps, self.right)
        self.each(gateway, steps, self.is_cut)
        self.assertEqual(gateway.status()["stats"]["upstream_timeouts"], len(steps))

    def test_ends_in_its_body(self):
        body = b"x" * 3000000
        steps = [self.saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1) + body, end)
                 for end in ("close", "reset")]
        steps += [self.saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n", end)
                  for end in ("close", "reset")]
        steps += [self.saying(b"HTTP/1.0 200 OK\r\n\r\n" + body, "reset")]
        gateway = self.failing(*steps, self.right)
        self.each(gateway, steps, self.is_cut)

    def test_is_full(self):
        """Nobody accepts, and the kernel takes no more: the connect time-out."""
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = []
            while True:  # until a connection isn't taken any more
                sock = socket.socket()
                self.addCleanup(sock.close)
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
                waiting.append(sock)
                if not select.select([], [sock], [], 0.5)[1]:
                    break
            gateway = self.proxy("127.0.0.1:%d" % full.getsockname()[1], upstream=SHORT)
            self.problem(gateway.get("/"), 504, "connect time-out")

    def test_says_what_is_not_http(self):
        steps = [self.saying(data, "close") for data in (
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x50" * 3 + b"\r\n\r\n", b"<html>hello</html>\r\n\r\n", bytes(range(256)),
            b"\0" * 1000, b"HTTP/1.1 200 OK\n\nhello", b"HTTP/1.1 200 OK\r\n\rhello\r\n\r\n", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            b"\r\n\r\n", b" HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", b"220 smtp ready\r\n\r\n")]
        gateway = self.failing(*steps, self.right)

        def check(client):
            got = client.answer()
            self.problem(got, 502)
            self.assertIn(json.loads(got.body)["type"].rsplit(":", 1)[1], ("upstream-bad-answer", "upstream-closed"))
        self.each(gateway, steps, check)

    def endless(self, first, again, check):
        """An origin that never stops; what the gateway took of it, besides what sockets hold."""
        took = []

        def step(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            sock.sendall(first)
            took.append(flood(sock, again))
            return False
        gateway = self.failing(step, self.right)
        self.each(gateway, [step], check)
        wait_until(lambda: took, "the origin's connection to be closed")
        gateway.finish()
        return took[0]

    def test_never_ends_its_head(self):
        for first, again in ((b"HTTP/1.1 200 OK\r\n", b"X-Field: more\r\n" * 100), (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
                             (b"HTTP/1.1 200 ", b"x" * 1000), (b"", b"x" * 1000), (b"HTTP/1.1 200 OK\r\n", b"a:\r\n" * 1000),
                             (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")):
            with self.subTest(first=first, again=again[:20]):
                self.assertLess(self.endless(first, again, lambda client: self.problem(client.answer(), 502)), 8 << 20)

    def test_has_more_fields_than_anybody_needs(self):
        """A head within the size that is taken, of the shortest lines that there are."""
        gateway = self.failing(self.saying(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 14000 + b"\r\n", "close"), self.right)
        self.problem(gateway.get("/"), 502, "fields")
        self.assertEqual(gateway.get("/").body, b"right")

    def test_never_ends_its_chunk_extension_or_trailers(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for first, again in ((head + b"5;", b"x" * 1000), (head + b"5\r\nhello\r\n0\r\n", b"X-Trailer: more\r\n" * 100),
                             (head, b"0" * 1000)):
            with self.subTest(first=first):
                self.assertLess(self.endless(first, again, self.is_cut), 8 << 20)

    # The keep-alive race: the connection was good when the request was sent.

    def race(self, method, body, end):
        """A kept connection that takes a second request and closes without a word."""
        seen = []

        def serve(sock):
            reader = Reader(sock)
            for number in range(2):
                if end == "reset" and number == 1:
                    select.select([sock], [], [])
                    if not sock.recv(1, socket.MSG_PEEK):
                        return None
                    seen.append("unread")
                    return reset(sock)
                request = reader.message(True)
                if request is None:
                    return None
                seen.append(request.target)
                if number == 0:
                    sock.sendall(answer(request.target.encode()))
        gateway = self.proxy(self.raw(serve).text, name=f"{method}-{len(body or '')}-{end}")
        with gateway.client() as client:
            self.assertEqual(client.request("GET", "/first").body, b"/first")
            got = client.request(method, "/second", body=body)
            races = gateway.status()["stats"]["upstream_races"]
        gateway.finish()
        return got, seen, races

    def test_closes_as_an_idempotent_request_comes(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            for end in ("close", "reset"):
                got, seen, races = self.race(method, None, end)
                self.assertEqual((got.status, races), (200, 1), (method, end))
                self.assertEqual(seen, ["/first", "unread" if end == "reset" else "/second", "/second"])

    def test_closes_as_another_request_comes(self):
        """One that may do harm when it is done twice, or whose body is gone."""
        for method, body in (("POST", None), ("POST", b"content"), ("PATCH", b"content"), ("PUT", b"content")):
            for end in ("close", "reset"):
                got, seen, races = self.race(method, body, end)
                self.problem(got, 502, "may not be sent twice")
                self.assertEqual((seen, races), (["/first", "unread" if end == "reset" else "/second"], 0), (method, end))

    def test_closes_every_connection(self):
        """One that was never kept is no race: asked once, 502."""
        gateway = self.failing(self.saying(b"", "close"))
        for count in (1, 2, 3):
            self.problem(gateway.get("/"), 502, "upstream-closed")
            self.assertEqual(len(self.asked), count)
        self.assertEqual(gateway.status()["stats"]["upstream_races"], 0)

    # Answers before the request is complete.

    def test_answers_early_and_closes(self):
        """Who is still sending reads the answer, to its end, and may send on: there is no RST to lose it by."""
        def serve(sock):
            sock.recv(10)
            sock.sendall(answer(b"enough", "403 Forbidden", close=True))
        gateway = self.proxy(self.raw(serve).text)
        for framing in ("Content-Length: 10000000", "Transfer-Encoding: chunked"):
            with gateway.client() as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
                got = client.answer()
                self.assertEqual((got.status, got.body, got.get("Connection")), (403, b"enough", "close"))
                self.assertEqual(client.reader.to_end(), b"")
                for _ in range(20):
                    client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                client.sock.shutdown(socket.SHUT_WR)
                self.assertEqual(client.sock.recv(1), b"")

    def test_answers_early_and_stays(self):
        """The rest of a small body is read past, and the client's connection goes on; the origin's doesn't."""
        connections = []

        def serve(sock):
            connections.append(sock)
            reader = Reader(sock)
            first, _ = reader.head()
            sock.sendall(answer(first.encode()))
            until_closed(sock)
            self.closed.release()
        self.closed = threading.Semaphore(0)
        gateway = self.proxy(self.raw(serve).text)
        with gateway.client() as client:
            client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n12345")
            got = client.answer()
            self.assertEqual((got.body, got.get("Connection")), (b"POST /1 HTTP/1.1", None))
            self.assertTrue(self.closed.acquire(timeout=10))
            client.send(b"x" * 995 + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.answer().body, b"GET /2 HTTP/1.1")
        self.assertEqual(len(connections), 2)

    def test_never_reads(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def serve(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            release.wait(30)
        gateway = self.proxy(self.raw(serve).text, upstream=SHORT)
        with gateway.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            threading.Thread(target=flood, args=(client.sock, b"x" * 65536), daemon=True).start()
            self.problem(client.answer(), 504, "takes no more of the request")
        self.problem(gateway.get("/"), 504, "response time-out")


class Clients(Pair):
    def slow(self, **settings):
        return self.gateway(workers=1, **settings, extra="""client = {
            header_timeout = "300ms"; body_timeout = "300ms"; send_timeout = "300ms"; keepalive_timeout = "1m"; };""")

    def test_a_head_in_drops_has_one_time_out(self):
        gateway = self.slow(apis='{ name = "a"; routes = ( { match = { path = "/"; }; respond = 204; } ); }')
        for start in (b"G", b"GET / HTTP/1.1\r\nX: "):
            with gateway.client() as client:
                client.send(start)
                while not select.select([client.sock], [], [], 0.02)[0]:
                    client.send("x")
                self.problem(client.answer(), 408)

    def test_a_body_that_stops(self):
        """Before the answer: 408. After it has begun it can only be cut. The origin is let go either way."""
        gone = threading.Semaphore(0)

        def serve(sock):
            if Reader(sock).head()[0].startswith("POST /begun"):
                sock.sendall(HEAD + b"beginning")
            until_closed(sock)
            gone.release()
        gateway = self.slow(apis=ALL, upstreams=f'origin = {{ endpoints = ( "{self.raw(serve).text}" ); {PATIENT} }};')
        for framing in ("Content-Length: 10", "Transfer-Encoding: chunked"):
            with gateway.client() as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n1")
                self.problem(client.answer(), 408)
            self.assertTrue(gone.acquire(timeout=10))
            with gateway.client() as client:
                client.send(f"POST /begun HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n1")
                with self.assertRaises(CUT):
                    client.answer()
            self.assertTrue(gone.acquire(timeout=10))

    def test_stops_reading(self):
        gone = threading.Semaphore(0)

        def serve(sock):
            Reader(sock).message(True)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            flood(sock, b"x" * 65536)
            gone.release()
        gateway = self.slow(apis=ALL, upstreams=f'origin = {{ endpoints = ( "{self.raw(serve).text}" ); {PATIENT} }};')
        with gateway.client() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            client.send_head("GET", "/")
            self.assertTrue(gone.acquire(timeout=20), "the origin is let go")
            self.assertEqual(gateway.wait_access(1)[0]["status"], 200)
            with self.assertRaises(CUT):
                client.answer()
        self.assertEqual(gateway.status()["stats"]["aborted"], 1)

    def test_half_closes_while_the_origin_reads_slowly(self):
        """All of a body is there, and the client says that it was all: what the sockets still hold of it goes on."""
        body, read = b"0123456789" * 600000, threading.Event()

        def serve(sock):
            read.wait(10)
            request = Reader(sock).message(True)
            sock.sendall(answer(b"%d" % len(request.body)))
        for framing in ("Content-Length: %d" % len(body), "Transfer-Encoding: chunked"):
            read.clear()
            gateway = self.proxy(self.raw(serve).text, extra="client = { half_close = true; };", name=framing[:7])
            with gateway.client() as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
                sent = body if framing.startswith("C") else b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
                # The rest goes in the background: as much as the sockets hold is there, and the origin reads nothing yet.
                done = threading.Thread(target=lambda: (client.send(sent), client.sock.shutdown(socket.SHUT_WR)), daemon=True)
                done.start()
                wait_until(lambda: not select.select([], [client.sock], [], 0.2)[1] or not done.is_alive(), "full sockets")
                read.set()
                got = client.answer()
                self.assertEqual((got.status, got.body), (200, b"%d" % len(body)))
            gateway.finish()

    # Clients that leave. Each is a function of the gateway's client and the origin's event: it goes as far as its phase.

    LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"

    def origin_of_leavers(self):
        """An origin that answers by the target; `gone` counts those whose connection was closed while they had not ended."""
        self.gone, self.came = threading.Semaphore(0), threading.Semaphore(0)

        def serve(sock):
            reader = Reader(sock)
            while head := reader.head():
                self.came.release()
                if " /answer" in head[0]:
                    sock.sendall(self.LARGE)
                    flood(sock, b"x" * 65536)
                elif " /ok" in head[0] or " /whole" in head[0]:
                    sock.sendall(answer(b"ok" if " /ok" in head[0] else b"x" * 100000))
                    continue
                else:
                    until_closed(sock)
                self.gone.release()
                break
        return self.raw(serve)

    def leave_idle(self, client):
        return client.request("GET", "/ok").status == 200 and False

    def leave_in_the_head(self, client):
        client.send("GET /wait HTTP/1.1\r\nHost:")

    def leave_in_the_body(self, client):
        client.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n12345")
        return True

    def leave_in_chunks(self, client):
        client.send("POST /wait HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123")
        return True

    def leave_before_the_100(self, client):
        client.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.answer(informational=True).status, 100)
        return True

    def leave_in_the_rest(self, client):
        """The answer came early: what is left of the body is only read past."""
        client.send("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n12345")
        got = client.answer()
        self.assertEqual((got.status, got.get("Connection")), (200, None))

    def leave_waiting(self, client):
        client.send_head("GET", "/wait")
        return True

    def leave_with_more_behind(self, client):
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        return True

    def leave_in_the_answer(self, client):
        client.send_head("GET", "/answer")
        client.reader.head()
        client.reader.take(1000000)
        return True

    def leave_refused(self, client):
        client.send("POST /wait HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1000\r\n\r\n12345")
        self.assertEqual(client.answer().status, 400)

    def test_leaves(self):
        """In each phase, by FIN and by RST: the origin's connection goes with it, and nothing is left in the worker."""
        origin = self.origin_of_leavers()
        gateway = self.proxy(origin.text, upstream="keepalive = { idle = 0; };" + PATIENT, 
                             extra='client = { header_timeout = "1m"; max_per_address = 20; };')
        (worker,) = gateway.wait_processes("worker", 1)
        phases = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("leave_")]

        def settled():
            return [(process["connections"], process["requests"]) for process in gateway.processes("worker")] == [(0, 0)]
        self.assertEqual(gateway.get("/ok").body, b"ok")
        self.assertEqual(len(gateway.get("/whole").body), 100000)  # the pipe of what is relayed stays
        wait_until(settled, "the first requests to be over")
        before, aborted = descriptors(worker), 0
        for phase in phases:
            for leave in (lambda client: client.close(), lambda client: reset(client.sock)):
                for _ in range(3):
                    while self.came.acquire(blocking=False):
                        pass
                    client = gateway.client()
                    called = phase(client)
                    if called:
                        self.assertTrue(self.came.acquire(timeout=10), phase)
                    leave(client)
                    if called:
                        self.assertTrue(self.gone.acquire(timeout=10), f"{phase}: the call goes on")
                        aborted += 1
        wait_until(settled, f"no connection and no request to be left: {gateway.status()}")
        self.assertEqual(descriptors(worker), before)
        self.assertEqual(gateway.status()["stats"]["aborted"], aborted)
        # The address has all of its room again, and no more than that.
        again = [gateway.client() for _ in range(20)]
        self.assertEqual([client.request("GET", "/ok").body for client in again], [b"ok"] * len(again))
        self.problem(gateway.get("/ok"), 429)
        for client in again:
            client.close()

    def test_leaves_while_a_connection_is_made(self):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(64):
                sock = socket.socket()
                self.addCleanup(sock.close)
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
            gateway = self.proxy("127.0.0.1:%d" % full.getsockname()[1], upstream='timeout = { connect = "1m"; };')
            (worker,) = gateway.wait_processes("worker", 1)
            before = descriptors(worker)
            for _ in range(3):
                with gateway.client() as client:
                    client.send_head("GET", "/")
                    wait_until(lambda: descriptors(worker) == before + 2, "the call")
                wait_until(lambda: descriptors(worker) == before, "the end of both")
        self.assertEqual(gateway.status()["stats"]["aborted"], 3)
