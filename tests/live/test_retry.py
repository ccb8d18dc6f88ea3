"""Retries and hedging: what is tried again, what never is, and how much in all."""
import os
import signal
import socket
import struct
import threading
import time

from gatehouse import Case, answer, wait_until
from pair import ALL, RawOrigin
from peers import Reader

QUICK = "backoff = { base = \"0\"; };"


class Script:
    """Answers requests by what `steps` says in turn, then by `last`. A step is bytes, or a function of (request, sock)."""

    def __init__(self, *steps, last=None):
        self.steps, self.last = list(steps), last or answer(b"good")
        self.lock = threading.Lock()

    def __call__(self, request, sock):
        with self.lock:
            step = self.steps.pop(0) if self.steps else self.last
        return step(request, sock) if callable(step) else step


def breaks(request, sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionError


def held(request, sock):
    """No answer until the gateway closes."""
    sock.recv(1)
    raise ConnectionError


UNAVAILABLE = answer(b"bad", "503 Service Unavailable")
ASKS_LONG = answer(b"bad", "503 Service Unavailable", [("Retry-After", "100")])


class Tries(Case):
    def start(self, retry, *peers, more="", **settings):
        texts = ", ".join(f'"{peer if isinstance(peer, str) else peer.text}"' for peer in peers)
        settings.setdefault("workers", 1)
        self.upstreams = f'origin = {{ endpoints = ( {texts} ); retry = {{ {retry} }}; {more} }};'
        return self.gateway(apis=ALL, upstreams=self.upstreams, **settings)

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def scripted(self, *steps, **more):
        return self.origin(Script(*steps, **more))


class Retry(Tries):
    # What is tried again

    def test_statuses(self):
        peer = self.scripted(UNAVAILABLE, answer(b"bad", "502 Bad Gateway"), last=answer(b"good"))
        gateway = self.start("attempts = 3; " + QUICK, peer)
        with gateway.client() as client:
            message = client.request("GET", "/a")
            self.assertEqual((message.status, message.body), (200, b"good"))
            self.assertEqual([request.target for request in peer.requests], ["/a"] * 3)
            self.assertEqual(peer.connections, 1)  # the answers that weren't wanted were read
            self.assertEqual(self.stat(gateway, "retries"), 2)
            peer.serve = Script(last=UNAVAILABLE)
            message = client.request("GET", "/b")  # the last one is passed on
            self.assertEqual((message.status, message.body), (503, b"bad"))
            self.assertEqual(len(peer.requests), 6)
            peer.serve = Script(answer(b"bad", "500 Internal Server Error"))
            self.assertEqual(client.request("GET", "/c").status, 500)  # not one of the list
        self.assertEqual(len(peer.requests), 7)

    def test_an_unwanted_answer_of_any_kind(self):
        big = answer(b"x" * 200000, "503 Service Unavailable")
        chunked = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\nA: b\r\n\r\n"
        to_end = b"HTTP/1.1 503 No\r\nConnection: close\r\n\r\nbad"
        bare = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        for bad in (big, chunked, to_end, bare):
            peer = self.scripted(bad)
            gateway = self.start("attempts = 2; " + QUICK, peer)
            for _ in range(3):
                self.assertEqual(gateway.get("/").body, b"good")
            self.assertEqual(len(peer.requests), 4)
            gateway.stop()

    def test_resets_and_time_outs(self):
        peer = self.scripted(breaks, held)
        gateway = self.start('attempts = 3; per_try = "1s"; ' + QUICK, peer)
        self.assertEqual(gateway.get("/").body, b"good")
        self.assertEqual(len(peer.requests), 3)
        gateway.wait_error("no answer within the time of a try")
        gateway.replace(upstreams=self.upstreams.replace("attempts = 3;", 'attempts = 3; on = [ "connect" ];'))
        for step, status in ((breaks, 502), (held, 504)):
            peer.serve = Script(step)
            self.problem(gateway.get("/"), status)
        self.assertEqual(len(peer.requests), 5)

    def test_no_connection(self):
        path = self.folder + "/late"
        gateway = self.start('attempts = 10; backoff = { base = "500ms"; cap = "500ms"; }; budget = { minimum = 100.0; };',
                             "unix:" + path)
        got = []
        asking = threading.Thread(target=lambda: got.append(gateway.get("/", method="POST", body=b"some")))
        asking.start()
        gateway.wait_error("can't connect: No such file")
        peer = self.origin(address=path)
        os.chmod(path, 0o777)
        asking.join()
        self.assertEqual(got[0].status, 200)  # of any method: nothing had been sent
        self.assertEqual([request.body for request in peer.requests], [b"some"])

    def test_another_endpoint_each_time(self):
        peers = [self.origin(lambda request, sock: UNAVAILABLE) for _ in range(3)]
        gateway = self.start("attempts = 4; budget = { minimum = 1000.0; }; " + QUICK, *peers)
        for count in range(1, 6):
            self.assertEqual(gateway.get("/").status, 503)
            counts = sorted(len(peer.requests) for peer in peers)
            self.assertEqual(sum(counts), 4 * count)
            self.assertGreaterEqual(counts[0], count)

    # What never is

    def test_never_for_post_unless_said(self):
        peer = self.scripted(last=UNAVAILABLE)
        gateway = self.start("attempts = 3; " + QUICK, peer)
        for method in ("POST", "PATCH", "OWN"):
            self.assertEqual(gateway.get("/", method=method, body=b"x").status, 503 if method != "OWN" else 501)
        self.assertEqual(len(peer.requests), 2)
        peer.serve = Script(breaks)
        self.problem(gateway.get("/", method="POST", body=b"x"), 502)
        peer.serve = Script(breaks)
        self.problem(gateway.get("/", method="POST"), 502)  # without a body it could be sent again
        self.assertEqual(len(peer.requests), 4)
        gateway.replace(upstreams=self.upstreams.replace("attempts", 'methods = [ "POST" ]; attempts'))
        peer.serve = Script(breaks, UNAVAILABLE)
        self.assertEqual(gateway.get("/", method="POST", body=b"body").body, b"good")
        self.assertEqual([request.body for request in peer.requests[4:]], [b"body"] * 3)
        peer.serve = Script(UNAVAILABLE)
        self.assertEqual(gateway.get("/").status, 503)  # and no longer for GET

    def test_never_after_bytes_went_to_the_client(self):
        def half(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
            return breaks(request, sock)
        peer = self.scripted(half)
        gateway = self.start("attempts = 3; " + QUICK, peer)
        with gateway.client() as client:
            client.send_head("GET", "/")
            self.assertTrue(client.closed().endswith(b"\r\n\r\n12345"))
        self.assertEqual(len(peer.requests), 1)
        self.assertEqual(self.stat(gateway, "retries"), 0)

    # Bodies

    def test_bodies_are_replayed_while_they_are_whole(self):
        peer = self.scripted()
        gateway = self.start('attempts = 2; buffer = "16K"; budget = { minimum = 1000.0; }; ' + QUICK, peer)
        for size, again in ((1, True), (16384, True), (16385, False), (100000, False)):
            body = os.urandom(size)
            peer.serve = Script(UNAVAILABLE)
            peer.requests.clear()
            message = gateway.get("/", method="PUT", body=body)
            self.assertEqual(message.status, 200 if again else 503, size)
            self.assertEqual([request.body for request in peer.requests], [body] * (2 if again else 1))
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"
        peer.serve = Script(UNAVAILABLE)
        peer.requests.clear()
        with gateway.client() as client:
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            self.assertEqual(client.answer().status, 200)
        self.assertEqual([request.body for request in peer.requests], [b"abcde"] * 2)
        self.assertEqual([request.get("A") for request in peer.requests], ["b", "b"])

    def test_a_body_that_is_still_coming(self):
        """The endpoint breaks while the client still sends: what came is sent again, then what comes."""
        first, went_on = threading.Event(), threading.Event()
        bodies = []

        def serve(sock):
            if not first.is_set():
                data = b""
                while not data.endswith(b"12345"):
                    data += sock.recv(65536)
                first.set()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            reader = Reader(sock)
            head, fields = reader.head()
            bodies.append(reader.take(5))
            went_on.set()
            bodies.append(reader.take(5))
            sock.sendall(answer(b"good"))
        peer = RawOrigin(serve)
        self.addCleanup(peer.close)
        gateway = self.start("attempts = 2; " + QUICK, peer.text)
        with gateway.client() as client:
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            self.assertTrue(went_on.wait(10))
            client.send("67890")
            self.assertEqual(client.answer().body, b"good")
        self.assertEqual(bodies, [b"12345", b"67890"])

    def test_a_body_that_comes_meanwhile_waits(self):
        """What the client sends between two tries is more than is kept: it isn't read before the next."""
        broken = threading.Event()

        def serve(sock):
            if not broken.is_set():
                data = b""
                while not data.endswith(b"12345"):
                    data += sock.recv(65536)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                broken.set()
                return
            request = Reader(sock).message(True)
            sock.sendall(answer(b"%d" % len(request.body)))
        peer = RawOrigin(serve)
        self.addCleanup(peer.close)
        gateway = self.start('attempts = 2; backoff = { base = "2s"; cap = "2s"; };', peer.text)
        with gateway.client() as client:
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100005\r\n\r\n12345")
            gateway.wait_error("Connection reset by peer")
            client.send(b"x" * 100000)
            self.assertEqual(client.answer().body, b"100005")

    def test_the_race_stays_free(self):
        """An idle connection that is closed as it is taken costs no retry, also of a body that is whole."""
        taken = threading.Event()

        def serve(sock):
            reader = Reader(sock)
            while True:
                request = reader.message(True)
                if request is None or (request.target == "/race" and not taken.is_set()):
                    taken.set()
                    return
                sock.sendall(answer(request.body or b"good"))
        peer = RawOrigin(serve)
        self.addCleanup(peer.close)
        gateway = self.start("attempts = 2; budget = { ratio = 0.0; minimum = 0.0; }; " + QUICK, peer.text)
        with gateway.client() as client:
            self.assertEqual(client.request("GET", "/").body, b"good")
            self.assertEqual(client.request("PUT", "/race", body=b"body").body, b"body")
        self.assertEqual((self.stat(gateway, "upstream_races"), self.stat(gateway, "retries")), (1, 0))

    def test_a_race_before_the_body_came(self):
        """While the new connection is waited for the client sends the body: it goes behind the head."""
        path = self.folder + "/origin"
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.settimeout(10)
        server.bind(path)
        server.listen(0)
        os.chmod(path, 0o777)
        gateway = self.start("connect = 8;", "unix:" + path)
        with gateway.client() as client:
            client.send_head("GET", "/")
            kept, _ = server.accept()
            reader = Reader(kept)
            reader.message(True)
            kept.sendall(answer(b"kept"))
            self.assertEqual(client.answer().body, b"kept")
            others = []
            while True:  # until the backlog is full
                other = socket.socket(socket.AF_UNIX)
                self.addCleanup(other.close)
                other.setblocking(False)
                try:
                    other.connect(path)
                except BlockingIOError:
                    break
                others.append(other)
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            reader.head()
            kept.close()
            wait_until(lambda: self.stat(gateway, "upstream_races") == 1, "the race")
            client.send("12345")
            self.assertTrue(client.quiet(0.3))  # time to read it, for a gateway that would
            for _ in others:
                server.accept()[0].close()
            again, _ = server.accept()
            again.settimeout(10)
            self.assertEqual(Reader(again).message(True).body, b"12345")
            again.sendall(answer(b"good"))
            self.assertEqual(client.answer().body, b"good")
            again.close()

    # Waiting

    def test_retry_after(self):
        asks = answer(b"bad", "503 Service Unavailable", [("Retry-After", "1")])
        peer = self.scripted(asks)
        gateway = self.start('attempts = 2; retry_after = "1s"; ' + QUICK, peer)
        began = time.monotonic()
        self.assertEqual(gateway.get("/").body, b"good")
        self.assertGreaterEqual(time.monotonic() - began, 1)
        for value in ("2", "Tue, 24 Nov 2099 03:49:32 GMT"):
            peer.serve = Script(asks.replace(b"Retry-After: 1", b"Retry-After: " + value.encode()))
            self.assertEqual(gateway.get("/").get("Retry-After"), value)  # passed on
        peer.serve = Script(asks.replace(b"Retry-After: 1", b"Retry-After: Tue, 24 Nov 1999 03:49:32 GMT"))
        self.assertEqual(gateway.get("/").body, b"good")

    def test_total_bounds_all_tries(self):
        peer = self.scripted(last=ASKS_LONG)
        gateway = self.start('attempts = 10; retry_after = "300s";', peer, more='timeout = { total = "1s"; };')
        self.assertEqual(gateway.get("/").status, 503)  # a rest that is longer than what is left isn't begun
        self.assertEqual(len(peer.requests), 1)
        peer.serve = Script(last=held)
        gateway.replace(upstreams=self.upstreams.replace('retry_after = "300s";', 'per_try = "400ms";'))
        self.problem(gateway.get("/"), 504)
        self.assertLessEqual(len(peer.requests), 4)

    def test_a_client_that_leaves_meanwhile(self):
        peer = self.scripted(last=ASKS_LONG)
        gateway = self.start('attempts = 2; retry_after = "300s";', peer)
        with gateway.client() as client:
            client.send_head("GET", "/")
            peer.wait(lambda peer: peer.requests)
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")
        self.assertEqual(len(peer.requests), 1)

    def test_the_time_of_a_try_is_not_the_clients(self):
        peer = self.scripted()
        gateway = self.start('attempts = 3; per_try = "500ms"; ' + QUICK, peer)
        with gateway.client() as client:
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            self.assertTrue(client.quiet(0.8))  # 0.2 s before the timer comes up again
            peer.serve = lambda request, sock: threading.Event().wait(0.3) or answer(b"good")
            client.send("67890")
            self.assertEqual(client.answer().body, b"good")
        self.assertEqual([request.body for request in peer.requests], [b"1234567890"])
        self.assertEqual(peer.connections, 1)

    def test_who_is_tried_again_waits_in_the_queue_too(self):
        gate = threading.Semaphore(0)

        def waits(request, sock):
            gate.acquire(timeout=10)
            return answer(b"waited")
        peer = self.scripted(UNAVAILABLE, waits)
        gateway = self.start('attempts = 2; retry_after = "1s"; backoff = { base = "1s"; cap = "1s"; };', peer,
                             more='max_connections = 1; queue = { size = 1; timeout = "10s"; };')
        with gateway.client() as again, gateway.client() as other:
            again.send_head("GET", "/again")
            peer.wait(lambda peer: len(peer.requests) == 1)
            other.send_head("GET", "/other")  # between the two tries, or after them
            peer.wait(lambda peer: len(peer.requests) == 2)
            gate.release()
            self.assertEqual({again.answer().status, other.answer().status}, {200})
        self.assertEqual(sorted(request.target for request in peer.requests), ["/again", "/again", "/other"])

    # The budget

    def test_budget_bounds_a_storm(self):
        """Everything fails, and every request would be tried ten times."""
        ratio, minimum, count = 0.2, 10, 400
        peer = self.origin(lambda request, sock: UNAVAILABLE)
        gateway = self.start(f"attempts = 10; budget = {{ ratio = {ratio}; minimum = {minimum}.0; }}; " + QUICK, peer, workers=4)
        began = time.monotonic()

        def ask():
            with gateway.client() as client:
                for _ in range(count // 8):
                    self.assertEqual(client.request("GET", "/").status, 503)
        asking = [threading.Thread(target=ask) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        took = time.monotonic() - began
        self.assertLessEqual(len(peer.requests), count * (1 + ratio) + minimum * (took + 1))
        self.assertGreater(len(peer.requests), count)
        self.assertEqual(self.stat(gateway, "retries"), len(peer.requests) - count)
        self.assertGreater(self.stat(gateway, "retries_refused"), 0)

    def test_an_open_breaker_ends_it(self):
        peer = self.scripted(last=UNAVAILABLE)
        gateway = self.start("attempts = 10; budget = { minimum = 1000.0; }; " + QUICK, peer,
                             more='breaker = { errors = 4; open = "10m"; max_open = "10m"; };')
        self.assertEqual(gateway.get("/").body, b"bad")  # the answer that opened it is passed on
        self.assertEqual(len(peer.requests), 4)
        self.problem(gateway.get("/"), 503, "breaker is open")

    def test_the_probe_is_tried_once(self):
        peer = self.scripted(last=UNAVAILABLE)
        gateway = self.start("attempts = 3; budget = { minimum = 1000.0; }; " + QUICK, peer,
                             more='breaker = { errors = 1; open = "300ms"; max_open = "10m"; };')
        self.assertEqual(gateway.get("/").status, 503)
        wait_until(lambda: gateway.status()["upstreams"][0]["breaker"]["left_ms"] == 0, "time is up")
        self.assertEqual(gateway.get("/").body, b"bad")
        self.assertEqual(len(peer.requests), 2)

    def test_mistakes_are_told(self):
        gateway = self.start("attempts = 2;", self.origin())
        for retry, says in (('on = [ "connekt" ];', '"connekt" is not known'),
                            ('methods = [ "CONNECT" ];', '"CONNECT" can\'t be tried again'),
                            ("statuses = [ 200 ];", "200")):
            gateway.write(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); retry = {{ {retry} }}; }};')
            done = gateway.run("check")
            self.assertEqual(done.status, 1)
            self.assertRegex(done.text, f"{gateway.config}:\\d+: .*{says}")


class Hedge(Tries):
    def two(self, hedge, *steps, retry="budget = { minimum = 100.0; };", also="", **more):
        """Two endpoints with one script: the first request gets the first step, wherever it goes."""
        self.script = Script(*steps)
        self.peers = [self.origin(self.script) for _ in range(2)]
        return self.start(retry, *self.peers, more=f"hedge = {{ {hedge} }}; {also}", **more)

    def seen(self):
        return [len(peer.requests) for peer in self.peers]

    def waits(self, request, sock):
        """No answer; notes that the gateway closed the connection."""
        self.closed = sock.recv(1) == b""
        raise ConnectionError

    def test_the_second_wins_and_the_first_is_closed(self):
        self.closed = None
        gateway = self.two('delay = "50ms";', self.waits)
        self.assertEqual(gateway.get("/").body, b"good")
        wait_until(lambda: self.closed, "the loser's connection is closed")
        self.assertEqual(self.seen(), [1, 1])  # at the other endpoint
        self.assertEqual((self.stat(gateway, "hedges"), self.stat(gateway, "hedges_won")), (1, 1))
        line = gateway.wait_access(1)[0]
        winner = [peer.text for peer in self.peers if peer.open]
        self.assertEqual([line["endpoint"]], winner)
        # The loser counts for nothing, and all is let go.
        upstream = gateway.status()["upstreams"][0]
        self.assertEqual([endpoint["in_flight"] for endpoint in upstream["endpoints"]], [0, 0])

    def test_the_first_wins_and_the_second_is_closed(self):
        self.closed = None
        second = threading.Event()

        def first(request, sock):
            second.wait(10)
            return answer(b"first")

        def other(request, sock):
            second.set()
            return self.waits(request, sock)
        gateway = self.two('delay = "50ms";', first, other)
        self.assertEqual(gateway.get("/").body, b"first")
        wait_until(lambda: self.closed, "the loser's connection is closed")
        self.assertEqual((self.stat(gateway, "hedges"), self.stat(gateway, "hedges_won")), (1, 0))

    def test_total_bounds_both(self):
        """Neither answers: both are given up in time, and count for what they are; no second is begun behind the time."""
        closed = []

        def waits(request, sock):
            closed.append(sock.recv(1))
            raise ConnectionError
        gateway = self.two('delay = "50ms";', waits, waits, also='timeout = { total = "500ms"; };')
        self.problem(gateway.get("/"), 504)
        wait_until(lambda: closed == [b""] * 2, "both connections are closed")
        self.assertEqual(self.seen(), [1, 1])
        self.assertEqual((self.stat(gateway, "hedges"), self.stat(gateway, "hedges_won")), (1, 0))
        upstream = gateway.status()["upstreams"][0]
        self.assertEqual([endpoint["in_flight"] for endpoint in upstream["endpoints"]], [0, 0])
        self.assertEqual(gateway.get("/").body, b"good")
        gateway.replace(upstreams=gateway.settings["upstreams"].replace('"50ms"', '"2s"'))
        for peer in self.peers:
            peer.serve = waits
        self.problem(gateway.get("/"), 504)
        self.assertEqual(self.stat(gateway, "hedges"), 1)

    def test_two_at_most(self):
        gateway = self.two('delay = "10ms";', self.waits, self.waits, retry='budget = { minimum = 100.0; }; attempts = 5;')
        with gateway.client() as client:
            client.send_head("GET", "/")
            wait_until(lambda: self.seen() == [1, 1], "both")
            self.assertTrue(client.quiet(0.3))
        self.assertEqual(self.seen(), [1, 1])
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")

    def test_an_error_does_not_win_while_the_other_is_under_way(self):
        second = threading.Event()

        def first(request, sock):
            second.wait(10)
            return answer(b"first")

        def fails(request, sock):
            threading.Timer(0.1, second.set).start()
            return answer(b"bad", "500 Internal Server Error")
        gateway = self.two('delay = "30ms";', first, fails)
        self.assertEqual(gateway.get("/").body, b"first")

    def test_the_first_breaks_and_the_second_answers(self):
        second = threading.Event()

        def first(request, sock):
            second.wait(10)
            return breaks(request, sock)

        def slow(request, sock):
            second.set()
            threading.Event().wait(0.2)
            return answer(b"second" * 10000)
        gateway = self.two('delay = "30ms";', first, slow)
        self.assertEqual(gateway.get("/").body, b"second" * 10000)

    def test_both_break(self):
        second = threading.Event()

        def first(request, sock):
            second.wait(10)
            return breaks(request, sock)

        def other(request, sock):
            second.set()
            threading.Event().wait(0.2)
            return breaks(request, sock)
        gateway = self.two('delay = "30ms";', first, other)
        self.problem(gateway.get("/"), 502)
        self.assertEqual(gateway.get("/").body, b"good")

    def test_bodies_and_methods(self):
        self.closed = None
        gateway = self.two('delay = "50ms";', self.waits)
        body = os.urandom(10000)
        self.assertEqual(gateway.get("/", method="PUT", body=body).body, b"good")
        self.assertEqual([request.body for peer in self.peers for request in peer.requests], [body] * 2)
        for method, size in (("POST", 10), ("PUT", 20000)):  # not idempotent; too large to be kept
            for peer in self.peers:
                peer.requests.clear()
            slow = threading.Event()
            self.script.steps.append(lambda request, sock: slow.wait(0.3) or answer(b"slow"))
            self.assertEqual(gateway.get("/", method=method, body=b"x" * size).body, b"slow")
            self.assertEqual(sum(self.seen()), 1, method)

    def test_it_spends_the_budget(self):
        gateway = self.two('delay = "20ms";', retry="budget = { ratio = 0.0; minimum = 0.0; };")
        self.script.steps.append(lambda request, sock: threading.Event().wait(0.2) or answer(b"slow"))
        self.assertEqual(gateway.get("/").body, b"slow")
        self.assertEqual((self.stat(gateway, "hedges"), self.stat(gateway, "retries_refused")), (0, 1))

    def test_it_is_held_to_the_limit_on_calls_in_progress(self):
        self.script = Script(lambda request, sock: threading.Event().wait(0.2) or answer(b"slow"))
        self.peers = [self.origin(self.script) for _ in range(2)]
        gateway = self.start("budget = { minimum = 100.0; };", *self.peers,
                             more='hedge = { delay = "20ms"; }; adaptive = { min = 1; };')
        self.assertEqual(gateway.get("/").body, b"slow")
        self.assertEqual((self.stat(gateway, "hedges"), self.stat(gateway, "adaptive_refused")), (0, 0))
        self.assertEqual(gateway.status()["upstreams"][0]["adaptive"]["in_flight"], 0)

    def test_the_second_goes_on_when_there_is_no_connection_for_the_first(self):
        """The first is on a kept connection that its endpoint closes, and takes no other; the other endpoint is the
        second's, and may have no more."""
        second, answers = threading.Event(), threading.Event()

        def dies(request, sock):
            second.wait(10)
            next(peer for peer in self.peers if peer.port == sock.getsockname()[1]).stop_listening()
            answers.set()
            raise ConnectionError

        def other(request, sock):
            second.set()
            answers.wait(10)
            threading.Event().wait(0.2)
            return answer(b"second")
        self.script = Script()
        self.peers = [self.origin(self.script) for _ in range(2)]
        gateway = self.start("budget = { minimum = 100.0; };", *self.peers,
                             more='hedge = { delay = "20ms"; }; max_connections = 1; queue = { size = 0; };')
        for _ in range(2):
            self.assertEqual(gateway.get("/").body, b"good")
        self.script.steps += [dies, other]
        self.assertEqual(gateway.get("/").body, b"second")
        self.assertEqual(self.stat(gateway, "upstream_races"), 1)
        upstream = gateway.status()["upstreams"][0]
        self.assertEqual([endpoint["in_flight"] for endpoint in upstream["endpoints"]], [0, 0])

    def test_the_total_time_counts_for_the_second_too(self):
        second = threading.Event()

        def first(request, sock):
            second.wait(10)
            return breaks(request, sock)

        def other(request, sock):
            second.set()
            return held(request, sock)
        gateway = self.two('delay = "20ms";', first, other, retry="budget = { minimum = 100.0; }; }; "
                           'timeout = { total = "500ms"; }; breaker = { errors = 2; open = "1h"; max_open = "1h";')
        self.problem(gateway.get("/"), 504, "total time-out")
        self.problem(gateway.get("/"), 503, "breaker is open")

    def test_after_what_most_answers_take(self):
        gateway = self.two("percentile = 95.0;", retry="budget = { minimum = 1000.0; };")
        with gateway.client() as client:
            self.script.steps.append(lambda request, sock: threading.Event().wait(0.3) or answer(b"slow"))
            self.assertEqual(client.request("GET", "/").body, b"slow")  # nothing is known yet
            self.assertEqual(self.stat(gateway, "hedges"), 0)
            for _ in range(200):
                self.assertEqual(client.request("GET", "/").status, 200)
            self.assertGreater(gateway.status()["upstreams"][0]["hedge_after_us"], 0)
            self.closed = None
            self.script.steps.append(self.waits)
            self.assertEqual(client.request("GET", "/").body, b"good")
        self.assertGreaterEqual(self.stat(gateway, "hedges_won"), 1)


class Adaptive(Tries):
    """How many requests may be in progress is learned."""

    def test_the_node_keeps_the_limit(self):
        gate = threading.Semaphore(0)
        peer = self.origin(lambda request, sock: gate.acquire(timeout=30) and answer(b"good"))
        gateway = self.start("connect = 8;", peer, more='adaptive = { min = 3; max = 50; };', workers=4)
        clients = []
        for count in range(3):  # any worker may get each
            client = gateway.client()
            self.addCleanup(client.close)
            client.send_head("GET", "/")
            peer.wait(lambda peer: len(peer.requests) == count + 1)
            clients.append(client)
        for _ in range(8):
            message = gateway.get("/")
            details = self.problem(message, 503, "as many requests are in progress")
            self.assertEqual(details["type"], "urn:gatehouse:problem:upstream-limited")
            self.assertEqual(message.get("Retry-After"), "1")
        self.assertEqual(len(peer.requests), 3)
        self.assertEqual(self.stat(gateway, "adaptive_refused"), 8)
        state = gateway.status()["upstreams"][0]["adaptive"]
        self.assertEqual((state["limit"], state["in_flight"], state["measuring"]), (3, 3, True))
        for _ in range(1000):
            gate.release()
        for client in clients:
            self.assertEqual(client.answer().status, 200)
        with gateway.client() as client:
            for _ in range(60):
                self.assertEqual(client.request("GET", "/").status, 200)
            state = gateway.status()["upstreams"][0]["adaptive"]
            self.assertFalse(state["measuring"])
            self.assertGreater(state["least_time_us"], 0)
            self.assertEqual(state["in_flight"], 0)

    def test_a_dead_worker_holds_nothing(self):
        peer = self.origin(lambda request, sock: sock.recv(1) and None if request.target == "/held" else answer(b"good"))
        gateway = self.start("connect = 8;", peer, more="adaptive = { min = 1; };", workers=2)
        gateway.deaths_expected = True
        with gateway.client() as client:
            client.send_head("GET", "/held")
            peer.wait(lambda peer: peer.requests)
            self.problem(gateway.get("/"), 503)
            owner = [process for process in gateway.processes("worker") if process["requests"]]
            os.kill(owner[0]["pid"], signal.SIGKILL)
            client.closed()
        wait_until(lambda: gateway.get("/").status == 200, "what the dead one held is let go")
