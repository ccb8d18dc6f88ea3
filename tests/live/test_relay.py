"""Bodies that nobody needs to see go from an endpoint's socket to the client's by splice(2): what comes is the same, at every
length and in pieces of every size, past slow clients, peers that leave, and answers that can't go so."""
import os
import socket
import threading

from gatehouse import Case, Gateway, answer, wait_until
from peers import get

PATTERN = os.urandom(1 << 20)
LARGE = PATTERN * 16
ROUTE = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'


class Relay(Case):
    def start(self, serve, address=None, **settings):
        self.service = self.origin(serve, address)
        if address:
            os.chmod(address, 0o666)
        return self.gateway(upstreams=f'origin = {{ endpoints = ( "{self.service.text}" ); %s }};' % settings.pop("upstream", ""),
                            apis=ROUTE, **settings)

    def spliced(self, gateway):
        return gateway.status()["stats"]["bytes_spliced"]

    def by_length(self, request, sock):
        return answer(PATTERN[: int(request.target[1:])])

    def test_lengths(self):
        """Around every bound: of what is worth it, of the brief first read, of a read, of a piece; on one connection, so that a
        large answer is followed by a small one and the other way round."""
        gateway = self.start(self.by_length, workers=1)
        with gateway.client() as client:
            for size in (0, 1, 4000, 4096, 8191, 8192, 8193, 12288, 65536, 65537, 131072, 131073, 262144, 1 << 20):
                for length in (size, 10, size):
                    reply = client.request("GET", f"/{length}")
                    self.assertEqual((reply.status, len(reply.body)), (200, length))
                    self.assertEqual(reply.body, PATTERN[:length])
        self.assertGreater(self.spliced(gateway), 2 << 20)
        self.assertEqual(self.service.connections, 1, "the endpoint's connection was not kept")

    def test_pieces(self):
        """The endpoint sends in pieces, each seen by the client before the next is made."""
        steps = threading.Semaphore(0)

        def serve(_, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for at in range(0, 100000, 10000):
                steps.acquire()
                sock.sendall(PATTERN[at : at + 10000])

        gateway = self.start(serve)
        with gateway.client() as client:
            client.send_head("GET", "/")
            client.reader.head()
            for at in range(0, 100000, 10000):
                steps.release()
                self.assertEqual(client.reader.take(10000), PATTERN[at : at + 10000])
        self.assertGreater(self.spliced(gateway), 0)

    def test_pipelined(self):
        """The next answer waits its turn behind one that is relayed."""
        gateway = self.start(self.by_length)
        sizes = (300000, 5, 100000, 0, 70000)
        with gateway.client() as client:
            client.send("".join(f"GET /{size} HTTP/1.1\r\nHost: a\r\n\r\n" for size in sizes))
            for size in sizes:
                self.assertEqual(client.answer().body, PATTERN[:size])

    def test_slow_client(self):
        """Its socket is full again and again; what the pipe had is kept, and comes in order."""
        gateway = self.start(lambda request, sock: answer(LARGE), workers=1)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", gateway.port))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            wait_until(lambda: self.spliced(gateway) > 0, "the first piece")
            # Others are served meanwhile by the same pipe.
            self.assertEqual(get(("127.0.0.1", gateway.port), "/").body, LARGE)
            data = b"".join(iter(lambda: sock.recv(1 << 16), b""))
        self.assertEqual(data.partition(b"\r\n\r\n")[2], LARGE)

    def test_client_leaves(self):
        """In the middle of what waits for it: the endpoint's connection goes too, and the pipe is empty for the next."""
        gateway = self.start(lambda request, sock: answer(LARGE), workers=1)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                before = self.spliced(gateway)
                sock.recv(1000)
                wait_until(lambda: self.spliced(gateway) > before or sock.recv(1 << 16), "a piece")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
        wait_until(lambda: gateway.status()["stats"]["aborted"] == 5, "five that left")
        self.assertEqual(get(("127.0.0.1", gateway.port), "/").body, LARGE)

    def test_endpoint_leaves(self):
        """Too early: the client is cut, and knows it."""

        def serve(_, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + PATTERN[:150000])
            raise ConnectionError

        gateway = self.start(serve)
        with gateway.client() as client:
            client.send_head("GET", "/")
            client.reader.head()
            with self.assertRaises((EOFError, ConnectionError)):
                client.reader.take(200000)
        record = gateway.wait_access(1)[0]
        self.assertEqual((record["status"], record["aborted"]), (200, "upstream"))

    def test_endpoint_stalls(self):
        """idle is the time-out between pieces, relayed ones too."""

        def serve(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + PATTERN[:100000])

        gateway = self.start(serve, upstream='timeout = { idle = "300ms"; };')
        with gateway.client() as client:
            client.send_head("GET", "/")
            client.reader.head()
            self.assertEqual(client.reader.take(100000), PATTERN[:100000])
            with self.assertRaises((EOFError, ConnectionError)):
                client.reader.take(1)
        self.assertEqual(gateway.status()["stats"]["upstream_timeouts"], 1)

    def test_more_than_said(self):
        """What the endpoint sends behind its answer's end is nobody's: it isn't relayed, and the connection is not used again."""
        gateway = self.start(lambda request, sock: answer(PATTERN[:100000]) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        with gateway.client() as client:
            for _ in range(3):
                reply = client.request("GET", "/")
                self.assertEqual((reply.status, reply.body), (200, PATTERN[:100000]))
        self.assertEqual(self.service.connections, 3)

    def other_framings(self, address):
        """Chunks, HTTP/1.0 and HEAD, each behind an answer that was relayed."""

        def serve(request, sock):
            if request.target == "/chunked":
                return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (100000, PATTERN[:100000])
            if request.method == "HEAD":
                return b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            return answer(PATTERN[:100000])

        gateway = self.start(serve, address, workers=1)
        with gateway.client() as client:
            for method, target in (("GET", "/"), ("HEAD", "/"), ("GET", "/"), ("GET", "/chunked"), ("GET", "/")):
                reply = client.request(method, target)
                self.assertEqual(reply.body, b"" if method == "HEAD" else PATTERN[:100000])
        with gateway.client() as client:
            client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            self.assertEqual(client.answer().body, PATTERN[:100000])
        self.assertGreater(self.spliced(gateway), 150000)

    def test_other_framings(self):
        self.other_framings(None)

    def test_unix(self):
        self.other_framings(os.path.join(self.folder, "origin.sock"))
