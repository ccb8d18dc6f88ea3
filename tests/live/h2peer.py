"""An HTTP/2 client for the live tests (RFC 9113), on the frames of python3-h2's own libraries (hyperframe, hpack): it keeps
to the protocol where nothing else is asked for, and breaks any rule that a test wants broken."""
import itertools
import select
import socket
import threading
import time

import hpack
from hyperframe import frame as frames

PATIENCE = 20  # seconds
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 0, 1, 2, 3, 5
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11
MAX_STREAMS, INITIAL_WINDOW, HEADER_LIST, CONNECT_PROTOCOL = 3, 4, 6, 8
LAST_STREAM = 2 ** 31 - 1


class Exchange:
    """What came on a stream."""

    def __init__(self):
        self.status, self.fields, self.body, self.trailers = None, [], bytearray(), None
        self.interims = []
        self.ended, self.reset = False, None  # reset: the code of RST_STREAM

    @property
    def over(self):
        return self.ended or self.reset is not None

    def all(self, name):
        return [value for at, value in self.fields if at == name]

    def get(self, name, default=None):
        """By a name in any case, as of peers.Message."""
        return next(iter(self.all(name.lower())), default)

    def __repr__(self):
        return f"{self.status} {self.fields} {bytes(self.body[:200])!r} trailers {self.trailers} reset {self.reset}"


