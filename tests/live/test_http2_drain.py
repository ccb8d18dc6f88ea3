"""HTTP/2 clients whose worker leaves (RFC 9113, section 6.8): GOAWAY in two steps, and no stream lost that it covers."""
import socket
import threading

import h2.config
import h2.connection
import h2.events

from gatehouse import wait_until
from h2peer import H2Client, LAST_STREAM, NO_ERROR, PATIENCE
from pair import Pair
from peers import answer

RESPOND = """{ name = "r"; routes = (
    { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; },
    { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }"""


class Connection(h2.connection.H2Connection):
    """python3-h2 takes GOAWAY for the end of everything; the streams that it covers go on (RFC 9113, section 6.8)."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Honest:
    """A client of python3-h2 that honours GOAWAY: it keeps `depth` requests under way, goes on elsewhere when told, and repeats
    only what the last GOAWAY says was not processed. What fails else is in `failed`."""

    def __init__(self, port, depth=10):
        self.port, self.depth = port, depth
        self.done, self.repeated, self.connections, self.failed = 0, 0, 0, []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            try:
                self.connection()
            except OSError as error:
                self.failed.append(repr(error))

    def connection(self):
        self.connections += 1
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
            state = Connection(h2.config.H2Configuration(client_side=True))
            state.initiate_connection()
            open_streams, last = set(), None
            try:
                while open_streams or (last is None and not self.stopping):
                    while last is None and not self.stopping and len(open_streams) < self.depth:
                        stream = state.get_next_available_stream_id()
                        state.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", "a"),
                                                    (":path", "/work")])
                        state.send_data(stream, b"hello", end_stream=True)
                        open_streams.add(stream)
                    sock.sendall(state.data_to_send())
                    if last is not None and all(stream > last for stream in open_streams):
                        break
                    data = sock.recv(65536)
                    if not data:
                        break
                    last = self.took(state, state.receive_data(data), open_streams, last)
                sock.sendall(state.data_to_send())
            except (OSError, h2.exceptions.ProtocolError) as error:
                self.failed.append(repr(error))
            refused = {stream for stream in open_streams if last is not None and stream > last}
            self.repeated += len(refused)
            if open_streams - refused and not self.stopping:
                self.failed.append(f"lost {sorted(open_streams - refused)}, last {last}")

    def took(self, state, events, open_streams, last):
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.ResponseReceived) and dict(event.headers).get(b":status") != b"200":
                self.failed.append(str(event.headers))
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.discard(event.stream_id)
                self.done += 1
            elif isinstance(event, h2.events.StreamReset):
                self.failed.append(f"reset {event.stream_id}: {event.error_code}")
                open_streams.discard(event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                last = event.last_stream_id
                if event.error_code:
                    self.failed.append(f"GOAWAY {event.error_code}")
        return last

    def stop(self):
        self.stopping = True
        self.thread.join(PATIENCE)


class Http2Drain(Pair):
    def test_requests_in_progress_are_answered(self):
        arrived, go_on = threading.Semaphore(0), threading.Event()

        def serve(request, _):
            arrived.release()
            go_on.wait(20)
            return answer(request.target.encode())
        gateway, _ = self.pair(serve, apis=RESPOND)
        with H2Client(gateway.port) as client:
            streams = [client.start("GET", f"/{i}") for i in range(5)]
            for _ in streams:
                self.assertTrue(arrived.acquire(timeout=20))
            gateway.reload()
            self.assertTrue(client.pump(lambda: len(client.goaways) == 2))
            self.assertEqual([(last, code) for last, code, _ in client.goaways], [(LAST_STREAM, NO_ERROR), (9, NO_ERROR)])
            go_on.set()
            client.wait(*streams)
            self.assertEqual([bytes(client.streams[stream].body) for stream in streams], [b"/%d" % i for i in range(5)])
            self.assertEqual(client.end(), NO_ERROR)
        gateway.wait_processes("worker", 1)
        self.assertEqual(gateway.status()["stats"]["http2_goaways"], 1)

    def test_a_request_under_way_when_the_first_goaway_came(self):
        """Between the two it is still taken."""
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            client.reply = lambda *some: None  # PING isn't answered
            gateway.reload()
            self.assertTrue(client.pump(lambda: client.goaways))
            self.assertEqual(client.goaways[0][0], LAST_STREAM)
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertEqual(len(client.goaways), 1)
            self.assertEqual(client.end(), NO_ERROR)  # who never answers is asked no longer
            self.assertEqual([last for last, _, _ in client.goaways], [LAST_STREAM, 3])

    def test_an_idle_connection_ends(self):
        gateway, _ = self.pair(apis=RESPOND)
        with H2Client(gateway.port) as client, H2Client(gateway.port) as fresh:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
            self.assertTrue(fresh.ping())
            gateway.reload()
            for one, last in ((client, 1), (fresh, 0)):
                self.assertEqual(one.end(), NO_ERROR)
                self.assertEqual(one.goaways[-1][0], last)

    def test_what_comes_behind_the_last_goaway(self):
        """It isn't processed, and what was goes on."""
        go_on = threading.Event()
        gateway, origin = self.pair(lambda request, _: go_on.wait(20) and answer(b"done"), apis=RESPOND)
        with H2Client(gateway.port) as client:
            stream = client.start("GET", "/slow")
            self.assertTrue(client.ping())
            gateway.reload()
            self.assertTrue(client.pump(lambda: len(client.goaways) == 2))
            late = client.start("GET", "/late")
            self.assertTrue(client.ping())
            go_on.set()
            self.assertEqual(client.wait(stream).body, b"done")
            client.end()
            self.assertEqual(client.streams[late].status, None)
        self.assertEqual([request.target for request in origin.requests], ["/slow"])

    def test_reloads_under_load(self):
        gateway, _ = self.pair(lambda request, _: answer(b"x" * 3000), apis=RESPOND)
        clients = [Honest(gateway.port) for _ in range(3)]
        for _ in range(4):
            before = [client.done for client in clients]
            wait_until(lambda: all(client.done > was + 50 for client, was in zip(clients, before)), "requests of each")
            connections = [client.connections for client in clients]
            gateway.reload()
            wait_until(lambda: all(client.connections > was for client, was in zip(clients, connections)),
                       "each client to go on elsewhere")
        for client in clients:
            client.stop()
            self.assertEqual(client.failed, [])
        self.assertEqual(gateway.status()["stats"]["cut_requests"], 0)

    def test_a_stop_waits(self):
        arrived, go_on = threading.Event(), threading.Event()

        def serve(request, _):
            arrived.set()
            go_on.wait(20)
            return answer(b"done")
        gateway, _ = self.pair(serve, apis=RESPOND)
        with H2Client(gateway.port) as client:
            stream = client.start("GET", "/slow")
            self.assertTrue(arrived.wait(20))
            stopping = threading.Thread(target=gateway.stop)
            stopping.start()
            self.assertTrue(client.pump(lambda: len(client.goaways) == 2))
            go_on.set()
            self.assertEqual(client.wait(stream).body, b"done")
            self.assertEqual(client.end(), NO_ERROR)
            stopping.join(20)

    def test_what_outlasts_the_drain_timeout_is_cut_and_counted(self):
        arrived, release = threading.Semaphore(0), threading.Event()
        self.addCleanup(release.set)

        def serve(sock):
            sock.recv(65536)
            arrived.release()
            release.wait(20)
        gateway = self.proxy(self.raw(serve).text, apis=RESPOND, extra='drain_timeout = "500ms";')
        with H2Client(gateway.port) as client:
            streams = [client.start("GET", "/slow") for _ in range(3)]
            for _ in streams:
                self.assertTrue(arrived.acquire(timeout=20))
            gateway.reload()
            client.end()
            self.assertEqual([client.streams[stream].over for stream in streams], [False] * 3)
        wait_until(lambda: gateway.status()["stats"]["cut_requests"] == 3, "what was cut to be counted")
