"""Both ends of tunnels for the tests: WebSocket frames and other upgrades on raw sockets, and python3-websockets as a second
opinion."""
import asyncio
import base64
import hashlib
import os
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import websockets

from peers import PATIENCE, Client, Listening, Reader

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_of(key):
    """The Sec-WebSocket-Accept that answers a key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def handshake_fields(key=None):
    return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key or new_key())]


def switch(request, fields=()):
    """The bytes of a 101 to an upgrade, whatever it is for."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {request.get('Upgrade')}"]
    if request.get("Sec-WebSocket-Key"):
        lines.append(f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}")
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(opcode, payload=b"", masked=False, fin=True):
    """The bytes of a frame (RFC 6455, section 5.2)."""
    size, mask = len(payload), os.urandom(4) if masked else b""
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([size | (0x80 if masked else 0)])
    elif size < 65536:
        head += bytes([126 | (0x80 if masked else 0)]) + struct.pack("!H", size)
    else:
        head += bytes([127 | (0x80 if masked else 0)]) + struct.pack("!Q", size)
    if masked:
        pad = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
    return head + mask + payload


def read_frame(reader):
    """(opcode, payload) of the next frame of a Reader; EOFError at the end."""
    first, second = reader.take(2)
    size = second & 0x7F
    if size == 126:
        size = struct.unpack("!H", reader.take(2))[0]
    elif size == 127:
        size = struct.unpack("!Q", reader.take(8))[0]
    mask = reader.take(4) if second & 0x80 else None
    payload = reader.take(size)
    if mask:
        pad = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
    return first & 0x0F, payload


class WebSocket(Client):
    """A client's WebSocket through the gateway, by hand."""

    def __init__(self, address, target="/", fields=(), **options):
        super().__init__(address, **options)
        self.shake_hands(target, fields)

    @classmethod
    def over(cls, client, target="/", fields=()):
        """On a connection that is there, by TLS for example."""
        socket_of = cls.__new__(cls)
        socket_of.sock, socket_of.reader = client.sock, client.reader
        socket_of.shake_hands(target, fields)
        return socket_of

    def shake_hands(self, target, fields):
        key = new_key()
        self.send_head("GET", target, [*handshake_fields(key), *fields])
        self.head = self.answer(informational=True)
        if self.head is None or self.head.status != 101:
            raise AssertionError(f"no WebSocket: {self.head}")
        if self.head.get("Sec-WebSocket-Accept") != accept_of(key):
            raise AssertionError(f"not the right accept: {self.head}")

    def say(self, payload, opcode=TEXT):
        self.send(frame(opcode, payload, True))

    def hear(self):
        return read_frame(self.reader)

    def echo(self, payload):
        """Says it, and hears it again."""
        self.say(payload)
        heard = self.hear()
        if heard != (TEXT, payload):
            raise AssertionError(f"said {payload[:80]!r}, heard {heard!r:.200}")


def echo(request, sock):
    """For an Origin: a WebSocket that says what it hears, until it is closed."""
    sock.sendall(switch(request))
    reader = Reader(sock)
    while True:
        opcode, payload = read_frame(reader)
        if opcode == CLOSE:
            sock.sendall(frame(CLOSE, payload))
            raise ConnectionError
        sock.sendall(frame(PONG if opcode == PING else opcode, payload))


def upgraded(talk):
    """For an Origin: answers an upgrade by 101, and goes on with talk(sock)."""

    def serve(request, sock):
        sock.sendall(switch(request))
        talk(sock)
        raise ConnectionError

    return serve


def start_upgrade(client, protocol="echo/1", target="/"):
    """Asks for another protocol on a Client: the answer's head."""
    client.send_head("GET", target, [("Upgrade", protocol), ("Connection", "upgrade")])
    return client.answer(informational=True)


def reset(sock):
    """Closes it by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_all(sock):
    """All bytes up to the other side's FIN."""
    data = b""
    while True:
        piece = sock.recv(65536)
        if not piece:
            return data
        data += piece


class Server:
    """A server of python3-websockets in a thread; `serve(websocket)` is a coroutine for each connection."""

    def __init__(self, serve, **options):
        self.loop = asyncio.new_event_loop()
        self.options = options
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.text = f"127.0.0.1:{self.port}"
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(serve, started), daemon=True)
        self.thread.start()
        if not started.wait(PATIENCE):
            raise AssertionError("the WebSocket server did not start")

    def run(self, serve, started):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(websockets.serve(serve, sock=self.sock, backlog=1024, **self.options))
        self.loop.call_soon(started.set)
        self.loop.run_forever()

    def close(self):
        async def end():
            self.server.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()


