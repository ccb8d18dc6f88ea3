"""The limits of client connections: each has its setting, its count, and its own answer or line in the log."""
import json
import select
import socket
import threading

from gatehouse import answer, free_port, limit, no_more_descriptors, wait_until
from pair import Pair
from h2peer import H2Client, NO_ERROR
from peers import Client

PING = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "pong"; }; } ); }'


class Limits(Pair):
    def serve(self, extra="", **settings):
        return self.gateway(workers=1, apis=PING, extra=extra, **settings)

    def stat(self, gateway, name, count):
        wait_until(lambda: gateway.status()["stats"][name] >= count, f"{name} of {count}")

    def fill(self, port, count):
        """So many connections that have been answered once, and stay."""
        clients = []
        for _ in range(count):
            client = Client(port)
            self.addCleanup(client.close)
            self.assertEqual(client.request("GET", "/").status, 200)
            clients.append(client)
        return clients

    def waits(self, client, gateway):
        """Connected by the kernel, but nobody serves it: others are, meanwhile."""
        client.send_head("GET", "/")
        self.assertTrue(client.quiet(0.1))

    def test_connections_of_a_listener(self):
        other = free_port()
        gateway = self.serve(listeners="")
        gateway.reload(listeners=f"""{{ name = "small"; listen = "127.0.0.1:{gateway.port}"; max_connections = 2; }},
            "127.0.0.1:{other}" """)
        first, _ = self.fill(gateway.port, 2)
        with gateway.client() as third:
            self.waits(third, gateway)
            gateway.wait_error(r"warning .*listener small: its max_connections \(2\) is reached")
            self.stat(gateway, "listener_full", 1)
            self.fill(other, 5)  # the other listener has no such limit
            first.close()
            self.assertEqual(third.answer().status, 200)
        stats = gateway.status()["stats"]
        self.assertEqual(stats["worker_full"], 0)
        self.assertLess(stats["listener_full"], 10)  # it is not asked again and again
        # All are counted back: two have room again, and again.
        for _ in range(5):
            for client in self.fill(gateway.port, 1):
                client.close()

    def test_connections_of_a_worker(self):
        gateway = self.serve("max_connections = 16;")
        clients = self.fill(gateway.port, 16)
        with gateway.client() as one_more:
            self.waits(one_more, gateway)
            gateway.wait_error(r"warning .*max_connections \(16\) is reached")
            self.stat(gateway, "worker_full", 1)
            clients[7].close()
            self.assertEqual(one_more.answer().status, 200)
        self.assertEqual(gateway.status()["stats"]["listener_full"], 0)

    def test_headers_to_come_count(self):
        """A connection whose PROXY header is awaited has its place in both counts."""
        gateway = self.serve("max_connections = 16;", listeners="")
        gateway.reload(listeners=f"""{{ listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "on";
            max_connections = 2; }}""")
        with gateway.client() as first, gateway.client() as second:
            first.send(b"PROXY")
            second.send(b"PROXY")
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 2, "two connections")
            with gateway.client() as third:
                third.send(b"PROXY UNKNOWN\r\n")
                self.waits(third, gateway)
                self.stat(gateway, "listener_full", 1)
                first.close()
                self.assertEqual(third.answer().status, 200)

    def from_address(self, address, gateway):
        client = gateway.client(source=address)
        self.addCleanup(client.close)
        return client

    def refused(self, client):
        """The answer comes by itself, whatever the client had in mind."""
        self.problem(client.answer(), 429, "as many connections as it may have")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.reader.to_end(), b"")

    def test_connections_of_an_address(self):
        gateway = self.serve('client = { max_per_address = 2; }; trusted_proxies = "127.0.0.9";')
        first, second = self.fill(gateway.port, 2)
        for number in range(1, 4):
            self.refused(self.from_address("127.0.0.1", gateway))
            self.stat(gateway, "address_refused", number)
        gateway.wait_error(r"warning .*127\.0\.0\.1 has client\.max_per_address \(2\) connections")
        line = gateway.wait_access(5)[-1]
        self.assertEqual((line["status"], line["problem"], line["client"]), (429, "too-many-connections", "127.0.0.1"))
        # Others have room; a trusted proxy is many clients.
        for address, count in (("127.0.0.2", 2), ("127.0.0.9", 10)):
            for _ in range(count):
                self.assertEqual(self.from_address(address, gateway).request("GET", "/").status, 200)
        self.refused(self.from_address("127.0.0.2", gateway))
        # Given back when it is closed; what was refused never counted.
        self.assertEqual(second.request("GET", "/").status, 200)
        for _ in range(5):
            first.close()
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 13, "the end of one")
            first, = self.fill(gateway.port, 1)

    def test_too_many_of_an_address_over_http2(self):
        """Each is told in the version that it speaks, and by GOAWAY to go."""
        gateway = self.serve("client = { max_per_address = 1; };")
        self.fill(gateway.port, 1)
        with H2Client(gateway.port) as client:
            answer = client.request("GET", "/")
            self.assertEqual((answer.status, json.loads(answer.body)["status"]), (429, 429))
            self.assertEqual(client.end(), NO_ERROR)
        with H2Client(gateway.port, preface=False) as client:  # only a part of the preface comes
            client.send(b"PRI")
            self.refused_of(client.sock)
        self.assertEqual(gateway.wait_access(3)[1]["version"], "HTTP/2")
        wait_until(lambda: gateway.processes("worker")[0]["connections"] == 1, "the end of those")

    def refused_of(self, sock):
        said = b""
        while data := sock.recv(65536):
            said += data
        self.assertTrue(said.startswith(b"HTTP/1.1 429 "), said)

    def test_request_under_way_gets_the_answer(self):
        """A client that has sent its request, a large one too, reads the 429, and not a reset."""
        gateway = self.serve("client = { max_per_address = 1; };")
        self.fill(gateway.port, 1)
        for body in (b"", b"x" * 300000):
            with gateway.client() as client:
                client.send_head("POST", "/", body=body)
                self.problem(client.answer(), 429)

    def test_address_of_the_header_counts(self):
        gateway = self.serve("client = { max_per_address = 1; };", listeners="")
        gateway.reload(listeners=f'{{ listen = "[::]:{gateway.port}"; proxy_protocol = "on"; }}')

        def connect(source, destination):
            client = self.from_address("127.0.0.1", gateway)
            family = "TCP6" if ":" in source else "TCP4"
            client.send(f"PROXY {family} {source} {destination} 1 2\r\n")
            return client
        for source, destination, same in (("192.0.2.1", "192.0.2.9", "192.0.2.1"), ("192.0.2.2", "192.0.2.9", "192.0.2.2"),
                                          ("2001:db8::1", "::1", "2001:db8::ffff:1"), ("2001:db8:0:1::1", "::1", "2001:db8:0:1::2")):
            self.assertEqual(connect(source, destination).request("GET", "/").status, 200)
            self.refused(connect(same, destination))

    def test_flood_of_an_address(self):
        """What is over the limit costs little, and others are served all the while."""
        gateway = self.serve("client = { max_per_address = 1; };")
        self.fill(gateway.port, 1)
        flood = [self.from_address("127.0.0.1", gateway) for _ in range(300)]
        self.stat(gateway, "address_refused", 300)
        self.assertLessEqual(gateway.processes("worker")[0]["connections"], 65)
        self.assertEqual(self.from_address("127.0.0.2", gateway).request("GET", "/").status, 200)
        self.assertLessEqual(gateway.errors().count("max_per_address"), 10)
        self.assertGreaterEqual(sum(client.closed().startswith(b"HTTP/1.1 429") for client in flood), 1)
        for client in flood:
            client.close()
        wait_until(lambda: gateway.processes("worker")[0]["connections"] == 2, "the end of the flood")

    def test_requests_of_a_connection(self):
        gateway = self.serve("client = { max_requests = 3; };")
        with gateway.client() as client:
            self.assertEqual([client.request("GET", "/").get("Connection") for _ in range(3)], [None, None, "close"])
            self.assertEqual(client.closed(), b"")
        self.stat(gateway, "last_requests", 1)
        with gateway.client() as client:  # in a row: the fourth is not answered
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
            self.assertEqual(client.closed().count(b"HTTP/1.1 200 OK"), 3)
        with gateway.client() as client:  # what ends by itself is not counted
            client.request("GET", "/")
            client.request("GET", "/")
            client.request("GET", "/", fields=[("Connection", "close")])
        self.assertEqual(gateway.status()["stats"]["last_requests"], 2)

    def drip(self, client, piece, pause, count):
        """Sends pieces until it is answered; how many it took."""
        for number in range(count):
            client.send(piece)
            if not client.quiet(pause):
                return number + 1
        return count

    def test_least_rate_of_a_body(self):
        gateway, origin = self.pair(extra='client = { body_timeout = "10s"; least_rate = "1000"; least_rate_window = "500ms"; };')
        for head, piece in ((b"Content-Length: 100000\r\n\r\n", b"x"), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")):
            with gateway.client() as client:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + head)
                self.assertLess(self.drip(client, piece, 0.05, 400), 400)
                self.problem(client.answer(), 408, "least rate")
        self.assertEqual(gateway.status()["stats"]["slow_bodies"], 2)
        self.assertEqual(gateway.wait_access(2)[-1]["problem"], "request-timeout")
        # Who sends enough has all the time that it wants.
        with gateway.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n")
            self.assertEqual(self.drip(client, b"x" * 200, 0.05, 39), 39)
            client.send(b"x" * 200)
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(len(origin.requests[-1].body), 8000)

    def test_body_that_the_upstream_holds_up(self):
        """The time in which nobody reads isn't the client's."""
        release = threading.Event()

        def serve(sock):
            release.wait(20)
            data = b""
            while not data.endswith(b"\r\n0\r\n\r\n"):
                data = data[-10:] + sock.recv(1 << 20)
            sock.sendall(answer(b"all of it"))
        origin = self.raw(serve)
        origin.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        gateway = self.proxy(origin.text, extra="""client = { least_rate = "5M"; least_rate_window = "1s"; };""")
        with gateway.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            data, sent = b"10000\r\n" + b"x" * 65536 + b"\r\n", 0
            # Until nothing moves any more: two windows, in which the rate would ask for more than the buffers hold.
            while select.select([], [client.sock], [], 2)[1]:
                sent += client.sock.send(data[sent % len(data):])
                self.assertLess(sent, 100_000_000)
            release.set()
            client.send(data[sent % len(data):] + b"0\r\n\r\n")
            self.assertEqual(client.answer().body, b"all of it")
        self.assertEqual(gateway.status()["stats"]["slow_bodies"], 0)

    def read(self, gateway, size, pause):
        """Reads that many bytes at a time until the answer is over or cut; how many came."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)  # as on a network: the loopback's are huge
        sock.settimeout(20)
        sock.connect(("127.0.0.1", gateway.port))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        total, never = 0, threading.Event()
        try:
            while data := sock.recv(size):
                total += len(data)
                if pause:
                    never.wait(pause)
        except ConnectionResetError:
            return total, True
        return total, False

    def test_least_rate_of_an_answer(self):
        body = b"x" * 50_000_000
        gateway, _ = self.pair(lambda request, sock: answer(body),
                               extra='client = { send_timeout = "20s"; least_rate = "400K"; least_rate_window = "1s"; };')
        total, cut = self.read(gateway, 2000, 0.02)
        self.assertTrue(cut)
        self.assertLess(total, 1_000_000)
        self.assertEqual(gateway.status()["stats"]["slow_answers"], 1)
        line = gateway.wait_access(1)[0]
        self.assertEqual((line["status"], line["aborted"]), (200, "least_rate"))
        # At full speed the same answer arrives.
        total, cut = self.read(gateway, 1 << 20, 0)
        self.assertFalse(cut)
        self.assertGreater(total, len(body))
        self.assertEqual(gateway.status()["stats"]["slow_answers"], 1)
        self.assertEqual(gateway.wait_access(2)[1]["aborted"], "")

    def test_stalled_reader(self):
        body = b"x" * 20_000_000
        gateway, _ = self.pair(lambda request, sock: answer(body), extra='client = { send_timeout = "300ms"; least_rate = "0"; };')
        with gateway.client() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.send_head("GET", "/")
            self.assertEqual(gateway.wait_access(1)[0]["aborted"], "send_timeout")
        self.assertEqual(gateway.status()["stats"]["slow_answers"], 0)

    @limit(120)
    def test_slow_reader_is_not_stalled(self):
        """Where the kernel holds much of the answer, the socket takes no more for long; but the client moves."""
        body = b"x" * 4_000_000
        gateway, _ = self.pair(lambda request, sock: answer(body), extra='client = { send_timeout = "500ms"; };')
        total, cut = self.read(gateway, 16384, 0.02)
        self.assertFalse(cut, total)
        self.assertGreater(total, len(body))
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "")

    def test_client_that_leaves(self):
        body = b"x" * 20_000_000
        gateway, _ = self.pair(lambda request, sock: answer(body))
        with gateway.client() as client:
            client.send_head("GET", "/")
            client.reader.head()
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "client")

    def test_out_of_descriptors(self):
        gateway = self.serve()
        pid = gateway.processes("worker")[0]["pid"]
        clients = self.fill(gateway.port, 3)
        no_more_descriptors(pid)
        with gateway.client() as waiting, gateway.client() as too:
            self.waits(waiting, gateway)
            gateway.wait_error("warning .*can't accept on listener main: Too many open files; waiting")
            self.stat(gateway, "accept_failed", 1)
            self.assertEqual(clients[0].request("GET", "/").status, 200)  # those that are there are served
            clients[1].close()
            self.assertEqual(waiting.answer().status, 200)
            too.send_head("GET", "/")
            waiting.close()
            self.assertEqual(too.answer().status, 200)
        self.assertEqual(self.fill(gateway.port, 1)[0].request("GET", "/").status, 200)

    def test_idle_upstream_connections_give_way(self):
        gateway, origin = self.pair()
        pid = gateway.processes("worker")[0]["pid"]
        clients = self.fill(gateway.port, 2)
        self.assertEqual(origin.connections, 1)
        no_more_descriptors(pid)
        with gateway.client() as more:
            more.send_head("GET", "/")
            self.problem(more.answer(), 503, "descriptor")  # it was let in, and there is none for the upstream
            self.assertEqual(gateway.status()["stats"]["accept_failed"], 0)
            clients[0].close()
            wait_until(lambda: more.request("GET", "/").status == 200, "a descriptor for the upstream")

    def test_more_connections_than_descriptors(self):
        """Told at the start, with what to do about it, not when the traffic comes."""
        gateway = self.serve()
        with open("/proc/sys/fs/nr_open", encoding="utf-8") as file:
            most = int(file.read())
        if most >= 2 << 20:
            self.forbidden(f"fs.nr_open is {most}: as many descriptors as max_connections may need")
        gateway.write(extra="max_connections = 1048576;")
        done = gateway.run("reload")
        self.assertEqual(done.status, 1)
        self.assertRegex(done.text, r"max_connections: \d+ descriptors are needed and the hard limit is \d+")
        self.assertEqual(gateway.get("/").status, 200)
