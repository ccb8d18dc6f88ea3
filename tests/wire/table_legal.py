"""Requests that are legal, however odd, and what must reach the origin of each. {group: [Row …]}"""
from table import Expect, Row, chunked, get, lines, passes, post, show

LINE = [
    passes("plain", get(), Expect()),
    passes("an empty line before", b"\r\n" + get(), Expect()),
    passes("two empty lines before", b"\r\n\r\n" + get(), Expect()),
    passes("an empty line between", get(b"/1") + b"\r\n" + get(b"/2"), Expect(target=b"/1"), Expect(target=b"/2")),
    passes("an empty line behind a body", post(b"Content-Length: 5", body=b"hello\r\n") + get(b"/2"), Expect(b"POST", body=b"hello"),
           Expect(target=b"/2")),
    passes("an empty line behind chunks", chunked(b"0\r\n\r\n\r\n") + get(b"/2"), Expect(b"POST"), Expect(target=b"/2")),
    passes("HTTP/1.0", get(version=b"HTTP/1.0"), Expect(), closes=True),
    passes("HTTP/1.0 without Host", lines(b"GET /x HTTP/1.0"), Expect(target=b"/x", host=None), closes=True),
    passes("HTTP/1.0 that is kept", get(b"/1", b"Connection: keep-alive", version=b"HTTP/1.0") + get(b"/2", version=b"HTTP/1.0"),
           Expect(target=b"/1"), Expect(target=b"/2"), closes=True),
    passes("HTTP/1.0 that is kept, in capitals", get(b"/1", b"Connection: Keep-Alive", version=b"HTTP/1.0") + get(b"/2"),
           Expect(target=b"/1"), Expect(target=b"/2")),
    passes("HTTP/1.0 with a length", get(b"/", b"Content-Length: 5", method=b"POST", version=b"HTTP/1.0", body=b"hello"),
           Expect(b"POST", body=b"hello"), closes=True),
    passes("Connection: keep-alive in HTTP/1.1", get(b"/1", b"Connection: keep-alive") + get(b"/2"), Expect(target=b"/1"),
           Expect(target=b"/2")),
    passes("Connection: close", get(b"/", b"Connection: close"), Expect(lacks=[b"Connection"]), closes=True),
    passes("Connection: CLOSE", get(b"/", b"CONNECTION: CLOSE"), Expect(), closes=True),
    passes("Connection is empty", get(b"/", b"Connection:"), Expect(lacks=[b"Connection"])),
    passes("a long target", get(b"/" + b"a" * 12000), Expect(target=b"/" + b"a" * 12000)),
    passes("a long query", get(b"/?" + b"a" * 12000), Expect(target=b"/?" + b"a" * 12000)),
]

METHODS = [
    passes("method " + method.decode(), get(b"/x", method=method), Expect(method, b"/x"), methods=[method])
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"COPY", b"LOCK", b"MKCOL", b"MOVE",
                   b"PROPFIND", b"PROPPATCH", b"SEARCH", b"UNLOCK", b"BIND", b"REBIND", b"UNBIND", b"ACL", b"REPORT", b"MKACTIVITY",
                   b"CHECKOUT", b"MERGE", b"M-SEARCH", b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE", b"PURGE", b"MKCALENDAR", b"LINK",
                   b"UNLINK")
] + [
    passes("OPTIONS *", get(b"*", method=b"OPTIONS"), Expect(b"OPTIONS", b"*")),
    passes("GET with a length", get(b"/", b"Content-Length: 5", body=b"hello"), Expect(body=b"hello")),
    passes("GET with chunks", get(b"/", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), Expect(body=b"hello")),
    passes("DELETE with a length", get(b"/", b"Content-Length: 5", method=b"DELETE", body=b"hello"), Expect(b"DELETE", body=b"hello")),
    passes("HEAD with a length", get(b"/", b"Content-Length: 5", method=b"HEAD", body=b"hello"), Expect(b"HEAD", body=b"hello"),
           methods=[b"HEAD"]),
    passes("HEAD between", get(b"/1") + get(b"/2", method=b"HEAD") + get(b"/3"), Expect(target=b"/1"), Expect(b"HEAD", b"/2"),
           Expect(target=b"/3"), methods=[b"GET", b"HEAD", b"GET"]),
]

