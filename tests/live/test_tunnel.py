"""Tunnels of other protocols: each direction ends for itself, slow ends hold up the other one with bounded memory, silence and
deaths."""
import os
import select
import signal
import socket
import threading

from gatehouse import Case, alive, limit, resident, slow, wait_until
from tunnels import reset, receive_all, start_upgrade, upgraded

ROUTE = """{ name = "a"; %s routes = ( { match = { prefix = "/"; }; upgrade = %s;
    proxy = { upstream = "origin"; }; } ); }"""


def echo(sock):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


class Tunnels(Case):
    def through(self, talk, upgrade='[ "echo/1" ]', policies="", upstream="", **settings):
        self.end = self.origin(upgraded(talk))
        return self.gateway(apis=ROUTE % (policies, upgrade),
                            upstreams=f'origin = {{ endpoints = ( "{self.end.text}" ); {upstream} }};', **settings)

    def tunnel(self, gateway, protocol="echo/1"):
        client = gateway.client()
        self.addCleanup(client.close)
        head = start_upgrade(client, protocol)
        self.assertEqual((head.status, head.get("Upgrade")), (101, protocol), head)
        return client

    def both_gone(self, gateway):
        wait_until(lambda: not self.end.open, "the origin's connections are closed")
        wait_until(lambda: not sum(process["tunnels"] for process in gateway.processes(states=None)), "no tunnel is open")

    def test_bytes_both_ways(self):
        gateway = self.through(echo)
        client = self.tunnel(gateway)
        said = os.urandom(3_000_000)
        sender = threading.Thread(target=lambda: (client.sock.sendall(said), client.sock.shutdown(socket.SHUT_WR)))
        sender.start()
        self.assertTrue(client.reader.to_end() == said)
        sender.join()
        line = gateway.wait_access(1)[0]
        self.assertEqual((line["status"], line["aborted"], line["problem"]), (101, "", ""), line)
        self.assertGreater(line["bytes_in"], len(said))
        self.assertGreater(line["bytes_out"], len(said))
        self.both_gone(gateway)

    def test_only_what_is_allowed(self):
        gateway = self.through(echo, '[ "echo/1", "other" ]')
        self.tunnel(gateway, "ECHO/1")
        self.tunnel(gateway, "other")
        for protocol in ("echo", "echo/2", "websocket"):
            with gateway.client() as client:
                client.send_head("GET", "/", [("Upgrade", protocol), ("Connection", "upgrade")])
                self.end.wait(lambda end: len(end.requests) > 2)
                self.assertEqual(self.end.requests.pop().all("Upgrade"), [], protocol)

    def test_the_client_ends_first(self):
        """What the client has said is answered after its FIN."""

        def talk(sock):
            said = receive_all(sock)
            sock.sendall(b"you said " + said)

        gateway = self.through(talk)
        client = self.tunnel(gateway)
        client.send(b"all of it")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.closed(), b"you said all of it")
        self.both_gone(gateway)
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "")

    def test_the_origin_ends_first(self):
        heard = []

        def talk(sock):
            sock.sendall(b"I say no more")
            sock.shutdown(socket.SHUT_WR)
            heard.append(receive_all(sock))

        gateway = self.through(talk)
        client = self.tunnel(gateway)
        self.assertEqual(client.reader.to_end(), b"I say no more")
        client.send(b"but ")
        client.send(b"I do")
        client.sock.shutdown(socket.SHUT_WR)
        self.both_gone(gateway)
        self.assertEqual(heard, [b"but I do"])
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "")

    def test_a_reset_of_the_origin_is_passed_on(self):
        """What is cut short can't be taken for whole."""
        gateway = self.through(lambda sock: (sock.recv(1), reset(sock)))
        client = self.tunnel(gateway)
        client.send(b"x")
        with self.assertRaises(ConnectionResetError):
            client.sock.recv(1)
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "upstream")
        self.both_gone(gateway)

    def test_a_reset_of_the_client_is_passed_on(self):
        ends = []
        gateway = self.through(lambda sock: ends.append(self.fails(sock)))
        reset(self.tunnel(gateway).sock)
        wait_until(lambda: ends == [True], "the origin sees the reset")

    def fails(self, sock):
        try:
            return sock.recv(1) is None
        except ConnectionResetError:
            return True

    def fill(self, sock):
        """Sends until nothing more is taken for a while; how much that was."""
        sock.setblocking(False)
        sent = 0
        while select.select([], [sock], [], 0.5)[1]:
            try:
                sent += sock.send(b"x" * 65536)
            except BlockingIOError:
                pass
        sock.setblocking(True)
        sock.settimeout(10)
        return sent

    def test_a_slow_origin_holds_the_client_up(self):
        go = threading.Event()
        heard = []
        self.addCleanup(go.set)
        gateway = self.through(lambda sock: (go.wait(), heard.append(len(receive_all(sock)))), workers=1)
        worker = gateway.wait_processes("worker", 1)[0]
        before = resident(worker)
        client = self.tunnel(gateway)
        sent = self.fill(client.sock)
        if not slow():
            self.assertLess(resident(worker) - before, 4 << 20, "memory of the worker")
        go.set()
        client.sock.shutdown(socket.SHUT_WR)
        self.both_gone(gateway)
        self.assertEqual(heard, [sent])

    def test_a_slow_client_holds_the_origin_up(self):
        sent = []
        gateway = self.through(lambda sock: sent.append(self.fill(sock)), workers=1)
        worker = gateway.wait_processes("worker", 1)[0]
        before = resident(worker)
        client = self.tunnel(gateway)
        wait_until(lambda: sent, "the origin is held up")
        if not slow():
            self.assertLess(resident(worker) - before, 4 << 20, "memory of the worker")
        self.assertEqual(len(client.reader.to_end()), sent[0])
        client.close()
        self.both_gone(gateway)

    def test_one_held_up_does_not_hold_up_others(self):
        gateway = self.through(lambda sock: (sock.recv(1) == b"s" and (self.fill(sock), stay.wait())) or echo(sock), workers=1)
        stay = threading.Event()
        self.addCleanup(stay.set)
        blocked, other = self.tunnel(gateway), self.tunnel(gateway)
        blocked.send(b"s")
        other.send(b"e")
        for i in range(100):
            other.send(b"%4d" % i)
            self.assertEqual(other.reader.take(4), b"%4d" % i)

    def test_silence_ends_it(self):
        gateway = self.through(echo, '{ protocols = "echo/1"; idle_timeout = "300ms"; }')
        client = self.tunnel(gateway)
        client.send(b"x")
        self.assertEqual(client.reader.to_end(), b"x")
        self.both_gone(gateway)
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "idle_timeout")

    def test_silence_while_one_end_takes_nothing(self):
        """A peer that is gone without a word leaves nothing behind, however much was meant for it."""
        gateway = self.through(self.fill, '{ protocols = "echo/1"; idle_timeout = "1s"; }')
        self.tunnel(gateway)
        gateway.wait_access(1)
        self.both_gone(gateway)

    def test_concurrency_holds_for_its_life(self):
        gateway = self.through(echo, policies="concurrency = 1;")
        first = self.tunnel(gateway)
        with gateway.client() as client:
            self.problem(client.request("GET", "/", [("Upgrade", "echo/1"), ("Connection", "upgrade")]), 429)
        first.close()
        self.both_gone(gateway)
        self.tunnel(gateway)

    def test_it_takes_a_connection_of_the_upstream(self):
        gateway = self.through(echo, upstream="max_connections = 1;", workers=1)
        first = self.tunnel(gateway)
        with gateway.client() as client:
            self.problem(client.request("GET", "/", [("Upgrade", "echo/1"), ("Connection", "upgrade")]), 503)
        first.close()
        self.both_gone(gateway)
        self.tunnel(gateway)

    def test_its_end_is_no_failure(self):
        """Neither the breaker nor ejection counts what broke off after 101."""
        gateway = self.through(lambda sock: (sock.recv(1), reset(sock)),
                               upstream="breaker = { errors = 2; }; ejection = { consecutive = 2; };", workers=1)
        for _ in range(5):
            client = self.tunnel(gateway)
            client.send(b"x")
            client.closed()
        upstream = gateway.status()["upstreams"][0]
        self.assertEqual((upstream["breaker"]["state"], upstream["endpoints"][0]["state"]), ("closed", "up"), upstream)
        self.assertEqual(gateway.status()["stats"]["upstream_errors"], 0)

    def test_a_worker_that_dies_takes_only_its_own(self):
        gateway = self.through(echo)
        gateway.deaths_expected = True
        clients = [self.tunnel(gateway) for _ in range(24)]
        held = {process["pid"]: process["tunnels"] for process in wait_until(
            lambda: (lambda found: sum(one["tunnels"] for one in found) == 24 and found)(gateway.processes("worker")), "24 tunnels")}
        victim = max(held, key=held.get)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not alive(victim), "its death")
        gone = 0
        for client in clients:
            try:
                client.send(b"x")
                gone += client.sock.recv(1) == b""
            except ConnectionError:
                gone += 1
        self.assertEqual(gone, held[victim])
        wait_until(lambda: sum(process["tunnels"] for process in gateway.processes(states=None)) == 24 - gone, "the others' count")

    @limit(120)
    def test_many_that_come_and_go(self):
        """Nothing is left of a tunnel, however it ended."""
        gateway = self.through(echo, workers=1)

        def some():
            for i in range(60):
                client = self.tunnel(gateway)
                client.send(b"x" * 1000)
                client.reader.take(1000)
                if i % 3 == 0:
                    reset(client.sock)
                elif i % 3 == 1:
                    client.sock.shutdown(socket.SHUT_WR)
                    client.closed()
                client.close()
            self.both_gone(gateway)

        worker = gateway.wait_processes("worker", 1)[0]
        some()
        count, memory = len(os.listdir(f"/proc/{worker}/fd")), resident(worker)
        some()
        self.assertEqual(len(os.listdir(f"/proc/{worker}/fd")), count)
        if not slow():
            self.assertLess(resident(worker) - memory, 256 << 10)
