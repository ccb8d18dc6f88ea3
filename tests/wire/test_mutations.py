"""Legal requests in pipelines, damaged at random: whatever becomes of them, the gateway reads them in the one way that
the model reads them, or refuses them.

    GATEHOUSE_WIRE_SEED     what the damage is made from; a case is made from the seed and its number alone
    GATEHOUSE_WIRE_CASES    how many pipelines
    GATEHOUSE_WIRE_FIRST    the number of the first one
"""
import os
import random
import selectors
import socket
import time

from gatehouse import Case, limit
from raw import PATIENCE, Bench, Link
from reading import readings
from strict import Ambiguous, read_answers
from table import get, post

APIS = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
CLIENT = 'client = { half_close = true; header_timeout = "5s"; body_timeout = "5s"; keepalive_timeout = "5s"; };'
SEED = os.environ.get("GATEHOUSE_WIRE_SEED", "1")
CASES = int(os.environ.get("GATEHOUSE_WIRE_CASES", "20000"))
FIRST = int(os.environ.get("GATEHOUSE_WIRE_FIRST", "0"))
AT_ONCE = 32

TOKENS = (
    b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b"\x7f", b"\xff", b"\xa0", b":", b",", b";", b"+", b"-", b"0x", b"#", b"/", b"//", b"%00",
    b"%2f", b"/../", b"/%2e%2e/", b"..;", b"\\", b"*", b"@", b"\r\n ", b"\r\n\t", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\n\n", b"0\r\n\r\n",
    b"5\r\nhello\r\n", b"1\r\n", b"5;x\r\n", b"ffffffffffffffff\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding : chunked\r\n", b"transfer-encoding:\tchunked\r\n", b"Transfer_Encoding: chunked\r\n", b"Transfer-Encoding", b"chunked",
    b", chunked", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length: 35\r\n", b"Content-Length: +5\r\n",
    b"Content-Length: 18446744073709551617\r\n", b"Content_Length: 5\r\n", b"Content-Length", b"Host: b\r\n", b"Host: a\r\n", b"Host:\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Content-Length, Host\r\n", b"Connection: Transfer-Encoding\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"Expect: 100-continue\r\n", b"TE: trailers\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"GET ",
    b"HEAD ", b"X: y\r\n", b"X: y", get(b"/spliced"), post(b"Content-Length: 5", body=b"hello", target=b"/spliced"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


def legal(rng, target):
    """One of the kinds of requests, with a target of its own."""
    fields = rng.sample([b"X-A: b", b"Accept: */*", b"User-Agent: wire/1", b"Cookie: a=b; c=d", b"X-Empty:", b"Connection: keep-alive",
                         b"Connection: X-A", b"X-High: \xe4", b"Via: 1.0 fred", b"TE: trailers"], rng.randrange(4))
    body = rng.choice([b"hello", b"", b"0\r\n\r\n", get(b"/inner"), b"\r\n\r\n", b"x" * 100])
    pieces = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), rng.choice([b"", b";x", b";a=\"b\""]), piece)
                      for piece in (body[:3], body[3:]) if piece)
    end = rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"000;x\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n"])
    return rng.choice([
        lambda: get(target, *fields),
        lambda: get(target, *fields, method=rng.choice([b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"M-SEARCH"])),
        lambda: get(b"http://a" + target, *fields),
        lambda: get(target + b"?a=b&c=%20{}|", *fields, version=rng.choice([b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"])),
        lambda: get(b"*", *fields, method=b"OPTIONS"),
        lambda: get(target, *fields, b"Content-Length: %d" % len(body), method=rng.choice([b"POST", b"PUT", b"GET", b"HEAD"]), body=body),
        lambda: get(target, *fields, b"Content-Length: %d" % len(body), b"Expect: 100-continue", method=b"POST", body=body),
        lambda: get(target, *fields, b"Transfer-Encoding: chunked", method=rng.choice([b"POST", b"PATCH", b"GET"]), body=pieces + end),
    ])()


def somewhere(rng, data):
    """A place in it: any, or the end of a line."""
    ends = [at for at in range(len(data)) if data[at - 1:at] == b"\n"]
    return rng.choice(ends) if ends and rng.random() < 0.5 else rng.randrange(len(data) + 1)


def flip(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]


def insert(rng, data):
    at = somewhere(rng, data)
    return data[:at] + bytes([rng.randrange(256)]) + data[at:]


def delete(rng, data):
    at = somewhere(rng, data)
    return data[:at] + data[at + rng.choice([1, 1, 1, 2, 3, 10]):]


def duplicate(rng, data):
    at = somewhere(rng, data)
    return data[:at] + data[at:at + rng.randrange(1, 60)] + data[at:]


def duplicate_line(rng, data):
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    lines.insert(rng.choice([at, rng.randrange(len(lines))]), lines[at])
    return b"\r\n".join(lines)


def swap_lines(rng, data):
    lines = data.split(b"\r\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def splice(rng, data):
    at = somewhere(rng, data)
    return data[:at] + rng.choice(TOKENS) + data[at:]


def replace(rng, data):
    """One of what separates things, by another."""
    old = rng.choice([b"\r\n", b" ", b":", b"1", b"0", b"5", b"/", b"-"])
    places = [at for at in range(len(data)) if data.startswith(old, at)]
    if not places:
        return data
    at = rng.choice(places)
    return data[:at] + rng.choice([b"\n", b"\r", b"\t", b" ", b"", b"\0", b"_", b"2", b"9", b"\r\n", b"\r\n\r\n"]) + data[at + len(old):]


def change_case(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + data[at:at + 10].swapcase() + data[at + 10:]


MUTATIONS = (flip, insert, delete, duplicate, duplicate_line, swap_lines, splice, splice, splice, replace, replace, change_case)


def make(number):
    """The bytes of a case, in the pieces that they are sent in."""
    rng = random.Random(f"{SEED}/{number}")
    data = b"".join(legal(rng, b"/%d/%d" % (number, place)) for place in range(rng.randrange(1, 5)))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 5])):
        if data:
            data = rng.choice(MUTATIONS)(rng, data)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 1, 3])))
    return [data[one:other] for one, other in zip([0, *cuts], [*cuts, len(data)])]


