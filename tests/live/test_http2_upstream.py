"""Upstreams that speak HTTP/2: streams, windows, what endpoints refuse, and what they do wrong."""
import socket
import threading

from hyperframe import frame as frames

from gatehouse import Case, resident, wait_until
from pair import ALL, RawOrigin
from peers import Client
from peers_http2 import INTERNAL_ERROR, MAX_STREAMS, INITIAL_WINDOW, NO_ERROR, REFUSED_STREAM, H2Origin


class Upstream(Case):
    running = None

    def peer(self, serve=None, **options):
        origin = H2Origin(serve, **options)
        self.addCleanup(self.close_peer, origin)
        return origin

    def close_peer(self, origin):
        origin.close()
        self.assertEqual(origin.errors, [], "what the gateway sent to the origin")

    def start(self, *origins, more="", protocol="h2c", **settings):
        texts = ", ".join(f'"{origin.text}"' for origin in origins)
        settings.setdefault("workers", 1)
        settings.setdefault("apis", ALL)
        settings["upstreams"] = f'origin = {{ endpoints = ( {texts} ); protocol = "{protocol}"; {more} }};'
        if not self.running:
            self.running = self.gateway(**settings)
        else:
            self.running.replace(**settings)
        return self.running

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def at_once(self, gateway, count, target="/", method="GET", body=None):
        """So many clients, each with one request; their answers."""
        clients = [Client(gateway.port) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
            client.send_head(method, target, body=body)
        return clients


class Messages(Upstream):
    def test_a_get(self):
        origin = self.peer()
        gateway = self.start(origin)
        with Client(gateway.port) as client:
            for turn in range(3):
                answer = client.request("GET", f"/a?b={turn}", [("X-Name", "Value"), ("Cookie", "a=b"), ("TE", "trailers")])
                self.assertEqual((answer.status, answer.body), (200, b"good"))
        request = origin.requests[1]
        self.assertEqual(request.fields[:4], [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"),
                                              (":path", "/a?b=1")])
        self.assertEqual([request.get(name) for name in ("x-name", "cookie", "te", "x-forwarded-for")],
                         ["Value", "a=b", "trailers", "127.0.0.1"])
        for name in ("host", "connection", "transfer-encoding", "content-length"):
            self.assertIsNone(request.get(name), name)
        self.assertEqual(len(origin.peers), 1)
        self.assertEqual(origin.peers[0].settings[2], 0, "ENABLE_PUSH")

    def test_an_answer_says_what_it_came_by(self):
        gateway = self.start(self.peer(), root='forwarded = { via = true; };')
        self.assertRegex(gateway.get("/").get("Via"), r"^2(\.0)? ")

    def test_head_and_no_content(self):
        def serve(peer, request):
            if request.get(":method") == "HEAD":
                peer.head(request.stream, 200, [("content-length", "5")], end=True)
            else:
                peer.head(request.stream, 204, end=True)

        gateway = self.start(self.peer(serve))
        with Client(gateway.port) as client:
            answer = client.request("HEAD", "/")
            self.assertEqual((answer.status, answer.get("Content-Length"), answer.body), (200, "5", b""))
            self.assertEqual(client.request("DELETE", "/").status, 204)

    def test_large_bodies_both_ways(self):
        body = bytes(range(256)) * 8192  # 2 MiB
        origin = self.peer(lambda peer, request: peer.answer(request, bytes(request.body)))
        gateway = self.start(origin)
        with Client(gateway.port) as client:
            for fields, data in (([("Content-Length", str(len(body)))], body),
                                 ([("Transfer-Encoding", "chunked")], b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))):
                client.send_head("POST", "/", fields)
                client.send(data)
                answer = client.answer("POST")
                self.assertEqual((answer.status, answer.body == body), (200, True))

    def test_trailers_and_interim_answers(self):
        def serve(peer, request):
            peer.head(request.stream, 103, [("link", "</style.css>")])
            peer.head(request.stream, 200)
            peer.data(request.stream, b"body")
            peer.trailers(request.stream, [("x-sum", "42")])

        origin = self.peer(serve)
        gateway = self.start(origin)
        with Client(gateway.port) as client:
            client.send_head("POST", "/", [("Transfer-Encoding", "chunked"), ("TE", "trailers"), ("Trailer", "X-Mine")])
            client.send(b"2\r\nhi\r\n0\r\nX-Mine: 1\r\n\r\n")
            self.assertEqual(client.answer("POST", informational=True).status, 103)
            answer = client.answer("POST")
            self.assertEqual((answer.status, answer.body, answer.get("x-sum")), (200, b"body", "42"))
        self.assertEqual(dict(origin.requests[0].trailers), {"x-mine": "1"})

    def test_a_client_that_reads_slowly_costs_a_window(self):
        size = 12 << 20

        def serve(peer, request):
            if request.path != "/slow":
                return peer.answer(request)
            peer.head(request.stream)
            sent = 0
            while sent < size and not peer.gone(request.stream):
                peer.data(request.stream, bytes(65536))
                sent += 65536
                self.sent = sent
            peer.data(request.stream, b"", end=True)

        self.sent = 0
        origin = self.peer(serve)
        gateway = self.start(origin)
        worker = gateway.processes("worker")[0]["pid"]
        self.assertEqual(gateway.get("/").status, 200)
        before = resident(worker)
        slow = Client(gateway.port)
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.send_head("GET", "/slow")
        wait_until(lambda: self.sent >= 65536 and origin.peers[0].room(origin.requests[-1].stream) <= 0,
                   "the window is used up")
        for _ in range(5):  # on the same connection
            self.assertEqual(gateway.get("/").status, 200)
        self.assertLess(self.sent, size)
        self.assertLess(resident(worker) - before, 4 << 20)
        self.assertEqual(len(slow.answer("GET").body), size)
        slow.close()

    def test_an_endpoint_that_opens_no_window(self):
        origin = self.peer(windows=False)
        gateway = self.start(origin, more='timeout = { idle = "500ms"; response = "500ms"; };')
        with Client(gateway.port) as client:
            client.send_head("POST", "/", [("Content-Length", str(1 << 20))])
            try:
                client.send(bytes(1 << 20))
            except OSError:
                pass  # it was answered meanwhile
            self.problem(client.answer("POST"), 504)
        gateway.wait_error("it takes no more of the request")
        self.assertLessEqual(len(origin.requests[0].body), 65535)

    def test_an_answer_that_is_whole_outlives_its_connection(self):
        body = bytes(60000)

        def serve(peer, request):
            peer.answer(request, body)
            peer.sock.shutdown(socket.SHUT_RDWR)

        gateway = self.start(self.peer(serve))
        for _ in range(5):
            self.assertEqual(gateway.get("/").body, body)

    def test_a_client_that_leaves_resets_its_stream(self):
        origin = self.peer(lambda peer, request: request.path == "/held" or peer.answer(request))
        gateway = self.start(origin)
        self.at_once(gateway, 1, "/held")[0]
        origin.wait(lambda it: it.requests, "the request")
        self.doCleanups_of_clients()
        origin.wait(lambda it: it.requests[0].reset is not None, "RST_STREAM")
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(len(origin.peers), 1)

    def doCleanups_of_clients(self):
        while self._cleanups and self._cleanups[-1][0].__name__ == "close":
            function, arguments, options = self._cleanups.pop()
            function(*arguments, **options)


