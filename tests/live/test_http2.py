"""HTTP/2 from clients (RFC 9113), in cleartext and over TLS, each rule named by its section; abuse is in test_http2_abuse.py,
leaving in test_http2_drain.py."""
import select
import socket
import subprocess
import threading

from certificates import Authority, TlsClient
from gatehouse import free_port
from h2peer import CANCEL, H2Client, HEADER_LIST, INTERNAL_ERROR, MAX_STREAMS, NO_ERROR
from h2peer import PREFACE, PROTOCOL_ERROR, frames
from pair import Pair
from peers import Client, Reader, answer

BASIC = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
RESPOND = """{ name = "r"; routes = (
    { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; },
    { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }"""


def without(fields, name):
    return [pair for pair in fields if pair[0] != name]


def replaced(name, value):
    return [(at, value if at == name else was) for at, was in BASIC]


class Http2(Pair):
    def test_3_3_prior_knowledge_on_the_port_of_http1(self):
        gateway, origin = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client, Client(gateway.port) as older:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertEqual(older.request("GET", "/ping").body, b"pong")
            self.assertEqual(client.request("GET", "/").body, b"hello from the origin")
        self.assertTrue(origin.requests[0].first.endswith(" HTTP/1.1"))
        self.assertEqual(origin.requests[0].all("Via"), ["2 gatehouse"])

    def test_3_4_the_preface_in_pieces(self):
        gateway, _ = self.pair(apis=RESPOND)
        settings = frames.SettingsFrame(0).serialize()
        for cut in (1, 3, 17, 18, 19, 24, 30):
            with self.subTest(cut=cut), H2Client(gateway.port, preface=False) as client:
                client.send((PREFACE + settings)[:cut])
                select.select([client.sock], [], [], 0.05)  # so that it is likely read alone
                client.send((PREFACE + settings)[cut:])
                self.assertEqual(client.request("GET", "/ping").body, b"pong")

    def test_3_4_a_preface_that_is_none(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port, preface=False) as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frames.SettingsFrame(0).serialize())
            client.end()
        with Client(gateway.port) as client:  # later on the connection it is no preface
            self.assertEqual(client.request("GET", "/ping").status, 200)
            client.send(PREFACE)
            self.assertIn(client.answer().status, (400, 501, 505))

    def test_3_4_a_listener_without_http2(self):
        """With h2c = false a preface is a request of HTTP/1 that makes no sense."""
        gateway, _ = self.pair(apis=RESPOND, listeners="")
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; h2c = false; }}')
        with Client(gateway.port) as client:
            client.send(PREFACE + frames.SettingsFrame(0).serialize())
            self.problem(client.answer(), 501)
        with Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")

    def test_a_head_that_is_too_large_to_send(self):
        """The endpoint's own head fits, with what a policy adds it doesn't: the stream is reset, and the others go on."""
        added = ", ".join(f'"X-{number}: {"a" * 4000}"' for number in range(4))
        apis = f'''{{ name = "r"; routes = (
            {{ match = {{ path = "/ping"; }}; respond = {{ status = 200; body = "pong"; }}; }},
            {{ match = {{ path = "/large"; }}; headers = {{ response = {{ set = [ {added} ]; }}; }};
               proxy = {{ upstream = "origin"; }}; }} ); }}'''
        large = [(f"Y-{number}", "b" * 4000) for number in range(14)]
        gateway, _ = self.pair(lambda request, sock: answer(b"body", fields=large), apis=apis)
        with H2Client(gateway.port) as client:
            stream = client.start("GET", "/large")
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertEqual(client.wait(stream).reset, INTERNAL_ERROR)
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
        gateway.wait_error("an answer's head can't be sent by HTTP/2")
        self.assertIn("too_large", [line.get("aborted") for line in gateway.wait_access(3)])

    def test_a_full_table_of_limits(self):
        """The same answers as over HTTP/1, a stream each, and the connection stays."""
        apis = '''{ name = "r"; routes = ( { match = { prefix = "/"; }; respond = 204;
            limit = { rate = "1/h"; by = "header.k"; when_full = "reject"; }; } ); }'''
        gateway, _ = self.pair(apis=apis, state='state = { size = "16M"; limits = "8K"; quotas = "64K"; concurrency = "256K"; };')
        with H2Client(gateway.port) as client:
            answers = [client.request("GET", "/", [("k", str(number))]) for number in range(600)]
        self.assertEqual({one.status for one in answers}, {204, 503})
        refused = next(one for one in answers if one.status == 503)
        self.assertIn(b"urn:gatehouse:problem:uncounted", bytes(refused.body))

    def test_6_5_settings(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            client.request("GET", "/ping")
            self.assertEqual(client.settings[MAX_STREAMS], 128)
            self.assertEqual(client.settings[HEADER_LIST], 32768)
            self.assertEqual(client.acks, 1)

    def test_6_7_ping_is_answered(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping(b"abcdefgh"))
            self.assertEqual(client.pings, [b"abcdefgh"])

    def test_8_1_many_streams(self):
        gateway, origin = self.pair(lambda request, _: answer(request.target.encode()), apis=RESPOND)
        with H2Client(gateway.port) as client:
            streams = [client.start("GET", f"/{i}" if i % 2 else "/ping") for i in range(100)]
            client.wait(*streams)
            for i, stream in enumerate(streams):
                self.assertEqual(client.streams[stream].body, b"/%d" % i if i % 2 else b"pong")
        self.assertEqual(len(origin.requests), 50)

    def test_8_1_bodies_both_ways(self):
        gateway, _ = self.pair(lambda request, _: answer(request.body))
        body = bytes(range(256)) * 4096
        with H2Client(gateway.port) as client:
            for fields in ([], [("content-length", str(len(body)))]):
                self.assertEqual(client.request("POST", "/", fields, body).body, body)
            self.assertEqual(client.request("POST", "/", [], b"").body, b"")

    def test_8_1_trailers_both_ways(self):
        def serve(request, _):
            return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: %s\r\n\r\n"
                    % request.all("X-Count")[0].encode())
        gateway, _ = self.pair(serve)
        with H2Client(gateway.port) as client:
            stream = client.start("POST", "/", [("te", "trailers")], end=False)
            client.data(stream, b"hello")
            client.headers([("x-count", "5"), ("x_forged", "1")], stream=stream)
            got = client.wait(stream)
            self.assertEqual((got.status, got.body, got.trailers), (200, b"ok", [("x-sum", "5")]))

    def test_8_1_trailers_that_may_not_be(self):
        gateway, _ = self.pair()
        for fields, end in (([(":path", "/x")], True), ([("content-length", "5")], True), ([("x", "1")], False),
                            ([("transfer-encoding", "chunked")], True), ([("X-Upper", "1")], True)):
            with self.subTest(fields=fields), H2Client(gateway.port) as client:
                stream = client.start("POST", "/", end=False)
                client.data(stream, b"hello")
                client.headers(fields, end, stream=stream)
                got = client.wait(stream)
                client.pump(lambda: got.reset is not None)
                self.assertEqual((got.status, got.reset), (400, PROTOCOL_ERROR))

    def test_8_1_1_a_body_that_is_not_as_long_as_said(self):
        gateway, origin = self.pair()
        for body in (b"four", b"sixsix"):
            with self.subTest(body=body), H2Client(gateway.port) as client:
                stream = client.start("POST", "/", [("content-length", "5")], end=False)
                client.data(stream, body, end=True)
                got = client.wait(stream)
                client.pump(lambda: got.reset is not None)
                self.assertEqual((got.status, got.reset), (400, PROTOCOL_ERROR), got)
                self.assertTrue(client.ping())
        with H2Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/", [("content-length", "5")]).status, 400)
        self.assertEqual([request for request in origin.requests if len(request.body) == 5], [])

    def test_8_2_malformed_heads(self):
        """What is malformed: answered by 400, and the stream reset; the connection goes on."""
        gateway, origin = self.pair()
        cases = [
            without(BASIC, ":method"), without(BASIC, ":scheme"), without(BASIC, ":path"),
            replaced(":path", ""), BASIC + [(":path", "/")], [(":status", "200")] + BASIC, [(":x", "1")] + BASIC,
            [("a", "b")] + BASIC, BASIC + [("X-Upper", "1")], BASIC + [("", "1")], BASIC + [("a b", "1")],
            BASIC + [("a", "b\r\nc: d")], BASIC + [("a", "b\0")], BASIC + [("a", " b")], BASIC + [("a", "b\t")],
            BASIC + [("connection", "close")], BASIC + [("keep-alive", "1")], BASIC + [("proxy-connection", "x")],
            BASIC + [("transfer-encoding", "chunked")], BASIC + [("upgrade", "h2c")], BASIC + [("te", "gzip")],
            BASIC + [("host", "b")], BASIC + [("content-length", "1x")], BASIC + [("content-length", "+1")],
            BASIC + [("content-length", "0"), ("content-length", "0")], BASIC + [("host", "a"), ("host", "a")],
        ]
        with H2Client(gateway.port) as client:
            for fields in cases:
                with self.subTest(fields=fields):
                    got = client.wait(client.headers(fields))
                    self.problem(got, 400)
                    self.assertTrue(client.pump(lambda: got.reset is not None))
                    self.assertEqual(got.reset, PROTOCOL_ERROR)
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(len(origin.requests), 1)

    def test_8_3_heads_that_are_refused(self):
        """What HTTP/1 would refuse too, in the same way."""
        gateway, origin = self.pair(extra='client = { max_line = "512"; max_head = "2K"; max_fields = 20; max_body = "1K"; };')
        cases = [
            (without(BASIC, ":authority"), 400), (replaced(":authority", ""), 400), (replaced(":authority", "u@a"), 400),
            (replaced(":authority", "a,b"), 400), (replaced(":authority", "a:99999"), 400),
            (replaced(":path", "x"), 400), (replaced(":path", "*"), 400), (replaced(":path", "http://a/"), 400),
            (replaced(":path", "/a b"), 400), (replaced(":path", "/a#b"), 400), (replaced(":path", "/\x7f"), 400),
            (replaced(":path", "/%2f"), 400), (replaced(":path", "/a\\b"), 400), (replaced(":path", "/../.."), 400),
            (replaced(":scheme", "ftp"), 400), (replaced(":method", "FROB"), 501), (replaced(":method", "CONNECT"), 501),
            (BASIC + [("expect", "200-ok")], 417), (replaced(":path", "/" + "a" * 600), 414),
            (BASIC + [("a", "b" * 2048)], 431), (BASIC + [("a", "b")] * 21, 431),
            (replaced(":method", "POST") + [("content-length", "1025")], 413),
        ]
        with H2Client(gateway.port) as client:
            for fields, status in cases:
                with self.subTest(fields=str(fields)[:200]):
                    ends = status != 413
                    got = client.wait(client.headers(fields, end=ends))
                    self.problem(got, status)
                    if not ends:
                        self.assertTrue(client.pump(lambda: got.reset == NO_ERROR), got)
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(len(origin.requests), 1)

    def test_8_3_1_what_goes_on(self):
        gateway, origin = self.pair()
        with H2Client(gateway.port) as client:
            client.headers([(":method", "GET"), (":scheme", "http"), (":path", "/a/../b?q=1"), ("host", "example.org"),
                            ("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("cookie", "c=3"), ("a_b", "forged"),
                            ("te", "trailers"), ("x", "2")])
            self.assertEqual(client.wait(1).status, 200)
            client.headers(BASIC[:2] + [(":authority", "Other.org:80"), (":path", "/c"), ("host", "other.org:80")])
            self.assertEqual(client.wait(3).status, 200)
        first, second = origin.requests
        self.assertEqual((first.method, first.target, first.all("Host")), ("GET", "/b?q=1", ["example.org"]))
        self.assertEqual((first.all("Cookie"), first.all("x"), first.all("a_b")), (["a=1; b=2; c=3"], ["1", "2"], []))
        self.assertEqual([value.lower() for value in second.all("Host")], ["other.org:80"])

    def test_8_1_answers_without_bodies(self):
        def serve(request, _):
            if request.target == "/204":
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            if request.target == "/304":
                return b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'
            return answer(b"" if request.method == "HEAD" else b"hello", fields=[("X-A", "1")]) if request.target != "/head" \
                else b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        gateway, _ = self.pair(serve)
        with H2Client(gateway.port) as client:
            head = client.request("HEAD", "/head")
            self.assertEqual((head.status, head.get("content-length"), head.body), (200, "5", b""))
            for target, status in (("/204", 204), ("/304", 304)):
                got = client.request("GET", target)
                self.assertEqual((got.status, got.body, got.get("content-length")), (status, b"", None))
            got = client.request("GET", "/")
            self.assertEqual((got.get("x-a"), got.get("connection"), got.body), ("1", None, b"hello"))

    def test_rfc9110_15_2_interim_answers(self):
        def serve(request, _):
            return (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if request.method == "GET" else b"") + answer(request.body)
        gateway, _ = self.pair(serve)
        with H2Client(gateway.port) as client:
            got = client.request("GET", "/")
            self.assertEqual([(status, dict(fields).get("link")) for status, fields in got.interims], [(103, "</a>")])
            stream = client.start("POST", "/", [("expect", "100-continue"), ("content-length", "5")], end=False)
            self.assertTrue(client.pump(lambda: client.streams[stream].interims))
            self.assertEqual(client.streams[stream].interims[0][0], 100)
            client.data(stream, b"hello", end=True)
            self.assertEqual(client.wait(stream).body, b"hello")

    def test_8_1_an_early_answer(self):
        gateway, origin = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            stream = client.start("POST", "/ping", end=False)
            got = client.wait(stream)
            self.assertTrue(client.pump(lambda: got.reset is not None))
            self.assertEqual((got.status, got.body, got.reset), (200, b"pong", NO_ERROR))
            client.send(frames.DataFrame(stream, b"late"))  # under way when the reset came
            self.assertTrue(client.ping())
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
        self.assertEqual(origin.requests, [])

    def test_5_2_a_window_that_is_closed_stops_the_origin(self):
        sent = []
        done = threading.Event()

        def serve(request, sock):
            if request.target == "/small":
                return answer(b"small")
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
            for _ in range(512):
                sock.sendall(b"x" * 65536)
                sent.append(65536)
            done.set()
            return None
        gateway, _ = self.pair(serve)
        with H2Client(gateway.port, windows=False) as client:
            stream = client.start("GET", "/")
            self.assertTrue(client.pump(lambda: len(client.streams[stream].body) == 65535))
            self.assertFalse(done.wait(0.3))
            self.assertLess(sum(sent), 25165824)  # the kernel's buffers, no more
            client.update(0, 1 << 20)  # another stream is not held up
            self.assertEqual(client.request("GET", "/small").body, b"small")
            client.windows = True
            client.update(0, 1 << 24)
            client.update(stream, 1 << 24)
            client.wait(stream)
            self.assertEqual(len(client.streams[stream].body), 33554432)

    def test_5_2_a_body_that_nobody_takes_closes_the_window(self):
        begun, go_on = threading.Event(), threading.Event()

        def serve(sock):
            sock.recv(1)
            begun.set()
            go_on.wait(20)
            got = b""
            while b"0\r\n\r\n" not in got[-64:]:
                got = got[-64:] + sock.recv(1 << 20)
            sock.sendall(answer(b"taken"))
        gateway = self.proxy(self.raw(serve).text)
        with H2Client(gateway.port) as client:
            stream = client.start("POST", "/", end=False)
            total = 0
            while client.window(stream) > 0 or client.pump(lambda: client.window(stream) > 0, 0.3):
                size = min(16384, client.window(stream))
                client.data(stream, b"x" * size)
                total += size
                self.assertLess(total, 33554432)
            self.assertTrue(begun.is_set())
            go_on.set()
            client.data(stream, b"x" * 1000000, end=True)
            self.assertEqual(client.wait(stream).body, b"taken")

    def test_8_1_a_client_that_cancels(self):
        arrived, left = threading.Event(), threading.Event()

        def serve(sock):
            sock.recv(65536)
            arrived.set()
            if sock.recv(1) == b"":
                left.set()
        gateway = self.proxy(self.raw(serve).text)
        with H2Client(gateway.port) as client:
            stream = client.start("GET", "/")
            self.assertTrue(arrived.wait(20))
            client.reset(stream, CANCEL)
            self.assertTrue(left.wait(20))
            self.assertTrue(client.ping())
            client.reset(stream, CANCEL)  # of a stream that is closed: nothing
            self.assertTrue(client.ping())
        self.assertEqual(gateway.wait_access(1)[0]["status"], 499)

    def test_an_answer_that_is_cut(self):
        gateway = self.proxy(self.raw(lambda sock: (sock.recv(65536), sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))).text)
        with H2Client(gateway.port) as client:
            got = client.request("GET", "/")
            self.assertEqual((got.status, got.body, got.ended), (200, b"half", False))
            self.assertEqual(got.reset, 2)
            self.assertTrue(client.ping())

    def test_a_body_that_stalls_or_is_too_large(self):
        gateway, _ = self.pair(extra='client = { body_timeout = "200ms"; max_body = "1K"; };')
        with H2Client(gateway.port) as client:
            self.problem(client.wait(client.start("POST", "/", end=False)), 408)
            stream = client.start("POST", "/", end=False)
            client.send(frames.DataFrame(stream, b"x" * 1025))
            self.problem(client.wait(stream), 413)

    def test_the_last_request(self):
        gateway, _ = self.pair(extra="client = { max_requests = 2; };", apis=RESPOND)
        with H2Client(gateway.port) as client:
            for _ in range(2):
                self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertEqual(client.end(), NO_ERROR)
            self.assertEqual([last for last, _, _ in client.goaways], [2 ** 31 - 1, 3])

    def test_idle_connections_are_closed(self):
        gateway, _ = self.pair(extra='client = { keepalive_timeout = "200ms"; header_timeout = "300ms"; };', apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertEqual(client.end(), NO_ERROR)
        with H2Client(gateway.port) as client:  # without a request
            self.assertEqual(client.end(), NO_ERROR)
        with H2Client(gateway.port) as client:  # nor is it work to say one's settings again and again, or PING
            for number in range(200):
                try:
                    client.send(frames.SettingsFrame(0) if number % 2 else frames.PingFrame(0, b"12345678"))
                except OSError:
                    break
                if client.pump(lambda: client.goaways or client.closed, 0.05):
                    break
            self.assertTrue(client.goaways or client.closed)
            self.assertEqual(client.end(), NO_ERROR)

    def test_an_answer_whose_head_is_too_large(self):
        """Each of its fields fits, but not all of them with what the gateway adds."""
        gateway, _ = self.pair(lambda request, _: answer(b"x", fields=[(f"X-{i}", "v" * 4000) for i in range(15)])
                               if request.target == "/large" else answer(b"small"))
        with H2Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/").body, b"small")
            got = client.request("GET", "/large")
            self.assertIn((got.status, got.reset), ((200, None), (None, 2)))
            self.assertEqual(client.request("GET", "/").body, b"small")

    def test_a_connection_without_a_request_may_wait_for_one(self):
        gateway, _ = self.pair(extra='client = { header_timeout = "200ms"; keepalive_timeout = "20s"; };', apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            self.assertFalse(client.pump(lambda: client.goaways or client.closed, 0.5))
            self.assertEqual(client.request("GET", "/ping").body, b"pong")

    def test_a_head_that_never_ends(self):
        gateway, _ = self.pair(extra='client = { header_timeout = "200ms"; };', apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            client.headers(BASIC, flags=())
            self.assertEqual(client.end(), 11)

    def test_fields_of_a_stream_that_is_over(self):
        """Its trailers come in two pieces, and the answer ends between them: the connection goes on, and the time for a head holds for
        those that never come whole."""
        release = threading.Semaphore(0)

        def serve(sock):
            Reader(sock).head()
            release.acquire()
            sock.sendall(answer(b"early", close=True))

        gateway = self.proxy(self.raw(serve).text, extra='client = { header_timeout = "400ms"; };', apis=RESPOND)
        for ends in (True, False):
            with self.subTest(ends=ends), H2Client(gateway.port, windows=False) as client:
                self.assertTrue(client.ping())  # behind it nothing is said in the midst of the fields
                stream = client.start("POST", "/", end=False)
                block = client.block_of([("x", "y")])
                client.send(frames.HeadersFrame(stream, block[:2], flags=["END_STREAM"]))
                release.release()
                self.assertTrue(client.pump(lambda: client.streams[stream].over))
                if not ends:
                    self.assertEqual(client.end(), 11)
                    continue
                client.send(frames.ContinuationFrame(stream, block[2:], flags=["END_HEADERS"]))
                self.assertFalse(client.pump(lambda: client.goaways or client.closed, 1), client.goaways)
                self.assertEqual(client.request("GET", "/ping").body, b"pong")

    def test_tls(self):
        authority = Authority(self.folder)
        port = free_port()
        gateway, _ = self.pair(apis=RESPOND, listeners=f'{{ name = "main"; listen = "127.0.0.1:{port}"; '
                               f'tls = {{ certificates = ( {authority.issue("localhost").setting} ); }}; }}')
        connection = TlsClient(authority, alpn=("h2", "http/1.1")).open(port)
        self.assertEqual(connection.alpn, "h2")
        with H2Client(sock=connection.sock) as client:
            streams = [client.start("GET", "/ping", scheme="https") for _ in range(20)]
            client.wait(*streams)
            self.assertEqual({bytes(client.streams[stream].body) for stream in streams}, {b"pong"})
        said = subprocess.run(["curl", "-sS", "--http2", "--cacert", authority.path, "-w", " %{http_version}",
                               f"https://localhost:{port}/ping"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=20, check=False)
        self.assertEqual(said.stdout, b"pong 2")
        del gateway

    def test_behind_a_header_of_the_proxy_protocol(self):
        port = free_port()
        _, origin = self.pair(apis=RESPOND,
                              listeners=f'{{ name = "main"; listen = "127.0.0.1:{port}"; proxy_protocol = "on"; }}')
        sock = socket.create_connection(("127.0.0.1", port), 20)
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n")
        with H2Client(sock=sock) as client:
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(origin.requests[0].all("X-Forwarded-For"), ["192.0.2.7"])

    def test_the_tools_of_nghttp2(self):
        gateway, origin = self.pair(lambda request, _: answer(request.body), apis=RESPOND)
        url = f"http://127.0.0.1:{gateway.port}"
        said = subprocess.run(["nghttp", "-v", url + "/ping"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=20, check=False).stdout.decode()
        self.assertIn(":status: 200", said)
        load = subprocess.run(["h2load", "-n", "1000", "-c", "4", "-m", "32", url + "/ping"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20, check=False).stdout.decode()
        self.assertIn("1000 succeeded, 0 failed", load)
        said = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@" + __file__, url + "/up"],
                              stdout=subprocess.PIPE, timeout=20, check=False).stdout
        with open(__file__, "rb") as file:
            self.assertEqual(said, file.read())
        self.assertEqual(len(origin.requests), 1)

    def test_the_access_log(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            client.request("GET", "/ping")
        self.assertIn("HTTP/2", gateway.wait_access(1)[0].values())
