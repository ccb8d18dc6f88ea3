"""Answers of an origin, and what must come of them. {group: [Row …]}

A malformed one is the gateway's 502, or, when its head was good and was sent on, an answer that is plainly cut off; and
its connection is never used again. A legal one, however odd, reaches the client in normal form.
"""
from raw import CLOSE, RESET
from table import show


class Row:
    """steps: what the origin sends or does. method, fields, version: of the request that it answers.

    status:   of the answer; `body`, `has`, `lacks`: what is in it; `trailers`; `interims`: statuses before it
    broken:   the head may have been sent on: the answer is a 502, or is cut off
    reuse:    the origin's connection is kept; None: either way
    """

    def __init__(self, name, *steps, status=200, body=b"", has=(), lacks=(), trailers=(), interims=(), type=None, broken=False,
                 reuse=True, method=b"GET", fields=(), version=b"HTTP/1.1"):
        self.name, self.steps, self.status, self.body, self.type, self.broken = name, list(steps), status, body, type, broken
        self.has, self.lacks, self.trailers, self.interims = list(has), list(lacks), list(trailers), list(interims)
        self.reuse, self.method, self.fields, self.version = reuse, method, list(fields), version


def bad(name, *steps, type="upstream-bad-answer", **more):
    return Row(name, *steps, status=502, type=type, reuse=False, body=None, **more)


def broken(name, *steps, **more):
    return Row(name, *steps, status=502, broken=True, reuse=False, body=None, **more)


def head(*fields, line=b"HTTP/1.1 200 OK", body=b""):
    return b"\r\n".join((line, *fields)) + b"\r\n\r\n" + body


def hello(*fields, line=b"HTTP/1.1 200 OK"):
    return head(*fields, b"Content-Length: 5", line=line, body=b"hello")


def chunked(body, *fields):
    return head(*fields, b"Transfer-Encoding: chunked", body=body)


GOOD = b"5\r\nhello\r\n0\r\n\r\n"