TARGETS = [
    passes("target " + show(target), get(target), Expect(target=sent))
    for target, sent in (
        (b"//", b"/"), (b"//x", b"/x"), (b"///x", b"/x"), (b"/a//b", b"/a/b"), (b"/a///b//", b"/a/b/"), (b"/.", b"/"), (b"/./", b"/"),
        (b"/./x", b"/x"), (b"/a/.", b"/a/"), (b"/a/..", b"/"), (b"/a/../b", b"/b"), (b"/a/./b", b"/a/b"), (b"/a/b/../../c", b"/c"),
        (b"/a/b/..", b"/a/"), (b"/a//../b", b"/b"), (b"/a/%2e/b", b"/a/b"), (b"/a/%2E%2e/b", b"/b"), (b"/a/.%2e/b", b"/b"),
        (b"/%41%7a%30", b"/Az0"), (b"/%2d%2E%5f%7e", b"/-._~"), (b"/%c3%a4", b"/%C3%A4"), (b"/%C3%a4", b"/%C3%A4"), (b"/%20", b"/%20"),
        (b"/%25", b"/%25"), (b"/%2525", b"/%2525"), (b"/%252f", b"/%252f"), (b"/%25%32%66", b"/%252f"), (b"/%3f", b"/%3F"),
        (b"/%23", b"/%23"), (b"/%3B", b"/%3B"), (b"/%26%3d%2b", b"/%26%3D%2B"), (b"/%0d%0a", b"/%0D%0A"), (b"/%7f", b"/%7F"),
        (b"/%22%3c%3e", b"/%22%3C%3E"), (b"/%c0%af", b"/%C0%AF"), (b"/%ff", b"/%FF"), (b"/...", b"/..."), (b"/..a", b"/..a"),
        (b"/a..", b"/a.."), (b"/.a", b"/.a"), (b"/a.", b"/a."), (b"/!$&'()*+,;=:@-._~", b"/!$&'()*+,;=:@-._~"), (b"/;a=b", b"/;a=b"),
        (b"/a;b/c", b"/a;b/c"), (b"/:80", b"/:80"), (b"/http://b/", b"/http:/b/"), (b"/@b", b"/@b"), (b"/*", b"/*"),
        (b"/?", b"/?"), (b"/??", b"/??"), (b"/?a", b"/?a"), (b"/?a=b&c=d", b"/?a=b&c=d"), (b"/?a/../b", b"/?a/../b"), (b"/?//", b"/?//"),
        (b"/?a?b", b"/?a?b"), (b"/?%2f%5c%00", b"/?%2f%5c%00"), (b"/?%", b"/?%"), (b"/?%zz", b"/?%zz"), (b"/?%41", b"/?%41"),
        (b"/?+", b"/?+"), (b"/?&&", b"/?&&"), (b"/?=", b"/?="), (b"/?;", b"/?;"),
        (b'/?"<>[]\\^`{|}', b"/?%22%3C%3E%5B%5D%5C%5E%60%7B%7C%7D"), (b'/?a[]={"b":"c"}', b"/?a%5B%5D=%7B%22b%22:%22c%22%7D"),
        (b"/?a|b", b"/?a%7Cb"), (b"//?a", b"/?a"), (b"/a/..?b", b"/?b"))
]

ABSOLUTE = [
    passes("absolute " + show(target), get(target, host=b"other"), Expect(target=sent, host=host))
    for target, sent, host in (
        (b"http://a/", b"/", b"a"), (b"http://a", b"/", b"a"), (b"http://a/x?y", b"/x?y", b"a"), (b"http://a?y", b"/?y", b"a"),
        (b"http://a:80/x", b"/x", b"a:80"), (b"http://a:8080/x", b"/x", b"a:8080"), (b"HTTP://a/x", b"/x", b"a"),
        (b"http://[::1]:80/x", b"/x", b"[::1]:80"), (b"http://a//x/../y", b"/y", b"a"), (b"https://a/x", b"/x", b"a"),
        (b"http://192.0.2.1/", b"/", b"192.0.2.1"))
] + [
    passes("absolute in HTTP/1.0 without Host", lines(b"GET http://a/x HTTP/1.0"), Expect(target=b"/x", host=b"a"), closes=True),
    passes("absolute with the same Host", get(b"http://a/x"), Expect(target=b"/x")),
    passes("absolute OPTIONS", get(b"http://a/x", method=b"OPTIONS"), Expect(b"OPTIONS", b"/x")),
    passes("absolute OPTIONS of a whole server", get(b"http://a", method=b"OPTIONS"), Expect(b"OPTIONS", b"*")),
    passes("absolute OPTIONS of the path /", get(b"http://a/", method=b"OPTIONS"), Expect(b"OPTIONS", b"/")),
    passes("absolute OPTIONS with a query alone", get(b"http://a?q", method=b"OPTIONS"), Expect(b"OPTIONS", b"/?q")),
]

