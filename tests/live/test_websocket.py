"""WebSocket through the gateway: handshakes, messages of all sizes, closing from both sides, and what isn't a WebSocket."""
import asyncio
import os

import websockets

from gatehouse import Case, Gateway, answer, wait_until
from tunnels import BINARY, CLOSE, PING, PONG, TEXT, Server, WebSocket, echo, frame, handshake_fields, reset, switch

ROUTES = """{ name = "chat"; websocket = %s; routes = ( { name = "all"; match = { prefix = "/"; };
    proxy = { upstream = "origin"; }; } ); }"""


async def say_again(websocket):
    async for message in websocket:
        await websocket.send(message)


class Chat(Case):
    def through(self, origin, websocket="true", upstream="", **settings):
        """A gateway before an origin."""
        return self.gateway(apis=ROUTES % websocket,
                            upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); {upstream} }};', **settings)

    def server(self, serve=say_again, **options):
        server = Server(serve, **options)
        self.addCleanup(server.close)
        return server

    def websocket(self, gateway, *words, **options):
        websocket = WebSocket(gateway.port, *words, **options)
        self.addCleanup(websocket.close)
        return websocket

    def open_tunnels(self, gateway):
        return sum(process["tunnels"] for process in gateway.processes(states=None))

    def wait_tunnels(self, gateway, count):
        wait_until(lambda: self.open_tunnels(gateway) == count, f"{count} tunnels")


