"""Hostile bytes: what must be refused is, with its status, and nothing of it reaches an origin."""
import socket

from gatehouse import Case

APIS = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'

REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
    (b"GET /../x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
    (b"GET /\\x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
    (b"NOPE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    # A bare CR ends the head for some parsers: what follows must not be a request of its own.
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\rX" + b"p" * 46 + b"\r\n\r\n"
     b"GET /smuggled HTTP/1.1\r\nHost: a\r\nX: 12345678\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
    (b"GET /" + b"a" * 70000, 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70000, 431),
]


def exchange(port, data):
    """All that the gateway answers to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(data)
        said = b""
        while piece := sock.recv(65536):
            said += piece
        return said


class Requests(Case):
    def test_refused(self):
        origin = self.origin()
        gateway = self.gateway(apis=APIS, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        for data, status in REFUSED:
            with self.subTest(data=data[:80]):
                said = exchange(gateway.port, data)
                self.assertTrue(said.startswith(b"HTTP/1.1 %d " % status), said[:200])
                self.assertIn(b"Connection: close\r\n", said)
                self.assertIn(b"application/problem+json", said)
        self.assertEqual(origin.requests, [])