class Pool(Upstream):
    def test_a_hundred_at_a_time_share_a_connection(self):
        gate = threading.Event()

        def serve(peer, request):
            gate.wait(20)
            peer.answer(request)

        origin = self.peer(serve)
        gateway = self.start(origin)
        clients = self.at_once(gateway, 100)
        origin.wait(lambda it: len(it.requests) == 100, "all requests")
        gate.set()
        for client in clients:
            self.assertEqual(client.answer().body, b"good")
        self.assertEqual(len(origin.peers), 1)

    def test_full_connections_have_others_beside_them(self):
        gate = threading.Event()

        def serve(peer, request):
            gate.wait(20)
            peer.answer(request)

        origin = self.peer(serve)
        gateway = self.start(origin, more="keepalive = { streams = 4; };")
        clients = self.at_once(gateway, 10)
        origin.wait(lambda it: len(it.requests) == 10, "all requests")
        self.assertEqual(sorted(len(peer.requests) for peer in origin.peers), [2, 4, 4])
        gate.set()
        for client in clients:
            self.assertEqual(client.answer().body, b"good")

    def test_an_endpoint_may_take_one_stream_at_a_time(self):
        gate = threading.Event()

        def serve(peer, request):
            gate.wait(20)
            peer.answer(request)

        origin = self.peer(serve, settings={MAX_STREAMS: 1})
        gateway = self.start(origin)
        clients = self.at_once(gateway, 12)
        origin.wait(lambda it: len(it.requests) == 12, "all requests")
        gate.set()
        for client in clients:
            self.assertEqual(client.answer().body, b"good")
        self.assertEqual([len(peer.requests) for peer in origin.peers], [1] * 12)

    def test_max_connections_are_connections(self):
        gate = threading.Event()

        def serve(peer, request):
            gate.wait(20)
            peer.answer(request)

        origin = self.peer(serve)
        gateway = self.start(origin, more="keepalive = { streams = 3; }; max_connections = 2; queue = { size = 0; };")
        clients = self.at_once(gateway, 6)
        origin.wait(lambda it: len(it.requests) == 6, "six requests")
        self.problem(gateway.get("/"), 503)
        gate.set()
        for client in clients:
            self.assertEqual(client.answer().body, b"good")
        self.assertEqual(len(origin.peers), 2)

    def test_requests_of_a_connection(self):
        origin = self.peer()
        gateway = self.start(origin, more="keepalive = { requests = 2; };")
        for _ in range(6):
            self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual([len(peer.requests) for peer in origin.peers], [2, 2, 2])
        wait_until(lambda: all(peer.goaways for peer in origin.peers), "each was told goodbye")

    def test_idle_time_out(self):
        origin = self.peer()
        gateway = self.start(origin, more='keepalive = { idle_timeout = "100ms"; };')
        self.assertEqual(gateway.get("/").status, 200)
        origin.wait(lambda it: it.peers[0].sock.fileno() < 0, "the end of the connection")
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(len(origin.peers), 2)


