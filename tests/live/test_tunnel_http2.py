"""Tunnels on streams of HTTP/2 (RFC 8441): each WebSocket is a stream, whatever version the upstream speaks."""
import os
import threading

from gatehouse import Case, answer, wait_until
from h2peer import CANCEL, CONNECT_PROTOCOL, NO_ERROR, H2Client
from tunnels import CLOSE, PING, PONG, StreamTunnel, echo, receive_all, reset, upgraded

ROUTE = """{ name = "a"; routes = (
    { match = { prefix = "/"; }; websocket = %s; upgrade = "bytes"; proxy = { upstream = "origin"; }; },
    { match = { prefix = "/plain"; }; proxy = { upstream = "origin"; }; },
    { match = { prefix = "/fixed"; }; websocket = true; respond = { status = 200; body = "hello"; }; } ); }"""


class Streams(Case):
    def through(self, serve, websocket="true", **settings):
        self.end = self.origin(serve)
        return self.gateway(apis=ROUTE % websocket, upstreams=f'origin = {{ endpoints = ( "{self.end.text}" ); }};', **settings)

    def client(self, gateway, **options):
        client = H2Client(gateway.port, **options)
        self.addCleanup(client.sock.close)
        return client

    def open(self, gateway, client=None, protocol="websocket", **options):
        tunnel = StreamTunnel(client or self.client(gateway), protocol, **options)
        self.assertEqual(tunnel.exchange.status, 200, tunnel.exchange)
        return tunnel

    def tunnels(self, gateway):
        return sum(process["tunnels"] for process in gateway.processes(states=None))

    def all_gone(self, gateway):
        wait_until(lambda: not self.tunnels(gateway) and not self.end.open, "no tunnel is open")

    def test_websockets_beside_requests(self):
        def serve(request, sock):
            return echo(request, sock) if request.get("Upgrade") else answer(b"plain")

        gateway = self.through(serve)
        client = self.client(gateway)
        client.pump(lambda: client.settings)
        self.assertEqual(client.settings.get(CONNECT_PROTOCOL), 1)
        crowd = [self.open(gateway, client, fields=[("sec-websocket-protocol", "chat"), ("origin", "http://here")]) for _ in range(20)]
        for number, tunnel in enumerate(crowd):
            tunnel.echo(b"%d " % number * 3000)
            self.assertEqual(client.request("GET", "/plain").body, b"plain")
        self.assertEqual(self.tunnels(gateway), 20)
        request = next(one for one in self.end.requests if one.get("Upgrade"))
        self.assertEqual(request.first, "GET / HTTP/1.1")
        for name, value in (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Protocol", "chat"), ("Host", "localhost")):
            self.assertEqual(request.all(name), [value], request)
        keys = {one.get("Sec-WebSocket-Key") for one in self.end.requests if one.get("Upgrade")}
        self.assertEqual(len(keys), 20, "each has a key of its own")
        self.assertIsNone(crowd[0].exchange.get("sec-websocket-accept"))
        self.assertIsNone(crowd[0].exchange.get("upgrade"))
        for tunnel in crowd:
            tunnel.say(b"\x03\xe8", CLOSE)
            self.assertEqual(tunnel.hear(), (CLOSE, b"\x03\xe8"))
        wait_until(lambda: not self.tunnels(gateway), "no tunnel is open")
        self.assertEqual(client.request("GET", "/plain").body, b"plain", "the connection goes on")

    def test_bytes_both_ways(self):
        def talk(sock):
            while data := sock.recv(65536):
                sock.sendall(data)

        gateway = self.through(upgraded(talk))
        tunnel = self.open(gateway, protocol="bytes")
        said, heard = os.urandom(300_000), b""
        for at in range(0, len(said), 30_000):
            tunnel.send(said[at:at + 30_000])
            heard += tunnel.reader.take(30_000)
        self.assertTrue(heard == said)
        tunnel.send(b"", end=True)
        self.assertEqual(tunnel.rest(), b"")
        self.assertIn(tunnel.exchange.reset, (None, NO_ERROR))
        self.all_gone(gateway)
        line = gateway.wait_access(1)[0]
        self.assertEqual((line["status"], line["aborted"], line["problem"], line["version"]), (101, "", "", "HTTP/2"), line)
        self.assertGreater(line["bytes_in"], 300_000)
        self.assertGreater(line["bytes_out"], 300_000)

    def test_one_direction_ends_before_the_other(self):
        gateway = self.through(upgraded(lambda sock: sock.sendall(b"you said " + receive_all(sock))))
        tunnel = self.open(gateway, protocol="bytes")
        tunnel.send(b"all of it", end=True)
        self.assertEqual(tunnel.rest(), b"you said all of it")
        self.all_gone(gateway)

        gateway.finish()
        heard = []

        def talk(sock):
            sock.sendall(b"no more")
            sock.shutdown(1)
            heard.append(receive_all(sock))

        gateway = self.through(upgraded(talk))
        tunnel = self.open(gateway, protocol="bytes")
        self.assertEqual(tunnel.rest(), b"no more")
        self.assertIsNone(tunnel.exchange.reset)
        tunnel.client.streams[tunnel.stream].ended = False
        tunnel.send(b"but I do", end=True)
        wait_until(lambda: heard == [b"but I do"], "the origin hears it")
        self.all_gone(gateway)

    def test_resets_are_passed_on(self):
        gateway = self.through(upgraded(lambda sock: (sock.recv(1), reset(sock))))
        tunnel = self.open(gateway, protocol="bytes")
        tunnel.send(b"x")
        tunnel.client.wait(tunnel.stream)
        self.assertEqual(tunnel.exchange.reset, CANCEL)
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "upstream")
        gateway.finish()
        ends = []

        def talk(sock):
            try:
                ends.append(sock.recv(1))
            except ConnectionResetError:
                ends.append("reset")

        gateway = self.through(upgraded(talk))
        tunnel = self.open(gateway, protocol="bytes")
        tunnel.client.reset(tunnel.stream)
        wait_until(lambda: ends == ["reset"], "the origin sees the reset")
        self.assertEqual(gateway.wait_access(2)[1]["aborted"], "client")
        self.all_gone(gateway)

    def test_a_connection_that_is_gone_takes_all(self):
        gateway = self.through(echo)
        client = self.client(gateway)
        for _ in range(5):
            self.open(gateway, client).echo(b"x")
        client.sock.close()
        self.all_gone(gateway)

    def test_windows_hold_up_the_origin(self):
        sent = []

        def talk(sock):
            sock.settimeout(0.5)
            total = 0
            try:
                while True:
                    total += sock.send(b"x" * 65536)
            except TimeoutError:
                sent.append(total)
            sock.settimeout(20)

        gateway = self.through(upgraded(talk), workers=1)
        client = self.client(gateway, windows=False)
        tunnel = self.open(gateway, client, protocol="bytes")
        other = self.open(gateway, protocol="bytes")
        wait_until(lambda: sent, "the origin is held up")
        self.assertLess(sent[0], 16 << 20)
        client.pump(lambda: len(tunnel.exchange.body) >= 65535)
        self.assertEqual(len(tunnel.exchange.body), 65535)
        client.reset(tunnel.stream)
        other.client.sock.close()
        self.all_gone(gateway)

    def test_silence_ends_it(self):
        gateway = self.through(echo, '{ idle_timeout = "300ms"; }')
        tunnel = self.open(gateway)
        tunnel.echo(b"x")
        self.assertEqual(tunnel.hear(), (CLOSE, b"\x03\xe9"))
        tunnel.client.wait(tunnel.stream)
        self.assertTrue(tunnel.client.ping())
        self.all_gone(gateway)

    def test_no_time_of_an_exchange_holds_for_it(self):
        gateway = self.through(echo, extra='client = { body_timeout = "300ms"; send_timeout = "300ms"; max_body = "1K"; least_rate = "1K"; };')
        tunnel = self.open(gateway)
        tunnel.client.pump(lambda: tunnel.exchange.over, 1)
        tunnel.echo(b"x" * 20000)
        tunnel.say(b"", PING)
        self.assertEqual(tunnel.hear(), (PONG, b""))

    def test_where_there_are_none(self):
        """A CONNECT isn't an ordinary request, and 2xx would say that it is a tunnel."""
        gateway = self.through(lambda request, sock: answer(b"just 200"))
        client = self.client(gateway)
        for target, protocol, status in (("/plain", "websocket", 501), ("/fixed", "websocket", 501), ("/", "connect-udp", 501),
                                         ("/", "websocket", 502)):
            tunnel = StreamTunnel(client, protocol, target)
            client.wait(tunnel.stream)
            self.assertEqual(tunnel.exchange.status, status, (target, tunnel.exchange))
        self.assertEqual([request.target for request in self.end.requests], ["/"])
        for fields in ([(":method", "CONNECT"), (":authority", "a")],
                       [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("content-length", "3")]):
            stream = client.headers(fields, end=False)
            client.wait(stream)
            self.assertIn(client.streams[stream].status, (400, 501))
        stream = client.headers([(":method", "GET"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
        client.wait(stream)
        self.assertEqual(client.streams[stream].reset, 1)

    def test_another_answer_passes(self):
        gateway = self.through(lambda request, sock: answer(b"who are you?", "401 Unauthorized"))
        client = self.client(gateway)
        for _ in range(2):
            tunnel = StreamTunnel(client)
            client.wait(tunnel.stream)
            self.assertEqual((tunnel.exchange.status, bytes(tunnel.exchange.body)), (401, b"who are you?"))

    def test_a_reload_lets_it_go_on_and_drain_timeout_ends_it(self):
        settings = {"extra": 'drain_timeout = "1s";'}
        gateway = self.through(echo, **settings)
        old = gateway.wait_processes("worker", 2)
        tunnel = self.open(gateway)
        gateway.reload()
        gateway.wait_processes("worker", 2, old)
        tunnel.echo(b"still here")
        self.assertEqual(tunnel.hear(), (CLOSE, b"\x03\xf4"))
        self.all_gone(gateway)
        self.assertEqual(gateway.status()["stats"]["tunnels_cut"], 1)
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "drain")

    def test_many_that_come_and_go(self):
        gateway = self.through(echo, workers=1)
        client = self.client(gateway)
        for i in range(100):
            tunnel = self.open(gateway, client)
            tunnel.echo(b"x")
            if i % 3 == 0:
                client.reset(tunnel.stream)
                continue
            if i % 3 == 1:
                tunnel.say(b"\x03\xe8", CLOSE)
                tunnel.hear()
            tunnel.send(b"", end=True)
        self.all_gone(gateway)
        self.assertTrue(client.ping())
