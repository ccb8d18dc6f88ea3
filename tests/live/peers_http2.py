"""An HTTP/2 origin for the live tests, on the frames of python3-h2's own libraries (hyperframe, hpack): what it sends is in
the hands of the test, rules of the protocol or not.

    origin = H2Origin(serve)         # serve(peer, request), on a thread of its own, when the request is complete
    origin.requests                  # a Request each, in the order in which their heads came
    origin.peers                     # a Peer each connection
"""
import socket
import threading

import hpack
from hyperframe import frame as frames

from peers import PATIENCE, Listening

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0, 1, 2, 7, 8
MAX_STREAMS, INITIAL_WINDOW, CONNECT_PROTOCOL = 3, 4, 8
FRAME = 16384


class Request:
    def __init__(self, stream, fields):
        self.stream, self.fields = stream, fields
        self.body, self.trailers = bytearray(), None
        self.ended, self.reset = False, None

    def get(self, name, default=None):
        return next((value for at, value in self.fields if at == name), default)

    @property
    def path(self):
        return self.get(":path")

    def __repr__(self):
        return f"{self.fields} {len(self.body)} bytes, reset {self.reset}"


class Peer:
    """One connection."""

    def __init__(self, origin, sock):
        self.origin, self.sock = origin, sock
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.requests, self.windows = {}, {0: 65535}
        self.initial, self.settings, self.pings, self.goaways = 65535, {}, [], []
        self.lock, self.changed = threading.RLock(), threading.Condition()
        self.held, self.block = b"", None

    # What is sent

    def send(self, *sent):
        with self.lock:
            self.sock.sendall(b"".join(item if isinstance(item, bytes) else item.serialize() for item in sent))

    def head(self, stream, status=200, fields=(), end=False):
        with self.lock:  # the order of blocks is that of their frames
            block = self.encoder.encode([(":status", str(status)), *fields])
            self.send(frames.HeadersFrame(stream, block, flags=["END_HEADERS"] + ["END_STREAM"] * end))

    def trailers(self, stream, fields):
        with self.lock:
            block = self.encoder.encode(fields)
            self.send(frames.HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]))

    def data(self, stream, data, end=False):
        """As the windows allow."""
        while data:
            with self.changed:
                if not self.changed.wait_for(lambda: self.room(stream) > 0 or self.gone(stream), PATIENCE):
                    raise AssertionError(f"no window for stream {stream}")
                if self.gone(stream):
                    return
                step = min(len(data), self.room(stream), FRAME)
                self.windows[0] -= step
                self.windows[stream] = self.windows.get(stream, self.initial) - step
            piece, data = data[:step], data[step:]
            self.send(frames.DataFrame(stream, piece, flags=["END_STREAM"] if end and not data else []))
            if not data:
                return
        self.send(frames.DataFrame(stream, b"", flags=["END_STREAM"] if end else []))

    def reset(self, stream, code):
        self.send(frames.RstStreamFrame(stream, error_code=code))

    def goaway(self, last, code=NO_ERROR):
        self.send(frames.GoAwayFrame(0, last_stream_id=last, error_code=code))

    def answer(self, request, body=b"good", status=200, fields=()):
        self.head(request.stream, status, fields)
        self.data(request.stream, body, end=True)

    def room(self, stream):
        return min(self.windows[0], self.windows.get(stream, self.initial))

    def gone(self, stream):
        return self.sock.fileno() < 0 or self.requests[stream].reset is not None

    def open_windows(self, stream, count):
        self.send(frames.WindowUpdateFrame(0, count), frames.WindowUpdateFrame(stream, count))

    # What came

    def run(self):
        if self.take(len(PREFACE)) != PREFACE:
            raise ValueError("no preface")
        if self.origin.settings is not None:
            self.send(frames.SettingsFrame(0, settings=self.origin.settings))
        while True:
            frame, length = frames.Frame.parse_frame_header(memoryview(self.take(9)))
            frame.parse_body(memoryview(self.take(length)))
            with self.changed:
                self.took(frame)
                self.changed.notify_all()

    def take(self, count):
        while len(self.held) < count:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.held += data
        data, self.held = self.held[:count], self.held[count:]
        return data

    def took(self, frame):
        handler = getattr(self, "on_" + type(frame).__name__, None)
        if handler:
            handler(frame)

    def on_SettingsFrame(self, frame):
        if "ACK" in frame.flags:
            return
        self.settings.update(frame.settings)
        if INITIAL_WINDOW in frame.settings:
            for stream in self.windows:
                self.windows[stream] += frame.settings[INITIAL_WINDOW] - self.initial if stream else 0
            self.initial = frame.settings[INITIAL_WINDOW]
        if self.origin.settings is not None:
            self.send(frames.SettingsFrame(0, flags=["ACK"]))

    def on_WindowUpdateFrame(self, frame):
        self.windows[frame.stream_id] = self.windows.get(frame.stream_id, self.initial) + frame.window_increment

    def on_PingFrame(self, frame):
        self.pings.append(frame)
        if "ACK" not in frame.flags and self.origin.pongs:
            self.send(frames.PingFrame(0, frame.opaque_data, flags=["ACK"]))

    def on_GoAwayFrame(self, frame):
        self.goaways.append(frame)
        self.origin.told()

    def on_RstStreamFrame(self, frame):
        if frame.stream_id in self.requests:
            self.requests[frame.stream_id].reset = frame.error_code
            self.origin.told()

    def on_HeadersFrame(self, frame):
        self.block = (frame, bytearray(frame.data))
        if "END_HEADERS" in frame.flags:
            self.got_block()

    def on_ContinuationFrame(self, frame):
        self.block[1].extend(frame.data)
        if "END_HEADERS" in frame.flags:
            self.got_block()

    def got_block(self):
        (frame, block), self.block = self.block, None
        fields = [tuple(pair) for pair in self.decoder.decode(bytes(block))]
        known = self.requests.get(frame.stream_id)
        if known:
            known.trailers = fields
        else:
            known = self.requests[frame.stream_id] = Request(frame.stream_id, fields)
            self.origin.began(self, known)
        if "END_STREAM" in frame.flags:
            self.complete(known)

    def on_DataFrame(self, frame):
        request = self.requests[frame.stream_id]
        request.body += frame.data
        self.origin.told()
        if self.origin.windows and frame.flow_controlled_length:
            self.open_windows(frame.stream_id, frame.flow_controlled_length)
        if "END_STREAM" in frame.flags:
            self.complete(request)

    def complete(self, request):
        request.ended = True
        self.origin.told()
        if not self.origin.early:
            self.origin.start(self, request)

    def wait(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE):
                raise AssertionError(f"the origin waited in vain for {what}")


