"""An origin that speaks HTTP/1.1 and HTTP/2 on one port (by the preface, or by ALPN with TLS) and does the same over both: for
tests of what must not depend on the version.

    service = Service(serve)             # serve(call) -> Reply, when the call is complete
    service.calls                        # a Call each, in the order in which they came
    service.broken                       # the targets of calls that the gateway gave up

HTTP/2 is python3-h2's, which refuses what breaks the protocol: what it said is in `errors`.
"""
import dataclasses
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from peers import Listening, Reader

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HOP = ("connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection")


@dataclasses.dataclass
class Call:
    """A request. The names of its fields are in lower case, whatever the version."""
    version: str
    method: str
    target: str
    host: str
    fields: list
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)

    def all(self, name):
        return [value for at, value in self.fields if at == name]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)


@dataclasses.dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    fields: tuple = ()
    trailers: tuple = ()
    interims: tuple = ()  # (status, fields) before it
    cut: bool = False     # it breaks off within its body; with status 0 before its head
    stall: bool = False   # half of the body (with status 0: nothing), and no more until the gateway gives it up


class PlainReader(Reader):
    """A reader that keeps trailers apart from the fields."""

    def chunks(self, fields):
        before = len(fields)
        body = super().chunks(fields)
        self.trailers = [(name.lower(), value) for name, value in fields[before:]]
        del fields[before:]
        return body


class Service(Listening):
    """`early`: targets that begin so are answered before their body is there. `tls`: an SSLContext."""

    def __init__(self, serve, early="/early", tls=None):
        self.serve, self.early, self.tls = serve, early, tls
        self.calls, self.broken, self.errors = [], [], []
        super().__init__()

    def converse(self, sock):
        try:
            if self.tls:
                self.open.discard(sock)
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.open.add(sock)
                newer = sock.selected_alpn_protocol() == "h2"
            else:
                newer = sock.recv(3, socket.MSG_PEEK) == PREFACE[:3]
            (Streams if newer else Messages)(self, sock).run()
        except (OSError, EOFError):
            pass
        except Exception as error:  # what the gateway must not send
            self.errors.append(repr(error))
        self.open.discard(sock)
        sock.close()

    def took(self, call):
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()
        return self.serve(call)

    def gave_up(self, target):
        with self.changed:
            self.broken.append(target)
            self.changed.notify_all()

    def wait(self, condition, what, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), seconds):
                raise AssertionError(f"the service waited in vain for {what}: {self.calls[-5:]} {self.broken}")


