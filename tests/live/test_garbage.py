"""Garbage on every port, and from every upstream: conversations that were right, of HTTP/1.1, HTTP/2, TLS and the PROXY protocol,
with bytes changed, cut out, doubled, in pieces and broken off. No process may die, and everybody else is served as before.

The seed is fixed, so that what fails fails again; GARBAGE=count in the environment is for longer searches, GARBAGE_SEED for
others.
"""
import os
import random
import select
import socket
import ssl
import struct

import hpack
from hyperframe import frame as frames

from certificates import Authority, TlsClient
from gatehouse import Case, free_port, get, limit, wait_until
from h2peer import PREFACE, H2Client
from pair import RawOrigin
from tunnels import handshake_fields

COUNT = int(os.environ.get("GARBAGE", 150))
SEED = int(os.environ.get("GARBAGE_SEED", 5))
PATIENCE = 0.02  # seconds without a byte after which a client goes on
APIS = """{ name = "a"; grpc = { web = true; };  routes = (
    { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; },
    { match = { path = "/socket"; }; websocket = true; grpc = false; proxy = "older"; },
    { match = { path = "/socket2"; }; websocket = true; proxy = "newer"; },
    { match = { path = "/older/{rest*}"; }; grpc = false; proxy = "older"; mirror = "newer"; },
    { match = { path = "/newer/{rest*}"; }; proxy = "newer"; },
    { match = { prefix = "/"; }; proxy = "newer"; } ); }"""
PATHS = ("/ping", "/older/a", "/newer/b", "/socket", "/socket2", "/test.Echo/Unary", "*", "/%2e%2e")


def head_block(encoder, chance):
    fields = [(":method", chance.choice(("GET", "POST", "HEAD", "CONNECT", "OPTIONS"))), (":scheme", "http"),
              (":path", chance.choice(PATHS)), (":authority", "localhost")]
    fields += chance.sample([("te", "trailers"), ("content-type", "application/grpc"), ("content-type", "application/grpc-web-text"),
                             (":protocol", "websocket"), ("content-length", "5"), ("cookie", "a=b"), ("x-long", "y" * 5000),
                             ("grpc-timeout", "1S"), ("connection", "close")], chance.randrange(4))
    return encoder.encode(fields)


def newer(chance):
    """What a client of HTTP/2 says: some streams."""
    encoder, said = hpack.Encoder(), [PREFACE, frames.SettingsFrame(0).serialize()]
    for stream in range(1, 2 * chance.randrange(1, 6), 2):
        one = frames.HeadersFrame(stream, head_block(encoder, chance), flags=("END_HEADERS",))
        if chance.random() < 0.5:
            one.flags.add("END_STREAM")
        said.append(one.serialize())
        said += chance.sample([frames.DataFrame(stream, b"hello", flags=("END_STREAM",)).serialize(),
                               frames.DataFrame(stream, b"\0\0\0\0\5hello").serialize(),
                               frames.RstStreamFrame(stream, 8).serialize(),
                               frames.WindowUpdateFrame(stream, 2 ** 31 - 1).serialize(),
                               frames.WindowUpdateFrame(0, 1000).serialize(),
                               frames.PingFrame(0, b"12345678").serialize(),
                               frames.SettingsFrame(0, settings={4: 0}).serialize(),
                               frames.GoAwayFrame(0, 0, 0).serialize(),
                               frames.PriorityFrame(stream, stream).serialize(),
                               frames.HeadersFrame(stream, encoder.encode([("x-trailer", "1")]),
                                                   flags=("END_HEADERS", "END_STREAM")).serialize()], chance.randrange(4))
    return b"".join(said)