class H2Origin(Listening):
    """`settings`: those it begins with (None: it sends none); `windows`: whether it opens them for what came; `pongs`: whether
    it answers PING; `early`: serve() is called when the head is there; `wrap`: what makes TLS of a socket."""

    def __init__(self, serve=None, settings=(), windows=True, pongs=True, early=False, wrap=None):
        self.serve = serve or (lambda peer, request: peer.answer(request))
        self.settings = None if settings is None else dict(settings)
        self.windows, self.pongs, self.early, self.wrap = windows, pongs, early, wrap
        self.requests, self.peers, self.errors = [], [], []
        super().__init__()

    def converse(self, sock):
        try:
            if self.wrap:
                self.open.discard(sock)
                sock = self.wrap(sock)
                self.open.add(sock)
            peer = Peer(self, sock)
            with self.changed:
                self.peers.append(peer)
                self.changed.notify_all()
            peer.run()
        except (OSError, EOFError):
            pass
        except Exception as error:  # what the gateway must not send
            self.errors.append(repr(error))
        self.open.discard(sock)
        with self.changed:
            sock.close()
            self.changed.notify_all()

    def told(self):
        with self.changed:
            self.changed.notify_all()

    def began(self, peer, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        if self.early:
            self.start(peer, request)

    def start(self, peer, request):
        def run():
            try:
                self.serve(peer, request)
            except OSError:
                pass
            except Exception as error:
                self.errors.append(repr(error))

        threading.Thread(target=run, daemon=True).start()

    def wait(self, condition, what="something"):
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), PATIENCE):
                raise AssertionError(f"the origin waited in vain for {what}: {self.requests[-5:]}, {len(self.peers)} peers")