class H2Client:
    """`settings`: ours, by number; `windows`: whether windows are opened for what came; `preface`: whether the connection is
    begun; `sock`: a socket to use instead of a new one (TLS)."""

    def __init__(self, port=None, settings=None, windows=True, preface=True, sock=None):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.windows = windows
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.held, self.block = b"", b""
        self.streams, self.goaways, self.pings, self.settings = {}, [], [], {}
        self.next_id, self.closed, self.acks = 1, False, 0
        self.initial_window, self.connection_window, self.stream_windows = 65535, 65535, {}
        if preface:
            self.sock.sendall(PREFACE + frames.SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # Out

    def send(self, *some):
        """Frames of hyperframe, or bytes."""
        self.sock.sendall(b"".join(one if isinstance(one, bytes) else one.serialize() for one in some))

    def block_of(self, fields):
        return self.encoder.encode(fields)

    def headers(self, fields, end=True, stream=None, flags=("END_HEADERS",)):
        """Sends a field block, in as many frames as it takes; returns the stream."""
        if stream is None:
            stream, self.next_id = self.next_id, self.next_id + 2
        self.streams.setdefault(stream, Exchange())
        block = self.block_of(fields)
        pieces = [block[at:at + 16384] for at in range(0, max(len(block), 1), 16384)]
        some = [frames.HeadersFrame(stream, pieces[0]), *(frames.ContinuationFrame(stream, piece) for piece in pieces[1:])]
        for flag in flags:
            some[-1].flags.add(flag)
        if end:
            some[0].flags.add("END_STREAM")
        self.send(*some)
        return stream

    def data(self, stream, data, end=False):
        """As much as the windows let go, waiting for more."""
        while True:
            self.pump(lambda: self.window(stream) > 0 or not data or self.streams[stream].over or self.closed)
            piece, data = data[:min(16384, max(0, self.window(stream)))], data[min(16384, max(0, self.window(stream))):]
            one = frames.DataFrame(stream, piece)
            if end and not data:
                one.flags.add("END_STREAM")
            self.connection_window -= len(piece)
            self.stream_windows[stream] = self.stream_windows.get(stream, 0) - len(piece)
            self.send(one)
            if not data or self.streams[stream].over:
                return

    def window(self, stream):
        return min(self.connection_window, self.initial_window + self.stream_windows.get(stream, 0))

    def start(self, method, path, fields=(), end=True, host="localhost", scheme="http", stream=None):
        return self.headers([(":method", method), (":scheme", scheme), (":authority", host), (":path", path), *fields],
                            end, stream)

    def reset(self, stream, code=CANCEL):
        self.send(frames.RstStreamFrame(stream, code))

    def update(self, stream, size):
        self.send(frames.WindowUpdateFrame(stream, size))

    # In

    def read(self, seconds=PATIENCE):
        """Takes in what comes next; False when nothing came in time, or the connection is closed."""
        if self.closed or not (getattr(self.sock, "pending", int)() or select.select([self.sock], [], [], seconds)[0]):
            return False
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            self.closed = True
            return False
        self.held += data
        while len(self.held) >= 9:
            one, length = frames.Frame.parse_frame_header(memoryview(self.held[:9]))
            if len(self.held) < 9 + length:
                break
            one.parse_body(memoryview(self.held[9:9 + length]))
            self.held = self.held[9 + length:]
            self.took(one)
        return True

    def pump(self, condition, seconds=PATIENCE):
        """Reads until `condition()`; True when it came to hold."""
        end = time.monotonic() + seconds
        while not condition():
            if self.closed or time.monotonic() > end:
                return bool(condition())
            self.read(max(0, end - time.monotonic()))
        return True

    def took(self, one):
        if isinstance(one, frames.SettingsFrame):
            self.took_settings(one)
        elif isinstance(one, frames.PingFrame):
            if "ACK" in one.flags:
                self.pings.append(one.opaque_data)
            else:
                self.reply(frames.PingFrame(0, one.opaque_data, flags=("ACK",)))
        elif isinstance(one, frames.GoAwayFrame):
            self.goaways.append((one.last_stream_id, one.error_code, one.additional_data))
        elif isinstance(one, frames.WindowUpdateFrame):
            if one.stream_id:
                self.stream_windows[one.stream_id] = self.stream_windows.get(one.stream_id, 0) + one.window_increment
            else:
                self.connection_window += one.window_increment
        elif one.stream_id in self.streams:
            self.took_of_stream(one, self.streams[one.stream_id])

    def took_settings(self, one):
        if "ACK" in one.flags:
            self.acks += 1
            return
        self.settings.update(one.settings)
        self.initial_window = self.settings.get(INITIAL_WINDOW, 65535)
        self.reply(frames.SettingsFrame(0, flags=("ACK",)))

    def took_of_stream(self, one, exchange):
        if isinstance(one, (frames.HeadersFrame, frames.ContinuationFrame)):
            self.block += bytes(one.data)
            if "END_HEADERS" in one.flags:
                fields, self.block = self.decoder.decode(self.block), b""
                self.took_fields(exchange, fields)
        elif isinstance(one, frames.DataFrame):
            exchange.body += one.data
            if self.windows and one.flow_controlled_length:
                self.reply(frames.WindowUpdateFrame(0, one.flow_controlled_length),
                           *([] if "END_STREAM" in one.flags
                             else [frames.WindowUpdateFrame(one.stream_id, one.flow_controlled_length)]))
        elif isinstance(one, frames.RstStreamFrame):
            exchange.reset = one.error_code
        if "END_STREAM" in one.flags:
            exchange.ended = True

    def took_fields(self, exchange, fields):
        status = dict(fields).get(":status")
        if status and status.startswith("1"):
            exchange.interims.append((int(status), [pair for pair in fields if pair[0] != ":status"]))
        elif status:
            exchange.status, exchange.fields = int(status), [pair for pair in fields if pair[0] != ":status"]
        else:
            exchange.trailers = list(fields)

    def reply(self, *some):
        try:
            self.send(*some)
        except OSError:
            pass  # what the peer said before it closed is still read

    # Whole exchanges

    def wait(self, *streams):
        """Until these are over; the exchange of the first one."""
        if not self.pump(lambda: all(self.streams[stream].over for stream in streams)):
            raise AssertionError(f"streams {streams}: {[self.streams[one] for one in streams]}, closed {self.closed}, "
                                 f"GOAWAY {self.goaways}")
        return self.streams[streams[0]]

    def request(self, method, path, fields=(), body=None, **more):
        stream = self.start(method, path, fields, end=body is None, **more)
        if body is not None:
            self.data(stream, body, end=True)
        return self.wait(stream)

    def ping(self, payload=b"12345678"):
        """True when it was answered."""
        before = len(self.pings)
        self.send(frames.PingFrame(0, payload))
        return self.pump(lambda: len(self.pings) > before)

    def end(self):
        """Reads until the connection is closed; the last GOAWAY's code, or None."""
        if not self.pump(lambda: self.closed):
            raise AssertionError(f"still open; GOAWAY {self.goaways}")
        return self.goaways[-1][1] if self.goaways else None


AT_ONCE = 10  # streams of a Polite client


class Polite(threading.Thread):
    """A client of HTTP/2 that keeps so many streams going, opens none on a connection that has said GOAWAY, and asks again
    on a new one for those beyond the last stream of it. What must not happen is in `wrong`; that the gateway's processes are
    killed may happen if they are `mortal`: then what is cut is counted."""

    def __init__(self, connect, paths=("/",), body=b"hello", mortal=False):
        super().__init__(daemon=True)
        self.connect, self.paths, self.body, self.mortal = connect, itertools.cycle(paths), body, mortal
        self.wrong, self.answers, self.connections, self.cut = [], 0, 0, 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set() and not self.wrong:
            self.connections += 1
            try:
                with self.connect() as client:
                    self.use(client)
            except OSError as error:
                self.broke_off(repr(error))
            except Exception as error:
                self.wrong.append(repr(error))

    def broke_off(self, why):
        if self.mortal:
            self.cut += 1
        else:
            self.wrong.append(why)

    def use(self, client):
        active = set()
        while True:
            for stream in [stream for stream in active if client.streams[stream].over]:
                self.judge(client.streams.pop(stream))
                active.discard(stream)
            leaving = self.ending.is_set() or client.goaways
            while not leaving and not client.closed and len(active) < AT_ONCE:
                active.add(client.start("GET", next(self.paths)))
            if client.goaways:
                active = {stream for stream in active if stream <= client.goaways[-1][0]}
            if client.closed and active:
                self.broke_off(f"streams {active} were cut, GOAWAY {client.goaways}")
            if client.closed or leaving and not active:
                return
            client.read()

    def judge(self, exchange):
        self.answers += 1
        if exchange.status != 200 or exchange.body != self.body or not exchange.ended:
            self.wrong.append(repr(exchange))

    def finish(self):
        self.ending.set()
        self.join(PATIENCE + 10)
        if self.is_alive():
            self.wrong.append("it doesn't end")
        return self.wrong
