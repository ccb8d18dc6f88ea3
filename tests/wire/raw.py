"""Both ends of the wire, in bytes: an origin that keeps all that reaches it and answers by a script, and a client.

The origin judges what it is sent by the strict model. Bytes that were sent to any of its connections before a request
was answered have been read before that: a request of one's own behind another (Bench.settle) makes sure that nothing
is on its way any more, without waiting by the clock.
"""
import select
import selectors
import socket
import struct
import threading
import time

from peers import answer
from strict import Ambiguous, Cut, read_answers, read_request

PATIENCE = 20  # seconds within which what must come comes
SENTINEL = b"/sentinel/"
CLOSE, RESET = "close", "reset"  # steps of a script, beside bytes and functions


class Stream:
    """A connection to the origin."""

    def __init__(self, number, sock):
        self.number, self.sock = number, sock
        self.received = b""  # all of it
        self.requests = []  # the whole ones
        self.at = 0  # where the one that isn't whole begins
        self.told = 0  # requests that take() has given out
        self.cut = False  # the last one was told to be incomplete at the end
        self.wrong = None  # what is ambiguous
        self.told_wrong = False
        self.closed = False
        self.early = -1  # where the request begins that was answered before it was whole

    def rest(self):
        return self.received[self.at:]

    def parse(self):
        """The requests that became whole."""
        found = []
        try:
            while self.wrong is None and self.at < len(self.received):
                request = read_request(self.rest())
                self.at += request.length
                request.stream = self
                found.append(request)
        except Cut:
            pass
        except Ambiguous as wrong:
            self.wrong = str(wrong)
        self.requests += found
        return found


class Seen:
    """What reached the origin since it was last asked: whole requests, those that were broken off, what is wrong."""

    def __init__(self, requests, cut, waiting, wrong):
        self.requests, self.cut, self.waiting, self.wrong = requests, cut, waiting, wrong

    def __repr__(self):
        return f"<whole {self.requests}, broken off {self.cut}, unfinished {self.waiting}, wrong {self.wrong}>"


class Recorder:
    """`scripts`: {path: steps}, what to do for a request; a path that isn't there is answered with the target as the
    body. `early`: the same, done as soon as the head is there."""

    def __init__(self):
        self.scripts, self.early = {}, {}
        self.streams = []
        self.lock = threading.Lock()
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(256)
        self.sock.setblocking(False)
        self.text = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.wake, self.waker = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.sock, selectors.EVENT_READ)
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        self.waker.close()
        self.thread.join()
        for stream in self.streams:
            stream.sock.close()
        for sock in (self.sock, self.wake):
            sock.close()
        self.selector.close()

    def run(self):
        while True:
            touched = {}
            ready = self.selector.select()
            with self.lock:
                while ready:  # all that is there, on every connection, before anything is answered
                    for key, _ in ready:
                        if key.fileobj is self.wake:
                            return
                        if key.data is None:
                            self.accept()
                        elif self.read(key.data):
                            touched[key.data.number] = key.data
                    ready = self.selector.select(0)
                for stream in touched.values():
                    for request in stream.parse():
                        self.play(stream, request, self.scripts)
                    if stream.wrong is not None:
                        self.end(stream, RESET)
                    else:
                        self.play_early(stream)

    def accept(self):
        try:
            sock, _ = self.sock.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        stream = Stream(len(self.streams), sock)
        self.streams.append(stream)
        self.selector.register(sock, selectors.EVENT_READ, stream)

    def read(self, stream):
        try:
            data = stream.sock.recv(65536)
        except OSError:
            data = b""
        stream.received += data
        if not data:
            self.end(stream, CLOSE)
        return bool(data)

    def end(self, stream, how):
        if stream.closed:
            return
        stream.closed = True
        self.selector.unregister(stream.sock)
        if how == RESET:
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.sock.close()

    def play(self, stream, request, scripts):
        steps = scripts.get(request.target.split(b"?")[0])
        if steps is None:
            steps = [answer(request.target, fields=[("X-Method", request.method.decode())])]
            if request.method == b"HEAD":
                steps = [steps[0].split(b"\r\n\r\n")[0] + b"\r\n\r\n"]
        for step in steps:
            if stream.closed:
                return
            if callable(step):
                step()
                continue
            if step in (CLOSE, RESET):
                self.end(stream, step)
                continue
            try:
                stream.sock.sendall(step)
            except OSError:
                self.end(stream, CLOSE)

    def play_early(self, stream):
        first = stream.rest().split(b"\r\n")[0].split(b" ")
        if b"\r\n\r\n" in stream.rest() and len(first) == 3 and first[1] in self.early and stream.early != stream.at:
            stream.early = stream.at

            class Head:
                method, target = first[:2]

            self.play(stream, Head, self.early)

    def take(self):
        """Seen: what came since the last call, without sentinels."""
        requests, cut, waiting, wrong = [], [], [], []
        with self.lock:
            for stream in self.streams:
                new = stream.requests[stream.told:]
                stream.told = len(stream.requests)
                requests += [request for request in new if not request.target.startswith(SENTINEL)]
                if stream.wrong is not None:
                    if not stream.told_wrong:
                        wrong.append(stream.wrong)
                    stream.told_wrong = True
                elif stream.rest() and stream.closed and not stream.cut:
                    cut.append(stream.rest())
                    stream.cut = True
                elif stream.rest() and not stream.closed:
                    waiting.append(stream.rest())
        return Seen(requests, cut, waiting, wrong)


