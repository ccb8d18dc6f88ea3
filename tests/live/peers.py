"""Both ends of the wire for the tests: clients that send raw bytes, servers that keep what they were sent, wrk."""
import itertools
import os
import random
import re
import select
import socket
import subprocess
import threading
import time

PATIENCE = 10  # seconds that a peer waits for bytes that must come


def free_port():
    """A port of 127.0.0.1 that nothing listens on now, and that nobody gets unasked: it lies in the range that the runner
    gave to this test alone, below those that the kernel hands out."""
    first, last = map(int, os.environ.get("GATEHOUSE_PORTS", "10000-31999").split("-"))
    for _ in range(last - first):
        port = first + next(TURN) % (last - first + 1)
        try:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
                return port
        except OSError:
            pass  # it is in use, or was a moment ago
    raise AssertionError(f"no port from {first} to {last} is free")


TURN = itertools.count(random.randrange(1 << 16))


class Message:
    """A request or an answer as it came: first line, fields in order with their case, body without its framing."""

    def __init__(self, first, fields, body=b"", raw=b""):
        self.first, self.fields, self.body, self.raw = first, fields, body, raw

    @property
    def status(self):
        return int(self.first.split(" ", 2)[1])

    @property
    def method(self):
        return self.first.split(" ", 2)[0]

    @property
    def target(self):
        return self.first.split(" ", 2)[1]

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def __repr__(self):
        return f"<{self.first} {self.fields} {self.body[:200]!r}>"


class Reader:
    """HTTP/1 messages from a socket. Written apart from the program's own parser, to be a second opinion."""

    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        self.held += data
        return bool(data)

    def take(self, count):
        while len(self.held) < count:
            if not self.more():
                raise EOFError(f"the peer closed {count - len(self.held)} bytes early")
        data, self.held = self.held[:count], self.held[count:]
        return data

    def line(self):
        while b"\r\n" not in self.held:
            if not self.more():
                raise EOFError(f"the peer closed within a line: {self.held[:200]!r}")
        data, self.held = self.held.split(b"\r\n", 1)
        return data.decode("latin-1")

    def head(self):
        """The first line and the fields; None when the peer closed before a first byte."""
        while not self.held:
            if not self.more():
                return None
        first, fields = self.line(), []
        while True:
            line = self.line()
            if not line:
                return first, fields
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))

    def chunks(self, fields):
        body = b""
        while True:
            size = int(self.line().split(";")[0], 16)
            if size == 0:
                break
            body += self.take(size)
            if self.take(2) != b"\r\n":
                raise ValueError("a chunk does not end with CRLF")
        while True:
            line = self.line()
            if not line:
                return body
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))

    def to_end(self):
        while self.more():
            pass
        data, self.held = self.held, b""
        return data

    def message(self, request, method="GET"):
        """The next message, or None at an orderly end. `method`: of the request that an answer is for."""
        head = self.head()
        if head is None:
            return None
        message = Message(*head)
        length, coding = message.get("Content-Length"), message.get("Transfer-Encoding", "")
        bodiless = not request and (method == "HEAD" or message.status in (204, 304) or message.status < 200)
        if bodiless:
            pass
        elif coding.lower().endswith("chunked"):
            message.body = self.chunks(message.fields)
        elif length is not None:
            message.body = self.take(int(length))
        elif not request:
            message.body = self.to_end()
        return message


class Client:
    """A connection to the gateway; `source`: from that address of this machine (127.x.y.z are all its own)."""

    def __init__(self, address, timeout=PATIENCE, source=None):
        if isinstance(address, int):
            address = ("127.0.0.1", address)
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.sock.settimeout(timeout)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method, target, fields=(), body=None, host="localhost"):
        self.send_head(method, target, fields, body, host)
        return self.answer(method)

    def send_head(self, method, target, fields=(), body=None, host="localhost"):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def answer(self, method="GET", informational=False):
        """The next final answer; with `informational`, the next of any kind."""
        while True:
            message = self.reader.message(False, method)
            if message is None or informational or message.status >= 200:
                return message

    def closed(self):
        """Waits until the gateway has closed the connection; what it sent before that."""
        try:
            return self.reader.to_end()
        except ConnectionResetError:
            return self.reader.held

    def quiet(self, seconds):
        """True when nothing came within the time."""
        return not select.select([self.sock], [], [], seconds)[0]


