"""Workers that are killed under HTTP/2 over TLS, to upstreams of HTTP/2, and under tunnels: nobody else notices, and nothing
stays taken that they had."""
import os
import random
import signal

from certificates import Authority, TlsClient
from gatehouse import NGINX_HTTP, Case, age, children, free_port, limit, wait_until
from h2peer import H2Client, Polite
from tunnels import WebSocket, echo

KILLS, WORKERS, SOCKETS = 12, 4, 20
APIS = """{ name = "a"; routes = (
    { match = { path = "/socket"; }; websocket = true; concurrency = { max = 20; }; proxy = "sockets"; },
    { match = { path = "/single"; }; concurrency = { max = 10; }; proxy = "newer"; },
    { match = { prefix = "/"; }; proxy = "newer"; } ); }"""


class Kills(Case):
    def start(self):
        self.authority, self.port, origin, clear = Authority(self.folder), free_port(), free_port(), free_port()
        leaf = self.authority.issue("localhost")
        self.run_nginx(origin, f"""events {{ worker_connections 1024; }} http {{ {NGINX_HTTP} keepalive_requests 1000000;
            server {{ listen 127.0.0.1:{origin} http2; location / {{ return 200 "hello"; }} }} }}""")
        self.running = self.gateway(
            workers=WORKERS, apis=APIS, upstreams=f"""
                newer = {{ endpoints = ( "127.0.0.1:{origin}" ); protocol = "h2c"; }};
                sockets = {{ endpoints = ( "{self.origin(echo).text}" ); }};""",
            listeners=f"""{{ listen = "127.0.0.1:{self.port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }},
                {{ listen = "127.0.0.1:{clear}"; }}""")
        self.running.deaths_expected = True
        self.running.port = clear
        self.running.wait_processes("worker", WORKERS)

    def victims(self):
        return [process["pid"] for process in self.running.processes("worker")
                if children(self.running.pid).get(process["pid"], "Z") != "Z" and (age(process["pid"]) or 0) > 1.5]

    def sockets(self):
        """So many that talk; those of the dead are replaced."""
        while len(self.talking) < SOCKETS:
            self.talking.append(WebSocket(self.running.port, "/socket"))
        for one in list(self.talking):
            try:
                one.echo(b"here")
            except (OSError, EOFError):
                self.talking.remove(one)
                one.close()

    @limit(150)
    def test_nothing_stays_taken(self):
        self.start()
        tls, chance = TlsClient(self.authority, alpn=("h2",)), random.Random(KILLS)
        clients = [Polite(lambda: H2Client(sock=tls.open(self.port).sock), ("/",), mortal=True) for _ in range(2)]
        self.talking = []
        for _ in range(KILLS):
            self.sockets()
            os.kill(chance.choice(wait_until(self.victims, "a victim")), signal.SIGKILL)
        self.assertEqual([client.finish() for client in clients], [[], []], self.running.said())
        self.assertGreater(sum(client.cut for client in clients), 0)
        for one in self.talking:
            one.close()
        self.running.wait_processes("worker", WORKERS)
        wait_until(self.free, lambda: f"nothing to be taken: {self.running.status()}")
        with H2Client(sock=tls.open(self.port).sock) as client:
            streams = [client.start("GET", "/single") for _ in range(10)]
            client.wait(*streams)
            self.assertEqual({client.streams[stream].status for stream in streams}, {200})
        again = [WebSocket(self.running.port, "/socket") for _ in range(SOCKETS)]  # the whole of its concurrency
        for one in again:
            one.echo(b"again")
            one.close()

    def free(self):
        status = self.running.status()
        return (all(process["connections"] == process["tunnels"] == 0
                    for process in status["processes"] if process["role"] == "worker") and
                all(endpoint["in_flight"] == 0 for upstream in status["upstreams"] for endpoint in upstream["endpoints"]))
