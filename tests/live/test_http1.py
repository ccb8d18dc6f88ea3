"""The rules of HTTP/1.1 for an intermediary, each with scripted peers on both sides, named by its section."""
import socket
import threading

from pair import Pair
from peers import Client, answer


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