class Messages:
    """A connection of HTTP/1.1."""

    def __init__(self, service, sock):
        self.service, self.sock, self.reader = service, sock, PlainReader(sock)

    def run(self):
        while True:
            self.reader.trailers = []
            early = self.head_is_early()
            if early is None:
                return
            if early:  # the body stays where it is, and the connection ends with the answer
                first, fields = self.reader.head()
                self.answer(self.call(first, fields), close=True)
                return
            message = self.reader.message(True)
            if message is None or not self.answer(self.call(message.first, message.fields, message.body)):
                return

    def head_is_early(self):
        while b"\r\n" not in self.reader.held:
            if not self.reader.more():
                return None
        return self.reader.held.split(b" ", 2)[1].startswith(self.service.early.encode())

    def call(self, first, fields, body=b""):
        method, target, _ = first.split(" ", 2)
        fields = [(name.lower(), value) for name, value in fields]
        host = dict(fields).get("host", "")
        return Call("1.1", method, target, host, [pair for pair in fields if pair[0] not in ("host", *HOP)], body,
                    self.reader.trailers)

    def answer(self, call, close=False):
        """Whether the connection goes on."""
        reply = self.service.took(call)
        for status, fields in reply.interims:
            self.sock.sendall(self.head(status, fields))
        if not reply.status:
            return reply.stall and self.until_given_up(call)
        fields, body = list(reply.fields), reply.body
        bodiless = call.method == "HEAD" or reply.status in (204, 304)
        if reply.trailers:
            fields += [("Transfer-Encoding", "chunked"), ("Trailer", ", ".join(name for name, _ in reply.trailers))]
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
            body += "".join(f"{name}: {value}\r\n" for name, value in reply.trailers).encode() + b"\r\n"
        elif reply.status not in (204, 304):
            fields.append(("Content-Length", str(len(body))))
        fields += [("Connection", "close")] * close
        if reply.cut or reply.stall:
            self.sock.sendall(self.head(reply.status, fields) + body[:len(body) // 2])
            return reply.stall and self.until_given_up(call)
        self.sock.sendall(self.head(reply.status, fields) + (b"" if bodiless else body))
        return not close

    def until_given_up(self, call):
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.service.gave_up(call.target)
        return False

    @staticmethod
    def head(status, fields):
        return (f"HTTP/1.1 {status} Word\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode()


class Streams:
    """A connection of HTTP/2."""

    def __init__(self, service, sock):
        self.service, self.sock = service, sock
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        self.calls, self.sending = {}, {}  # by stream; sending: what is left of the body, and the trailers

    def run(self):
        self.connection.initiate_connection()
        while True:
            self.flush()
            self.sock.sendall(self.connection.data_to_send())
            data = self.sock.recv(65536)
            if not data:
                for call in self.calls.values():
                    self.service.gave_up(call.target)
                return
            for event in self.connection.receive_data(data):
                self.met(event)

    def met(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.begin(stream, event.headers)
        elif isinstance(event, h2.events.TrailersReceived) and stream in self.calls:
            self.calls[stream].trailers = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.connection.acknowledge_received_data(event.flow_controlled_length, stream)
            if stream in self.calls:
                self.calls[stream].body += event.data
        elif isinstance(event, h2.events.StreamEnded) and stream in self.calls:
            if not self.calls[stream].target.startswith(self.service.early):
                self.answer(stream)
        elif isinstance(event, h2.events.StreamReset) and stream in self.calls:
            self.sending.pop(stream, None)
            self.service.gave_up(self.calls.pop(stream).target)

    def begin(self, stream, fields):
        special = {name: value for name, value in fields if name.startswith(":")}
        self.calls[stream] = Call("2", special[":method"], special[":path"], special[":authority"],
                                  [pair for pair in fields if not pair[0].startswith(":")])
        for name, _ in fields:
            if name in HOP or name == "host":
                raise ValueError(f"{name} in a request of HTTP/2")
        if self.calls[stream].target.startswith(self.service.early):
            self.answer(stream)

    def answer(self, stream):
        call = self.calls[stream]
        reply = self.service.took(call)
        for status, fields in reply.interims:
            self.connection.send_headers(stream, self.head(status, fields))
        if not reply.status:
            if reply.cut:
                self.reset(stream)
            return
        fields = list(reply.fields)
        bodiless = call.method == "HEAD" or reply.status in (204, 304)
        if reply.status not in (204, 304) and not reply.trailers:
            fields.append(("content-length", str(len(reply.body))))
        body = b"" if bodiless else reply.body
        partial = reply.cut or reply.stall
        ended = not partial and not body and not reply.trailers
        self.connection.send_headers(stream, self.head(reply.status, fields), end_stream=ended)
        if ended:
            self.over(stream)
        else:
            self.sending[stream] = [body[:len(body) // 2] if partial else body, reply]

    def over(self, stream):
        """An answer that came before the end of its request takes no more of it (RFC 9113, 8.1)."""
        call = self.calls.pop(stream)
        if call.target.startswith(self.service.early):
            try:
                self.connection.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
            except h2.exceptions.StreamClosedError:
                pass

    def reset(self, stream):
        self.connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.calls.pop(stream)

    def flush(self):
        """As much as the windows let go."""
        for stream, sending in list(self.sending.items()):
            body, reply = sending
            while body:
                size = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size, len(body))
                if size <= 0:
                    break
                piece, body = body[:size], body[size:]
                self.connection.send_data(stream, piece,
                                          end_stream=not (body or reply.trailers or reply.cut or reply.stall))
            sending[0] = body
            if not body:
                self.end(stream, reply)

    def end(self, stream, reply):
        if reply.stall:
            return
        self.sending.pop(stream)
        if reply.cut:
            self.reset(stream)
            return
        if reply.trailers:
            self.connection.send_headers(stream, [(name.lower(), value) for name, value in reply.trailers], end_stream=True)
        self.over(stream)

    @staticmethod
    def head(status, fields):
        return [(":status", str(status)), *((name.lower(), value) for name, value in fields)]
