"""Answers that come bit by bit: event streams, each event delivered before the next is made, and long polls; over HTTP/1 and
HTTP/2; a client that leaves is noticed by the service at once."""
import queue

from gatehouse import Case, Gateway, answer, wait_until
from h2peer import H2Client

ROUTE = '{ name = "a"; routes = ( { match = { prefix = "/"; }; %s proxy = { upstream = "origin"; }; } ); }'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n%s\r\n"
FRAMINGS = {"chunked": (HEAD % b"Transfer-Encoding: chunked\r\n", lambda data: b"%x\r\n%s\r\n" % (len(data), data), b"0\r\n\r\n"),
            "to the end": (HEAD % b"Connection: close\r\n", lambda data: data, b"")}
SHORT = 'timeout = { response = "400ms"; idle = "400ms"; total = "600ms"; %s };'


class Http1:
    """What is the same of a client of HTTP/1 and one of HTTP/2: an answer is begun, read in pieces, left."""

    def __init__(self, case, gateway):
        self.client = gateway.client()
        case.addCleanup(self.client.close)

    def start(self, target):
        self.client.send_head("GET", target)

    def head(self):
        self.first, self.fields = self.client.reader.head()
        return int(self.first.split()[1])

    def take(self, count):
        reader = self.client.reader
        chunked = ("Transfer-Encoding", "chunked") in self.fields
        data = b""
        while len(data) < count:
            size = int(reader.line(), 16) if chunked else count
            data += reader.take(size)
            if chunked:
                reader.take(2)
        return data

    def quiet(self):
        return self.client.quiet(0.05)

    def leave(self):
        self.client.close()

    def ended(self):
        self.client.closed()
        return True


class Http2:
    def __init__(self, case, gateway):
        self.client = H2Client(gateway.port)
        case.addCleanup(self.client.sock.close)

    def start(self, target):
        self.stream = self.client.start("GET", target)
        self.exchange = self.client.streams[self.stream]

    def head(self):
        self.client.pump(lambda: self.exchange.status or self.exchange.over)
        return self.exchange.status

    def take(self, count):
        self.client.pump(lambda: len(self.exchange.body) >= count or self.exchange.over)
        data = bytes(self.exchange.body[:count])
        del self.exchange.body[:count]
        return data

    def quiet(self):
        self.client.pump(lambda: self.exchange.body, 0.05)
        return not self.exchange.body

    def leave(self):
        self.client.reset(self.stream)

    def ended(self):
        self.client.wait(self.stream)
        return True


