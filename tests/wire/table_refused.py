"""Requests that are malformed, or that two parsers could read in two ways, and the verdict on each.

The verdict is LIBRARIES' and RFC 9112's; where those leave a choice, the strict one. {group: [Row …]}
"""
from table import Expect, Row, answered, chunked, get, lines, passes, post, refused, show

BROKEN_METHOD = (400, 501)  # it is no token: 400, or unknown: 501; a parser that reads byte by byte may say either

REQUEST_LINE = [
    refused("tab after the method", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BROKEN_METHOD),
    refused("tab before the version", b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("space behind the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    refused("tab behind the version", b"GET / HTTP/1.1\t\r\nHost: a\r\n\r\n"),
    refused("space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("tab before the method", b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("vertical tab for a space", b"GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n", BROKEN_METHOD),
    refused("form feed for a space", b"GET /\x0cHTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("CR for a space", b"GET\r/\rHTTP/1.1\r\nHost: a\r\n\r\n", BROKEN_METHOD),
    refused("CR in the target", b"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("LF in the target", b"GET /a\nb HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("CR in the version", b"GET / HTTP/1.\r1\r\nHost: a\r\n\r\n"),
    refused("two CR at the end", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    refused("bare LF at the end", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    refused("bare CR at the end", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    refused("LF CR at the end", b"GET / HTTP/1.1\n\rHost: a\r\n\r\n"),
    refused("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("empty target", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("no version: HTTP/0.9", b"GET /\r\nHost: a\r\n\r\n"),
    refused("HTTP/0.9 without fields", b"GET /\r\n\r\n"),
    refused("method alone", b"GET\r\nHost: a\r\n\r\n", BROKEN_METHOD),
    refused("a fourth word", b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("two versions", b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("no space before the version", b"GET /HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a field for a request line", b"Host: a\r\n\r\n", BROKEN_METHOD),
    refused("a status line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", BROKEN_METHOD),
    refused("HTTP/2 preface of another version", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", (400, 501, 505)),
    refused("HTTP/2 preface behind a Host", b"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n", (400, 501, 505)),
    refused("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", BROKEN_METHOD),
    refused("PROXY protocol where none is expected", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(), BROKEN_METHOD),
    refused("LF before the request", b"\n" + get(), BROKEN_METHOD),
    refused("CR before the request", b"\r" + get(), BROKEN_METHOD),
    refused("CR LF space before the request", b"\r\n " + get(), BROKEN_METHOD),
    refused("NUL before the request", b"\0" + get(), BROKEN_METHOD),
    refused("a byte order mark", b"\xef\xbb\xbf" + get(), BROKEN_METHOD),
    *(refused("version " + show(version), b"GET / " + version + b"\r\nHost: a\r\n\r\n", status)
      for version, status in (
          (b"http/1.1", 400), (b"Http/1.1", 400), (b"HTTP/1.2", 505), (b"HTTP/2.0", 505), (b"HTTP/9.9", 505),
          (b"HTTP/0.9", (400, 505)), (b"HTTP/1", 400), (b"HTTP/1.", 400), (b"HTTP/.1", 400), (b"HTTP/1.10", 400),
          (b"HTTP/01.1", 400), (b"HTTP/11.1", (400, 505)), (b"HTTP/1.1x", 400), (b"HTTP/+1.1", 400),
          (b"HTTP/-1.1", 400), (b"HTTP /1.1", 400), (b"HTTP/ 1.1", 400), (b"HTTP/1,1", 400), (b"HTTP/1 1", 400),
          (b"HTTPS/1.1", 400), (b"ICE/1.1", 400), (b"SIP/2.0", 400), (b"HTTP/1.\xb1", 400), (b"HTTP/1.1\0", 400),
          (b"HTTP\\1.1", 400), (b"xHTTP/1.1", 400), (b"1.1", 400), (b"HTTP/3", (400, 505)))),
    refused("SOURCE of an icecast client", b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n"),
]

METHODS = [
    *(refused("method " + show(method), get(method=method), 501)
      for method in (b"get", b"Get", b"gET", b"NOPE", b"GETX", b"XGET", b"PRI", b"M" * 300)),
    *(refused("method " + show(method), get(method=method), BROKEN_METHOD)
      for method in (b"G\0T", b"G\x01T", b"GE\x7fT", b"G\xc9T", b"{GET}", b"GET:", b"GET,", b'"GET"', b"GE/T", b"(GET)",
                     b"GET\\", b"\x1bGET", b"")),
    refused("CONNECT with an authority", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    refused("CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", (400, 501)),
    refused("CONNECT with a body", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", (400, 501)),
    refused("CONNECT with chunks", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            (400, 501)),
    refused("GET with an authority", b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    refused("TRACE with a body", get(b"/", b"Content-Length: 5", method=b"TRACE", body=b"hello")),
    refused("TRACE with chunks", get(b"/", b"Transfer-Encoding: chunked", method=b"TRACE", body=b"0\r\n\r\n")),
]

TARGETS = [
    *(refused("target " + show(target), get(target))
      for target in (
          b"x", b"a/b", b"?x", b"#", b"*", b"/a#b", b"/#", b"/a?b#c", b"/\0", b"/a\x01b", b"/a\x1fb", b"/a\x7fb",
          b"/\xe4", b"/\xc0\xaf", b"/?\xff", b"/?a\x0bb", b"ftp://a/", b"file:///etc/passwd", b"javascript:1", b"http:/x",
          b"http:x", b"http:///x", b"http://", b"http://?x", b"http://u@a/", b"http://u:p@a/", b"http://@a/", b"http://a@b@c/",
          b"http://a:x/", b"http://a:99999/", b"http://a:65536/", b"http://a:-1/", b"http://a:+1/", b"http://a:80:80/", b"http://:80/",
          b"http://[::1/", b"http://::1]/", b"http://[::1]x/", b"http://[]/", b"http://[zz]/",
          b"http://a\\b/", b"http://a%2fb/", b"http://a%00/", b"http://a,b/", b'http://"a"/', b"http://<a>/", b"http://a#b",
          b"http://a/#b", b"httpx://a/", b"\\x", b"%2f", b"http://a^b/", b"http://a;b@c/")),
    refused("OPTIONS *x", get(b"*x", method=b"OPTIONS")),
    refused("OPTIONS **", get(b"**", method=b"OPTIONS")),
    refused("POST *", get(b"*", method=b"POST")),
    *(answered("path " + show(target), get(target), 400)
      for target in (
          b"/a%2Fb", b"/a%2fb", b"/%2f", b"/a%5Cb", b"/a%5cb", b"/%00", b"/a%00b", b"/%", b"/%4", b"/%zz", b"/%4z", b"/%u002f",
          b"/%%41", b"/..", b"/../x", b"/a/../../x", b"/%2e%2e/x", b"/%2e%2E/", b"/.%2e/x", b"/%2E./x",
          b"/a/%2e%2e/%2e%2e/x", b"/..%2fx", b"/./../x", b"//../x", b"/a//../../x", b"/a;/../..", b'/a"b', b"/a<b",
          b"/a>b", b"/a[b", b"/a]b", b"/a\\b", b"/a\\..\\b", b"/a^b", b"/a`b", b"/a{b", b"/a|b", b"/a}b", b"/%c0%2f",
          b"http://a/../x", b"http://a/%2f")),
    # Segments that some servers cut at the semicolon before they resolve the dots, and others don't.
    *(answered("path " + show(target), get(target), 400) for target in (b"/..;/x", b"/a/..;/b", b"/a/..;x=y/b", b"/a/.;/b", b"/a/%2e%2e;/b", b"/a/..;")),
]

FIELD_NAMES = [
    *(refused("field line " + show(line), get(b"/", line))
      for line in (
          b": x", b"X", b"X x", b"X : x", b"X\t: x", b"X\x0b: x", b"X Y: x", b"X\tY: x", b"(X): x", b"X[1]: x", b"X@Y: x",
          b"X/Y: x", b"X\\Y: x", b'"X": x', b"X,Y: x", b"X;Y: x", b"X=Y: x", b"X<Y: x", b"X?Y: x", b"{X}: x", b"X\0Y: x",
          b"X\x01: x", b"X\x7f: x", b"X\xe4: x", b"\xffX: x", b"\0: x", b"X\0: x", b"GET / HTTP/1.1", b"=: x", b"\x85X: x",
          b"X\xa0: x")),
    refused("first line begins with a space", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    refused("first line begins with a tab", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n"),
    refused("first line is a space", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
    refused("folded by a space", get(b"/", b"X: a", b" b")),
    refused("folded by a tab", get(b"/", b"X: a", b"\tb")),
    refused("folded to nothing", get(b"/", b"X: a", b" ")),
    refused("a folded Host", b"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
    refused("a fold that hides a Host", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Host: b\r\n\r\n"),
]

FIELD_VALUES = [
    *(refused("value " + show(value), get(b"/", b"X: " + value))
      for value in (b"a\0b", b"\0", b"a\x01b", b"a\x08b", b"a\x0bb", b"a\x0cb", b"a\x1bb", b"a\x1fb", b"a\x7fb", b"a\rb",
                    b"a\nb", b"\x7f", b"a\r", b"\ra", b"a\n\r\nb", b"a\rY: z", b"a\nY: z", b"a\n\rY: z", b"a\x0b", b"\x0ca")),
    refused("bare LF ends a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    refused("all line ends are LF", b"GET / HTTP/1.1\nHost: a\n\n"),
    refused("LF LF ends the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    refused("LF CR LF ends the head", b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    refused("CR CR LF ends a field", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    refused("CR CR LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n"),
    refused("CR CR ends the head", b"GET / HTTP/1.1\r\nHost: a\r\r" + get(b"/smuggled")),
    refused("CR X ends the head", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\rX" + b"p" * 46 + b"\r\n\r\n"
            b"GET /smuggled HTTP/1.1\r\nHost: a\r\nX: 12345678\r\n\r\n"),
    refused("NUL CR LF in a line", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n"),
    refused("control in User-Agent", get(b"/", b"User-Agent: a\x01")),
    refused("control in Connection", get(b"/", b"Connection: close\x01")),
    refused("control in Content-Length", post(b"Content-Length: 5\x01", body=b"hello")),
    refused("NUL in Cookie", get(b"/", b"Cookie: a=\0")),
    refused("DEL in Authorization", get(b"/", b"Authorization: Basic \x7f")),
]

HOSTS = [
    refused("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    refused("no Host, but others", b"GET / HTTP/1.1\r\nX-Host: a\r\nX-Forwarded-Host: a\r\n\r\n"),
    refused("no Host with an absolute target", b"GET http://a/ HTTP/1.1\r\n\r\n"),
    refused("two Hosts", get(b"/", b"Host: b")),
    refused("two equal Hosts", get(b"/", b"Host: a")),
    refused("two Hosts in HTTP/1.0", get(b"/", b"Host: b", version=b"HTTP/1.0")),
    refused("two Hosts in two cases", get(b"/", b"hOST: b")),
    refused("two Hosts around another field", get(b"/", b"X: y", b"HOST: a")),
    refused("two Hosts and an absolute target", get(b"http://a/", b"Host: b")),
    refused("a Host and an empty one", get(b"/", b"Host:")),
    refused("a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    refused("a Host and one with a space", get(b"/", b"Host : b")),
    *(refused("Host " + show(host), get(host=host))
      for host in (
          b"a/b", b"a/", b"/", b"http://a", b"http://a/", b"u@a", b"u:p@a", b"a,b", b"@a", b"a@", b"a, b", b"a b", b"a\tb",
          b"a;b c", b"a:x", b"a:-1", b"a:+80", b"a:0x50", b"a:99999", b"a:65536", b"a:1:2", b"a: 80", b"a :80", b":80", b":",
          b"[::1", b"::1", b"::1]", b"[::1]x", b"[::1]:x", b"[::1]:99999", b"[]", b"[]:80", b"[zz]", b"[[::1]", b"[::1]]", b"x[::1]",
          b"[a b]", b"a\\b", b"a?b", b"a%", b"a%0", b"a%zz", b"a%00", b"a%2f", b"a#b", b"a%0d%0aX:y", b'"a"', b"<a>", b"a^b", b"a|b",
          b"{a}", b"a`b", b"\xe4", b"a\xff", b"a\x7fb", b"a\0", b"a\x0b", b"*:x", b"a:80,b:80", b"a:8 0")),
    refused("an absolute target and a bad Host", get(b"http://a/", host=b"b/c")),
    refused("a bad Host in HTTP/1.0", get(host=b"a b", version=b"HTTP/1.0")),
    refused("folded behind Host", b"GET / HTTP/1.1\r\nHost: a\r\n .evil\r\n\r\n"),
]

CODINGS = (
    b"xchunked", b"chunkedx", b"x-chunked", b"chunk", b"chunked, identity", b"identity, chunked", b"identity", b"gzip",
    b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked,chunked", b"deflate, chunked", b"x, chunked", b"cow",
    b"trailers", b"chunked chunked", b"chu nked", b"chu\tnked", b"chunked;q=1", b"chunked;x", b"chunked;", b"chunked ;x=y",
    b"chunked,", b",chunked", b", chunked", b"chunked, ", b",", b"", b'"chunked"', b"'chunked'", b"(chunked)", b"[chunked]",
    b"chunked=1", b"chunked/1", b"%63hunked", b"chunked\x0b", b"\x0bchunked", b"\x0cchunked", b"chunked\x0c", b"chunked\x7f",
    b"chunked\0", b"\0chunked", b"\x01chunked", b"chunked\x1f", b"chunked\xff", b"\xa0chunked", b"chunked\xa0", b"\xef\xbb\xbfchunked",
    b"chunked\xc2\x85", b"chun\xc4\xb7ed", b"chunked\rx", b"\rchunked", b"chunked\n", b"\nchunked", b"chunked\r",
)
CODING = (400, 501)  # a coding that isn't known: 501; not chunked at the end, or no coding at all: 400 (RFC 9112, 6.1, 6.3)

TRANSFER_ENCODING = [
    *(refused("Transfer-Encoding " + show(coding), post(b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n"), CODING)
      for coding in CODINGS),
    *(refused("with a length: " + show(line), post(line, b"Content-Length: 5", body=b"0\r\n\r\n"), CODING)
      for line in (
          b"Transfer-Encoding: chunked", b"Transfer-Encoding:chunked", b"Transfer-Encoding:\tchunked",
          b"Transfer-Encoding: \tchunked\t ", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
          b"Transfer-Encoding\x0b: chunked", b"Transfer-Encoding\0: chunked", b"Transfer-Encoding\xa0: chunked",
          b"\0Transfer-Encoding: chunked", b"Transfer\0-Encoding: chunked", b"Transfer Encoding: chunked",
          b"Transfer-Encoding;: chunked", b"Transfer-Encoding:", b"Transfer-Encoding: ", b"Transfer-Encoding",
          b"Transfer-Encoding chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: \n chunked",
          b"Transfer-Encoding\r\n : chunked", b"Transfer-Encoding:\n chunked", b"Transfer-Encoding: \x0bchunked",
          b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked",
          b"X: y\r\n\tTransfer-Encoding: chunked", b"X: y\0Transfer-Encoding: chunked\0",
          b"TRANSFER-ENCODING: CHUNKED", b"transfer-encoding: chunked", b"Transfer-Encoding: xchunked",
          b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: cow",
          b"Transfer-Encoding: gzip", b'Transfer-Encoding: "chunked"',
          b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked")),
    refused("behind the length", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), CODING),
    refused("length first, other case", post(b"content-length: 5", b"tRANSFER-eNCODING: chunked", body=b"0\r\n\r\n"), CODING),
    refused("with a length of 0", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), CODING),
    refused("CL.TE", post(b"Content-Length: 13", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nSMUGGLED"), CODING),
    refused("TE.CL", post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"8\r\nSMUGGLED\r\n0\r\n\r\n"), CODING),
    refused("in GET", get(b"/", b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\nX"), CODING),
    *(refused("two lines: " + show(first) + ", " + show(second),
              post(b"Transfer-Encoding: " + first, b"Transfer-Encoding: " + second, body=b"0\r\n\r\n"), CODING)
      for first, second in ((b"chunked", b"chunked"), (b"chunked", b"identity"), (b"identity", b"chunked"), (b"x", b"chunked"),
                            (b"chunked", b"x"), (b"gzip", b"chunked"), (b"", b"chunked"), (b"chunked", b""))),
    refused("two lines apart", post(b"Transfer-Encoding: chunked", b"X: y", b"transfer-encoding: cow", body=b"0\r\n\r\n"), CODING),
    refused("in HTTP/1.0", get(b"/", b"Transfer-Encoding: chunked", method=b"POST", version=b"HTTP/1.0", body=b"0\r\n\r\n")),
    refused("in HTTP/1.0 that is kept", get(b"/", b"Connection: keep-alive", b"Transfer-Encoding: chunked", method=b"POST",
                                            version=b"HTTP/1.0", body=b"0\r\n\r\n")),
    refused("in HTTP/1.0 with a length", get(b"/", b"Content-Length: 5", b"Transfer-Encoding: chunked", method=b"POST",
                                             version=b"HTTP/1.0", body=b"0\r\n\r\n")),
    refused("identity in HTTP/1.0", get(b"/", b"Transfer-Encoding: identity", b"Content-Length: 5", method=b"POST",
                                        version=b"HTTP/1.0", body=b"hello"), CODING),
    refused("first line begins with a space", b"POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n"
            b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
]

CONTENT_LENGTH = [
    *(refused("Content-Length " + show(value), post(b"Content-Length: " + value, body=b"hello"))
      for value in (
          b"+5", b"-5", b"-0", b"+0", b"0x5", b"0X5", b"5x", b"x5", b"5 5", b"5, 5", b"5,5", b"5,6", b",5", b"5,", b"5;", b"5;5",
          b"5.0", b"5.", b".5", b"5e0", b"1e1", b"0b101", b"5_0", b"5'0", b"", b"five", b'"5"', b"'5'", b"(5)", b"\xd9\xa5", b"5\xa0",
          b"\xa05", b"5\x0b", b"\x0b5", b"5\x0c", b"5\0", b"\x005", b"5\x7f", b"5\r", b"\r5", b"5\n", b"5\n6", b"\n5",
          b"18446744073709551616", b"18446744073709551615", b"18446744073709551621", b"99999999999999999999", b"1" + b"0" * 100,
          b"0x10", b"5%20", b"%35", b"5 bytes", b"chunked", b"5/5", b"5\t5", b"5:", b":5", b"\x01" b"5", b"5#", b"NaN", b"inf")),
    *(refused("Content-Length " + show(value), post(b"Content-Length: " + value, body=b"hello"), (400, 413))
      for value in (b"9223372036854775808", b"18446744073709551605", b"18446744073709551614")),
    *(refused("line " + show(line), post(line, body=b"hello"))
      for line in (b"Content-Length : 5", b"Content-Length\t: 5", b"Content-Length\x0b: 5", b"Content-Length\0: 5",
                   b"Content Length: 5", b"Content-Length", b"Content-Length 5", b"Content-Length\xa0: 5",
                   b"Content-Length:\r\n 5", b"Content-Length: 5\r\n 6", b"Content-Length:\n 5", b"Content-Length: 5\r\n\t")),
    *(refused("twice: " + show(first) + ", " + show(second),
              post(b"Content-Length: " + first, b"Content-Length: " + second, body=b"hello"))
      for first, second in ((b"5", b"5"), (b"5", b"6"), (b"6", b"5"), (b"0", b"5"), (b"5", b"0"), (b"0", b"0"), (b"5", b""),
                            (b"", b"5"), (b"5", b"05"), (b"5", b"x"))),
    refused("twice in two cases", post(b"Content-Length: 5", b"CONTENT-LENGTH: 5", body=b"hello")),
    refused("twice, apart", post(b"Content-Length: 5", b"X: y", b"content-length: 0", body=b"hello")),
    refused("twice in GET", get(b"/", b"Content-Length: 0", b"Content-Length: 44", body=b"GET /smuggled")),
    refused("twice, one with a space", post(b"Content-Length: 5", b"Content-Length : 6", body=b"hello")),
    refused("twice in HTTP/1.0", get(b"/", b"Content-Length: 5", b"Content-Length: 5", method=b"POST", version=b"HTTP/1.0",
                                     body=b"hello")),
]

CHUNKS = [
    *(refused("chunk " + show(body), chunked(body), cut=True)
      for body in (
          b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
          b"\t5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"5  ;x\r\nhello\r\n0\r\n\r\n",
          b"5 ;x\r\nhello\r\n0\r\n\r\n", b"5\x0b\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n", b";x\r\nhello\r\n0\r\n\r\n",
          b"g\r\nhello\r\n0\r\n\r\n", b"5g\r\nhello\r\n0\r\n\r\n", b"5,\r\nhello\r\n0\r\n\r\n", b"5:\r\nhello\r\n0\r\n\r\n",
          b"5h\r\nhello\r\n0\r\n\r\n", b"0_5\r\nhello\r\n0\r\n\r\n", b"\xb2\r\nhello\r\n0\r\n\r\n", b'"5"\r\nhello\r\n0\r\n\r\n',
          b"5\0\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n",
          b"5\rX\nhello\r\n0\r\n\r\n", b"5\n\rhello\r\n0\r\n\r\n", b"5;x\nhello\r\n0\r\n\r\n", b"5;x\rhello\r\n0\r\n\r\n",
          b"5;x\ny\r\nhello\r\n0\r\n\r\n", b"5;x\ry\r\nhello\r\n0\r\n\r\n", b"5;x\r\r\nhello\r\n0\r\n\r\n",
          b"5;\nhello\r\n0\r\n\r\n", b"5;x\0\r\nhello\r\n0\r\n\r\n", b"5;x\x7f\r\nhello\r\n0\r\n\r\n", b"5;x\x01\r\nhello\r\n0\r\n\r\n",
          b'5;x="\n"\r\nhello\r\n0\r\n\r\n', b"5;" + b"x" * 257 + b"\r\nhello\r\n0\r\n\r\n", b"5;" + b"x" * 40000,
          b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
          b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"8000000000000000\r\nhello\r\n0\r\n\r\n",
          b"fffffffffffffffb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
          b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\rX0\r\n\r\n", b"5\r\nhello\r\r\n0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n",
          b"5\r\nhello \r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\n\r0\r\n\r\n", b"5\r\nhello\r\nGET /smuggled HTTP/1.1\r\n\r\n",
          b"5\r\nhello\r\n\n0\r\n\r\n")),
    *(refused("end " + show(body), chunked(b"5\r\nhello\r\n" + body), cut=True)
      for body in (b"0\n\n", b"0\n\r\n", b"0\r\n\n", b"0\r\n\r\r\n", b"0\r\n\rX", b"0\r\r\n\r\n", b"0 \r\n\r\n", b"00 \r\n\r\n", b"0;\n\r\n",
                   b"0;x\n\r\n", b"0x0\r\n\r\n", b"-0\r\n\r\n", b"00000000000000000\r\n\r\n", b"0\rX\r\n\r\n", b"0\r0\r\n\r\n")),
    *(refused("trailer " + show(line), chunked(b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n"), cut=True)
      for line in (b"X", b"X x", b": x", b"X : x", b" X: x", b"\tX: x", b"X: x\r\n y", b"X: a\0b", b"X: a\x01b", b"X: a\x7fb", b"X: a\nb",
                   b"X: a\rb", b"X\0: x", b"X\xe4: x", b"X(: x", b"X: y\n", b"X: y\r", b"GET /smuggled HTTP/1.1")),
    *(refused("trailer " + show(line), chunked(b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n"), cut=True)
      for line in (b"Content-Length: 5", b"content-length: 0", b"Transfer-Encoding: chunked", b"transfer-encoding: identity", b"Host: b",
                   b"Connection: close", b"Keep-Alive: x", b"TE: trailers", b"Trailer: x", b"Upgrade: h2c", b"HTTP2-Settings: x",
                   b"Authorization: Basic x", b"Cookie: a=b", b"Content-Type: text/html", b"Content-Encoding: gzip",
                   b"Content-Range: bytes 0-1/2", b"Expect: 100-continue", b"X-Forwarded-For: 192.0.2.1", b"Forwarded: for=x",
                   b"Proxy-Connection: close", b"Cache-Control: no-store", b"Range: bytes=0-", b"If-Match: x", b"Max-Forwards: 1",
                   b"X: y\r\nContent-Length: 5")),
    refused("endless trailers", chunked(b"0\r\n" + b"X: y\r\n" * 4000), (400, 431), cut=True),
    refused("an endless trailer", chunked(b"0\r\nX: " + b"y" * 20000), (400, 431), cut=True),
]

SIZES = [
    refused("target", b"GET /" + b"a" * 70000, 414),
    refused("target in a whole head", get(b"/" + b"a" * 40000), 414),
    refused("query", get(b"/?" + b"a" * 40000), 414),
    refused("method", b"G" * 70000, (400, 414, 501)),
    refused("one field", get(b"/", b"X: " + b"y" * 70000), 431),
    refused("one field without end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000, 431),
    refused("one name", get(b"/", b"X" * 70000 + b": y"), 431),
    refused("many fields' bytes", get(b"/", *(b"X-%d: " % n + b"y" * 1000 for n in range(60))), 431),
    refused("number of fields", get(b"/", *(b"X: y" for _ in range(120))), 431),
    refused("number of dropped fields", get(b"/", *(b"X_Y: y" for _ in range(120))), 431),
    refused("number of empty fields", get(b"/", *(b"X:" for _ in range(120))), 431),
    refused("a length over max_body", post(b"Content-Length: 2001", body=b"x" * 2001), 413),
    refused("a length far over max_body", post(b"Content-Length: 9223372036854775807", body=b"x" * 2001), 413),
    refused("a length over max_body in GET", get(b"/", b"Content-Length: 2001", body=b"x" * 2001), 413),
    refused("a length over max_body and Expect", post(b"Content-Length: 2001", b"Expect: 100-continue"), 413),
    refused("chunks over max_body", chunked(b"7d1\r\n" + b"x" * 2001 + b"\r\n0\r\n\r\n"), 413, cut=True),
    refused("many chunks over max_body", chunked(b"1f4\r\n" + b"x" * 500 + b"\r\n" + b"5dd\r\n" + b"x" * 1501 + b"\r\n0\r\n\r\n"), 413,
            cut=True),
    refused("a chunk size over max_body", chunked(b"7fffffffffffffff\r\n" + b"x" * 2001), 413, cut=True),
]

EXPECTATIONS = [
    *(refused("Expect " + show(value), post(b"Expect: " + value, b"Content-Length: 0"), 417)
      for value in (b"more", b"100-continue, more", b"100", b"100-continue;x=y", b"100-continued", b"200-ok", b"x=y", b'"100-continue"')),
    refused("two Expects", post(b"Expect: 100-continue", b"Expect: more", b"Content-Length: 0"), (400, 417)),
    refused("Expect with a control", post(b"Expect: 100-continue\x01", b"Content-Length: 0")),
    refused("Upgrade with a body", post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hello")),
    refused("Upgrade with chunks", post(b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked",
                                        body=b"5\r\nhello\r\n0\r\n\r\n")),
    refused("h2c with a body", post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"Content-Length: 5", body=b"hello")),
]

# What stands behind another request, or within it: which of the bytes are a request is told in one way only.
PLAIN = get(b"/first")
INNER = get(b"/smuggled")
INNER_LENGTH = b"Content-Length: %d" % len(INNER)
BEHIND = [
    Row("bad behind good", PLAIN + b"GET  /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", [200, 400], [Expect(target=b"/first")], closes=True),
    Row("no Host behind good", PLAIN + b"GET /smuggled HTTP/1.1\r\n\r\n", [200, 400], [Expect(target=b"/first")], closes=True),
    Row("bare LF behind good", PLAIN + b"\n" + get(b"/smuggled"), [200, (400, 501)], [Expect(target=b"/first")], closes=True),
    Row("body of a GET that said no length", PLAIN + b"hello\r\n\r\n", [200, (400, 501)], [Expect(target=b"/first")], closes=True),
    Row("more body than the length", post(b"Content-Length: 5", body=b"helloX\r\n\r\n"), [200, (400, 501)],
        [Expect(b"POST", body=b"hello")], closes=True),
    Row("bytes behind the last chunk", chunked(b"5\r\nhello\r\n0\r\n\r\nX\r\n\r\n"), [200, (400, 501)],
        [Expect(b"POST", body=b"hello")], closes=True),
    Row("good, bad, good", PLAIN + get(host=b"a b") + get(b"/smuggled"), [200, 400], [Expect(target=b"/first")], closes=True),
    Row("good, refused body, good", PLAIN + post(b"Content-Length: x") + get(b"/smuggled"), [200, 400], [Expect(target=b"/first")],
        closes=True),
    Row("good, bad chunk, good", PLAIN + chunked(b"x\r\n\r\n") + get(b"/smuggled"), [200, 400], [Expect(target=b"/first")], cut=True,
        closes=True),
    passes("bytes behind Connection: close", get(b"/first", b"Connection: close") + get(b"/smuggled"), Expect(target=b"/first"), closes=True),
    passes("garbage behind Connection: close", get(b"/first", b"Connection: close") + b"\0\1\2\r\n\r\n", Expect(target=b"/first"),
           closes=True),
    passes("bytes behind close among others", get(b"/first", b"Connection: X, Close ,keep-alive") + get(b"/smuggled"),
           Expect(target=b"/first"), closes=True),
    passes("bytes behind close in a second line", get(b"/first", b"Connection: keep-alive", b"Connection: close") + get(b"/smuggled"),
           Expect(target=b"/first"), closes=True),
    passes("bytes behind a body and close", post(b"Connection: close", b"Content-Length: 5", body=b"hello") + get(b"/smuggled"),
           Expect(b"POST", body=b"hello"), closes=True),
    passes("bytes behind HTTP/1.0", get(b"/first", version=b"HTTP/1.0") + get(b"/smuggled"), Expect(target=b"/first"), closes=True),
    passes("a request as the body of GET", get(b"/first", INNER_LENGTH, body=INNER) + get(b"/second"),
           Expect(target=b"/first", body=INNER), Expect(target=b"/second")),
    passes("a request as the body of HEAD", get(b"/first", INNER_LENGTH, method=b"HEAD", body=INNER),
           Expect(b"HEAD", b"/first", body=INNER), methods=[b"HEAD"]),
    passes("a request as a chunk", chunked(b"%x\r\n" % len(INNER) + INNER + b"\r\n0\r\n\r\n") + get(b"/second"),
           Expect(b"POST", body=INNER), Expect(target=b"/second")),
    passes("chunks as a body with a length", post(b"Content-Length: 5", body=b"0\r\n\r\n") + get(b"/second"),
           Expect(b"POST", body=b"0\r\n\r\n"), Expect(target=b"/second")),
    passes("a length that is no field: Content_Length", get(b"/first", b"Content_Length: 35") + get(b"/second"),
           Expect(target=b"/first", lacks=[b"Content_Length"]), Expect(target=b"/second")),
    passes("a coding that is no field: Transfer_Encoding", post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n") +
           get(b"/second"), Expect(b"POST", body=b"0\r\n\r\n", lacks=[b"Transfer_Encoding"]), Expect(target=b"/second")),
    passes("a length in a field's value", get(b"/first", b"X: Content-Length: 35") + get(b"/second"), Expect(target=b"/first"),
           Expect(target=b"/second")),
    passes("h2c asked for", get(b"/first", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA") + get(b"/second"),
           Expect(target=b"/first", lacks=[b"Upgrade", b"HTTP2-Settings", b"Connection"]), Expect(target=b"/second")),
    passes("h2c without its settings", get(b"/first", b"Connection: Upgrade", b"Upgrade: h2c") + get(b"/second"),
           Expect(target=b"/first", lacks=[b"Upgrade", b"Connection"]), Expect(target=b"/second")),
    passes("Upgrade that Connection doesn't name", get(b"/first", b"Upgrade: h2c", b"HTTP2-Settings: x"),
           Expect(target=b"/first", lacks=[b"Upgrade", b"HTTP2-Settings"])),
    passes("Upgrade of an unknown protocol", get(b"/first", b"Connection: Upgrade", b"Upgrade: TLS/1.2, x/1") + get(b"/second"),
           Expect(target=b"/first", lacks=[b"Upgrade", b"Connection"]), Expect(target=b"/second")),
]

# Connection names fields of this hop (RFC 9110, section 7.6.1): they go no further, but nobody can ask away what makes the
# request one, or what the gateway itself says.
NAMED = [
    passes("Connection: " + show(name), get(b"/", b"Connection: " + name, name + b": of the client"), Expect(lacks=[name, b"Connection"]))
    for name in (b"X-Foo", b"Authorization", b"Cookie", b"X-Real-IP", b"Forwarded", b"Keep-Alive", b"TE", b"Trailer", b"Proxy-Connection",
                 b"Upgrade", b"HTTP2-Settings", b"Accept", b"x-fOO")
] + [
    passes("Connection: Host", get(b"/", b"Connection: Host"), Expect(host=b"a")),
    passes("Connection: close, Host", get(b"/", b"Connection: close, hOST"), Expect(host=b"a"), closes=True),
    passes("Connection: Content-Length", post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
           Expect(b"POST", body=b"hello", has=[(b"Content-Length", b"5")])),
    passes("Connection: Transfer-Encoding", chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Connection: Transfer-Encoding"),
           Expect(b"POST", body=b"hello")),
    passes("Connection: X-Forwarded-For", get(b"/", b"Connection: X-Forwarded-For", b"X-Forwarded-For: 192.0.2.1"),
           Expect(has=[(b"X-Forwarded-For", b"127.0.0.1")])),
    passes("Connection: X-Forwarded-For, nothing to name", get(b"/", b"Connection: X-Forwarded-For"),
           Expect(has=[(b"X-Forwarded-For", b"127.0.0.1")])),
    passes("Connection: X-Forwarded-Proto, -Host", get(b"/", b"Connection: X-Forwarded-Proto, X-Forwarded-Host"),
           Expect(has=[(b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", b"a")])),
    passes("Connection: Via", get(b"/", b"Connection: Via"), Expect(has=[(b"Via", b"1.1 gatehouse")])),
    passes("Connection: X-Request-Id", get(b"/", b"Connection: X-Request-Id", b"X-Request-Id: mine"), Expect()),
    passes("Connection with odd commas", get(b"/", b"Connection: ,, X-Foo ,\t,X-Bar,", b"X-Foo: 1", b"X-Bar: 2", b"X-Baz: 3"),
           Expect(lacks=[b"X-Foo", b"X-Bar"], has=[(b"X-Baz", b"3")])),
    passes("two Connection lines", get(b"/", b"Connection: X-Foo", b"connection: X-Bar", b"X-Foo: 1", b"X-Bar: 2"),
           Expect(lacks=[b"X-Foo", b"X-Bar", b"Connection"])),
    passes("a name that only begins so", get(b"/", b"Connection: X-Fo", b"X-Foo: 1"), Expect(has=[(b"X-Foo", b"1")])),
    passes("two fields of the name", get(b"/", b"X-Foo: 1", b"Connection: X-Foo", b"X-Foo: 2"), Expect(lacks=[b"X-Foo"])),
    passes("Connection: Expect", post(b"Connection: Expect", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
           Expect(b"POST", body=b"hello", lacks=[b"Expect"])),
]

UNDERSCORES = [
    passes("dropped: " + show(name), get(b"/", name + b": x", b"X-Other: y"), Expect(lacks=[name], has=[(b"X-Other", b"y")]))
    for name in (b"X_Foo", b"X_Forwarded_For", b"X-Forwarded_For", b"X_Real_IP", b"_", b"_X", b"X_", b"HTTP_HOST", b"X_Request_Id",
                 b"Connection_", b"Transfer_Encoding", b"Content_Type")
] + [
    refused("Host_ for Host", lines(b"GET / HTTP/1.1", b"Host_: a")),
    refused("bad value in a dropped field", get(b"/", b"X_Foo: a\0b")),
    refused("control in a dropped field", get(b"/", b"X_Foo: a\x01b")),
    refused("space before a dropped field's colon", get(b"/", b"X_Foo : a")),
]

GROUPS = {
    "request_line": REQUEST_LINE,
    "methods": METHODS,
    "targets": TARGETS,
    "field_names": FIELD_NAMES,
    "field_values": FIELD_VALUES,
    "hosts": HOSTS,
    "transfer_encoding": TRANSFER_ENCODING,
    "content_length": CONTENT_LENGTH,
    "chunks": CHUNKS,
    "sizes": SIZES,
    "expectations": EXPECTATIONS,
    "behind": BEHIND,
    "named_by_connection": NAMED,
    "underscores": UNDERSCORES,
}
