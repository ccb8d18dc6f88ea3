"""The rules of HTTP's semantics for an intermediary (RFC 9110), each with scripted peers on both sides, named by its
section."""
import re
import threading

from pair import Pair
from peers import Reader, answer

OK = answer(b"ok")


def written(fields):
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")


class Rfc9110(Pair):
    def through(self, request=(), response=(), body=b"ok", method="GET", first="HTTP/1.1 200 OK"):
        """A request with some fields and an answer with others: what each arrived as."""
        said = first.encode() + b"\r\n" + written([*response, ("Content-Length", len(body))]) + b"\r\n" + body
        gateway, origin = self.pair(lambda request, sock: said)
        got = gateway.get("/", fields=request, method=method)
        gateway.finish()
        return origin.requests[0], got

    # 5: fields

    def test_5_3_order_of_lines(self):
        request = [("X-A", "1"), ("X-B", "2"), ("x-a", "3, 4"), ("Accept", "a/b"), ("X-A", ""), ("Accept", "c/d")]
        response = [("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2"), ("X-A", "2"), ("Vary", "A"), ("Vary", "B")]
        sent, got = self.through(request, response)
        for fields, message in ((request, sent), (response, got)):
            names = {name.lower() for name, _ in fields}
            self.assertEqual([field for field in message.fields if field[0].lower() in names], fields)

    def test_5_5_bytes_of_values(self):
        fields = [("X-Text", "\x80\xff\t\"quoted, \\\" text\" ~!@#$%^&*()"), ("X-Long", "v" * 8000)]
        sent, got = self.through(fields, fields)
        self.assertEqual([(name, sent.get(name)) for name, _ in fields], fields)
        self.assertEqual([(name, got.get(name)) for name, _ in fields], fields)
        gateway, seen = self.scripted((b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n", "close"), name="bad")
        for control in (b"\0", b"\r", b"\x7f", b"\x01"):
            said = self.exchange(gateway, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: a" + control + b"b\r\n\r\n")
            self.assertTrue(said.startswith(b"HTTP/1.1 400 "), control)
        self.assertEqual(seen, [])
        self.problem(gateway.get("/"), 502)

    def test_5_6_2_names_are_tokens(self):
        gateway, seen = self.scripted(OK, name="bad")
        for name in (b"", b"X A", b"X(A)", b"X\xe9", b"X/A", b'"X"'):
            said = self.exchange(gateway, b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": b\r\n\r\n")
            self.assertTrue(said.startswith(b"HTTP/1.1 400 "), name)
        self.assertEqual(seen, [])
        sent, _ = self.through([("!#$%&'*+-.^`|~09aZ", "token")])
        self.assertEqual(sent.get("!#$%&'*+-.^`|~09aZ"), "token")

    # 6: messages

    def test_6_6_1_date(self):
        _, got = self.through()
        self.assertRegex(got.get("Date"), r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$")
        date = "Tue, 15 Nov 1994 08:12:31 GMT"
        _, got = self.through(response=[("Date", date)])
        self.assertEqual(got.all("Date"), [date])

    # 7: routing

    HOP = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("Upgrade", "websocket, h2c"),
           ("TE", "gzip"), ("X-Mine", "1"), ("Cookie", "named=1"), ("X-Other", "2")]

    def test_7_6_1_fields_of_one_hop(self):
        named = [("Connection", "X-Mine , upgrade,,\tCookie"), ("connection", "X-OTHER, Host, Content-Length")]
        kept = [("X-Kept", "3")]
        sent, got = self.through([*named, *self.HOP, *kept], [*named, *self.HOP, *kept])
        for message in (sent, got):
            for name, _ in self.HOP:
                self.assertEqual(message.all(name), [], name)
            self.assertEqual(message.all("X-Kept"), ["3"])
            self.assertEqual([value for value in message.all("Connection") if value.lower() != "close"], [])
        self.assertEqual(len(sent.all("Host")), 1)
        self.assertEqual(got.body, b"ok")

    def test_7_6_1_te_is_the_next_hops(self):
        for value, expected in (("trailers", ["trailers"]), ("gzip, trailers;q=0.5", []), ("Trailers, deflate", ["trailers"]),
                                ("gzip", [])):
            sent, _ = self.through([("TE", value), ("Connection", "TE, close")])
            if value.startswith("gzip, "):  # a weight on it is no form that there is: either is right
                continue
            self.assertEqual(sent.all("TE"), expected, value)
            self.assertEqual(sent.all("Connection"), ["TE"] if expected else [])

    def test_7_6_2_max_forwards_counts_down(self):
        for method in ("OPTIONS", "TRACE"):
            for value, expected in (("1", "0"), ("10", "9"), ("100", "99"), ("007", "6"), ("99999999999999999999", None)):
                sent, got = self.through([("max-forwards", value)], method=method)
                self.assertEqual(got.status, 200)
                if expected is None:  # more than any count: a smaller one
                    self.assertLess(int(sent.get("Max-Forwards")), int(value))
                else:
                    self.assertEqual(sent.all("Max-Forwards"), [expected], (method, value))
        sent, _ = self.through([("Max-Forwards", "0")])
        self.assertEqual(sent.all("Max-Forwards"), ["0"], "for other methods it means nothing")

    def test_7_6_2_max_forwards_0_is_answered_here(self):
        gateway, seen = self.scripted(OK)
        got = gateway.get("/x", fields=[("Max-Forwards", "0")], method="OPTIONS")
        self.assertEqual((got.status, got.body, got.get("Content-Length")), (200, b"", "0"))
        got = gateway.get("/x?y", method="TRACE", fields=[
            ("Max-Forwards", "00"), ("Via", "1.0 a"), ("X-Key", "secret"), ("Cookie", "secret"), ("Authorization", "secret")])
        self.assertEqual((got.status, got.get("Content-Type")), (200, "message/http"))
        self.assertTrue(got.body.startswith(b"TRACE /x?y HTTP/1.1\r\nHost: localhost\r\n"), got.body)
        self.assertIn(b"\r\nVia: 1.0 a\r\n", got.body)
        self.assertNotIn(b"secret", got.body)
        for value in ("", "-1", "1x", "1, 2"):
            self.problem(gateway.get("/x", fields=[("Max-Forwards", value)], method="TRACE"), 400)
        self.problem(gateway.get("/x", fields=[("Max-Forwards", "5"), ("max-forwards", "0")], method="OPTIONS"), 400, "twice")
        self.assertEqual(seen, [])

    def test_7_6_3_via(self):
        sent, got = self.through([("Via", "1.0 fred, 1.1 p.example (Apache)"), ("Via", "1.1 x")], [("Via", "1.1 origin-side")])
        self.assertEqual(", ".join(sent.all("Via")), "1.0 fred, 1.1 p.example (Apache), 1.1 x, 1.1 gatehouse")
        self.assertEqual(", ".join(got.all("Via")), "1.1 origin-side, 1.1 gatehouse")
        _, got = self.through(first="HTTP/1.0 200 OK")
        self.assertEqual(got.all("Via"), ["1.0 gatehouse"], "the version that the answer came by")
        gateway, seen = self.scripted(OK, name="old")
        self.exchange(gateway, b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"\r\nVia: 1.0 gatehouse\r\n", seen[0])

    def test_7_7_nothing_is_transformed(self):
        fields = [("Content-Type", "text/plain;charset=x"), ("Content-Encoding", "gzip"), ("Content-Range", "bytes 0-1/5"),
                  ("ETag", 'W/"x"'), ("Cache-Control", "no-transform"), ("Last-Modified", "whenever"), ("Location", "/../a b"),
                  ("Server", "theirs"), ("WWW-Authenticate", "Basic realm=\"x\""), ("Retry-After", "5")]
        _, got = self.through(response=fields, body=b"\x1f\x8b\0", first="HTTP/1.1 206 Some")
        self.assertEqual([(name, got.get(name)) for name, _ in fields], fields)
        self.assertEqual(got.body, b"\x1f\x8b\0")

    # 8, 9: representations, methods

    def test_8_6_content_length_that_tells_of_another_body(self):
        for method, status, length, expected in (("HEAD", "200 OK", "12345", ["12345"]), ("GET", "304 Not Modified", "12345", ["12345"]),
                                                 ("GET", "204 No Content", "5", []), ("HEAD", "200 OK", None, []),
                                                 ("HEAD", "204 No Content", "5", []), ("GET", "304 Not Modified", None, [])):
            gateway, seen = self.scripted(f"HTTP/1.1 {status}\r\n".encode() +
                                          (f"Content-Length: {length}\r\n\r\n" if length else "\r\n").encode())
            with gateway.client() as client:
                for _ in range(2):
                    got = client.request(method, "/")
                    self.assertEqual((got.status, got.all("Content-Length")), (int(status[:3]), expected), (method, status, length))
                    self.assertEqual(got.all("Transfer-Encoding"), [])
            self.assertEqual(len(seen), 2)
            gateway.finish()

    def test_9_1_methods_go_on_as_they_came(self):
        gateway, origin = self.pair()
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH", "REPORT"):
            self.assertEqual(gateway.get("/", method=method).status, 200, method)
            self.assertEqual(origin.requests[-1].method, method)

    def test_9_3_1_a_get_with_a_body_keeps_it(self):
        gateway, origin = self.pair()
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            gateway.get("/", method=method, body=b"content")
            self.assertEqual(origin.requests[-1].body, b"content", method)

    def test_9_3_2_head(self):
        """No body, whatever the origin says of one, also of an error, and the connection goes on."""
        def serve(request, _):
            if request.target == "/length":
                return answer(b"12345")[:-5]
            if request.target == "/chunks":
                return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            return b"nonsense\r\n\r\n" if request.target == "/bad" else answer(b"ok")
        gateway, origin = self.pair(serve)
        with gateway.client() as client:
            for target, status in (("/length", 200), ("/chunks", 200), ("/bad", 502), ("/%2F", 400), ("/", 200)):
                got = client.request("HEAD", target)
                self.assertEqual((got.status, got.body), (status, b""), target)
                self.assertEqual(client.request("GET", "/").body, b"ok")
        self.assertEqual({request.method for request in origin.requests}, {"HEAD", "GET"})

    def test_9_3_8_trace(self):
        def serve(request, _):
            return answer(f"TRACE {request.target}".encode(), fields=[("Content-Type", "message/http")])
        gateway, origin = self.pair(serve)
        self.assertEqual(gateway.get("/x", method="TRACE").body, b"TRACE /x")
        self.problem(gateway.get("/x", method="TRACE", body=b"may not be"), 400)
        self.assertEqual(len(origin.requests), 1)

    # 10: Expect

    def expecting(self, gateway, fields="Content-Length: 5", version="1.1"):
        client = gateway.client()
        self.addCleanup(client.close)
        client.send(f"POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\nExpect: 100-Continue\r\n\r\n")
        return client

    def test_10_1_1_continue(self):
        gateway, origin = self.pair(lambda request, sock: answer(request.body))
        for fields, body in (("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")):
            client = self.expecting(gateway, fields)
            self.assertEqual(client.answer(informational=True).status, 100)
            client.send(body)
            self.assertEqual(client.answer(informational=True).body, b"hello")
            self.assertEqual(origin.requests[-1].all("Expect"), [], "it was met here")
            self.assertEqual(client.request("GET", "/").status, 200)
        # Without a body there is nothing to wait for; a body that is there already needs no invitation.
        client = self.expecting(gateway, "X-A: b")
        self.assertEqual(client.answer(informational=True).status, 200)
        with gateway.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
            self.assertEqual(client.answer(informational=True).status, 200)

    def test_10_1_1_one_100_only(self):
        """The origin's own is not the client's, which has had one."""
        gateway, _ = self.scripted(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK)
        client = self.expecting(gateway)
        self.assertEqual(client.answer(informational=True).status, 100)
        client.send("hello")
        self.assertEqual(client.answer(informational=True).status, 200)
        self.assertEqual(client.request("GET", "/").status, 200)

    def test_10_1_1_an_answer_instead_of_100(self):
        """Refused by the head alone: no 100, and the body that isn't sent is not waited for."""
        gateway, _ = self.scripted(OK, apis="""{ name = "a"; routes = (
            { match = { prefix = "/"; methods = "GET"; }; proxy = { upstream = "origin"; }; } ); }""")
        client = self.expecting(gateway)
        refused = client.answer(informational=True)
        self.assertEqual((refused.status, refused.get("Connection")), (405, "close"))
        self.assertEqual(client.reader.to_end(), b"")

    def test_10_1_1_a_1_0_client_is_not_told_to_continue(self):
        gateway, origin = self.pair(lambda request, sock: answer(request.body))
        client = self.expecting(gateway, version="1.0")
        client.send("hello")
        self.assertEqual(client.answer(informational=True).body, b"hello")

    def test_10_1_1_other_expectations(self):
        gateway, seen = self.scripted(OK)
        for value in ("101-more", "100-continue, x", ""):
            self.problem(gateway.get("/", fields=[("Expect", value)]), 417)
        self.assertEqual(seen, [])

    # 15: statuses

    def test_15_2_interim_answers_go_on_to_1_1(self):
        hints = (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
                 b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n")
        taken = threading.Event()

        def serve(sock):
            reader = Reader(sock)
            while reader.message(True):
                sock.sendall(hints)
                taken.wait(10)
                sock.sendall(OK)
        gateway = self.proxy(self.raw(serve).text)
        with gateway.client() as client:
            client.send_head("GET", "/")
            got = [client.answer(informational=True) for _ in range(3)]  # they don't wait for the answer
            taken.set()
            self.assertEqual([message.status for message in got], [103, 102, 103])
            self.assertEqual(got[0].fields, [("Link", "</a.css>; rel=preload")])
            self.assertEqual(got[2].all("Link"), ["</b>"])
            self.assertEqual(client.answer(informational=True).body, b"ok")
            self.assertEqual(client.request("GET", "/").body, b"ok")
        said = self.exchange(gateway, b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", said), [b"200"], "HTTP/1.0 has none")

    def test_15_2_2_101_without_being_asked(self):
        gateway, _ = self.scripted((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "close"), OK)
        self.problem(gateway.get("/", fields=[("Upgrade", "x"), ("Connection", "upgrade")]), 502)
        self.assertEqual(gateway.get("/").body, b"ok")

    def test_15_4_redirections_are_the_clients_to_follow(self):
        _, got = self.through(response=[("Location", "http://elsewhere.example/")], first="HTTP/1.1 307 Go")
        self.assertEqual((got.status, got.get("Location")), (307, "http://elsewhere.example/"))
