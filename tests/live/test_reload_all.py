"""Reloads under everything that is long: wrk over TLS, clients of HTTP/2 that honour GOAWAY, WebSockets in cleartext, which move,
and over TLS, which stay where they are, and gRPC's streams. Nothing is cut, nothing refused."""
import queue
import select

import grpc

from certificates import Authority, TlsClient
from gatehouse import Case, Load, free_port, limit, wait_until
from h2peer import H2Client, Polite
from peers_grpc import GrpcClient, GrpcServer
from tunnels import CLOSE, WebSocket, echo

APIS = """{ name = "a"; routes = ( { match = { prefix = "/test.Echo"; }; grpc = true; proxy = "calls"; },
    { match = { path = "/socket"; }; websocket = true; proxy = "sockets"; },
    { match = { prefix = "/"; }; proxy = "origin"; } ); }"""
SOCKETS = 200
CALLS = 50     # streams of gRPC, in both directions
PERIOD = 1    # seconds between two reloads
SECONDS = 8


class Talk:
    """A call of gRPC that goes on in both directions."""

    def __init__(self, client):
        self.said = queue.SimpleQueue()
        self.heard = client.bidi(iter(self.said.get, None), timeout=60)

    def echo(self, payload):
        self.said.put(payload)
        heard = next(self.heard)
        if heard != payload:
            raise AssertionError(f"said {payload}, heard {heard}")

    def close(self):
        """Ends it in order: no more messages, and the status OK."""
        self.said.put(None)
        rest = list(self.heard)
        if rest or self.heard.code() != grpc.StatusCode.OK:
            raise AssertionError(f"at its end: {rest}, {self.heard.code()}")


class ReloadAll(Case):
    def grpc_server(self):
        server = GrpcServer()
        self.addCleanup(server.close)
        return server

    @limit(120)
    def test_each_second(self):
        authority, port = Authority(self.folder), free_port()
        leaf = authority.issue("localhost")
        gateway = self.gateway(
            apis=APIS, upstreams=f"""origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};
                sockets = {{ endpoints = ( "{self.origin(echo).text}" ); }};
                calls = {{ endpoints = ( "{self.grpc_server().text}" ); protocol = "h2c"; }};""",
            listeners=f"""{{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }},
                {{ listen = "127.0.0.1:%d"; }}""" % (clear := free_port()))
        tls = TlsClient(authority, alpn=("h2",))
        clients = [*(Polite(lambda: H2Client(sock=tls.open(port).sock)) for _ in range(2)), Polite(lambda: H2Client(clear))]
        https = TlsClient(authority)
        sockets = [*(WebSocket(clear, "/socket") for _ in range(SOCKETS)),
                   *(WebSocket.over(https.open(port), "/socket") for _ in range(SOCKETS // 10))]
        callers = [GrpcClient(clear) for _ in range(5)]
        talks = [Talk(callers[number % 5]) for number in range(CALLS)]
        load = Load(port, seconds=SECONDS, connections=32, tls=True)
        count = 0
        while load.running():
            gateway.reload()
            count += 1
            for number, one in enumerate(sockets + talks):
                one.echo(f"{count} {number}".encode())
            select.select([], [], [], PERIOD)
        result = load.finish()
        wrong = [client.finish() for client in clients]
        self.assertEqual((result["errors"], wrong), (0, [[], [], []]), f"{count} reloads: {result['text']}{gateway.said()}")
        self.assertGreater(result["requests"], 100)
        for client in clients:
            self.assertGreater(client.answers, 100)
            self.assertGreater(client.connections, 1)
        self.assertEqual(gateway.status()["stats"]["tunnels"], len(sockets))
        for one in sockets + talks:
            one.echo(b"still there")
            one.close()
        for caller in callers:
            self.assertEqual(caller.unary(b"after all", timeout=20), b"after all")
            caller.channel.close()
        wait_until(lambda: not gateway.processes("worker", ("draining",)), "the old workers' end")
        self.assertEqual([gateway.status()["stats"][name] for name in ("cut_requests", "cut_connections", "tunnels_cut")], [0] * 3)

    def test_what_is_longer_than_the_drain_timeout(self):
        """It is cut then, and counted; nothing else is."""
        authority, port = Authority(self.folder), free_port()
        leaf = authority.issue("localhost")
        gateway = self.gateway(
            workers=1, apis=APIS, extra='drain_timeout = "500ms";', upstreams=f"""
                origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};
                sockets = {{ endpoints = ( "{self.origin(echo).text}" ); }};
                calls = {{ endpoints = ( "{self.grpc_server().text}" ); protocol = "h2c"; }};""",
            listeners=f"""{{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }},
                {{ listen = "127.0.0.1:%d"; }}""" % (clear := free_port()))
        with GrpcClient(clear) as client:
            talk, moved = Talk(client), WebSocket(clear, "/socket")
            stays = WebSocket.over(TlsClient(authority).open(port), "/socket")
            for one in (talk, moved, stays):
                one.echo(b"before")
            gateway.reload()
            with self.assertRaises(grpc.RpcError) as cut:
                next(talk.heard)
            self.assertEqual(cut.exception.code(), grpc.StatusCode.UNAVAILABLE)
            opcode, payload = stays.hear()
            self.assertEqual((opcode, payload[:2]), (CLOSE, b"\x03\xf4"))  # 1012: the service restarts
            moved.echo(b"after")
        wait_until(lambda: not gateway.processes("worker", ("draining",)), "the old worker's end")
        self.assertEqual([gateway.status()["stats"][name] for name in ("cut_requests", "tunnels_cut")], [1, 1])