class Messages(Chat):
    def test_a_library_on_both_sides(self):
        gateway = self.through(self.server(subprotocols=["chat"]))

        async def converse():
            async with websockets.connect(f"ws://localhost:{gateway.port}/room?id=1", subprotocols=["other", "chat"],
                                          max_size=None) as websocket:
                self.assertEqual(websocket.subprotocol, "chat")
                self.assertTrue(websocket.extensions, "permessage-deflate is the business of the two ends")
                for size in (0, 1, 125, 126, 65535, 65536, 900000):
                    for message in (os.urandom(size), "ü" * (size // 2)):
                        await websocket.send(message)
                        self.assertEqual(await websocket.recv(), message)
                await (await websocket.ping())
                await websocket.close(4001, "enough")
                return websocket.close_code

        self.assertEqual(asyncio.run(converse()), 4001)
        line = gateway.wait_access(1)[0]
        self.assertEqual((line["status"], line["api"], line["route"], line["aborted"], line["problem"]),
                         (101, "chat", "all", "", ""), line)
        self.assertGreater(line["bytes_in"], 900000)
        self.assertGreater(line["bytes_out"], 900000)
        stats = gateway.status()["stats"]
        self.assertEqual((stats["tunnels"], stats["upstream_errors"], stats["aborted"]), (1, 0, 0))
        self.wait_tunnels(gateway, 0)

    def test_what_the_origin_is_asked(self):
        origin = self.origin(echo)
        gateway = self.through(origin)
        websocket = self.websocket(gateway, "/a/../room?x=1", [("Sec-WebSocket-Protocol", "chat"), ("Origin", "http://here")])
        websocket.echo(b"hello")
        request = origin.requests[0]
        self.assertEqual(request.first, "GET /room?x=1 HTTP/1.1")
        for name, value in (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Protocol", "chat"),
                            ("Origin", "http://here"), ("X-Forwarded-For", "127.0.0.1")):
            self.assertEqual(request.all(name), [value], request)
        self.assertEqual(request.get("Connection").lower(), "upgrade")
        self.assertEqual(len(request.all("Sec-WebSocket-Key")), 1)
        self.assertEqual(websocket.head.get("Upgrade"), "websocket")
        self.assertIsNotNone(websocket.head.get("X-Request-Id"))
        self.assertEqual(self.open_tunnels(gateway), 1)

    def test_bytes_with_the_handshake(self):
        """What comes in one packet with the heads is not lost, on either side."""

        def serve(request, sock):
            sock.sendall(switch(request) + frame(TEXT, b"welcome"))
            sock.sendall(frame(TEXT, b"you said " + sock.recv(100)))
            raise ConnectionError

        gateway = self.through(self.origin(serve))
        with gateway.client() as client:
            lines = "".join(f"{name}: {value}\r\n" for name, value in handshake_fields())
            client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\nearly")
            self.assertEqual(client.answer(informational=True).status, 101)
            self.assertEqual(client.closed(), frame(TEXT, b"welcome") + frame(TEXT, b"you said early"))

    def test_control_frames_go_through(self):
        gateway = self.through(self.origin(echo))
        websocket = self.websocket(gateway)
        websocket.say(b"are you there", PING)
        self.assertEqual(websocket.hear(), (PONG, b"are you there"))
        websocket.say(b"\x00\xff", BINARY)
        self.assertEqual(websocket.hear(), (BINARY, b"\x00\xff"))
        websocket.say(b"\x03\xe8", CLOSE)
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe8"))
        self.assertEqual(websocket.closed(), b"")

    def test_many_at_a_time(self):
        gateway = self.through(self.origin(echo))
        crowd = [self.websocket(gateway) for _ in range(50)]
        for i, websocket in enumerate(crowd):
            websocket.say(b"I am %d" % i)
        for i, websocket in enumerate(crowd):
            self.assertEqual(websocket.hear(), (TEXT, b"I am %d" % i))
        self.assertEqual(self.open_tunnels(gateway), 50)
        for websocket in crowd:
            websocket.close()
        self.wait_tunnels(gateway, 0)


class Handshakes(Chat):
    def test_without_the_setting_upgrade_is_left_out(self):
        origin = self.origin()
        for setting in ("false", "{ on = false; }"):
            gateway = self.through(origin, setting)
            got = gateway.get("/", fields=handshake_fields())
            self.assertEqual((got.status, got.body), (200, b"hello from the origin"))
            self.assertEqual(origin.requests[-1].all("Upgrade"), [])
            gateway.finish()

    def test_ordinary_requests_are_as_before(self):
        origin = self.origin()
        gateway = self.through(origin)
        with gateway.client() as client:
            for fields in ([], [("Upgrade", "websocket")], [("Upgrade", "h2c, websocket"), ("Connection", "upgrade")],
                           [("Upgrade", "websocket"), ("Upgrade", "websocket"), ("Connection", "upgrade")],
                           [("Upgrade", "web socket"), ("Connection", "upgrade")], [("Upgrade", "/"), ("Connection", "upgrade")],
                           [("Upgrade", ""), ("Connection", "upgrade")], [("Upgrade", "x"), ("Connection", "upgrade")]):
                self.assertEqual(client.request("GET", "/", fields).body, b"hello from the origin", fields)
                self.assertEqual(origin.requests[-1].all("Upgrade"), [], fields)

    def test_handshakes_that_are_none(self):
        origin = self.origin(echo)
        gateway = self.through(origin)
        good = dict(handshake_fields())
        for name, value, says in (("Sec-WebSocket-Key", None, "Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "short", "Sec-WebSocket-Key"),
                                  ("Sec-WebSocket-Version", "8", "Sec-WebSocket-Version")):
            fields = [(known, value if known == name else text) for known, text in good.items()]
            got = gateway.get("/", fields=[(known, text) for known, text in fields if text])
            self.problem(got, 400, says)
        self.assertEqual(got.get("Sec-WebSocket-Version"), "13")
        with gateway.client() as client:
            self.problem(client.request("POST", "/", handshake_fields()), 400, "GET")
        self.assertEqual(origin.requests, [])

    def test_another_answer_passes(self):
        """A handshake that the origin refuses is an ordinary exchange: the connection goes on."""

        def serve(request, sock):
            return answer(b"who are you?", "401 Unauthorized", [("WWW-Authenticate", "Basic")])

        gateway = self.through(self.origin(serve))
        with gateway.client() as client:
            for _ in range(2):
                got = client.request("GET", "/", handshake_fields())
                self.assertEqual((got.status, got.body, got.get("WWW-Authenticate")), (401, b"who are you?", "Basic"))
        self.assertEqual(gateway.status()["stats"]["tunnels"], 0)

    def test_an_origin_that_switches_to_something_else(self):
        said = []

        def serve(request, sock):
            said.append(1)
            sock.sendall([b"HTTP/1.1 101 S\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n",
                          b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
                          b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
                          switch(request).replace(b"Connection: Upgrade\r\n", b"")][len(said) - 1])

        gateway = self.through(self.origin(serve))
        for says in ("another protocol", "Sec-WebSocket-Accept", "Sec-WebSocket-Accept", "another protocol"):
            self.problem(gateway.get("/", fields=handshake_fields()), 502, says)

    def test_hosts_that_answer_late_or_not(self):
        origin = self.origin(lambda request, sock: sock.recv(1))
        gateway = self.through(origin, upstream='timeout = { response = "300ms"; };')
        self.problem(gateway.get("/", fields=handshake_fields()), 504)

    def test_a_handshake_is_tried_again(self):
        def serve(request, sock):
            if len(origin.requests) == 1:
                return answer(b"", "503 Service Unavailable")
            return echo(request, sock)

        origin = self.origin(serve)
        gateway = self.through(origin, upstream="retry = { attempts = 2; statuses = [ 503 ]; };")
        self.websocket(gateway).echo(b"hello")
        self.assertEqual(len(origin.requests), 2)

    def test_the_route_decides(self):
        origin = self.origin(echo)
        gateway = self.gateway(
            apis="""{ name = "a"; routes = (
                { match = { path = "/chat"; }; websocket = { idle_timeout = "1m"; }; proxy = { upstream = "origin"; }; },
                { match = { path = "/here"; }; websocket = true; respond = { status = 200; body = "no"; }; } ); }""",
            upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        self.websocket(gateway, "/chat").echo(b"x")
        self.assertEqual(gateway.get("/here", fields=handshake_fields()).body, b"no")

    def test_bad_settings(self):
        for setting, says in (('websocket = "yes"', "websocket"), ("websocket = { idle = 3; }", "idle"),
                              ('websocket = { idle_timeout = "soon"; }', "idle_timeout"),
                              ('upgrade = [ "websocket" ]', "websocket = true"), ('upgrade = [ "h2c" ]', "rules"),
                              ('upgrade = [ "a b" ]', "no name of a protocol"), ("upgrade = [ ]", "empty")):
            gateway = Gateway(self.folder, apis='{ routes = ( { match = { path = "/"; }; %s; respond = 200; } ); }' % setting)
            done = gateway.run("check")
            self.assertEqual(done.status, 1, setting)
            self.assertIn(says, done.text)


class Ends(Chat):
    def test_the_origin_leaves(self):
        """Without a close frame: FIN is passed on."""

        def serve(request, sock):
            sock.sendall(switch(request) + frame(TEXT, b"bye"))
            raise ConnectionError

        gateway = self.through(self.origin(serve))
        websocket = self.websocket(gateway)
        self.assertEqual(websocket.hear(), (TEXT, b"bye"))
        self.assertEqual(websocket.closed(), b"")
        websocket.close()
        self.assertEqual(gateway.wait_access(1)[0]["status"], 101)
        self.assertEqual(gateway.status()["stats"]["upstream_errors"], 0)

    def test_silence_ends_it(self):
        origin = self.origin(echo)
        gateway = self.through(origin, '{ idle_timeout = "300ms"; }')
        websocket = self.websocket(gateway)
        websocket.echo(b"x")
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe9"))
        self.assertEqual(websocket.closed(), b"")
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "idle_timeout")
        self.assertEqual(gateway.status()["stats"]["tunnels_idle"], 1)
        self.wait_tunnels(gateway, 0)
        wait_until(lambda: not origin.open, "the origin's connection is closed")

    def test_a_client_that_pings_is_not_silent(self):
        gateway = self.through(self.origin(echo), '{ idle_timeout = "400ms"; }')
        websocket = self.websocket(gateway)
        for _ in range(12):
            self.assertTrue(websocket.quiet(0.1))
            websocket.say(b"", PING)
            self.assertEqual(websocket.hear(), (PONG, b""))

    def test_no_time_of_an_exchange_holds_for_it(self):
        gateway = self.through(
            self.origin(echo), upstream='timeout = { total = "400ms"; response = "300ms"; idle = "300ms"; };',
            extra='client = { body_timeout = "300ms"; send_timeout = "300ms"; max_body = "1K"; least_rate = "1K"; };')
        websocket = self.websocket(gateway)
        self.assertTrue(websocket.quiet(1))
        websocket.echo(b"x" * 100000)

    def test_the_client_dies(self):
        origin = self.origin(echo)
        gateway = self.through(origin)
        websocket = self.websocket(gateway)
        websocket.echo(b"x")
        reset(websocket.sock)
        wait_until(lambda: not origin.open, "the origin's connection is closed")
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "client")
        self.wait_tunnels(gateway, 0)
