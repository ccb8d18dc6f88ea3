"""What a client may do to an HTTP/2 connection (RFC 9113, section 10.5), and is cut off for: each is counted, told in the log,
and ended by GOAWAY; a client beside it is served all the while."""
import threading

from gatehouse import resident, wait_until
from h2peer import CANCEL, ENHANCE_YOUR_CALM, Exchange, H2Client, PROTOCOL_ERROR, frames
from pair import Pair
from peers import answer

RESPOND = """{ name = "r"; routes = (
    { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; },
    { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }"""
BASIC = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/ping")]


class Http2Abuse(Pair):
    def count(self, gateway, name):
        return gateway.status()["stats"][name]

    def cut_off(self, gateway, client, stat, code=ENHANCE_YOUR_CALM):
        self.assertEqual(client.end(), code, client.goaways)
        wait_until(lambda: self.count(gateway, stat) == 1, f"{stat} to count it")
        with H2Client(gateway.port) as other:
            self.assertEqual(other.request("GET", "/ping").body, b"pong")
        self.assertEqual(len(gateway.processes("worker")), 1)

    def flood(self, client, *some, most=100000):
        """Sends these again and again, until the peer is heard to say GOAWAY or to close."""
        batch = b"".join(one if isinstance(one, bytes) else one.serialize() for one in some) * 50
        for _ in range(most // 50):
            try:
                client.sock.sendall(batch)
            except OSError:
                break
            while client.read(0):
                pass
            if client.goaways or client.closed:
                break
        self.assertTrue(client.pump(lambda: client.goaways or client.closed), some)

    def test_rapid_reset(self):
        gateway, _ = self.pair(lambda request, _: answer(b"x"), apis=RESPOND)
        with H2Client(gateway.port) as client:
            for _ in range(400):
                try:
                    client.reset(client.start("GET", "/"), CANCEL)
                except OSError:
                    break
            self.cut_off(gateway, client, "http2_resets")
        gateway.wait_error("cancels more streams")

    def test_resets_of_who_is_also_answered(self):
        gateway, _ = self.pair(lambda request, _: answer(b"x"), apis=RESPOND)
        with H2Client(gateway.port) as client:
            for _ in range(150):
                client.reset(client.start("GET", "/"), CANCEL)
                self.assertEqual(client.request("GET", "/ping").body, b"pong")

    def test_resets_that_we_are_made_to_send(self):
        gateway, _ = self.pair(apis=RESPOND, extra="client = { http2 = { max_streams = 1000; }; };")
        with H2Client(gateway.port) as client:
            for _ in range(400):
                try:
                    stream = client.start("POST", "/", end=False)
                    client.update(stream, 2 ** 31 - 1)  # beyond the largest window: a stream error
                    client.read(0)
                except OSError:
                    break
                if client.goaways:
                    break
            self.cut_off(gateway, client, "http2_resets")

    def test_floods(self):
        gateway, _ = self.pair(apis=RESPOND)
        unknown = b"\x00\x00\x01\x42\x00\x00\x00\x00\x00x"
        for name, some in (("settings", [frames.SettingsFrame(0, settings={3: 1})]),
                           ("pings", [frames.PingFrame(0, b"12345678")]),
                           ("idle", [frames.PriorityFrame(1001, depends_on=1, stream_weight=1)]),
                           ("idle", [unknown]),
                           ("windows", [frames.WindowUpdateFrame(0, 1)])):
            with self.subTest(name=name), H2Client(gateway.port) as client:
                client.request("GET", "/ping")
                before = self.count(gateway, "http2_" + name)
                self.flood(client, *some)
                self.assertEqual(client.end(), ENHANCE_YOUR_CALM)
                wait_until(lambda: self.count(gateway, "http2_" + name) == before + 1, name)
        self.assertEqual(self.count(gateway, "http2_errors"), 0)

    def test_floods_of_data(self):
        release = threading.Event()
        gateway = self.proxy(self.raw(lambda sock: release.wait(20)).text, apis=RESPOND)
        self.addCleanup(release.set)
        for name, data, padding, count in (("empty", b"", None, 1), ("tiny", b"x", None, 1), ("tiny", b"", 5, 2), ("tiny", b"", 255, 3)):
            with self.subTest(name=name, padding=padding), H2Client(gateway.port) as client:
                self.assertTrue(client.ping())
                stream = client.start("POST", "/", end=False)
                one = frames.DataFrame(stream, data, pad_length=padding or 0, flags=[] if padding is None else ["PADDED"])
                self.flood(client, one)
                self.assertEqual(client.end(), ENHANCE_YOUR_CALM)
                wait_until(lambda: self.count(gateway, "http2_" + name) == count, name)

    def test_continuations_without_end(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            stream = client.headers(BASIC, flags=())
            block = client.block_of([("a", "b")])
            for _ in range(20):
                client.reply(frames.ContinuationFrame(stream, block))
            self.cut_off(gateway, client, "http2_continuations")

    def test_a_head_in_many_continuations(self):
        """Some are nothing unusual."""
        gateway, origin = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            stream, client.next_id = 1, 3
            block = client.block_of([*BASIC[:3], (":path", "/x"), *((f"x-{i}", "v" * 300) for i in range(50))])
            pieces = [block[i:i + 2000] for i in range(0, len(block), 2000)]
            client.streams[stream] = Exchange()
            first = frames.HeadersFrame(stream, pieces[0], flags=("END_STREAM",))
            rest = [frames.ContinuationFrame(stream, piece) for piece in pieces[1:]]
            rest[-1].flags.add("END_HEADERS")
            client.send(first, *rest)
            self.assertEqual(client.wait(stream).status, 200)
        self.assertEqual(len(origin.requests[0].all("x-49")), 1)

    def test_a_bomb_of_fields(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            before = resident(gateway.processes("worker")[0]["pid"])
            block = client.block_of([*BASIC, ("x", "v" * 4000)])
            client.send(frames.HeadersFrame(1, block + b"\xbe" * 12000, flags=("END_HEADERS", "END_STREAM")))
            self.cut_off(gateway, client, "http2_fields")
            self.assertLess(resident(gateway.processes("worker")[0]["pid"]) - before, 4 << 20)

    def test_more_streams_than_are_taken(self):
        release = threading.Event()
        self.addCleanup(release.set)
        gateway = self.proxy(self.raw(lambda sock: release.wait(20)).text, apis=RESPOND,
                             extra="client = { http2 = { max_streams = 10; }; };")
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            self.assertTrue(client.pump(lambda: client.acks))
            for _ in range(11):
                client.start("GET", "/")
            self.cut_off(gateway, client, "http2_errors", PROTOCOL_ERROR)

    def test_a_window_that_stays_shut(self):
        gateway, _ = self.pair(lambda request, _: answer(b"x" * 1000000), apis=RESPOND,
                               extra='client = { send_timeout = "300ms"; };')
        with H2Client(gateway.port, windows=False) as client:
            stream = client.start("GET", "/")
            self.assertTrue(client.pump(lambda: client.streams[stream].reset is not None))
            self.assertEqual((len(client.streams[stream].body), client.streams[stream].reset), (65535, CANCEL))
            self.assertTrue(client.ping())
            client.update(0, 65535)
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
        self.assertEqual(self.count(gateway, "http2_stalled"), 1)

    def test_a_client_that_does_not_read(self):
        """PING is asked for, and its answers aren't taken: they are bounded, and the client is given up."""
        gateway, _ = self.pair(lambda request, _: answer(b"x" * 1000000), apis=RESPOND,
                               extra='client = { send_timeout = "500ms"; http2 = { max_overhead = 0; }; };')
        with H2Client(gateway.port, settings={4: 2 ** 31 - 1}, windows=False) as client:
            client.update(0, 2 ** 31 - 1 - 65535)
            for _ in range(100):
                client.start("GET", "/")
            client.sock.settimeout(0.2)
            ping = frames.PingFrame(0, b"12345678").serialize() * 1000
            try:
                for _ in range(2000):
                    client.sock.sendall(ping)
            except OSError:
                pass
            self.assertLess(resident(gateway.processes("worker")[0]["pid"]), 128 << 20)
            wait_until(lambda: self.count(gateway, "aborted") > 0, "the client to be given up")

    def test_memory_of_a_body_that_nobody_takes(self):
        """What a client may make us hold is client.http2.connection_window, in whatever pieces it comes."""
        release = threading.Event()
        self.addCleanup(release.set)
        gateway = self.proxy(self.raw(lambda sock: release.wait(20)).text, apis=RESPOND,
                             extra="client = { http2 = { max_overhead = 0; }; };")
        with H2Client(gateway.port) as client:
            self.assertTrue(client.ping())
            before = resident(gateway.processes("worker")[0]["pid"])
            streams = [client.start("POST", "/", end=False) for _ in range(100)]
            for stream in streams:
                client.send(b"".join(frames.DataFrame(stream, b"x").serialize() for _ in range(5000)))
            self.assertTrue(client.ping())
            self.assertLess(resident(gateway.processes("worker")[0]["pid"]) - before, 16 << 20)

    def test_garbage(self):
        gateway, _ = self.pair(apis=RESPOND)
        for garbage in (b"\xff" * 64, b"\x00\x00\x00\x00\x00\x00\x00\x00\x01", b"\x00\x00\x05\x01\x05\x00\x00\x00\x02hello",
                        frames.HeadersFrame(1, b"\xff\xff\xff\xff", flags=("END_HEADERS",)).serialize(),
                        frames.DataFrame(7, b"x").serialize(), frames.RstStreamFrame(9, 0).serialize(),
                        frames.PushPromiseFrame(1, 2, b"").serialize(), frames.WindowUpdateFrame(0, 1).serialize()[:-1] + b"\0"):
            with self.subTest(garbage=garbage), H2Client(gateway.port) as client:
                self.assertTrue(client.ping())
                client.send(garbage)
                client.reply(frames.PingFrame(0, b"x" * 8))
                client.end()
        with H2Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
        self.assertEqual(len(gateway.processes("worker")), 1)

    def test_work_is_no_abuse(self):
        """A stream of small messages, each answered by PING and two WINDOW_UPDATE, as clients of gRPC do; and small ones sent."""
        def serve(sock):
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            sock.settimeout(20)
            while data := sock.recv(65536):
                sock.sendall(b"%x\r\n" % len(data) + data + b"\r\n")
        gateway = self.proxy(self.raw(serve).text, apis=RESPOND, extra="client = { http2 = { max_overhead = 300; }; };")
        with H2Client(gateway.port) as client:
            stream = client.start("POST", "/", end=False)
            client.pump(lambda: client.streams[stream].status)
            for i in range(300):
                had = len(client.streams[stream].body)
                client.data(stream, b"hello%03d" % i)
                self.assertTrue(client.pump(lambda: len(client.streams[stream].body) > had), client.goaways)
                self.assertTrue(client.ping())
