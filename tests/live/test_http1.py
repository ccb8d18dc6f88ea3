"""The rules of HTTP/1.1 for an intermediary (RFC 9112), each with scripted peers on both sides, named by its section.
Those of RFC 9110 are in test_rfc9110.py, but for its trailers."""
import socket
import threading

from gatehouse import wait_until
from pair import Pair
from peers import Client, Reader, answer

OK = answer(b"ok")


def lines(raw):
    """The lines of a head: the first, and the fields as they are written."""
    return raw.split(b"\r\n\r\n", 1)[0].split(b"\r\n")


def body(raw):
    return raw.split(b"\r\n\r\n", 1)[1]


class Http1(Pair):
    def test_rfc9110_6_5_trailers_of_a_request_go_on(self):
        gateway, origin = self.pair()
        with Client(gateway.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        "5\r\nhello\r\n0\r\nX-Sum: 7\r\nX_Forged: 1\r\n\r\n")
            self.assertEqual(client.answer("POST").status, 200)
            self.assertEqual(origin.requests[0].body, b"hello")
            self.assertEqual(origin.requests[0].all("X-Sum"), ["7"])
            self.assertEqual(origin.requests[0].all("Trailer"), ["X-Sum"])
            self.assertEqual(origin.requests[0].all("X_Forged"), [])
            self.assertEqual(client.request("GET", "/next").status, 200)

    def test_rfc9110_6_5_1_trailers_of_an_answer_go_to_who_takes_them(self):
        def serve(request, _):
            return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
                    b"X-Took: %d\r\nX-More: a\r\n\r\n" % len(request.all("TE")))
        gateway, _ = self.pair(serve)
        with Client(gateway.port) as client:
            with_te = client.request("GET", "/", [("TE", "trailers"), ("Connection", "TE")])
            self.assertEqual((with_te.body, with_te.all("X-Took"), with_te.all("X-More")), (b"hello", ["1"], ["a"]))
            without = client.request("GET", "/")
            self.assertEqual((without.body, without.all("X-Took")), (b"hello", []))

    def test_rfc9110_6_5_1_trailers_that_may_not_be(self):
        gateway, origin = self.pair()
        with Client(gateway.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "0\r\nContent-Length: 5\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.answer("POST").status, 400)
            client.closed()
        self.assertNotIn("/smuggled", [request.target for request in origin.requests])

    def test_rfc9112_7_1_an_answer_cut_in_its_trailers_is_cut(self):
        def serve(request, _):
            if request.target == "/bad":
                return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n")
            return answer(b"good")
        gateway, _ = self.pair(serve)
        with Client(gateway.port) as client:
            client.send_head("GET", "/bad")
            self.assertNotIn(b"\r\n0\r\n", client.closed())
        with Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/").body, b"good")

    def test_rfc9112_3_a_line_that_is_too_long(self):
        gateway, origin = self.pair(extra='client = { max_line = "512"; };')
        for target, status in ((498, 200), (499, 414), (60000, 414)):
            with Client(gateway.port) as client:
                client.send("GET /" + "a" * (target - 1) + " HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(client.answer().status, status, target)
        self.assertEqual(len(origin.requests), 1)

    def test_rfc9293_3_6_who_half_closes_gets_its_answers_if_asked(self):
        late = threading.Event()

        def serve(request, _):
            if request.target == "/1":
                late.wait(10)
            return answer(request.target.encode())
        for half_close, answers in (("true", [b"/1", b"/2"]), ("false", [])):
            late.clear()
            gateway, origin = self.pair(serve, name=half_close, extra=f"client = {{ half_close = {half_close}; }};")
            with Client(gateway.port) as client:
                client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
                origin.wait(lambda origin: origin.requests)
                client.sock.shutdown(socket.SHUT_WR)
                if half_close == "false":
                    self.assertEqual(client.closed(), b"")
                late.set()
                got = []
                while half_close == "true" and (message := client.answer()):
                    got.append(message.body)
                self.assertEqual(got, answers)

    def refused(self, gateway, status, data):
        """The bytes are a request that is refused, and the last of its connection."""
        said = self.exchange(gateway, data)
        self.assertTrue(said.startswith(b"HTTP/1.1 %d " % status), (data, said[:300]))
        self.assertIn(b"\r\nConnection: close\r\n", said)
        self.assertEqual(said.count(b"HTTP/1.1 "), 1, data)

    def bad_answers(self, *answers, end="close"):
        """Answers that must not reach the client: 502 in their place, and the next request gets another connection."""
        gateway, seen = self.scripted(*(said for bad in answers for said in ((bad, end), OK)), name="bad")
        for bad in answers:
            with gateway.client() as client, self.subTest(bad):
                self.problem(client.request("GET", "/"), 502)
                self.assertEqual(client.request("GET", "/").body, b"ok")
        self.assertEqual(len(seen), 2 * len(answers))

    # 2: messages

    def test_rfc9112_2_2_empty_lines_before_a_request(self):
        gateway, seen = self.scripted(OK)
        said = self.exchange(gateway, b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                             b"\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(said.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual([lines(raw)[0] for raw in seen], [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"])

    def test_rfc9112_2_3_its_own_version_is_sent_each_way(self):
        gateway, seen = self.scripted((b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "close"))
        for version in (b"1.0", b"1.1"):
            said = self.exchange(gateway, b"GET / HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n" % version)
            self.assertEqual(lines(said)[0], b"HTTP/1.1 200 OK")
            self.assertEqual(lines(seen.pop())[0], b"GET / HTTP/1.1")

    def test_rfc9112_2_3_versions_that_are_not_spoken(self):
        gateway, seen = self.scripted(OK)
        for version, status in ((b"1.2", 505), (b"2.0", 505), (b"0.9", 505), (b"11.1", 400), (b"1.10", 400)):
            self.refused(gateway, status, b"GET / HTTP/%s\r\nHost: a\r\n\r\n" % version)
        self.assertEqual(seen, [])
        self.bad_answers(*(OK.replace(b"HTTP/1.1", b"HTTP/" + version) for version in (b"1.2", b"2.0", b"0.9")))

    def test_rfc9112_3_1_methods_are_told_by_case(self):
        gateway, seen = self.scripted(OK)
        self.refused(gateway, 501, b"get / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(seen, [])

    # 3.2: the target

    def test_rfc9112_3_2_one_host(self):
        gateway, seen = self.scripted(OK)
        for fields in (b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: u@a\r\n"):
            self.refused(gateway, 400, b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
        self.assertEqual(seen, [])
        self.assertTrue(self.exchange(gateway, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 "))
        named = [line for line in lines(seen.pop()) if line.lower().startswith(b"host:")]
        self.assertEqual([line[:16] for line in named], [b"Host: 127.0.0.1:"])  # the endpoint's
        for request, host in ((b"GET / HTTP/1.1\r\nhOST:a:80\r\nConnection: close\r\n\r\n", b"Host: a:80"),
                              (b"GET / HTTP/1.1\r\nHost: [::1]:8\r\nConnection: close\r\n\r\n", b"Host: [::1]:8")):
            self.assertTrue(self.exchange(gateway, request).startswith(b"HTTP/1.1 200 "))
            self.assertEqual([line for line in lines(seen.pop()) if line.lower().startswith(b"host:")], [host])

    def test_rfc9112_3_2_1_origin_form(self):
        gateway, seen = self.scripted(OK)
        for target in (b"/", b"/?", b"/?a=b&c", b"/a/b?/../x", b"/;a=b/c,d", b"/%E2%82%AC"):
            self.exchange(gateway, b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target)
            self.assertEqual(lines(seen.pop())[0], b"GET %s HTTP/1.1" % target)

    def test_rfc9112_3_2_2_absolute_form_wins_over_host(self):
        gateway, seen = self.scripted(OK)
        for target, path in ((b"http://b.example:81/x?y", b"/x?y"), (b"HTTP://b.example:81", b"/"),
                             (b"http://b.example:81?q", b"/?q")):
            self.exchange(gateway, b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target)
            raw = seen.pop()
            self.assertEqual(lines(raw)[0], b"GET %s HTTP/1.1" % path)
            self.assertEqual([line for line in lines(raw) if line.startswith(b"Host:")], [b"Host: b.example:81"])
        self.refused(gateway, 400, b"GET http://b/ HTTP/1.1\r\n\r\n")
        self.refused(gateway, 400, b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n")

    def test_rfc9112_3_2_3_authority_form_is_not_for_a_gateway(self):
        gateway, seen = self.scripted(OK)
        self.refused(gateway, 501, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        self.refused(gateway, 400, b"GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        self.assertEqual(seen, [])

    def test_rfc9112_3_2_4_asterisk_form(self):
        gateway, seen = self.scripted(OK)
        self.exchange(gateway, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual([lines(raw)[0] for raw in seen], [b"OPTIONS * HTTP/1.1"])
        self.refused(gateway, 400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")

    # 4: the status line

    def test_rfc9112_4_status_and_reason_go_on(self):
        for line, expected in ((b"HTTP/1.1 299 A Reason", b"HTTP/1.1 299 A Reason"),
                               (b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK"), (b"HTTP/1.1 200", b"HTTP/1.1 200 OK"),
                               (b"HTTP/1.1 499 \xe9t\xe9", b"HTTP/1.1 499 \xe9t\xe9")):
            gateway, _ = self.scripted(line + b"\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(lines(self.exchange(gateway, b"GET / HTTP/1.0\r\n\r\n"))[0], expected)
            gateway.finish()
        self.bad_answers(*(line + b"\r\nContent-Length: 0\r\n\r\n" for line in (
            b"HTTP/1.1 600 No", b"HTTP/1.1 20 No", b"HTTP/1.1 2000 No", b"HTTP/1.1  200 OK", b"HTTP/1.1 2x0 No", b"ICY 200 OK")))

    # 5: fields

    def test_rfc9112_5_1_no_space_before_the_colon(self):
        gateway, seen = self.scripted(OK)
        for space in (b" ", b"\t"):
            self.refused(gateway, 400, b"GET / HTTP/1.1\r\nHost: a\r\nX-A" + space + b": b\r\n\r\n")
        self.assertEqual(seen, [])
        self.bad_answers(*(b"HTTP/1.1 200 OK\r\nContent-Length" + space + b": 0\r\n\r\n" for space in (b" ", b"\t")))

    def test_rfc9112_5_1_space_around_a_value_is_not_its_part(self):
        gateway, seen = self.scripted(b"HTTP/1.1 200 OK\r\nContent-Length: \t0 \r\nX-B:\t c \t d \t\r\nX-E:\r\n\r\n")
        said = self.exchange(gateway, b"GET / HTTP/1.1\r\nHost:a\r\nX-A:\t b \t c\t \r\nX-E:\r\nConnection:close\r\n\r\n")
        for line in (b"X-A: b \t c", b"X-E: "):
            self.assertIn(line, lines(seen[0]))
        for line in (b"X-B: c \t d", b"X-E: ", b"Content-Length: 0"):
            self.assertIn(line, lines(said))

    def test_rfc9112_5_2_folded_lines(self):
        gateway, seen = self.scripted(OK)
        for space in (b" ", b"\t"):
            self.refused(gateway, 400, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n" + space + b"c\r\n\r\n")
            self.refused(gateway, 400, b"GET / HTTP/1.1\r\n" + space + b"Host: a\r\n\r\n")
        self.assertEqual(seen, [])
        self.bad_answers(*(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: b\r\n" + space + b"c\r\n\r\n"
                           for space in (b" ", b"\t")))

    # 6: the body's length

    def test_rfc9112_6_1_codings_that_are_refused(self):
        gateway, seen = self.scripted(OK)
        for fields, status in ((b"Transfer-Encoding: gzip\r\n", 501), (b"Transfer-Encoding: chunked, gzip\r\n", 501),
                               (b"Transfer-Encoding: chunked, chunked\r\n", 501), (b"Transfer-Encoding: x\r\n", 501),
                               (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
                               (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400)):
            said = self.exchange(gateway, b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n0\r\n\r\n")
            self.assertIn(int(lines(said)[0].split()[1]), (400, status), fields)
            self.assertEqual(said.count(b"HTTP/1.1 "), 1, fields)
        self.refused(gateway, 400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.assertEqual(seen, [])
        self.bad_answers(*(head + b"\r\n\r\n0\r\n\r\n" for head in (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked")))

    def test_rfc9112_6_1_no_coding_for_a_1_0_client(self):
        gateway, _ = self.scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        said = self.exchange(gateway, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(body(said), b"abcde")
        self.assertNotIn(b"Transfer-Encoding", said)
        self.assertIn(b"Connection: close", lines(said))

    def test_rfc9112_6_2_lengths_that_are_refused(self):
        gateway, seen = self.scripted(OK)
        values = (b"-1", b"+1", b"0x1", b"1 1", b"1,2", b"", b"99999999999999999999", b"1\r\nContent-Length: 2")
        for value in values:
            self.refused(gateway, 400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + value + b"\r\n\r\nx")
        self.assertEqual(seen, [])
        self.bad_answers(*(b"HTTP/1.1 200 OK\r\nContent-Length: " + value + b"\r\n\r\nx" for value in values))

    def test_rfc9112_6_3_1_answers_without_a_body_whatever_they_say(self):
        for method, status in (("HEAD", b"200 OK"), ("GET", b"204 No Content"), ("GET", b"304 Not Modified")):
            for framing in (b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b""):
                gateway, seen = self.scripted(b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n", OK)
                with gateway.client() as client:
                    self.assertEqual(client.request(method, "/").status, int(status[:3]))
                    self.assertEqual(client.request("GET", "/").body, b"ok")
                self.assertEqual(len(seen), 2)
                gateway.finish()

    def test_rfc9112_6_3_7_a_request_that_says_nothing_has_no_body(self):
        gateway, seen = self.scripted(OK)
        said = self.exchange(gateway, b"POST /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                             b"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(said.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual([lines(raw)[0] for raw in seen], [b"POST /1 HTTP/1.1", b"GET /2 HTTP/1.1"])

    def test_rfc9112_6_3_8_an_answer_to_the_end_of_its_connection(self):
        for version in (b"1.0", b"1.1"):
            gateway, _ = self.scripted((b"HTTP/%s 200 OK\r\n\r\nall of it" % version, "close"))
            with gateway.client() as client:
                first = client.request("GET", "/")
                self.assertEqual((first.body, first.get("Transfer-Encoding")), (b"all of it", "chunked"))
                self.assertEqual(client.request("GET", "/").body, b"all of it")
            said = self.exchange(gateway, b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(body(said), b"all of it")
            self.assertNotIn(b"Transfer-Encoding", said)
            gateway.finish()

    # 7: chunks

    def test_rfc9112_7_1_chunks_each_way(self):
        """In any pieces: a byte at a time, sizes in both cases with leading zeros, bodies of a request and an answer."""
        chunks = b"00A\r\n0123456789\r\n1\r\na\r\n0000000000000003\r\nbcd\r\n0\r\n\r\n"

        def serve(request, sock):
            for at in range(0, len(chunks)):
                sock.sendall((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" if at == 0 else b"") +
                             chunks[at : at + 1])
        gateway, origin = self.pair(serve)
        with gateway.client() as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n")
            for at in range(0, len(chunks)):
                client.send(chunks[at : at + 1])
            got = client.answer()
            self.assertEqual((got.body, got.get("Transfer-Encoding")), (b"0123456789abcd", "chunked"))
            self.assertEqual(origin.requests[0].body, b"0123456789abcd")
            self.assertEqual(client.request("GET", "/").body, b"0123456789abcd")

    def test_rfc9112_7_1_1_extensions_end_here(self):
        said = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b'2;their=1\r\nok\r\n0;their="2"\r\n\r\n')
        gateway, seen = self.scripted(said)
        got = self.exchange(gateway, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                            b"3;mine\r\nabc\r\n0;mine=2\r\n\r\n")
        self.assertEqual(body(got), b"2\r\nok\r\n0\r\n\r\n")
        self.assertEqual(body(seen[0]), b"3\r\nabc\r\n0\r\n\r\n")

    # 8: what is not whole

    def test_rfc9112_8_an_answer_that_is_cut_looks_cut(self):
        for end in ("close", "reset"):
            for said in (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345",
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n"):
                gateway, _ = self.scripted((said, end))
                for version in (b"1.0", b"1.1"):
                    with gateway.client() as client:
                        client.send(b"GET / HTTP/%s\r\nHost: a\r\n\r\n" % version)
                        # Before a byte went on it is a 502; an answer begun ends by RST: no client takes it for whole.
                        with self.assertRaises((ConnectionResetError, EOFError)):
                            if client.answer().status == 502:
                                raise EOFError
                gateway.finish()

    # 9: connections

    def test_rfc9112_9_2_what_nobody_asked_for_answers_nothing(self):
        """Bytes behind an answer, at once and when its connection is idle, are not the next request's answer."""
        poison, idle = answer(b"poison"), threading.Event()

        def serve(sock):
            reader = Reader(sock)
            while request := reader.message(True):
                sock.sendall(OK + (poison if request.target == "/more" else b""))
                if request.target == "/later":
                    idle.wait(10)
                    sock.sendall(poison)
                    if sock.recv(1) == b"":
                        idle.clear()
                        return
        gateway = self.proxy(self.raw(serve).text)
        with gateway.client() as client:
            for _ in range(3):
                self.assertEqual(client.request("GET", "/more").body, b"ok")
            self.assertEqual(client.request("GET", "/later").body, b"ok")
            idle.set()
            wait_until(lambda: not idle.is_set(), "the connection that said too much to be closed")
            self.assertEqual(client.request("GET", "/").body, b"ok")

    def test_rfc9112_9_3_persistence(self):
        gateway, seen = self.scripted(OK)
        for version, fields, connection in ((b"1.1", b"", None), (b"1.1", b"Connection: close\r\n", "close"),
                                            (b"1.1", b"Connection: x, Close\r\n", "close"), (b"1.0", b"", "close"),
                                            (b"1.0", b"Connection: Keep-Alive\r\n", "keep-alive"),
                                            (b"1.0", b"Connection: keep-alive, close\r\n", "close")):
            with gateway.client() as client:
                client.send(b"GET / HTTP/%s\r\nHost: a\r\n%s\r\n" % (version, fields))
                first = client.answer()
                self.assertEqual((first.body, first.get("Connection")), (b"ok", connection), (version, fields))
                if connection == "close":
                    self.assertEqual(client.reader.to_end(), b"")
                else:
                    self.assertEqual(client.request("GET", "/").body, b"ok")
        self.assertEqual(len(seen), 8)

    def test_rfc9112_9_3_an_origin_that_closes_is_not_used_again(self):
        for said in (answer(b"ok", close=True), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"):
            used = []

            def serve(sock, said=said, used=used):
                reader = Reader(sock)
                used.append(0)
                while reader.message(True):  # it stays open: the gateway must not rely on the end
                    used[-1] += 1
                    sock.sendall(said)
            gateway = self.proxy(self.raw(serve).text)
            with gateway.client() as client:
                for _ in range(3):
                    self.assertEqual(client.request("GET", "/").body, b"ok")
            self.assertEqual(used, [1, 1, 1])
            gateway.finish()

    def test_rfc9112_9_3_2_pipelined_requests_are_answered_in_order(self):
        """One slow, one that fails, a HEAD, bodies with a length and in chunks, a route that there isn't."""
        late = threading.Event()

        def serve(request, _):
            if request.target == "/slow":
                late.wait(10)
            if request.target == "/bad":
                return b"nonsense\r\n\r\n"
            return answer(request.target.encode() + request.body)
        gateway, origin = self.pair(serve, apis="""{ name = "a"; routes = (
            { match = { prefix = "/"; methods = [ "GET", "HEAD", "POST" ]; }; proxy = { upstream = "origin"; }; } ); }""")
        with gateway.client() as client:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                        "GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"
                        "HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
                        "DELETE /none HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        "GET /beyond HTTP/1.1\r\nHost: a\r\n\r\n")
            origin.wait(lambda origin: origin.requests)
            late.set()
            got = [client.answer(method) for method in ("GET", "POST", "GET", "HEAD", "POST", "DELETE", "GET")]
            self.assertEqual([message.status for message in got], [200, 200, 502, 200, 200, 405, 200])
            self.assertEqual([message.body for message in got if message.status == 200],
                             [b"/slow", b"/lengthabc", b"", b"/chunksde", b"/last"])
            self.assertEqual(client.reader.to_end(), b"")
        self.assertNotIn("/beyond", [request.target for request in origin.requests])

    def test_rfc9112_9_5_idle_connections_are_closed(self):
        gateway, _ = self.scripted(OK, extra='client = { keepalive_timeout = "300ms"; header_timeout = "600ms"; };')
        with gateway.client() as silent, gateway.client() as client:
            self.assertEqual(client.request("GET", "/").body, b"ok")
            self.assertEqual(client.reader.to_end(), b"")
            self.assertEqual(silent.reader.to_end(), b"")  # without a word: it has asked for nothing

    def test_rfc9112_9_6_a_refusal_is_read_by_who_still_sends(self):
        """The gateway closes its side, reads on, and only then closes: what is under way doesn't destroy the answer."""
        gateway, _ = self.scripted(OK, extra='client = { max_body = "1000"; };')
        with gateway.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
            self.problem(client.answer(), 413)
            self.assertEqual(client.reader.to_end(), b"")
            for _ in range(50):
                client.send(b"x" * 10000)  # would fail after an RST
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(client.sock.recv(1), b"")