class StreamReader(Reader):
    """What came on a stream of an H2Client, read like a socket."""

    def __init__(self, client, stream):
        super().__init__(None)
        self.client, self.stream = client, stream

    def more(self):
        exchange = self.client.streams[self.stream]
        self.client.pump(lambda: exchange.body or exchange.over or self.client.closed)
        if exchange.reset is not None and not exchange.body:
            raise ConnectionResetError(f"RST_STREAM {exchange.reset}")
        self.held += bytes(exchange.body)
        exchange.body.clear()
        return bool(self.held) or not (exchange.ended or self.client.closed)


class StreamTunnel:
    """A tunnel on a stream of an H2Client, by extended CONNECT (RFC 8441)."""

    def __init__(self, client, protocol="websocket", target="/", fields=(), host="localhost", scheme="http"):
        self.client = client
        if protocol == "websocket":
            fields = [("sec-websocket-version", "13"), *fields]
        self.stream = client.headers([(":method", "CONNECT"), (":protocol", protocol), (":scheme", scheme), (":authority", host),
                                      (":path", target), *fields], end=False)
        self.reader = StreamReader(client, self.stream)
        self.exchange = client.streams[self.stream]
        if not client.pump(lambda: self.exchange.status or self.exchange.over):
            raise AssertionError(f"no answer to CONNECT: {self.exchange}")

    def send(self, data, end=False):
        self.client.data(self.stream, data, end)

    def say(self, payload, opcode=TEXT):
        self.send(frame(opcode, payload, True))

    def hear(self):
        return read_frame(self.reader)

    def echo(self, payload):
        self.say(payload)
        heard = self.hear()
        if heard != (TEXT, payload):
            raise AssertionError(f"said {payload[:80]!r}, heard {heard!r:.200}")

    def rest(self):
        """All up to the other side's end; b"" when it had ended."""
        self.client.wait(self.stream)
        data, self.reader.held = self.reader.held + bytes(self.exchange.body), b""
        return data


class StreamOrigin(Listening):
    """A server of python3-h2 in cleartext that takes extended CONNECT and says every byte again; a stream that the client has
    ended is ended. `connect`: whether it says that it takes such; `first`: bytes said before anything is heard."""

    def __init__(self, connect=True, first=b"", status="200"):
        self.connect, self.first, self.status = connect, first, status
        self.heads, self.resets = [], []
        super().__init__()

    def converse(self, sock):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8",
                                                                          validate_inbound_headers=False))
        codes = h2.settings.SettingCodes
        connection.local_settings = h2.settings.Settings(client=False, initial_values={
            codes.ENABLE_CONNECT_PROTOCOL: int(self.connect), codes.MAX_CONCURRENT_STREAMS: 100})
        connection.initiate_connection()
        out = {}  # by stream: bytes that wait, and whether the end follows
        try:
            sock.sendall(connection.data_to_send())
            while data := sock.recv(65536):
                for event in connection.receive_data(data):
                    self.took(connection, event, out)
                for stream in list(out):
                    self.push(connection, stream, out)
                sock.sendall(connection.data_to_send())
        except (OSError, h2.exceptions.ProtocolError):
            pass
        self.open.discard(sock)
        sock.close()

    def took(self, connection, event, out):
        if isinstance(event, h2.events.RequestReceived):
            self.heads.append(dict(event.headers))
            connection.send_headers(event.stream_id, [(":status", self.status)], end_stream=self.status != "200")
            if self.status == "200":
                out[event.stream_id] = [self.first, False]
        elif isinstance(event, h2.events.DataReceived):
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in out:
                out[event.stream_id][0] += event.data
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in out:
                out[event.stream_id][1] = True
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append(event.error_code)
            out.pop(event.stream_id, None)

    def push(self, connection, stream, out):
        data, end = out[stream]
        while data:
            size = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size, len(data))
            if size <= 0:
                break
            connection.send_data(stream, data[:size])
            data = data[size:]
        out[stream][0] = data
        if end and not data:
            connection.end_stream(stream)
            del out[stream]