class Refusals(Upstream):
    def test_goaway_in_the_midst(self):
        """What lies above the last stream goes elsewhere, whatever its method; the others are answered."""
        gate = threading.Event()

        def serve(peer, request):
            if peer is origin.peers[0]:
                gate.wait(20)
            peer.answer(request, str(origin.peers.index(peer)).encode())

        origin = self.peer(serve)
        gateway = self.start(origin)
        first = self.at_once(gateway, 2)
        origin.wait(lambda it: len(it.requests) == 2, "two requests")
        late = self.at_once(gateway, 3, method="POST", body=b"")
        origin.wait(lambda it: len(it.requests) == 5, "five requests")
        origin.peers[0].goaway(3)
        origin.wait(lambda it: len(it.requests) == 8, "three come again")
        gate.set()
        self.assertEqual([client.answer().body for client in first], [b"0"] * 2)
        self.assertEqual([client.answer().body for client in late], [b"1"] * 3)
        self.assertEqual(self.stat(gateway, "upstream_refused"), 3)
        self.assertEqual(self.stat(gateway, "retries"), 0)
        origin.wait(lambda it: it.peers[0].sock.fileno() < 0, "the end of the first connection")

    def test_refused_streams(self):
        def serve(peer, request):
            if len(origin.requests) <= 2:
                peer.reset(request.stream, REFUSED_STREAM)
            else:
                peer.answer(request)

        origin = self.peer(serve)
        gateway = self.start(origin)
        self.assertEqual(gateway.get("/", method="POST").body, b"good")
        self.assertEqual((len(origin.requests), len(origin.peers)), (3, 1))
        self.assertEqual(self.stat(gateway, "upstream_refused"), 2)

    def test_refused_streams_with_a_body(self):
        """The body goes again from where it was kept, whatever the method and without retries; one that is larger isn't kept."""
        def serve(peer, request):
            if len(origin.requests) == 1:
                peer.reset(request.stream, REFUSED_STREAM)
            else:
                peer.answer(request, bytes(request.body))

        for size, status in ((1, 200), (16384, 200), (16385, 502)):
            with self.subTest(size=size):
                origin = self.peer(serve)
                gateway = self.start(origin, more='retry = { buffer = "16K"; };')
                with Client(gateway.port) as client:
                    body = bytes(size)
                    client.send_head("POST", "/", [("Content-Length", str(size))])
                    client.send(body)
                    answer = client.answer("POST")
                self.assertEqual(answer.status, status)
                if status == 200:
                    self.assertEqual((answer.body, self.stat(gateway, "retries")), (body, 0))

    def test_refused_in_the_midst_of_a_body(self):
        """What came is sent again, what comes follows it."""
        def serve(peer, request):
            if len(origin.requests) == 1:
                origin.wait(lambda it: request.body, "some of the body")
                peer.reset(request.stream, REFUSED_STREAM)
            else:
                origin.wait(lambda it: request.ended, "the end of the body")
                peer.answer(request, bytes(request.body))

        origin = self.peer(serve, early=True)
        gateway = self.start(origin)
        with Client(gateway.port) as client:
            client.send_head("POST", "/", [("Transfer-Encoding", "chunked")])
            client.send(b"5\r\nfirst\r\n")
            origin.wait(lambda it: len(it.requests) == 2, "the same request again")
            client.send(b"6\r\nsecond\r\n0\r\n\r\n")
            self.assertEqual(client.answer("POST").body, b"firstsecond")

    def test_refused_without_end(self):
        origin = self.peer(lambda peer, request: peer.reset(request.stream, REFUSED_STREAM))
        gateway = self.start(origin)
        self.problem(gateway.get("/"), 502)
        self.assertLess(len(origin.requests), 10)
        gateway.wait_error("upstream origin: .*refused")

    def test_goaway_on_every_connection(self):
        origin = self.peer(lambda peer, request: peer.goaway(0))
        gateway = self.start(origin)
        self.problem(gateway.get("/"), 502)
        self.assertLess(len(origin.peers), 10)

    def test_retries_and_the_breaker(self):
        def serve(peer, request):
            if len(origin.requests) == 1:
                peer.answer(request, status=503)
            else:
                peer.answer(request)

        origin = self.peer(serve)
        gateway = self.start(origin, more='retry = { attempts = 2; statuses = [ 503 ]; backoff = { base = "0"; }; };')
        self.assertEqual(gateway.get("/").body, b"good")
        self.assertEqual(self.stat(gateway, "retries"), 1)

    def test_connections_that_break_open_the_breaker(self):
        """Requests whose connection was lost count, each of them."""
        def serve(peer, request):
            if len(origin.requests) == 3:
                for one in origin.peers:
                    one.sock.shutdown(socket.SHUT_RDWR)

        origin = self.peer(serve)
        gateway = self.start(origin, more='breaker = { errors = 3; open = "1h"; max_open = "1h"; };')
        clients = self.at_once(gateway, 3)
        for client in clients:
            self.problem(client.answer(), 502)
        self.problem(gateway.get("/"), 503)
        self.assertEqual(len(origin.requests), 3)
        gateway.wait_error("upstream origin: .*breaker")

    def test_hedging(self):
        def serve(peer, request):
            if len(origin.requests) > 1:
                peer.answer(request, b"second")

        origin = self.peer(serve)
        gateway = self.start(origin, more='hedge = { delay = "50ms"; };')
        self.assertEqual(gateway.get("/").body, b"second")
        origin.wait(lambda it: it.requests[0].reset is not None, "the first is given up")
        self.assertEqual(len(origin.peers), 1)

    def test_the_origin_dies(self):
        origin = self.peer(lambda peer, request: None)
        gateway = self.start(origin)
        clients = self.at_once(gateway, 10)
        origin.wait(lambda it: len(it.requests) == 10, "all requests")
        origin.close()
        for client in clients:
            self.problem(client.answer(), 502)


