"""Bodies stream with bounded memory: what one side sends faster than the other takes waits in its sender.

A request may cost 256 KiB. What it does cost: in each direction one read of the side that is ahead (64 KiB, 128 KiB of an
answer that is relayed) that the other's socket did not take, or took in part, and which is kept; nothing more is read until it is gone. A body in chunks is no more: what is
kept of it and what is held back unparsed are parts of the same read. Both directions and the request's own arena make
less than 224 KiB; the rest is for the allocator.
"""
import os
import select
import socket
import threading

from gatehouse import limit, resident, slow, wait_until
from pair import Pair

MIB = 1 << 20
PATTERN = memoryview(os.urandom(MIB) * 2)
REQUEST_MOST = 256 * 1024


def part(offset, length):
    """The body's bytes from `offset` on: known everywhere, so that each piece can be compared as it comes."""
    return PATTERN[offset % MIB : offset % MIB + length]


class Giver:
    """Sends a body; tells when its socket takes no more for a moment."""

    def __init__(self, sock, size, chunk):
        sock.settimeout(None)
        self.sock, self.size, self.chunk = sock, size, chunk
        self.sent, self.done, self.full = 0, threading.Event(), threading.Event()

    def push(self, data):
        while data:
            while not select.select([], [self.sock], [], 0.05)[1]:
                self.full.set()  # again and again: who waits for it has cleared it meanwhile
            taken = self.sock.send(data, socket.MSG_DONTWAIT)
            data = data[taken:]

    def give(self):
        while self.sent < self.size:
            length = min(self.chunk or MIB, MIB, self.size - self.sent)
            if self.chunk:
                self.push(memoryview(b"%x\r\n" % length))
            self.push(part(self.sent, length))
            if self.chunk:
                self.push(memoryview(b"\r\n"))
            self.sent += length
        if self.chunk:
            self.push(memoryview(b"0\r\n\r\n"))
        self.done.set()

    def wait_full(self):
        """Until it could send more than is taken, or has sent all."""
        self.full.clear()
        while not self.full.wait(0.05) and not self.done.is_set():
            pass

    @property
    def framing(self):
        return "Transfer-Encoding: chunked" if self.chunk else f"Content-Length: {self.size}"


class Taker:
    """Takes a body and compares it; waits now and then until its giver is ahead."""

    def __init__(self, file, giver):
        self.file, self.giver, self.taken, self.pause_at = file, giver, 0, 0
        self.memory = memoryview(bytearray(MIB))

    def head(self):
        first, framing = self.file.readline(), None
        while (line := self.file.readline()) != b"\r\n":
            assert line, "no head: " + repr(first)
            name, _, value = line.decode().strip().partition(": ")
            if name in ("Content-Length", "Transfer-Encoding"):
                framing = value
        self.framing = framing
        return first.decode()

    def piece(self, length):
        while length:
            if self.giver and self.taken >= self.pause_at:
                self.giver.wait_full()
                self.pause_at += self.giver.size // 8
            room = self.memory[: min(length, MIB)]
            count = self.file.readinto(room)
            assert count, f"cut after {self.taken} bytes"
            assert room[:count] == part(self.taken, count), f"other bytes within {count} after {self.taken}"
            self.taken += count
            length -= count

    def take(self):
        if self.framing != "chunked":
            self.piece(int(self.framing))
            return self.taken
        while size := int(self.file.readline(), 16):
            self.piece(size)
            assert self.file.readline() == b"\r\n"
        assert self.file.readline() == b"\r\n"
        return self.taken


def run(function, errors):
    """Runs it on a thread of its own; what goes wrong is an item of `errors`."""

    def body():
        try:
            function()
        except Exception as error:  # for the test's own thread to tell
            errors.append(error)
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