def older(chance):
    """What a client of HTTP/1.1 says: some requests."""
    said = []
    for _ in range(chance.randrange(1, 4)):
        lines = [f"{chance.choice(('GET', 'POST', 'HEAD'))} {chance.choice(PATHS)} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in handshake_fields()] if chance.random() < 0.3 else []
        body = b""
        if chance.random() < 0.5:
            chunked = chance.random() < 0.5
            lines.append("Transfer-Encoding: chunked" if chunked else "Content-Length: 5")
            body = b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n" if chunked else b"hello"
        said.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return b"".join(said)


def answer_older(chance):
    return chance.choice((
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nbytes",
        b"HTTP/1.0 200 OK\r\n\r\nto the end"))


def answer_newer(chance):
    """What a server of HTTP/2 says to the first streams, whatever they ask for."""
    encoder, said = hpack.Encoder(), [frames.SettingsFrame(0, settings=chance.choice(({}, {8: 1}, {3: 1}, {4: 0}))).serialize(),
                                      frames.SettingsFrame(0, flags=("ACK",)).serialize()]
    for stream in range(1, 2 * chance.randrange(1, 5), 2):
        fields = [(":status", chance.choice(("200", "204", "503")))]
        fields += chance.sample([("content-type", "application/grpc"), ("grpc-status", "14"), ("content-length", "5"),
                                 ("x-long", "y" * 20000)], chance.randrange(3))
        block = encoder.encode(fields)
        said.append(frames.HeadersFrame(stream, block[:16384], flags=("END_HEADERS",)).serialize())
        said += chance.sample([frames.DataFrame(stream, b"hello", flags=("END_STREAM",)).serialize(),
                               frames.DataFrame(stream, b"\0\0\0\0\5hello").serialize(),
                               frames.RstStreamFrame(stream, chance.randrange(14)).serialize(),
                               frames.HeadersFrame(stream, encoder.encode([("grpc-status", "0")]),
                                                   flags=("END_HEADERS", "END_STREAM")).serialize(),
                               frames.WindowUpdateFrame(0, 70000).serialize(),
                               frames.GoAwayFrame(0, chance.randrange(4), 0).serialize(),
                               frames.PingFrame(0, b"12345678").serialize(),
                               frames.PushPromiseFrame(stream, 2, encoder.encode([(":method", "GET")]),
                                                       flags=("END_HEADERS",)).serialize()], chance.randrange(4))
    return b"".join(said)


def spoil(data, chance):
    """Some bytes changed, cut out or doubled; sometimes nothing is."""
    data = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        at = chance.randrange(len(data)) if data else 0
        what = chance.randrange(4)
        if what == 0 and data:
            data[at] = chance.randrange(256)
        elif what == 1:
            del data[at:at + chance.choice((1, 9, 100))]
        elif what == 2:
            data[at:at] = data[at:at + chance.choice((1, 9, 100))]
        else:
            data[at:at] = chance.randbytes(chance.choice((1, 9, 30)))
    return bytes(data)


def leave(sock, chance):
    if chance.random() < 0.3:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Garbage(Case):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        authority = Authority(self.folder)
        self.tls = {protocol: TlsClient(authority, alpn=(protocol,)) for protocol in ("http/1.1", "h2")}
        leaf = authority.issue("localhost")
        self.ports = {name: free_port() for name in ("plain", "tls", "proxy", "both")}
        secured = f"tls = {{ certificates = ( {leaf.setting} ); }};"
        listeners = ", ".join('{ listen = "127.0.0.1:%d"; %s %s }' % one for one in (
            (self.ports["plain"], "", ""), (self.ports["tls"], secured, ""),
            (self.ports["proxy"], "", 'proxy_protocol = "on";'), (self.ports["both"], secured, 'proxy_protocol = "on";')))
        origins = [RawOrigin(self.serve_older), RawOrigin(self.serve_newer)]
        for origin in origins:
            self.addCleanup(origin.close)
        times = 'timeout = { connect = "1s"; response = "300ms"; idle = "300ms"; }; retry = { attempts = 2; };'
        self.running = self.gateway(apis=APIS, listeners=listeners, upstreams=f"""
            older = {{ endpoints = ( "{origins[0].text}" ); {times} }};
            newer = {{ endpoints = ( "{origins[1].text}" ); protocol = "h2c"; {times} }};""",
            extra='client = { header_timeout = "2s"; body_timeout = "300ms"; };')

    def serve_older(self, sock):
        sock.settimeout(2)
        while sock.recv(65536):
            sock.sendall(spoil(answer_older(self.chance), self.chance))
            if self.chance.random() < 0.3:
                return

    def serve_newer(self, sock):
        sock.settimeout(2)
        sock.recv(65536)
        sock.sendall(spoil(answer_newer(self.chance), self.chance))
        while self.chance.random() < 0.7 and sock.recv(65536):
            pass

    def header(self):
        return spoil(self.chance.choice((b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n",
                                         b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(range(12)))), self.chance)

    def talk(self):
        """One conversation."""
        chance, name = self.chance, self.chance.choice(list(self.ports))
        said = spoil(chance.choice((older, newer))(chance), chance)
        try:
            sock = socket.create_connection(("127.0.0.1", self.ports[name]), 5)
            if name in ("proxy", "both"):
                sock.sendall(self.header() if chance.random() < 0.5 else b"PROXY UNKNOWN\r\n")
            if name in ("tls", "both") and chance.random() < 0.8:
                sock = self.shake_hands(sock)
            at = 0
            while at < len(said):
                size = chance.choice((1, 10, 100, 5000, 100000))
                sock.sendall(said[at:at + size])
                at += size
                if chance.random() < 0.2:
                    self.listen(sock)
            self.listen(sock)
            leave(sock, chance)
        except (OSError, ValueError):
            sock.close()

    def shake_hands(self, sock):
        """A good handshake; or one whose records are spoilt, or what follows it is in cleartext."""
        context = self.tls[self.chance.choice(("http/1.1", "h2"))].context
        if self.chance.random() < 0.7:
            return context.wrap_socket(sock, server_hostname="localhost")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        for _ in range(self.chance.randrange(1, 4)):
            try:
                session.do_handshake()
            except ssl.SSLError:
                pass
            sock.sendall(spoil(outgoing.read(), self.chance))
            if select.select([sock], [], [], 0.2)[0]:
                incoming.write(sock.recv(65536))
        return sock

    @staticmethod
    def listen(sock):
        while select.select([sock], [], [], PATIENCE)[0]:
            if not sock.recv(65536):
                break

    @limit(120 + COUNT)
    def test_nothing_dies(self):
        before = self.running.wait_processes("worker", 2)
        for _ in range(COUNT):
            self.talk()
        self.assertEqual(self.running.wait_processes("worker", 2), before, self.running.said())
        self.assertEqual(get(self.ports["plain"], "/ping").body, b"pong")
        self.assertEqual(self.tls["http/1.1"].get(self.ports["tls"], "/ping").body, b"pong")
        with H2Client(sock=self.tls["h2"].open(self.ports["tls"]).sock) as client:
            self.assertEqual(client.request("GET", "/ping").body, b"pong")
        wait_until(self.empty, lambda: f"all of it to be over: {self.running.status()}")

    def empty(self):
        """No connection of a client is left, and nothing is in progress."""
        status = self.running.status()
        return (all(process["connections"] == 0 for process in status["processes"] if process["role"] == "worker") and
                all(endpoint["in_flight"] == 0 for upstream in status["upstreams"] for endpoint in upstream["endpoints"]))