HOSTS = [
    passes("Host " + show(host), get(host=host), Expect(host=host))
    for host in (b"A.Example", b"a:80", b"a:1", b"a:65535", b"192.0.2.1", b"192.0.2.1:80", b"[::1]", b"[::1]:8080", b"[2001:DB8::1]",
                 b"[::ffff:192.0.2.1]", b"a-b.c_d", b"a.", b"xn--a", b"1", b"a~b", b"a!b")
] + [
    passes("Host with an empty port", get(host=b"a:"), Expect(host=None)),
    passes("Host without a space", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", Expect()),
    passes("Host with many", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", Expect()),
    passes("HOST", b"GET / HTTP/1.1\r\nHOST: a\r\n\r\n", Expect()),
    passes("Host is empty: the origin's own", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Expect(host=None)),
    passes("Host is empty in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: \r\n\r\n", Expect(host=None), closes=True),
    passes("Host is empty, the target absolute", b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", Expect(host=b"a")),
    passes("Host last", b"GET / HTTP/1.1\r\nX: y\r\nhost: a\r\n\r\n", Expect(has=[(b"X", b"y")])),
]


def field(line, *has, lacks=()):
    return passes("field " + show(line), get(b"/", *line.split(b"\r\n")), Expect(has=has, lacks=lacks))


FIELDS = [
    field(b"X:y", (b"X", b"y")),
    field(b"X:  y", (b"X", b"y")),
    field(b"X:\ty", (b"X", b"y")),
    field(b"X: y ", (b"X", b"y")),
    field(b"X: \t y \t ", (b"X", b"y")),
    field(b"X:", (b"X", b"")),
    field(b"X: ", (b"X", b"")),
    field(b"X: \t ", (b"X", b"")),
    field(b"X: a  b\tc", (b"X", b"a  b\tc")),
    field(b"X: :", (b"X", b":")),
    field(b"X:: y", (b"X", b": y")),
    field(b"X: a:b:c", (b"X", b"a:b:c")),
    field(b"X: a, b\r\nX: c", (b"X", b"a, b"), (b"X", b"c")),
    field(b"X: 1\r\nx: 2\r\nX: 1", (b"X", b"1"), (b"x", b"2")),
    field(b'X: "a, b", "c\\"d"', (b"X", b'"a, b", "c\\"d"')),
    field(b'X: "unclosed', (b"X", b'"unclosed')),
    field(b"X: (comment), <a>; [b] {c}", (b"X", b"(comment), <a>; [b] {c}")),
    field(b"X: \xe4\xf6\xfc", (b"X", b"\xe4\xf6\xfc")),
    field(b"X: \xc3\xa4", (b"X", b"\xc3\xa4")),
    field(b"X: \x80\xff", (b"X", b"\x80\xff")),
    field(b"X: " + b"y" * 8000, (b"X", b"y" * 8000)),
    field(b"!#$%&'*+-.^`|~09Az: y", (b"!#$%&'*+-.^`|~09Az", b"y")),
    field(b"1: y", (b"1", b"y")),
    field(b"X-" + b"n" * 500 + b": y", (b"X-" + b"n" * 500, b"y")),
    field(b"Accept: */*;q=0.1,text/html", (b"Accept", b"*/*;q=0.1,text/html")),
    field(b"Cookie: a=b; c=d\r\nCookie: e=f", (b"Cookie", b"a=b; c=d"), (b"Cookie", b"e=f")),
    field(b"Authorization: Bearer a.b.c", (b"Authorization", b"Bearer a.b.c")),
    field(b"Content-Type: text/plain; charset=\"utf-8\"", (b"Content-Type", b'text/plain; charset="utf-8"')),
    field(b"Via: 1.0 fred, 1.1 p.example", (b"Via", b"1.0 fred, 1.1 p.example, 1.1 gatehouse")),
    field(b"Via: 1.0 fred\r\nVia: 1.1 nowhere", (b"Via", b"1.0 fred, 1.1 nowhere, 1.1 gatehouse")),
    field(b"X-Forwarded-For: 192.0.2.1", (b"X-Forwarded-For", b"127.0.0.1")),
    field(b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2", (b"X-Forwarded-For", b"127.0.0.1")),
    field(b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil", (b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", b"a")),
    field(b"Forwarded: for=192.0.2.1", lacks=[b"Forwarded"]),
    field(b"TE: trailers", (b"TE", b"trailers")),
    field(b"TE: trailers, deflate;q=0.5", (b"TE", b"trailers")),
    field(b"TE: trailers\r\nConnection: TE", (b"TE", b"trailers")),
    field(b"TE: chunked", lacks=[b"TE"]),
    field(b"Keep-Alive: timeout=5", lacks=[b"Keep-Alive"]),
    field(b"Proxy-Connection: keep-alive", lacks=[b"Proxy-Connection"]),
    field(b"Proxy-Connection: close", lacks=[b"Proxy-Connection"]),
    field(b"Trailer: X-Sum", (b"Trailer", b"X-Sum")),
    field(b"Range: bytes=0-1", (b"Range", b"bytes=0-1")),
    field(b"Max-Forwards: 0", (b"Max-Forwards", b"0")),
    passes("many fields", get(b"/", *(b"X-%d: %d" % (n, n) for n in range(90))), Expect(has=[(b"X-%d" % n, b"%d" % n) for n in range(90)])),
    passes("many lines of a name", get(b"/", *(b"X: %d" % n for n in range(90))), Expect(has=[(b"X", b"%d" % n) for n in range(90)])),
]

LENGTHS = [
    passes("Content-Length: 0", post(b"Content-Length: 0"), Expect(b"POST")),
    passes("Content-Length: 0 in GET", get(b"/", b"Content-Length: 0"), Expect()),
    passes("no length in POST", post(), Expect(b"POST")),
    passes("zeros in front", post(b"Content-Length: 0005", body=b"hello"), Expect(b"POST", body=b"hello", has=[(b"Content-Length", b"5")])),
    passes("zeros alone", post(b"Content-Length: 000") + get(b"/2"), Expect(b"POST"), Expect(target=b"/2")),
    passes("spaces around", post(b"Content-Length:  \t5 \t", body=b"hello"), Expect(b"POST", body=b"hello", has=[(b"Content-Length", b"5")])),
    passes("no space", post(b"Content-Length:5", body=b"hello"), Expect(b"POST", body=b"hello")),
    passes("another case", post(b"cOnTeNt-LeNgTh: 5", body=b"hello"), Expect(b"POST", body=b"hello")),
    passes("a body of all bytes", post(b"Content-Length: 256", body=bytes(range(256))), Expect(b"POST", body=bytes(range(256)))),
    passes("a body of requests", post(b"Content-Length: %d" % len(get(b"/smuggled") * 2), body=get(b"/smuggled") * 2),
           Expect(b"POST", body=get(b"/smuggled") * 2)),
    passes("a large body", post(b"Content-Length: 300000", body=b"0123456789" * 30000), Expect(b"POST", body=b"0123456789" * 30000)),
    passes("Expect", post(b"Content-Length: 5", b"Expect: 100-continue", body=b"hello"), Expect(b"POST", body=b"hello", lacks=[b"Expect"])),
    passes("Expect in another case", post(b"Content-Length: 5", b"eXPECT: 100-Continue", body=b"hello"), Expect(b"POST", body=b"hello")),
    passes("Expect without a body", get(b"/", b"Expect: 100-continue"), Expect(lacks=[b"Expect"])),
    passes("Expect in HTTP/1.0", get(b"/", b"Expect: 100-continue", b"Content-Length: 5", method=b"POST", version=b"HTTP/1.0", body=b"hello"),
           Expect(b"POST", body=b"hello", lacks=[b"Expect"]), closes=True),
    passes("Expect with chunks", chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Expect: 100-continue"), Expect(b"POST", body=b"hello")),
]


def chunks(name, body, sent=b"hello", has=(), trailers=()):
    return passes(name, chunked(body), Expect(b"POST", body=sent, has=has, trailers=list(trailers)))


CHUNKS = [
    chunks("one", b"5\r\nhello\r\n0\r\n\r\n", has=[(b"Transfer-Encoding", b"chunked")]),
    chunks("none", b"0\r\n\r\n", b""),
    chunks("five", b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
    chunks("zeros in front", b"0005\r\nhello\r\n0000\r\n\r\n"),
    chunks("16 digits", b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n"),
    chunks("upper-case digits", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    chunks("lower-case digits", b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    chunks("an extension", b"5;a\r\nhello\r\n0\r\n\r\n"),
    chunks("an extension with a value", b"5;a=b\r\nhello\r\n0;c=d\r\n\r\n"),
    chunks("a quoted extension", b'5;a="b;c \\"d\\""\r\nhello\r\n0\r\n\r\n'),
    chunks("two extensions", b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n"),
    chunks("256 bytes of extension", b"5;" + b"x" * 256 + b"\r\nhello\r\n0\r\n\r\n"),
    chunks("extensions on each", b"2;a\r\nhe\r\n3;b\r\nllo\r\n0;c\r\n\r\n"),
    chunks("CR LF as data", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    chunks("an end as data", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    chunks("all bytes", b"100\r\n" + bytes(range(256)) + b"\r\n0\r\n\r\n", bytes(range(256))),
    chunks("large", b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n", b"x" * 81920),
    passes("another case", post(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"), Expect(b"POST", body=b"hello")),
    passes("a tab before", post(b"Transfer-Encoding:\tchunked", body=b"5\r\nhello\r\n0\r\n\r\n"), Expect(b"POST", body=b"hello")),
    passes("spaces around", post(b"Transfer-Encoding: \t chunked \t", body=b"5\r\nhello\r\n0\r\n\r\n"), Expect(b"POST", body=b"hello")),
    chunks("a trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", trailers=[(b"X-Sum", b"1")]),
    chunks("two trailers", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other:\r\n\r\n", trailers=[(b"X-Sum", b"1"), (b"X-Other", b"")]),
    chunks("a trailer of high bytes", b"5\r\nhello\r\n0\r\nX-Sum: \xe4\r\n\r\n", trailers=[(b"X-Sum", b"\xe4")]),
    chunks("a trailer with OWS", b"5\r\nhello\r\n0\r\nX-Sum:\t 1 \t\r\n\r\n", trailers=[(b"X-Sum", b"1")]),
    chunks("trailers of one name", b"5\r\nhello\r\n0\r\nX: 1\r\nX: 2\r\n\r\n", trailers=[(b"X", b"1"), (b"X", b"2")]),
    chunks("a trailer with an underscore", b"5\r\nhello\r\n0\r\nX_Sum: 1\r\n\r\n"),
]

COUNT = 20
PIPELINES = [
    passes("of GET", b"".join(get(b"/%d" % n) for n in range(COUNT)), *(Expect(target=b"/%d" % n) for n in range(COUNT))),
    passes("of POST", b"".join(post(b"Content-Length: 5", body=b"hello", target=b"/%d" % n) for n in range(COUNT)),
           *(Expect(b"POST", b"/%d" % n, body=b"hello") for n in range(COUNT))),
    passes("of chunks", b"".join(get(b"/%d" % n, b"Transfer-Encoding: chunked", method=b"PUT", body=b"5\r\nhello\r\n0\r\n\r\n")
                                 for n in range(COUNT)), *(Expect(b"PUT", b"/%d" % n, body=b"hello") for n in range(COUNT))),
    passes("of all kinds", (get(b"/1") + post(b"Content-Length: 5", body=b"hello") + chunked(b"5;x\r\nhello\r\n0\r\nX: y\r\n\r\n") +
                            get(b"/2", method=b"HEAD")) * 5,
           *([Expect(target=b"/1"), Expect(b"POST", body=b"hello"), Expect(b"POST", body=b"hello"), Expect(b"HEAD", b"/2")] * 5),
           methods=[b"GET", b"POST", b"POST", b"HEAD"] * 5),
    passes("of all kinds, the last one closes", get(b"/1") + post(b"Content-Length: 5", b"Connection: close", body=b"hello"),
           Expect(target=b"/1"), Expect(b"POST", body=b"hello"), closes=True),
    Row("with an answer of the gateway's own between", get(b"/1") + get(b"/%2f") + get(b"/2"), [200, 400, 200],
        [Expect(target=b"/1"), Expect(target=b"/2")]),
]

GROUPS = {
    "line": LINE,
    "methods": METHODS,
    "targets": TARGETS,
    "absolute": ABSOLUTE,
    "hosts": HOSTS,
    "fields": FIELDS,
    "lengths": LENGTHS,
    "chunks": CHUNKS,
    "pipelines": PIPELINES,
}
