"""The models that the other wire tests judge by are judged themselves: they refuse what they must, and take what is in
normal form. No gateway is needed for that."""
import unittest

import table_answers
import table_legal
import table_refused
from reading import readings
from strict import Ambiguous, Cut, assert_unambiguous, read_answer, read_answers, read_request, read_requests

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def get(*fields, line=b"GET / HTTP/1.1"):
    return b"\r\n".join((line, b"Host: a", *fields)) + b"\r\n\r\n"


AMBIGUOUS = (
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"\r\n" + GET, b" " + GET, b"get" + GET[3:],
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", b"GET //x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%41 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\\ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /?\" HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", get(b"X : y"), get(b"X:  y"), get(b"X: y "), get(b"X"), get(b": y"), get(b" X: y"), get(b"X: y\r\n z"),
    get(b"X: a\nY: b"), get(b"X: a\rY: b"), get(b"X: a\0"), get(b"X: a\x7f"), get(b"X_Y: z"), get(b"Connection: close"), get(b"Connection: TE"),
    get(b"TE: trailers"), get(b"TE: gzip", b"Connection: TE"), get(b"Upgrade: h2c"), get(b"Keep-Alive: 5"), get(b"HTTP2-Settings: x"),
    get(b"Expect: 100-continue"), get(b"Proxy-Connection: close"), get(b"Content-Length: +5") + b"hello", get(b"Content-Length: 05") + b"hello",
    get(b"Content-Length: 5, 5") + b"hello", get(b"Content-Length:") + b"hello", get(b"Content-Length: 9223372036854775808"),
    get(b"Content-Length: 5", b"Content-Length: 5") + b"hello", get(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    get(b"Transfer-Encoding: Chunked") + b"0\r\n\r\n", get(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", get(b"Content-Length: 5", line=b"TRACE / HTTP/1.1") + b"hello",
    *(get(b"Transfer-Encoding: chunked") + body for body in (
        b"05\r\nhello\r\n0\r\n\r\n", b"5;x\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\n\n0\r\n\r\n", b"00\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"\r\n", b"x\r\n")),
)

BAD_ANSWERS = (
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 X\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    b"x\r\n\r\n",
)


class Model(unittest.TestCase):
    def test_ambiguous_requests_are_refused(self):
        for data in AMBIGUOUS:
            with self.subTest(data=data), self.assertRaises((Ambiguous, Cut)):
                read_request(data)
            with self.subTest(data=data), self.assertRaises(Ambiguous):
                assert_unambiguous(GET + data)

    def test_normal_requests_are_read(self):
        data = (GET + POST + b"Content-Length: 5\r\n\r\nhello" + POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n" +
                get(b"TE: trailers", b"Connection: TE", b"X:", b"X: a\tb", b"X: ") + GET.replace(b"Host: a", b"Host: [::1]:80"))
        requests = assert_unambiguous(data)
        self.assertEqual([request.body for request in requests], [b"", b"hello", b"hello", b"", b""])
        self.assertEqual(requests[2].trailers, [(b"X", b"y")])

    def test_what_is_cut_off_is_told(self):
        data = GET + POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
        for length in range(len(GET) + 1, len(data)):
            requests, rest = read_requests(data[:length])
            self.assertEqual((len(requests), rest), (1, data[len(GET):length]))
            with self.assertRaises(Ambiguous):
                assert_unambiguous(data[:length])

    def test_ambiguous_answers_are_refused(self):
        for data in BAD_ANSWERS:
            with self.subTest(data=data), self.assertRaises((Ambiguous, Cut)):
                read_answer(data, b"GET", True)
        with self.assertRaises(Ambiguous):
            read_answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\nx", [b"GET"])

    def test_answers_are_read_by_the_method(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        answers, rest = read_answers(data + data + b"hello", [b"HEAD", b"GET"])
        self.assertEqual([answer.body for answer in answers], [b"", b"hello"])
        self.assertEqual(rest, b"")

    def test_the_reading_agrees_with_the_tables(self):
        """What is no request by the tables is none by the reading either, unless it is refused for another reason than
        its bytes; what is legal is read, with its body."""
        for group in ("field_names", "field_values", "transfer_encoding", "content_length", "chunks"):
            for row in table_refused.GROUPS[group]:
                self.assertEqual(readings(row.data), [], f"{group}: {row.name}")
        for group in table_legal.GROUPS.values():
            for row in group:
                found = [(request.method, request.body) for request in readings(row.data)]
                if len(row.origin) == len(row.statuses):
                    self.assertEqual(found, [(expected.method, expected.body) for expected in row.origin], row.name)

    def test_malformed_answers_of_the_table_are_none_by_the_model(self):
        for row in table_answers.FIELDS + table_answers.FRAMING + table_answers.STATUS_LINE:
            data = b"".join(step for step in row.steps if isinstance(step, bytes))
            if row.type == "upstream-bad-answer" and not row.interims and b" 101 " not in data and len(data) < 4096:
                with self.subTest(row=row.name), self.assertRaises((Ambiguous, Cut)):
                    read_answer(data, row.method, False)
