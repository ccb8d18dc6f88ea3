"""gRPC-Web, binary and text, of clients of any HTTP version, to servers that speak gRPC only."""
import base64
import os
import subprocess
import threading

import grpc

from peers import Client
from peers_grpc import SERVICE
from test_grpc import PATIENCE, GrpcCase

Code = grpc.StatusCode
WEB, TEXT = "application/grpc-web", "application/grpc-web-text"
TRAILERS = 0x80


def frame(message, flags=0):
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def frames(body):
    """[(flags, message)] of a whole body."""
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        assert len(body) >= 5 + size, body
        found.append((body[0], body[5:5 + size]))
        body = body[5 + size:]
    return found


def decoded(text):
    """Groups of four, each of which may be padded."""
    return b"".join(base64.b64decode(text[i:i + 4], validate=True) for i in range(0, len(text), 4))


def trailers(message):
    """{name: value} of a frame of trailers."""
    return dict(line.split(":", 1) for line in message.decode().split("\r\n") if line)


class Web(GrpcCase):
    def ask(self, client, method, body, kind=WEB + "+proto", fields=()):
        return client.request("POST", f"/{SERVICE}/{method}", [("Content-Type", kind), ("X-Grpc-Web", "1"), *fields], body)

    def test_binary(self):
        server = self.server(lambda call, context: context.set_trailing_metadata([("x-end-bin", b"\x00\xff")]))
        with self.start(server).client() as client:
            for message in (b"hello", b"", os.urandom(300000)):
                answer = self.ask(client, "Unary", frame(message))
                self.assertEqual((answer.status, answer.get("Content-Type")), (200, WEB))  # the server named no subtype
                self.assertIsNone(answer.get("Trailer"))
                first, last = frames(answer.body)
                self.assertEqual(first, (0, message))
                self.assertEqual(last[0], TRAILERS)
                self.assertEqual(trailers(last[1])["grpc-status"], "0")
                self.assertEqual(base64.b64decode(trailers(last[1])["x-end-bin"] + "=="), b"\x00\xff")
                self.assertIsNone(answer.get("grpc-status"))  # not as a field, and not as a trailer

    def test_text(self):
        server = self.server()
        with self.start(server).client() as client:
            for message in (b"hello", b"", os.urandom(300001)):
                answer = self.ask(client, "Unary", base64.b64encode(frame(message)), TEXT)
                self.assertEqual((answer.status, answer.get("Content-Type")), (200, TEXT))
                first, last = frames(decoded(answer.body))
                self.assertEqual(first, (0, message))
                self.assertEqual(trailers(last[1])["grpc-status"], "0")

    def test_forms_that_differ(self):
        with self.start(self.server()).client() as client:
            answer = self.ask(client, "Unary", base64.b64encode(frame(b"a")), TEXT, [("Accept", WEB)])
            self.assertEqual(answer.get("Content-Type"), WEB)
            self.assertEqual(frames(answer.body)[0], (0, b"a"))
            answer = self.ask(client, "Unary", frame(b"a"), WEB, [("Accept", f"{TEXT}, */*")])
            self.assertEqual(answer.get("Content-Type"), TEXT)
            self.assertEqual(frames(decoded(answer.body))[0], (0, b"a"))

    def test_text_in_pieces(self):
        server = self.server()
        body = frame(b"some message")
        padded = [base64.b64encode(body[:4]), base64.b64encode(body[4:9]), base64.b64encode(body[9:])]
        text = b"".join(padded)
        cuts = [[text[i:i + 1] for i in range(len(text))], [text[:3], text[3:9], text[9:]], padded]
        with self.start(server).client() as client:
            for pieces in cuts:
                client.send(f"POST /{SERVICE}/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: {TEXT}\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n")
                for piece in pieces:
                    client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                client.send("0\r\n\r\n")
                self.assertEqual(frames(decoded(client.answer().body))[0], (0, b"some message"))

    def test_text_that_is_none(self):
        server = self.server()
        gateway = self.start(server)
        for body in (b"!!!!", b"AAAA=AAA", b"AAAAA"):
            with gateway.client() as client:
                answer = self.ask(client, "Unary", body, TEXT)
                self.assertEqual((answer.status, answer.get("grpc-status")), (200, "13"))
                self.assertEqual(answer.get("Content-Type"), TEXT)
                self.assertIn("not base64", answer.get("grpc-message"))
        with gateway.client() as client:
            self.assertEqual(self.ask(client, "Unary", base64.b64encode(frame(b"a")), TEXT).status, 200)

    def test_a_stream(self):
        server = self.server()
        gate = threading.Semaphore(1)
        server.between = lambda call: gate.acquire(timeout=PATIENCE)
        gateway = self.start(server)
        for kind, encode, decode in ((WEB, bytes, bytes), (TEXT, base64.b64encode, decoded)):
            with gateway.client() as client:
                client.send_head("POST", f"/{SERVICE}/ServerStream", [("Content-Type", kind), ("x-count", "3")],
                                 encode(frame(b"message")))
                first, _ = client.reader.head()
                self.assertEqual(first, "HTTP/1.1 200 OK")
                got = b""
                for i in range(3):  # each comes before the next one is made
                    while len(decode(got)) < 12 * (i + 1):
                        got += client.reader.take(int(client.reader.line(), 16))
                        client.reader.take(2)
                    gate.release()
                rest = got + client.reader.chunks([])
                self.assertEqual([flags for flags, _ in frames(decode(rest))], [0, 0, 0, TRAILERS])

    def test_errors(self):
        server = self.server()
        gateway = self.start(server)
        with gateway.client() as client:
            answer = client.request("POST", "/nowhere", [("Content-Type", WEB + "+proto")], b"")
            self.assertEqual((answer.status, answer.get("grpc-status")), (200, "12"))
            self.assertEqual(answer.get("Content-Type"), WEB + "+proto")
            server.act = lambda call, context: context.abort(Code.NOT_FOUND, "no: \u00e9")
            answer = self.ask(client, "Unary", frame(b"a"))  # all of it is in the head
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual((answer.get("grpc-status"), answer.get("grpc-message")), ("5", "no: %C3%A9"))

            def begin_and_fail(call, context):
                context.send_initial_metadata([("x-begun", "1")])
                context.abort(Code.ABORTED, "later")

            server.act = begin_and_fail
            answer = self.ask(client, "Unary", base64.b64encode(frame(b"a")), TEXT)
            (flags, said), = frames(decoded(answer.body))
            self.assertEqual((flags, trailers(said)["grpc-status"]), (TRAILERS, "10"))
            self.assertEqual(trailers(said)["grpc-message"], "later")

    def test_a_deadline_in_a_stream(self):
        server = self.server()
        server.between = lambda call: call.over.wait(PATIENCE)
        gateway = self.start(server, policy='grpc = { timeout = "500ms"; };')
        with gateway.client() as client:
            answer = self.ask(client, "ServerStream", frame(b"a"))
            first, last = frames(answer.body)
            self.assertEqual(first, (0, b"a"))
            self.assertEqual(trailers(last[1])["grpc-status"], "4")

    def test_http2(self):
        gateway = self.start(self.server())
        for kind, encode, decode in ((WEB, bytes, bytes), (TEXT, base64.b64encode, decoded)):
            done = subprocess.run(
                ["curl", "-sS", "--http2-prior-knowledge", "-H", "Content-Type: " + kind, "--data-binary", "@-",
                 f"http://127.0.0.1:{gateway.port}/{SERVICE}/Unary"],
                input=encode(frame(b"hello")), stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
            self.assertEqual([flags for flags, _ in frames(decode(done.stdout))], [0, TRAILERS])

    def test_off(self):
        gateway = self.start(self.server(), policy="grpc = { web = false; };")
        with Client(gateway.port) as client:
            answer = self.ask(client, "Unary", frame(b"a"))
            self.assertNotIn(TRAILERS, [flags for flags, _ in frames(answer.body)])