class Streams(Case):
    def setUp(self):
        super().setUp()
        self.events, self.left = queue.Queue(), queue.Queue()

    def source(self, framing="chunked"):
        """An origin that sends each event when the test has made it (None: the end), and tells when its client left."""
        head, wrap, end = FRAMINGS[framing]

        def serve(request, sock):
            sock.sendall(head)
            while True:
                try:
                    event = self.events.get(timeout=0.02)
                except queue.Empty:
                    sock.setblocking(False)
                    try:
                        if sock.recv(1) == b"":
                            break
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        break
                    finally:
                        sock.setblocking(True)
                    continue
                if event is None:
                    sock.sendall(end)
                    raise ConnectionError
                sock.sendall(wrap(event))
            self.left.put(True)
            raise ConnectionError

        return self.origin(serve)

    def through(self, origin, upstream="", policies="", name="gatehouse", **settings):
        gateway = Gateway(self.folder, name, apis=ROUTE % policies,
                          upstreams=f'origin = {{ endpoints = ( "{origin}" ); {upstream} }};', **settings)
        self.addCleanup(gateway.finish)
        gateway.start()
        return gateway

    def follow(self, client):
        """Three events, each seen before there is another."""
        for number in range(3):
            event = b"id: %d\ndata: something\n\n" % number
            self.events.put(event)
            self.assertEqual(client.take(len(event)), event)

    def read_through(self, client):
        client.start("/events")
        self.assertEqual(client.head(), 200)
        self.follow(client)
        self.assertTrue(client.quiet())
        self.events.put(None)
        self.assertEqual(client.take(1) if isinstance(client, Http2) else b"", b"")

    def test_each_event_at_once(self):
        for framing in FRAMINGS:
            gateway = self.through(self.source(framing).text)
            for version in (Http1, Http2):
                self.read_through(version(self, gateway))
            gateway.finish()

    def test_each_event_at_once_from_http2(self):
        behind = self.through(self.source().text, name="behind")
        gateway = self.through(f"127.0.0.1:{behind.port}", 'protocol = "h2c";')
        for version in (Http1, Http2):
            self.read_through(version(self, gateway))

    def silent(self, gateway, version):
        client = version(self, gateway)
        client.start("/events")
        self.assertEqual(client.head(), 200)
        for _ in range(25):
            self.assertTrue(client.quiet())
        self.follow(client)
        return client

    def test_silence_is_no_failure(self):
        """Longer than idle and total allow to other answers."""
        gateway = self.through(self.source().text, SHORT % "")
        for version in (Http1, Http2):
            client = self.silent(gateway, version)
            client.leave()
            self.left.get(timeout=20)
        self.assertEqual(gateway.status()["stats"]["upstream_timeouts"], 0)
        behind = self.through(self.source().text, SHORT % "", name="behind")
        gateway.finish()
        gateway = self.through(f"127.0.0.1:{behind.port}", 'protocol = "h2c";' + SHORT % "")
        self.silent(gateway, Http1)

    def test_silence_has_a_limit_of_its_own(self):
        gateway = self.through(self.source().text, SHORT % 'events = "500ms";')
        client = Http1(self, gateway)
        client.start("/events")
        self.assertEqual(client.head(), 200)
        self.follow(client)
        self.assertTrue(client.ended())
        self.left.get(timeout=20)
        self.assertEqual(gateway.status()["stats"]["upstream_timeouts"], 1)

    def test_a_client_that_leaves_is_noticed(self):
        gateway = self.through(self.source().text)
        for version in (Http1, Http2):
            client = version(self, gateway)
            client.start("/events")
            self.assertEqual(client.head(), 200)
            self.follow(client)
            client.leave()
            self.left.get(timeout=20)
        self.assertEqual({line["aborted"] for line in gateway.wait_access(2)}, {"client"})

    def test_a_reload_lets_it_go_on_until_drain_timeout(self):
        gateway = self.through(self.source().text, extra='drain_timeout = "1s";')
        old = gateway.wait_processes("worker", 2)
        client = Http1(self, gateway)
        client.start("/events")
        client.head()
        gateway.reload()
        gateway.wait_processes("worker", 2, old)
        self.follow(client)
        self.assertTrue(client.ended())
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "drain")

    # Long polls

    def poll(self):
        """An origin that answers when there is an event."""

        def serve(request, sock):
            while True:
                try:
                    return answer(self.events.get(timeout=0.02))
                except queue.Empty:
                    sock.setblocking(False)
                    try:
                        if sock.recv(1) == b"":
                            break
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        break
                    finally:
                        sock.setblocking(True)
            self.left.put(True)
            raise ConnectionError

        return self.origin(serve)

    def test_a_poll_waits_as_long_as_its_route_says(self):
        gateway = self.through(self.poll().text, SHORT % "", 'timeout = { response = "10m"; total = "10m"; };')
        for version in (Http1, Http2):
            client = version(self, gateway)
            client.start("/poll")
            for _ in range(20):
                self.assertTrue(client.quiet())
            self.events.put(b"at last")
            self.assertEqual(client.head(), 200)
            self.assertEqual(client.take(7), b"at last")

    def test_a_route_that_is_less_patient(self):
        gateway = self.through(self.poll().text, policies='timeout = "300ms";')
        for version in (Http1, Http2):
            client = version(self, gateway)
            client.start("/poll")
            self.assertEqual(client.head(), 504)
            self.left.get(timeout=20)

    def test_who_leaves_a_poll_is_noticed(self):
        origin = self.poll()
        gateway = self.through(origin.text)
        for count, version in enumerate((Http1, Http2)):
            client = version(self, gateway)
            client.start("/poll")
            origin.wait(lambda origin: len(origin.requests) > count)
            client.leave()
            self.left.get(timeout=20)
        self.assertEqual({line["status"] for line in gateway.wait_access(2)}, {499})
        wait_until(lambda: not sum(process["requests"] for process in gateway.processes("worker")), "no request is in progress")