class Link:
    """A client's connection, and all that came on it."""

    def __init__(self, port, methods=()):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.methods = list(methods)
        self.received, self.ended, self.reset = b"", False, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def answers(self):
        return read_answers(self.received, self.methods, self.ended)

    def finals(self):
        return [message for message in self.answers()[0] if message.status >= 200]

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data, self.reset = b"", True
        self.received += data
        self.ended = not data
        return data

    def talk(self, data=b"", count=None, piece=None, seconds=PATIENCE):
        """Sends, `piece` bytes at a time if that is given, and takes what comes until `count` final answers are there
        (None: until the gateway closes). False: that didn't come about in time."""
        end = time.monotonic() + seconds
        at = 0
        broken = False
        while not self.ended:
            if (at == len(data) or broken) and count is not None and len(self.finals()) >= count:
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            writes = [self.sock] if at < len(data) and not broken else []
            ready, writable, _ = select.select([self.sock], writes, [], left)
            if ready:
                self.receive()
            elif writable:
                try:
                    at += self.sock.send(data[at:at + piece] if piece else data[at:])
                except ConnectionError:
                    broken = True
        return count is None or len(self.finals()) >= count


class Bench:
    """A gateway of one worker before a recorder, for a whole table."""

    def __init__(self, case, apis, timeout="", **settings):
        self.recorder = Recorder()
        case.addCleanup(self.recorder.close)
        upstream = f'origin = {{ endpoints = ( "{self.recorder.text}" ); {timeout} }};'
        self.gateway = case.gateway(workers=1, apis=apis, upstreams=upstream, **settings)
        self.port = self.gateway.port
        self.sentinels = 0
        self.watch = Link(self.port)

    def settle(self):
        """Nothing that reached the gateway is on its way to the origin any more: Seen. Raises when the gateway doesn't
        answer, or answers another request than was asked."""
        self.sentinels += 1
        target = SENTINEL + b"%d" % self.sentinels
        if self.watch.ended:
            self.watch = Link(self.port)
        self.watch.received = b""
        self.watch.talk(b"GET " + target + b" HTTP/1.1\r\nHost: sentinel\r\n\r\n", 1)
        finals = self.watch.finals()
        if len(finals) != 1 or finals[0].status != 200 or finals[0].body != target:
            raise AssertionError(f"a later request of another client got {self.watch.received[:300]!r}")
        if finals[0].get(b"Connection") == b"close":
            self.watch = Link(self.port)
        return self.recorder.take()


class Rows:
    """Collects what is wrong with the rows of a table, to tell all of it at the end."""

    def __init__(self):
        self.wrong, self.count = [], 0

    def check(self, name, function, *arguments):
        """Whether it went well."""
        self.count += 1
        try:
            function(*arguments)
            return True
        except (AssertionError, Ambiguous, OSError) as error:
            self.wrong.append(f"{name}: {str(error)[:600] or repr(error)}")
            return False

    def end(self):
        assert self.count, "the table is empty"
        if self.wrong:
            raise AssertionError(f"{len(self.wrong)} of {self.count} rows:\n" + "\n".join(self.wrong))