class Talk(Link):
    """A case on its connection."""

    def __init__(self, port, number):
        super().__init__(port)
        self.number, self.pieces = number, make(number)
        self.data = b"".join(self.pieces)
        self.finished = False

        self.expected = readings(self.data)

    def send(self):
        """The next piece."""
        try:
            self.sock.sendall(self.pieces.pop(0))
        except OSError:
            self.pieces = []  # the gateway has closed: what it said before is still to be read

    def finish(self):
        """Says that nothing more comes, when all is answered that the one reading finds: what the gateway still waits
        for then is either no whole request, or should be none."""
        if not self.pieces and self.received.count(b"\r\nX-Request-Id: ") >= len(self.expected) and not self.finished:
            self.finished = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def judge(self, origin):
        """Compares what the gateway made of it with the one reading. `origin`: {id: request}, those that it got."""
        expected = self.expected

        def method(number, data):
            head, _, rest = data.partition(b"\r\n\r\n")
            if b"application/problem+json" in head:
                return b"GET" if rest.startswith(b"{") else b"HEAD"
            return expected[number].method if number < len(expected) else b"GET"
        answers, rest = read_answers(self.received, method)
        finals = [answer for answer in answers if answer.status >= 200]
        if rest:
            raise Ambiguous(f"an answer is cut off: {rest[:300]!r}")
        if len(finals) > len(expected) + 1:
            raise Ambiguous(f"{len(finals)} answers for {len(expected)} requests: {finals}")
        if len(finals) < len(expected) and not (finals and finals[-1].get(b"Connection") == b"close"):
            raise Ambiguous(f"{len(finals)} answers for {expected}, and the connection was closed")
        for number, answer in enumerate(finals):
            request = origin.pop(answer.get(b"X-Request-Id"), None)
            if request is None:
                if answer.status < 400:
                    raise Ambiguous(f"answered without the origin: {answer}")
                continue
            if number >= len(expected):
                raise Ambiguous(f"a request that is none reached the origin: {request}")
            if (request.method, request.body) != (expected[number].method, expected[number].body):
                raise Ambiguous(f"{expected[number]} reached the origin as {request}")
            if answer.status == 200 and request.method != b"HEAD" and answer.body != request.target:
                raise Ambiguous(f"{request} got the answer of another: {answer}")


def converse(talks):
    """All of them at once, until the gateway has closed every one. Those that it didn't close."""
    end = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        for talk in talks:
            selector.register(talk.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, talk)
        while selector.get_map() and time.monotonic() < end:
            for key, events in selector.select(1):
                talk = key.data
                if events & selectors.EVENT_WRITE:
                    talk.send()
                    if not talk.pieces:
                        selector.modify(talk.sock, selectors.EVENT_READ, talk)
                if events & selectors.EVENT_READ and not talk.receive():
                    selector.unregister(talk.sock)
                    continue
                talk.finish()
        return [key.data for key in selector.get_map().values()]


class Mutations(Case):
    def batch(self, bench, numbers):
        """What is wrong with these cases, in words."""
        talks = [Talk(bench.port, number) for number in numbers]
        wrong = [f"case {talk.number}: it was not closed: {talk.data!r}" for talk in converse(talks)]
        seen = bench.settle()
        origin = {request.get(b"X-Request-Id"): request for request in seen.requests}
        for talk in talks:
            try:
                talk.judge(origin)
            except Ambiguous as error:
                wrong.append(f"case {talk.number}: {error}\n  of {talk.data!r}\n  got {talk.received[:1000]!r}")
            talk.sock.close()
        wrong += [f"the origin was sent what is ambiguous: {text}" for text in seen.wrong]
        wrong += [f"the origin still waits for the rest of {rest!r}" for rest in seen.waiting]
        wrong += [f"no client was given the answer to {request}" for request in origin.values()]
        return wrong

    @limit(120 + CASES // 20)
    def test_pipelines_that_were_damaged(self):
        bench = Bench(self, APIS, extra=CLIENT)
        workers = bench.gateway.wait_processes("worker", 1)
        wrong = []
        for first in range(FIRST, FIRST + CASES, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, FIRST + CASES))
            wrong += [f"cases {numbers.start} to {numbers.stop - 1}: {text}" for text in self.batch(bench, numbers)]
            if len(wrong) > 20:
                break
        self.assertEqual(bench.gateway.wait_processes("worker", 1), workers)
        if wrong:
            raise AssertionError(f"seed {SEED}, {len(wrong)} faults:\n" + "\n".join(wrong))
