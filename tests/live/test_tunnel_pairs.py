"""WebSockets and other tunnels over all pairs of HTTP versions, and to upstreams that speak HTTP/2 (RFC 8441)."""
import os
import socket

from gatehouse import Case, Gateway, wait_until
from h2peer import CANCEL, H2Client
from tunnels import CLOSE, PING, PONG, StreamOrigin, StreamTunnel, WebSocket, echo, start_upgrade, upgraded

ROUTE = """{ name = "a"; routes = ( { match = { prefix = "/"; }; websocket = %s; upgrade = "bytes"; proxy = { upstream = "origin"; }; } ); }"""


class Tunnels(Case):
    def before(self, text, protocol, websocket="true", name="gatehouse", **settings):
        """A gateway whose upstream is there, and speaks that."""
        gateway = Gateway(self.folder, name, apis=ROUTE % websocket,
                          upstreams=f'origin = {{ endpoints = ( "{text}" ); protocol = "{protocol}"; }};', **settings)
        self.addCleanup(gateway.finish)
        gateway.start()
        return gateway

    def stream_origin(self, **options):
        origin = StreamOrigin(**options)
        self.addCleanup(origin.close)
        return origin

    def client(self, gateway):
        client = H2Client(gateway.port)
        self.addCleanup(client.sock.close)
        return client

    def websocket(self, gateway, version):
        if version == 1:
            websocket = WebSocket(gateway.port)
            self.addCleanup(websocket.close)
            return websocket
        tunnel = StreamTunnel(self.client(gateway))
        self.assertEqual(tunnel.exchange.status, 200)
        return tunnel

    def tunnels(self, gateway):
        return sum(process["tunnels"] for process in gateway.processes(states=None))

    def none_open(self, *gateways):
        wait_until(lambda: not any(map(self.tunnels, gateways)), "no tunnel is open")


class Pairs(Tunnels):
    def talk(self, front, version, *gateways):
        websocket = self.websocket(front, version)
        for size in (0, 1, 125, 126, 10_000, 65_535, 65_536, 200_000):
            websocket.echo(os.urandom(size))
        websocket.say(b"there?", PING)
        self.assertEqual(websocket.hear(), (PONG, b"there?"))
        self.assertEqual([self.tunnels(gateway) for gateway in gateways], [1] * len(gateways))
        websocket.say(b"\x03\xe8", CLOSE)
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe8"))
        if version == 2:
            websocket.send(b"", end=True)
        self.none_open(*gateways)
        for gateway in gateways:
            line = gateway.wait_access(1)[-1]
            self.assertEqual((line["status"], line["aborted"], line["problem"]), (101, "", ""), line)
            self.assertGreater(min(line["bytes_in"], line["bytes_out"]), 340_000)

    def test_http1_to_http1(self):
        gateway = self.before(self.origin(echo).text, "http/1.1")
        self.talk(gateway, 1, gateway)

    def test_http2_to_http1(self):
        gateway = self.before(self.origin(echo).text, "http/1.1")
        self.talk(gateway, 2, gateway)

    def test_http1_to_http2(self):
        """To another gateway, which speaks HTTP/1 to the origin again."""
        behind = self.before(self.origin(echo).text, "http/1.1", name="behind")
        gateway = self.before(f"127.0.0.1:{behind.port}", "h2c")
        self.talk(gateway, 1, gateway, behind)

    def test_http2_to_http2(self):
        behind = self.before(self.origin(echo).text, "http/1.1", name="behind")
        gateway = self.before(f"127.0.0.1:{behind.port}", "h2c")
        self.talk(gateway, 2, gateway, behind)


class ToHttp2(Tunnels):
    def test_what_the_endpoint_is_asked(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c")
        websocket = self.websocket(gateway, 1)
        websocket.send(b"bytes")
        self.assertEqual(websocket.reader.take(5), b"bytes")
        head = origin.heads[0]
        self.assertEqual([head[name] for name in (":method", ":protocol", ":scheme", ":path", ":authority", "sec-websocket-version")],
                         ["CONNECT", "websocket", "http", "/", "localhost", "13"])
        for name in ("sec-websocket-key", "upgrade", "connection", "host"):
            self.assertNotIn(name, head)

    def test_many_on_a_connection(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c", workers=1)
        crowd = [self.websocket(gateway, 1 + number % 2) for number in range(30)]
        for number, one in enumerate(crowd):
            one.send(b"%05d" % number * 4000)
        for number, one in enumerate(crowd):
            self.assertEqual(one.reader.take(20000), b"%05d" % number * 4000)
        self.assertLess(len(origin.open), 30)

    def test_the_client_ends_and_all_is_heard(self):
        origin = self.stream_origin(first=b"first")
        gateway = self.before(origin.text, "h2c")
        said = os.urandom(500_000)
        client = gateway.client()
        self.addCleanup(client.close)
        self.assertEqual(start_upgrade(client, "bytes").status, 101)
        client.sock.setblocking(True)
        heard = b""
        for at in range(0, len(said), 50_000):
            client.send(said[at:at + 50_000])
            heard += client.reader.take(50_000)
        client.sock.shutdown(socket.SHUT_WR)
        heard += client.reader.to_end()
        self.assertTrue(heard == b"first" + said)
        self.none_open(gateway)
        self.assertEqual(origin.resets, [])
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "")

    def test_a_client_that_leaves(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c")
        websocket = self.websocket(gateway, 1)
        websocket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        websocket.close()
        wait_until(lambda: origin.resets, "the stream is reset")
        self.assertEqual([int(code) for code in origin.resets], [CANCEL])
        self.none_open(gateway)

    def test_silence_ends_it(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c", '{ idle_timeout = "300ms"; }')
        websocket = self.websocket(gateway, 1)
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe9"))
        self.assertEqual(websocket.closed(), b"")
        self.none_open(gateway)

    def test_an_endpoint_that_takes_none(self):
        gateway = self.before(self.stream_origin(connect=False).text, "h2c", workers=1)
        for _ in range(2):  # before its SETTINGS are there, and after
            with gateway.client() as client:
                client.send_head("GET", "/", [("Upgrade", "bytes"), ("Connection", "upgrade")])
                self.problem(client.answer(), 502, "RFC 8441")

    def test_another_answer_passes(self):
        gateway = self.before(self.stream_origin(status="403").text, "h2c")
        with gateway.client() as client:
            for _ in range(3):
                self.assertEqual(client.request("GET", "/", [("Upgrade", "bytes"), ("Connection", "upgrade")]).status, 403)

    def test_a_dead_endpoint(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c", workers=1)
        crowd = [self.websocket(gateway, 1) for _ in range(5)]
        origin.close()
        for one in crowd:
            self.assertEqual(one.closed(), b"")
        self.none_open(gateway)

    def test_a_reload_lets_them_go_on(self):
        origin = self.stream_origin()
        gateway = self.before(origin.text, "h2c", extra='drain_timeout = "1s";')
        old = gateway.wait_processes("worker", 2)
        websocket = self.websocket(gateway, 1)
        gateway.reload()
        gateway.wait_processes("worker", 2, old)
        websocket.echo(b"still here")
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xf4"))
        self.none_open(gateway)