class Memory(Pair):
    def transfer(self, gateway, givers, upload, chunk, size):
        """A whole body through the gateway, in either direction."""
        with gateway.client() as client:
            if upload:
                giver = Giver(client.sock, size, chunk)
                givers[f"/{id(giver)}"] = giver
                client.send(f"POST /{id(giver)} HTTP/1.1\r\nHost: a\r\n{giver.framing}\r\n\r\n")
                giver.give()
                self.assertEqual(client.answer().body, b"%d" % size)
            else:
                client.sock.settimeout(None)
                client.send(f"GET /{size}/{chunk} HTTP/1.1\r\nHost: a\r\n\r\n")
                taker = Taker(client.sock.makefile("rb", MIB), None)
                taker.head()
                taker.giver = givers["/%d/%d" % (size, chunk)]
                self.assertEqual(taker.take(), size)

    def pattern_origin(self, givers):
        """Takes what is posted, gives what is asked for: GET /SIZE/CHUNK."""

        def serve(sock):
            taker = Taker(sock.makefile("rb", MIB), None)
            method, target, _ = taker.head().split(" ")
            if method == "POST":
                taker.giver = givers[target]
                said = b"%d" % taker.take()
                sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
                return
            size, chunk = map(int, target[1:].split("/"))
            giver = givers[target] = Giver(sock, size, chunk)
            sock.sendall(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{giver.framing}\r\n\r\n".encode())
            giver.give()
        return self.raw(serve)

    @limit(180)
    def test_whole_bodies(self):
        """1 GiB in each direction, with a length and in chunks, all at once; the takers are slower again and again."""
        size, givers, errors = 128 * MIB if slow() else 1024 * MIB, {}, []
        gateway = self.proxy(self.pattern_origin(givers).text)
        (worker,) = gateway.wait_processes("worker", 1)
        kinds = [(upload, chunk) for upload in (False, True) for chunk in (0, 100003)]
        for upload, chunk in kinds:  # once, so that what the worker needs for itself is there
            self.transfer(gateway, givers, upload, chunk, MIB)
        before, most = resident(worker), 0
        threads = [run(lambda upload=upload, chunk=chunk: self.transfer(gateway, givers, upload, chunk, size), errors)
                   for upload, chunk in kinds]
        while any(thread.is_alive() for thread in threads):
            most = max(most, resident(worker) - before)
            select.select([], [], [], 0.05)
        self.assertEqual(errors, [])
        if not slow():  # sanitizers keep what is freed for long
            self.assertLess(most, len(kinds) * REQUEST_MOST)

    @limit(120)
    def test_full_sockets(self):
        """Requests of which nobody takes anything: each kind, and both directions of one request at once."""
        count, release, errors = 8 if slow() else 48, threading.Event(), []
        self.addCleanup(release.set)
        senders, lock = [], threading.Lock()

        def give(sock, data):
            """As much as the sockets and the gateway between take."""
            sock.settimeout(None)
            with lock:
                senders.append(sock)
            left = memoryview(data)
            try:
                while not release.is_set():
                    if select.select([], [sock], [], 0.1)[1]:
                        left = left[sock.send(left, socket.MSG_DONTWAIT) :] or memoryview(data)
            except OSError:
                pass

        chunked = b"Transfer-Encoding: chunked"
        framings = {"length": (b"Content-Length: 1000000000000", b"x" * MIB), "tiny": (chunked, b"1\r\nx\r\n" * 40000),
                    "chunks": (chunked, b"100000\r\n" + b"x" * MIB + b"\r\n")}

        def serve(sock):
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(1000)
            down = head.split(b" ")[1].split(b"/")[1].decode()
            if down in framings:
                sock.sendall(b"HTTP/1.1 200 OK\r\n" + framings[down][0] + b"\r\n\r\n")
                give(sock, framings[down][1])
            release.wait(60)

        def ask(client, down, up):
            client.send(f"{'POST' if up else 'GET'} /{down} HTTP/1.1\r\nHost: a\r\n" +
                        (framings[up][0].decode() + "\r\n" if up else "") + "\r\n")
            if down != "none":
                client.reader.head()
            if up:
                run(lambda: give(client.sock, framings[up][1]), errors)

        for down, up in (("length", None), ("tiny", None), ("none", "length"), ("none", "chunks"), ("chunks", "chunks"),
                         ("tiny", "tiny")):
            with self.subTest(down=down, up=up):
                senders.clear()
                release.clear()
                gateway = self.proxy(self.raw(serve).text, name=f"{down}-{up}")
                (worker,) = gateway.wait_processes("worker", 1)
                clients = [gateway.client() for _ in range(count)]
                before = resident(worker)
                for client in clients:
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                    ask(client, down, up)
                expected = count * ((down != "none") + (up is not None))
                wait_until(lambda: len(senders) == expected and not select.select([], senders, [], 0.3)[1], "full sockets")
                grown = (resident(worker) - before) // count
                release.set()
                for client in clients:
                    client.close()
                gateway.finish()
                if not slow():
                    self.assertLess(grown, REQUEST_MOST)
        self.assertEqual(errors, [])