class Wrong(Upstream):
    """Each is a 502 of its own, a line in the log that names upstream and endpoint, and the next request is served."""

    def wrong(self, serve, says, cut=False, **options):
        def first(peer, request):
            if len(origin.requests) == 1:
                serve(peer, request)
            else:
                peer.answer(request)

        origin = self.peer(first, **options)
        gateway = self.start(origin)
        if cut:
            with Client(gateway.port) as client:
                client.send_head("GET", "/")
                with self.assertRaises((EOFError, OSError, ValueError)):
                    client.answer()
        else:
            self.problem(gateway.get("/"), 502)
        gateway.wait_error(f"upstream origin: {origin.text}: .*{says}")
        self.assertEqual(gateway.get("/").body, b"good")
        return origin

    def test_reset_instead_of_an_answer(self):
        self.wrong(lambda peer, request: peer.reset(request.stream, INTERNAL_ERROR), "INTERNAL_ERROR")

    def test_reset_in_the_midst_of_an_answer(self):
        def serve(peer, request):
            peer.head(request.stream)
            peer.data(request.stream, b"some")
            peer.reset(request.stream, INTERNAL_ERROR)

        self.wrong(serve, "INTERNAL_ERROR", cut=True)

    def test_heads(self):
        for fields, says in (([("connection", "close")], "connection"),
                             ([("transfer-encoding", "chunked")], "connection"),
                             ([("X-Upper", "a")], "characters"),
                             ([("content-length", "4"), ("content-length", "5")], "twice"),
                             ([("content-length", "four")], "not a number"),
                             ([(":path", "/")], "pseudo"),
                             ([("x", "a\0b")], "control")):
            with self.subTest(fields=fields):
                self.wrong(lambda peer, request: peer.head(request.stream, 200, fields, end=True), says)

    def test_statuses(self):
        for status in ("99", "600", "2000", "abc", "101"):
            with self.subTest(status=status):
                self.wrong(lambda peer, request: peer.head(request.stream, status, end=True), "")

    def test_lengths(self):
        def longer(peer, request):
            peer.head(request.stream, 200, [("content-length", "2")])
            peer.data(request.stream, b"four", end=True)

        def shorter(peer, request):
            peer.head(request.stream, 200, [("content-length", "6")])
            peer.data(request.stream, b"four", end=True)

        self.wrong(longer, "longer", cut=True)
        self.wrong(shorter, "shorter", cut=True)

    def test_data_before_the_head(self):
        self.wrong(lambda peer, request: peer.data(request.stream, b"four", end=True), "")

    def test_interims_without_end(self):
        def serve(peer, request):
            for _ in range(50):
                peer.head(request.stream, 103)

        self.wrong(serve, "interim")

    def test_a_head_without_end(self):
        def serve(peer, request):
            block = peer.encoder.encode([(":status", "200")])
            peer.send(frames.HeadersFrame(request.stream, block))
            for number in range(2000):
                peer.send(frames.ContinuationFrame(request.stream, peer.encoder.encode([(f"x-{number}", "a" * 1000)])))

        self.wrong(serve, "")

    def test_a_bomb(self):
        """One field of 4000 bytes in the table, then a thousand times its index."""
        def serve(peer, request):
            block = peer.encoder.encode([(":status", "200"), ("x-bomb", "a" * 4000)]) + b"\xbe" * 1000
            peer.send(frames.HeadersFrame(request.stream, block, flags=["END_HEADERS", "END_STREAM"]))

        self.wrong(serve, "too large")

    def test_what_isn_t_http2(self):
        def run(sock):
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            sock.recv(65536)

        origin = RawOrigin(run)
        self.addCleanup(origin.close)
        gateway = self.start(origin)
        self.problem(gateway.get("/"), 502)
        gateway.wait_error("upstream origin: .*HTTP/2")

    def test_garbage_in_frames(self):
        for garbage in (b"\xff" * 64, b"\0\0\1\0\0\0\0\0\0x", frames.DataFrame(2, b"x").serialize(),
                        frames.WindowUpdateFrame(0, 2 ** 31 - 1).serialize(), b"\0\0\1\6\0\0\0\0\0x"):
            with self.subTest(garbage=garbage):
                self.wrong(lambda peer, request: peer.send(garbage), "")

    def test_no_settings(self):
        origin = self.peer(settings=None)
        gateway = self.start(origin, more='timeout = { connect = "300ms"; response = "300ms"; };')
        self.problem(gateway.get("/"), 504)

    def test_silence(self):
        """Who answers neither requests nor PING gets no more of them on that connection."""
        origin = self.peer(lambda peer, request: peer is origin.peers[0] or peer.answer(request), pongs=False)
        gateway = self.start(origin, more='timeout = { response = "300ms"; connect = "5s"; };')
        self.problem(gateway.get("/"), 504)
        self.assertEqual(gateway.get("/").body, b"good")
        self.assertEqual(len(origin.peers), 2)

    def test_silence_ends_nobody_else_s_request(self):
        """A connection that doesn't answer PING within timeout.connect is left; who waits on it has a time-out of his own."""
        def serve(peer, request):
            if peer is not origin.peers[0]:
                peer.answer(request, b"elsewhere")
            elif request.path == "/patient":
                gate.wait(20)
                peer.answer(request, b"late")

        gate = threading.Event()
        self.addCleanup(gate.set)
        origin = self.peer(serve, pongs=False)
        gateway = self.start(origin, more='timeout = { response = "200ms"; connect = "200ms"; };',
                             apis='''{ name = "all"; routes = (
                                 { match = { path = "/patient"; }; proxy = { upstream = "origin"; }; timeout = { response = "20s"; }; },
                                 { match = { path = "/{rest*}"; }; proxy = { upstream = "origin"; }; } ); }''')
        patient, = self.at_once(gateway, 1, "/patient")
        origin.wait(lambda it: it.requests, "the patient request")
        self.problem(gateway.get("/"), 504)
        origin.wait(lambda it: it.peers[0].goaways, "GOAWAY: PING wasn't answered")
        self.assertEqual(gateway.get("/").body, b"elsewhere")
        gate.set()
        self.assertEqual(patient.answer().body, b"late")
        origin.wait(lambda it: it.peers[0].sock.fileno() < 0, "the end of the connection")


class Settings(Upstream):
    def test_what_can_t_work(self):
        gateway = self.start(self.peer())
        for upstream, says in (('protocol = "h2";', "TLS"), ('protocol = "auto";', "TLS"),
                               ('protocol = "h2c"; tls = true;', "without TLS"),
                               ('protocol = "h2c"; proxy_protocol = "v1";', "many"),
                               ('protocol = "h3";', "protocol")):
            with self.subTest(upstream=upstream):
                gateway.write(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); {upstream} }};')
                done = gateway.run("check")
                self.assertEqual(done.status, 1, done)
                self.assertRegex(done.text, f":[0-9]+: .*{says}")

    def test_probes(self):
        origin = self.peer()
        gateway = self.start(origin, more='health = { path = "/healthz"; interval = "100ms"; };')
        origin.wait(lambda it: any(request.path == "/healthz" for request in it.requests), "a probe")
        wait_until(lambda: self.stat(gateway, "probes") > 0, "a good probe")
        self.assertEqual(self.stat(gateway, "probes_failed"), 0)