def get(address, target, fields=(), method="GET", body=None, host="localhost", source=None):
    """One request on a connection of its own."""
    with Client(address, source=source) as client:
        return client.request(method, target, [*fields, ("Connection", "close")], body, host)


def answer(body=b"", status="200 OK", fields=(), close=False):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields)]
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Listening:
    """A server on a free port of 127.0.0.1: converse(sock) has a thread for each connection, and closes it."""

    def __init__(self):
        self.open, self.changed = set(), threading.Condition()
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.sock.getsockname()[1]
        self.text = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        for sock in (self.sock, *list(self.open)):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.add(sock)
            threading.Thread(target=self.converse, args=(sock,), daemon=True).start()


class Origin:
    """A server behind the gateway: a thread a connection. `serve(request, sock)` is called for each request and
    returns the bytes to answer with, or None when it has answered by itself; it may raise ConnectionError to close."""

    def __init__(self, serve=None, address=None):
        self.serve = serve or (lambda request, sock: answer(b"hello from the origin"))
        self.requests, self.connections, self.errors = [], 0, []
        self.open = set()
        self.lock, self.changed = threading.Lock(), threading.Condition()
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.text = "unix:" + address
        else:
            address = address or ("127.0.0.1", 0)
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(address)
        self.sock.listen(1024)
        if not isinstance(address, str):
            self.port = self.sock.getsockname()[1]
            self.text = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for sock in (self.sock, *list(self.open)):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def stop_listening(self):
        """No new connections; those there are go on."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if sock.family != socket.AF_UNIX else None
            self.open.add(sock)
            with self.changed:
                self.connections += 1
                self.changed.notify_all()
            threading.Thread(target=self.converse, args=(sock,), daemon=True).start()

    def converse(self, sock):
        reader = Reader(sock)
        try:
            while True:
                request = reader.message(True)
                if request is None:
                    break
                with self.changed:
                    self.requests.append(request)
                    self.changed.notify_all()
                data = self.serve(request, sock)
                if data is not None:
                    sock.sendall(data)
                    if b"\r\nConnection: close\r\n" in data.split(b"\r\n\r\n", 1)[0] + b"\r\n":
                        break
        except (OSError, EOFError):
            pass
        except Exception as error:  # a peer that breaks the protocol is what a test asks about
            self.errors.append(repr(error))
        self.open.discard(sock)
        sock.close()

    def wait(self, condition, seconds=PATIENCE):
        """Waits until `condition(self)` holds."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), seconds):
                raise AssertionError(f"the origin waited in vain: {len(self.requests)} requests, "
                                     f"{self.connections} connections")


class Load:
    """wrk, running beside the test. finish() waits for its end and returns the counts."""

    def __init__(self, port, target="/", seconds=5, connections=64, threads=1, fields=(), host=None, tls=False):
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        for name, value in fields:
            command += ["-H", f"{name}: {value}"]
        if host:
            command += ["-H", f"Host: {host}"]
        self.seconds = seconds
        self.started = time.monotonic()
        self.process = subprocess.Popen([*command, f"http{'s' if tls else ''}://127.0.0.1:{port}{target}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def running(self):
        return self.process.poll() is None

    def finish(self):
        text, _ = self.process.communicate(timeout=self.seconds + 30)
        return load_result(text)


def load_result(text):
    """What wrk printed: requests, errors by kind, their sum."""
    requests = re.search(r"(\d+) requests in", text)
    if not requests:
        raise AssertionError("wrk did not finish: " + text)
    errors = dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0)
    found = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if found:
        errors.update(zip(("connect", "read", "write", "timeout"), map(int, found.groups())))
    found = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if found:
        errors["status"] = int(found.group(1))
    return {"requests": int(requests.group(1)), **errors, "errors": sum(errors.values()), "text": text}