STATUS_LINE = [
    *(bad("status line " + show(line), hello(line=line))
      for line in (
          b"http/1.1 200 OK", b"Http/1.1 200 OK", b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/9.9 200 OK",
          b"HTTP/1 200 OK", b"HTTP/1. 200 OK", b"HTTP/.1 200 OK", b"HTTP/01.1 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1.01 200 OK",
          b"HTTP/11.1 200 OK", b"HTTP/+1.1 200 OK", b"HTTP/1,1 200 OK", b"HTTP /1.1 200 OK", b"HTTP/ 1.1 200 OK", b"HTTP/1.1  200 OK",
          b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 \t200 OK", b"HTTP/1.1200 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 20 OK",
          b"HTTP/1.1 2 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 0200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 -20 OK",
          b"HTTP/1.1 +200 OK", b"HTTP/1.1 0x9 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK",
          b"HTTP/1.1 777", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 OK", b"HTTP/1.1 200,OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\x01K",
          b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 OK\r", b"200 OK", b"ICY 200 OK", b"HTTPS/1.1 200 OK",
          b"SIP/2.0 200 OK", b"xHTTP/1.1 200 OK", b" HTTP/1.1 200 OK", b"\tHTTP/1.1 200 OK", b"GET / HTTP/1.1", b"Content-Type: text/html",
          b"\xef\xbb\xbfHTTP/1.1 200 OK", b"\0HTTP/1.1 200 OK", b"HTTP/1.1 2\xb200 OK", b"HTTP/1.1 2 00 OK")),
    bad("an empty line before", b"\r\n" + hello()),
    bad("LF before", b"\n" + hello()),
    bad("CR before", b"\r" + hello()),
    bad("a byte before", b"x" + hello()),
    bad("garbage before", b"garbage\r\n\r\n" + hello()),
    bad("a body without a head", b"<html>hello</html>\r\n\r\n"),
    bad("bare LF behind the status line", b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello"),
    bad("bare CR behind the status line", b"HTTP/1.1 200 OK\rContent-Length: 5\r\n\r\nhello"),
    bad("all line ends are LF", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    bad("a greeting of SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    bad("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x46\r\n\r\n"),
    bad("HTTP/2 settings", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\r\n\r\n"),
    bad("status 101 unasked", head(b"Upgrade: websocket", b"Connection: Upgrade", line=b"HTTP/1.1 101 Switching Protocols")),
    bad("status 101 with a body", hello(b"Upgrade: h2c", b"Connection: Upgrade", line=b"HTTP/1.1 101 X")),
    bad("nothing, and the end", CLOSE, type="upstream-closed", method=b"POST"),
    bad("a reset", RESET, type="upstream-closed", method=b"POST"),
    bad("half a status line, and the end", b"HTTP/1.1 2", CLOSE, type="upstream-closed"),
    bad("half a head, and the end", b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE, type="upstream-closed"),
    bad("a head without its empty line, and the end", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", CLOSE, type="upstream-closed"),
    bad("half a head, and a reset", b"HTTP/1.1 200 OK\r\nContent-Le", RESET, type="upstream-closed"),
]

FIELDS = [
    *(bad("field line " + show(line), hello(line))
      for line in (
          b"X", b"X y", b": y", b"X : y", b"X\t: y", b" X: y", b"\tX: y", b" ", b"X Y: y", b"(X): y", b"X[1]: y", b"X@: y", b'"X": y',
          b"X\0: y", b"\0: y", b"X\x01: y", b"X\x7f: y", b"X\xe4: y", b"X/Y: y", b"X: a\0b", b"X: a\x01b", b"X: a\x0bb", b"X: a\x0cb",
          b"X: a\x1bb", b"X: a\x7fb", b"X: a\rb", b"X: a\nb", b"X: a\r", b"X: a\r\rb", b"X: a\n\r\nb", b"X: a\r\n b", b"X: a\r\n\tb",
          b"X: a\r\n ", b"X: a\nSet-Cookie: b", b"X: a\rSet-Cookie: b", b"HTTP/1.1 200 OK", b"Date: x\x01", b"Set-Cookie: a\0b")),
    bad("bare LF ends the head", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello"),
    bad("CR CR LF ends the head", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\r\nhello\r\n\r\n"),
    bad("a head that is too large", hello(b"X: " + b"y" * 70000)),
    bad("a head without end", b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 4000),
    bad("fields without number", hello(*(b"X: y" for _ in range(2000)))),
    bad("a name without end", b"HTTP/1.1 200 OK\r\n" + b"X" * 80000),
    bad("a reason without end", b"HTTP/1.1 200 " + b"X" * 80000),
    bad("interim answers without end", (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") * 40 + hello(), interims=[103] * 40),
    bad("a malformed interim answer", b"HTTP/1.1 103 Early Hints\r\nLink : x\r\n\r\n" + hello()),
    bad("garbage behind an interim answer", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + b"x" + hello(), interims=[103]),
    bad("interim answer alone, and the end", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", CLOSE, type="upstream-closed", interims=[103]),
    bad("100 alone, and the end", b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE, type="upstream-closed"),
]

FRAMING = [
    *(bad("Content-Length " + show(value), head(b"Content-Length: " + value, body=b"hello"))
      for value in (b"+5", b"-5", b"-1", b"0x5", b"5x", b"5 5", b"5, 5", b"5,6", b"5,", b",5", b"5;", b"5.0", b"5e0", b"", b"five", b'"5"',
                    b"\xd9\xa5", b"5\xa0", b"5\x0b", b"5\0", b"18446744073709551616", b"18446744073709551615", b"9223372036854775808",
                    b"1" + b"0" * 60, b"5\r", b"5\n", b"chunked")),
    *(bad("Content-Length twice: " + show(first) + ", " + show(second),
          head(b"Content-Length: " + first, b"Content-Length: " + second, body=b"hello"))
      for first, second in ((b"5", b"5"), (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b"x"), (b"", b"5"))),
    bad("Content-Length twice in two cases", head(b"content-length: 5", b"X: y", b"CONTENT-LENGTH: 5", body=b"hello")),
    bad("Content-Length with a space", head(b"Content-Length : 5", body=b"hello")),
    bad("Content-Length folded", head(b"Content-Length:\r\n 5", body=b"hello")),
    bad("Content-Length and chunked", head(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=GOOD)),
    bad("chunked and Content-Length", head(b"Transfer-Encoding: chunked", b"Content-Length: 15", body=GOOD)),
    bad("chunked and Content-Length: 0", head(b"Transfer-Encoding: chunked", b"Content-Length: 0", body=GOOD)),
    bad("gzip and Content-Length", head(b"Transfer-Encoding: gzip", b"Content-Length: 5", body=b"hello")),
    *(bad("Transfer-Encoding " + show(coding), head(b"Transfer-Encoding: " + coding, body=GOOD))
      for coding in (b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"chunked, identity", b"xchunked", b"chunk",
                     b"", b'"chunked"', b"chunked;q=1", b"chunked,", b",chunked", b"chunked\x0b", b"\x0bchunked", b"chunked\0", b"chu nked",
                     b"chunked\xff", b"cow")),
    *(bad("Transfer-Encoding line " + show(line), head(line, body=GOOD))
      for line in (b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding:\r\n chunked",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
                   b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", b"Transfer\0-Encoding: chunked")),
    bad("chunked in HTTP/1.0", head(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK", body=GOOD)),
    bad("chunked in HTTP/1.0 that is kept", head(b"Connection: keep-alive", b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK", body=GOOD)),
    bad("two lengths for HEAD", head(b"Content-Length: 5", b"Content-Length: 6"), method=b"HEAD"),
    bad("a length and chunked for HEAD", head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), method=b"HEAD"),
    bad("a bad length for HEAD", head(b"Content-Length: +5"), method=b"HEAD"),
    bad("two lengths in 204", head(b"Content-Length: 5", b"Content-Length: 6", line=b"HTTP/1.1 204 No Content")),
    bad("two lengths in 304", head(b"Content-Length: 5", b"Content-Length: 6", line=b"HTTP/1.1 304 Not Modified")),
    bad("a length and chunked in 204", head(b"Content-Length: 5", b"Transfer-Encoding: chunked", line=b"HTTP/1.1 204 No Content")),
]

BODIES = [
    *(broken("chunk " + show(body), chunked(body))
      for body in (
          b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
          b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n",
          b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n", b"5;x\nhello\r\n0\r\n\r\n", b"5;x\ry\r\nhello\r\n0\r\n\r\n",
          b"5;" + b"x" * 257 + b"\r\nhello\r\n0\r\n\r\n", b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n",
          b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"8000000000000000\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
          b"5\r\nhelloX\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n",
          b"5\r\nhello\r\n0\r\n\rX", b"5\r\nhello\r\n0 \r\n\r\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
          b"5\r\nhello\r\n0\r\n X: y\r\n\r\n", b"5\r\nhello\r\n0\r\nX: a\0b\r\n\r\n", b"5\r\nhello\r\n0\r\nX: a\nb\r\n\r\n",
          b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
          b"5\r\nhello\r\n0\r\nSet-Cookie: a=b\r\n\r\n", b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n",
          b"5\r\nhello\r\n0\r\nX: " + b"y" * 20000, b"5\r\nhello\r\n" + hello())),
    broken("a body too short, and the end", head(b"Content-Length: 10", body=b"hello"), CLOSE),
    broken("a body too short, and a reset", head(b"Content-Length: 10", body=b"hello"), RESET),
    broken("no body, and the end", head(b"Content-Length: 10"), CLOSE),
    broken("a large body too short", head(b"Content-Length: 200001", body=b"x" * 200000), CLOSE),
    broken("chunks without an end, and the end", chunked(b"5\r\nhello\r\n"), CLOSE),
    broken("a chunk too short, and the end", chunked(b"a\r\nhello"), CLOSE),
    broken("a last chunk without its empty line, and the end", chunked(b"5\r\nhello\r\n0\r\n"), CLOSE),
    broken("trailers without an end, and the end", chunked(b"5\r\nhello\r\n0\r\nX: y\r\n"), CLOSE),
    broken("chunks and a reset", chunked(b"5\r\nhello\r\n"), RESET),
    broken("an unlimited body and a reset", head(body=b"hello"), RESET),
    broken("no chunk, and the end", chunked(b""), CLOSE),
    broken("chunks where the length is wrong, in large", chunked(b"1000\r\n" + b"x" * 4095 + b"\r\n0\r\n\r\n")),
]

SMUGGLED = hello(b"X-Smuggled: yes")
BEHIND = [
    Row("bytes behind a length", hello() + b"EXTRA", body=b"hello", reuse=False),
    Row("CR LF behind a length", hello() + b"\r\n", body=b"hello", reuse=False),
    Row("an answer behind a length", hello() + SMUGGLED, body=b"hello", lacks=[b"X-Smuggled"], reuse=False),
    Row("an answer behind a length of 0", head(b"Content-Length: 0") + SMUGGLED, lacks=[b"X-Smuggled"], reuse=False),
    Row("bytes behind chunks", chunked(GOOD) + b"EXTRA", body=b"hello", reuse=False),
    Row("an answer behind chunks", chunked(GOOD) + SMUGGLED, body=b"hello", reuse=False),
    Row("bytes behind 204", head(line=b"HTTP/1.1 204 No Content") + b"hello", status=204, reuse=False),
    Row("a body in 204", hello(line=b"HTTP/1.1 204 No Content"), status=204, lacks=[b"Content-Length"], reuse=False),
    Row("an answer behind 204", head(line=b"HTTP/1.1 204 No Content") + SMUGGLED, status=204, reuse=False),
    Row("a body in 304", hello(line=b"HTTP/1.1 304 Not Modified"), status=304, reuse=False),
    Row("chunks in 304", head(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 304 Not Modified", body=GOOD), status=304, reuse=False),
    Row("an answer behind 304", head(line=b"HTTP/1.1 304 Not Modified") + SMUGGLED, status=304, reuse=False),
    Row("a body for HEAD", hello(), method=b"HEAD", has=[(b"Content-Length", b"5")], reuse=False),
    Row("chunks for HEAD", chunked(GOOD), method=b"HEAD", reuse=False),
    Row("an answer behind one for HEAD", head(b"Content-Length: 5") + SMUGGLED, method=b"HEAD", lacks=[b"X-Smuggled"], reuse=False),
    Row("an answer in an unlimited body", head(body=SMUGGLED), CLOSE, body=SMUGGLED, lacks=[b"X-Smuggled"], reuse=False),
    Row("an answer as a body", head(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), body=SMUGGLED, lacks=[b"X-Smuggled"]),
    Row("an interim answer behind", hello() + b"HTTP/1.1 103 Early Hints\r\n\r\n", body=b"hello", reuse=False),
    Row("408 behind", hello() + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", body=b"hello", reuse=False),
]

INTERIM = [
    Row("100 unasked", b"HTTP/1.1 100 Continue\r\n\r\n" + hello(), body=b"hello"),
    Row("100 twice", b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + hello(), body=b"hello"),
    Row("100 with fields", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + hello(), body=b"hello", lacks=[b"X"]),
    Row("102", b"HTTP/1.1 102 Processing\r\n\r\n" + hello(), body=b"hello", interims=[102]),
    Row("103", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + hello(), body=b"hello", interims=[103], lacks=[b"Link"]),
    Row("103 in two pieces", b"HTTP/1.1 103 Early Hi", b"nts\r\nLink: x\r\n\r\n" + hello(), body=b"hello", interims=[103]),
    Row("100, 102, 103", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + hello(),
        body=b"hello", interims=[102, 103]),
    Row("103 several times", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 8 + hello(), body=b"hello", interims=[103] * 8),
    Row("199, which is unknown", b"HTTP/1.1 199 Whatever\r\n\r\n" + hello(), body=b"hello", interims=[199]),
    Row("103 without a reason", b"HTTP/1.1 103 \r\n\r\n" + hello(), body=b"hello", interims=[103]),
    Row("103 for a client of HTTP/1.0", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + hello(), body=b"hello", version=b"HTTP/1.0"),
    Row("103 for HEAD", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head(b"Content-Length: 5"), method=b"HEAD", interims=[103]),
    Row("103 before 204", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head(line=b"HTTP/1.1 204 No Content"), status=204, interims=[103]),
    Row("hop-by-hop fields in 103", b"HTTP/1.1 103 Early Hints\r\nConnection: X\r\nX: y\r\nKeep-Alive: z\r\n\r\n" + hello(), body=b"hello",
        interims=[103]),
]

LEGAL = [
    Row("plain", hello(), body=b"hello", has=[(b"Content-Length", b"5")]),
    Row("no body", head(b"Content-Length: 0"), has=[(b"Content-Length", b"0")]),
    Row("chunks", chunked(GOOD), body=b"hello", has=[(b"Transfer-Encoding", b"chunked")]),
    Row("chunks for a client of HTTP/1.0", chunked(GOOD), body=b"hello", lacks=[b"Transfer-Encoding"], version=b"HTTP/1.0"),
    Row("no chunk", chunked(b"0\r\n\r\n")),
    Row("chunks with extensions", chunked(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), body=b"hello"),
    Row("chunk sizes with zeros", chunked(b"0005\r\nhello\r\n000\r\n\r\n"), body=b"hello"),
    Row("chunk sizes in capitals", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), body=b"0123456789"),
    Row("chunks in pieces", chunked(b"5\r"), b"\nhel", b"lo\r", b"\n0\r\n\r", b"\n", body=b"hello"),
    Row("trailers, not asked for", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), body=b"hello"),
    Row("trailers, asked for", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), body=b"hello", trailers=[(b"X-Sum", b"1")],
        fields=[b"TE: trailers"]),
    Row("trailers for a client of HTTP/1.0", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), body=b"hello", version=b"HTTP/1.0",
        fields=[b"TE: trailers"]),
    Row("Chunked in capitals", head(b"TRANSFER-ENCODING: CHUNKED", body=GOOD), body=b"hello"),
    Row("an unlimited body", head(body=b"hello"), CLOSE, body=b"hello", reuse=False),
    Row("an unlimited body of HTTP/1.0", head(line=b"HTTP/1.0 200 OK", body=b"hello"), CLOSE, body=b"hello", reuse=False),
    Row("an unlimited body that is empty", head(), CLOSE, reuse=False),
    Row("an unlimited body for a client of HTTP/1.0", head(body=b"hello"), CLOSE, body=b"hello", reuse=False, version=b"HTTP/1.0"),
    Row("HTTP/1.0 with a length", hello(line=b"HTTP/1.0 200 OK"), body=b"hello", reuse=False),
    Row("HTTP/1.0 that is kept", hello(b"Connection: keep-alive", line=b"HTTP/1.0 200 OK"), body=b"hello"),
    Row("Connection: close", hello(b"Connection: close"), body=b"hello", reuse=False),
    Row("Connection: Close among others", hello(b"Connection: X-Foo, Close", b"X-Foo: 1"), body=b"hello", lacks=[b"X-Foo"], reuse=False),
    Row("a field that Connection names", hello(b"X-Foo: 1", b"Connection: x-foo", b"X-Bar: 2"), body=b"hello", lacks=[b"X-Foo"],
        has=[(b"X-Bar", b"2")]),
    Row("Connection: Content-Length", hello(b"Connection: Content-Length"), body=b"hello", has=[(b"Content-Length", b"5")]),
    Row("Keep-Alive", hello(b"Keep-Alive: timeout=5"), body=b"hello", lacks=[b"Keep-Alive"]),
    Row("Upgrade", hello(b"Upgrade: h2c", b"Connection: Upgrade"), body=b"hello", lacks=[b"Upgrade"]),
    Row("Proxy-Connection", hello(b"Proxy-Connection: close"), body=b"hello", lacks=[b"Proxy-Connection"]),
    Row("zeros in front of the length", head(b"Content-Length: 005", body=b"hello"), body=b"hello", has=[(b"Content-Length", b"5")]),
    Row("spaces around the length", head(b"Content-Length: \t5 ", body=b"hello"), body=b"hello", has=[(b"Content-Length", b"5")]),
    Row("another case of the length", head(b"cONTENT-lENGTH: 5", body=b"hello"), body=b"hello"),
    Row("no reason phrase", hello(line=b"HTTP/1.1 200 "), body=b"hello"),
    Row("no reason phrase and no space", hello(line=b"HTTP/1.1 200"), body=b"hello"),
    Row("a reason of high bytes", hello(line=b"HTTP/1.1 200 \xe4\xff"), body=b"hello"),
    Row("a reason of many words", hello(line=b"HTTP/1.1 200 all is\twell: (really) "), body=b"hello"),
    *(Row("status %d" % status, hello(line=b"HTTP/1.1 %d X" % status), status=status, body=b"hello")
      for status in (200, 201, 203, 206, 226, 299, 300, 307, 399, 400, 404, 418, 451, 499, 500, 502, 599)),
    Row("status 205", head(b"Content-Length: 0", line=b"HTTP/1.1 205 Reset Content"), status=205),
    Row("status 204", head(line=b"HTTP/1.1 204 No Content"), status=204, lacks=[b"Content-Length", b"Transfer-Encoding"]),
    Row("status 204 with a length of 0", head(b"Content-Length: 0", line=b"HTTP/1.1 204 No Content"), status=204, lacks=[b"Content-Length"]),
    Row("status 204 with a length", head(b"Content-Length: 5", line=b"HTTP/1.1 204 No Content"), status=204, lacks=[b"Content-Length"],
        reuse=None),
    Row("status 304", head(b'ETag: "x"', line=b"HTTP/1.1 304 Not Modified"), status=304, has=[(b"ETag", b'"x"')]),
    Row("status 304 with a length", head(b"Content-Length: 500", line=b"HTTP/1.1 304 Not Modified"), status=304),
    Row("status 304 with chunked", head(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 304 Not Modified"), status=304),
    Row("HEAD with a length", head(b"Content-Length: 500"), method=b"HEAD", has=[(b"Content-Length", b"500")]),
    Row("HEAD with chunked", head(b"Transfer-Encoding: chunked"), method=b"HEAD"),
    Row("HEAD without either", head(b"X: y"), method=b"HEAD", has=[(b"X", b"y")]),
    Row("HEAD with a length of 0", head(b"Content-Length: 0"), method=b"HEAD"),
    Row("fields in their order, each as it is", hello(b"sEt-cOOkie: a=1", b"Set-Cookie: b=2", b"SET-COOKIE: a=1"), body=b"hello",
        has=[(b"sEt-cOOkie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"SET-COOKIE", b"a=1")]),
    Row("empty values and OWS", hello(b"A:", b"B: ", b"C:\tc \t", b"D:d"), body=b"hello",
        has=[(b"A", b""), (b"B", b""), (b"C", b"c"), (b"D", b"d")]),
    Row("high bytes", hello(b"X: \xe4\xff"), body=b"hello", has=[(b"X", b"\xe4\xff")]),
    Row("names with underscores", hello(b"X_Y: z"), body=b"hello", has=[(b"X_Y", b"z")]),
    Row("many fields", hello(*(b"X-%d: %d" % (n, n) for n in range(300))), body=b"hello", has=[(b"X-299", b"299")]),
    Row("a long field", hello(b"X: " + b"y" * 20000), body=b"hello", has=[(b"X", b"y" * 20000)]),
    Row("Date", hello(b"Date: Tue, 15 Nov 1994 08:12:31 GMT"), body=b"hello", has=[(b"Date", b"Tue, 15 Nov 1994 08:12:31 GMT")]),
    Row("X-Request-Id of the origin", hello(b"X-Request-Id: mine"), body=b"hello"),
    Row("Via of the origin", hello(b"Via: 1.0 fred"), body=b"hello", has=[(b"Via", b"1.0 fred"), (b"Via", b"1.1 gatehouse")]),
    Row("a head in pieces", b"H", b"TTP/1.1 2", b"00 OK\r", b"\nContent-Length: 5\r\n\r", b"\nhel", b"lo", body=b"hello"),
    Row("a large body", head(b"Content-Length: 500000", body=b"0123456789" * 50000), body=b"0123456789" * 50000),
    Row("large chunks", chunked(b"".join(b"4000\r\n" + b"x" * 16384 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"), body=b"x" * 327680),
    Row("a large unlimited body", head(body=b"x" * 300000), CLOSE, body=b"x" * 300000, reuse=False),
    Row("a body of all bytes", head(b"Content-Length: 256", body=bytes(range(256))), body=bytes(range(256))),
    Row("for OPTIONS", hello(), method=b"OPTIONS", body=b"hello"),
    Row("for POST", hello(), method=b"POST", body=b"hello"),
]

GROUPS = {
    "status_line": STATUS_LINE,
    "fields": FIELDS,
    "framing": FRAMING,
    "bodies": BODIES,
    "behind": BEHIND,
    "interim": INTERIM,
    "legal": LEGAL,
}
