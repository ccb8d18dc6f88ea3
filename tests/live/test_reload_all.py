"""Reloads under everything that is long: wrk over TLS, clients of HTTP/2 that honour GOAWAY, WebSockets in cleartext, which move,
and over TLS, which stay where they are. Nothing is cut, nothing refused."""
import select

from certificates import Authority, TlsClient
from gatehouse import Case, Load, free_port, limit, wait_until
from h2peer import H2Client, Polite
from tunnels import WebSocket, echo

APIS = """{ name = "a"; routes = ( { match = { path = "/socket"; }; websocket = true; proxy = "sockets"; },
    { match = { prefix = "/"; }; proxy = "origin"; } ); }"""
SOCKETS = 200
PERIOD = 1    # seconds between two reloads
SECONDS = 8


class ReloadAll(Case):
    @limit(120)
    def test_each_second(self):
        authority, port = Authority(self.folder), free_port()
        leaf = authority.issue("localhost")
        gateway = self.gateway(
            apis=APIS, upstreams=f"""origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};
                sockets = {{ endpoints = ( "{self.origin(echo).text}" ); }};""",
            listeners=f"""{{ listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }},
                {{ listen = "127.0.0.1:%d"; }}""" % (clear := free_port()))
        tls = TlsClient(authority, alpn=("h2",))
        clients = [*(Polite(lambda: H2Client(sock=tls.open(port).sock)) for _ in range(2)), Polite(lambda: H2Client(clear))]
        https = TlsClient(authority)
        sockets = [*(WebSocket(clear, "/socket") for _ in range(SOCKETS)),
                   *(WebSocket.over(https.open(port), "/socket") for _ in range(SOCKETS // 10))]
        load = Load(port, seconds=SECONDS, connections=32, tls=True)
        count = 0
        while load.running():
            gateway.reload()
            count += 1
            for number, one in enumerate(sockets):
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
        for one in sockets:
            one.echo(b"still there")
            one.close()
        wait_until(lambda: not gateway.processes("worker", ("draining",)), "the old workers' end")
        self.assertEqual([gateway.status()["stats"][name] for name in ("cut_requests", "cut_connections", "tunnels_cut")], [0] * 3)
