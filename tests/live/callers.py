"""Clients of HTTP/1.1 and HTTP/2 with one face, for tests of what must not depend on the version:

    caller = CALLERS["h2"](gateway.port)      # or with tls = a TlsClient
    answer = caller.ask("POST", "/x", [("x-a", "1")], b"body", trailers=[("x-sum", "2")])
    answer.status, answer.get("x-b"), answer.body, answer.trailers, answer.interims, answer.cut
    begun = caller.begin("POST", "/x")        # a request whose body doesn't come
    begun.leave()                             # the client goes without its answer
"""
import socket
import ssl
import struct

from h2peer import CANCEL, H2Client
from peers import Client
from service import HOP, PlainReader

PATIENCE = 20


class Answer:
    """The names of fields are in lower case. `cut`: it has no proper end."""

    def __init__(self, status, fields, body=b"", trailers=(), interims=(), cut=False):
        self.status, self.body, self.interims, self.cut = status, bytes(body), list(interims), cut
        self.fields = [(name.lower(), value) for name, value in fields]
        self.trailers = list(trailers)

    def all(self, name):
        return [value for at, value in self.fields if at == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:200]!r} {self.trailers}{' cut' if self.cut else ''}>"


class Begun:
    def __init__(self, leave, answer):
        self.leave, self.answer = leave, answer


class AnswerReader(PlainReader):
    """Keeps the last head, for an answer that breaks off behind it."""

    came = None

    def head(self):
        self.came = super().head()
        return self.came


class Older:
    """HTTP/1.1: a connection for as long as the gateway keeps it."""

    version = "HTTP/1.1"

    def __init__(self, port, tls=None):
        self.port, self.tls, self.client = port, tls, None

    def close(self):
        if self.client:
            self.client.close()
        self.client = None

    def open(self):
        client = self.tls.open(self.port, timeout=PATIENCE) if self.tls else Client(self.port, timeout=PATIENCE)
        client.reader = AnswerReader(client.sock)
        return client

    @staticmethod
    def send(client, method, target, fields, body, trailers, host, ended=True):
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
        if trailers or not ended:
            data = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            if ended:
                data += b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode() + b"\r\n"
            client.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + data)
        elif body is None:
            client.send(head + "\r\n")
        else:
            client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    @staticmethod
    def read(client, method):
        """The final answer, and whether the connection goes on."""
        interims, reader = [], client.reader
        while True:
            reader.came, reader.trailers = None, []
            try:
                message = reader.message(False, method)
            except (EOFError, ConnectionResetError, ssl.SSLEOFError):
                message = None
            if message is None:
                first, fields = reader.came or ("", [])
                return Answer(int(first.split(" ")[1]) if first else None, fields, interims=interims, cut=True), False
            if message.status >= 200:
                kept = message.get("Connection", "").lower() != "close"
                fields = [pair for pair in message.fields if pair[0].lower() not in HOP]
                return Answer(message.status, fields, message.body, reader.trailers, interims), kept
            interims.append((message.status, [(name.lower(), value) for name, value in message.fields]))

    def ask(self, method, target, fields=(), body=None, trailers=(), host="pairs.example"):
        self.client = self.client or self.open()
        try:
            self.send(self.client, method, target, fields, body, trailers, host)
        except (ConnectionResetError, BrokenPipeError):
            pass  # an early answer: it may still be read
        answer, kept = self.read(self.client, method)
        if not kept:
            self.close()
        return answer

    def begin(self, method, target, fields=(), body=b"", host="pairs.example", ended=False):
        client = self.open()
        self.send(client, method, target, fields, body if not ended or body else None, (), host, ended)

        def leave():
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        def answer():
            got, _ = self.read(client, method)
            client.close()
            return got
        return Begun(leave, answer)


class Newer:
    """HTTP/2: a connection for all."""

    version = "HTTP/2"

    def __init__(self, port, tls=None):
        self.scheme = "https" if tls else "http"
        self.client = H2Client(port, sock=tls.open(port, timeout=PATIENCE).sock if tls else None)

    def close(self):
        self.client.sock.close()

    def ask(self, method, target, fields=(), body=None, trailers=(), host="pairs.example"):
        client = self.client
        fields = [(name.lower(), value) for name, value in fields]
        if body is not None and not trailers:
            fields.append(("content-length", str(len(body))))
        stream = client.start(method, target, fields, body is None and not trailers, host, self.scheme)
        if body is not None:
            client.data(stream, body, end=not trailers)
        if trailers:
            client.headers([(name.lower(), value) for name, value in trailers], stream=stream)
        return self.answer(stream)

    def answer(self, stream):
        client = self.client
        got = client.streams[stream]
        if not client.pump(lambda: got.over, PATIENCE):
            raise AssertionError(f"no answer: {got}, closed {client.closed}, GOAWAY {client.goaways}")
        client.pump(lambda: got.ended or got.reset is not None)
        for name, _ in got.fields:
            if name in HOP or name != name.lower():
                raise AssertionError(f"{name} in an answer of HTTP/2")
        return Answer(got.status, got.fields, got.body, got.trailers or (), got.interims, cut=not got.ended)

    def begin(self, method, target, fields=(), body=b"", host="pairs.example", ended=False):
        fields = [(name.lower(), value) for name, value in fields]
        stream = self.client.start(method, target, fields, ended and not body, host, self.scheme)
        if body:
            self.client.data(stream, body, end=ended)
        return Begun(lambda: self.client.reset(stream, CANCEL), lambda: self.answer(stream))


CALLERS = {"h1": Older, "h2": Newer}
