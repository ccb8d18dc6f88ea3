"""Content-Digest (RFC 9530): a body that isn't what it says never becomes a whole request."""
import os

from gatehouse import Case
from h2peer import H2Client
from peers import Client, answer
from signatures import content_digest

ROUTES = """{ match = { path = "/check"; }; content_digest = "check"; proxy = { upstream = "origin"; }; },
    { match = { path = "/require"; }; content_digest = "require"; proxy = { upstream = "origin"; }; },
    { match = { path = "/off"; }; proxy = { upstream = "origin"; }; },
    { match = { path = "/web"; }; grpc = true; content_digest = "check"; proxy = { upstream = "calls"; }; }"""
FIELD = "Content-Digest"


class ContentDigest(Case):
    def setUp(self):
        super().setUp()
        self.upstream = self.origin(lambda request, sock: answer(request.body))
        self.gate = self.gateway(apis=f'{{ name = "a"; routes = ( {ROUTES} ); }}',
                                 upstreams=f'origin = {{ endpoints = ( "{self.upstream.text}" ); }}; '
                                           f'calls = {{ endpoints = ( "{self.upstream.text}" ); protocol = "h2c"; }};')

    def ask(self, target, fields, body, method="POST"):
        """Over both versions: the status, and the body when it is 200."""
        with Client(self.gate.port) as client:
            first = client.request(method, target, fields, body)
        with H2Client(self.gate.port) as client:
            second = client.request(method, target, [(name.lower(), value) for name, value in fields], body)
        self.assertEqual(first.status, second.status)
        if first.status == 200:
            self.assertEqual((first.body, bytes(second.body)), (body or b"", body or b""))
        return first

    def test_right(self):
        for body in (b"x", b"hello", b"", os.urandom(300000), None):
            for algorithm in ("sha-256", "sha-512"):
                digest = content_digest(body or b"", algorithm)
                for target in ("/check", "/require"):
                    with self.subTest(length=body and len(body), target=target):
                        self.assertEqual(self.ask(target, [(FIELD, digest)], body).status, 200)
        digest = content_digest(b"hello", "sha-256")
        for value in (f"md5=:AAAA:, {digest}", f"{digest}, unixsum=:AAAA:;x"):
            self.assertEqual(self.ask("/check", [(FIELD, value)], b"hello").status, 200)
        self.assertEqual(self.ask("/check", [(FIELD, "crc32c=:AAAA:"), (FIELD, digest)], b"hello").status, 200)
        self.assertEqual(self.ask("/check", [], b"hello").status, 200)
        self.assertEqual(self.ask("/off", [(FIELD, "nonsense")], b"hello").status, 200)

    def test_not_right(self):
        digest = content_digest(b"hello", "sha-256")
        good512 = content_digest(b"hello", "sha-512")
        for body in (b"hellO", b"hell", b"hello!", b"", None, os.urandom(300000)):
            got = self.ask("/check", [(FIELD, digest)], body)
            self.problem(got, 400)
            self.assertIn(b"digest-mismatch", got.body)
        # The stronger one counts, whatever the other says.
        self.assertEqual(self.ask("/check", [(FIELD, f"{content_digest(b'x')}, {good512}")], b"hello").status, 200)
        self.assertEqual(self.ask("/check", [(FIELD, f"{digest}, {content_digest(b'x', 'sha-512')}")], b"hello").status, 400)
        for value in ("md5=:AAAA:", "nonsense", "sha-256", "sha-256=:AAAA:", "sha-256=x", f"{digest}, {digest}", "",
                      "sha-256=:" + "A" * 3000 + ":"):
            with self.subTest(value=value):
                self.problem(self.ask("/check", [(FIELD, value)], b"hello"), 400)
        self.problem(self.ask("/require", [], b"hello"), 400)
        self.assertEqual(self.ask("/require", [], None, "GET").status, 200)
        self.assertEqual([request for request in self.upstream.requests if request.get(FIELD)
                          and digest in request.get(FIELD) and request.body != b"hello"], [])

    def test_no_whole_request(self):
        """Whatever the framing and the pieces, the service has no end of it."""
        digest = content_digest(b"hello")
        whole = len(self.upstream.requests)
        with Client(self.gate.port) as client:
            client.send(f"POST /check HTTP/1.1\r\nHost: h\r\n{FIELD}: {digest}\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "2\r\nhe\r\n3\r\nllO\r\n0\r\n\r\n".encode())
            self.problem(client.answer("POST"), 400)
        with H2Client(self.gate.port) as client:  # all bytes that content-length tells, and then an empty end
            stream = client.start("POST", "/check", [(FIELD.lower(), digest), ("content-length", "5")], end=False)
            client.data(stream, b"hel")
            client.data(stream, b"lO")
            client.data(stream, b"", end=True)
            self.assertEqual(client.wait(stream).status, 400)
            stream = client.start("POST", "/check", [(FIELD.lower(), digest), ("content-length", "5")], end=False)
            for byte in b"hello":
                client.data(stream, bytes([byte]))
            client.data(stream, b"", end=True)
            got = client.wait(stream)
            self.assertEqual((got.status, bytes(got.body)), (200, b"hello"))
        self.assertEqual(len(self.upstream.requests), whole + 1)

    def test_translated(self):
        got = self.gate.get("/web", method="POST", body=b"x",
                            fields=[(FIELD, content_digest(b"x")), ("Content-Type", "application/grpc-web")])
        self.assertEqual(got.get("grpc-status"), "12")  # UNIMPLEMENTED
        self.assertEqual(self.upstream.connections, 0)
