"""Answers of hostile and of odd origins: what the client gets, that the next request gets its own answer on both
connections, and which of the origin's connections are used again."""
import json

import table_answers
from gatehouse import Case, limit
from raw import CLOSE, Bench, Link, Rows
from strict import Ambiguous

APIS = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
TIMES = 'timeout = { response = "3s"; idle = "3s"; };'
PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"


def ask(row):
    lines = [row.method + b" /row " + row.version, b"Host: a", *row.fields]
    if row.method == b"POST":
        lines.append(b"Content-Length: 0")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def check_problem(row, answer):
    assert answer.status == 502, answer
    assert answer.get(b"Content-Type") == b"application/problem+json", answer
    if row.type and answer.body:
        assert json.loads(answer.body)["type"] == "urn:gatehouse:problem:" + row.type, answer


def check_answer(row, answer):
    if row.status == 502 and row.body is None:
        check_problem(row, answer)
        return
    assert answer.status == row.status, answer
    if row.body is not None and answer.body != row.body:
        raise AssertionError(f"its body is {answer.body[:200]!r}, {len(answer.body)} bytes")
    for name, value in row.has:
        assert (name, value) in answer.fields, f"no {name!r}: {value!r} in {answer}"
    for name in row.lacks:
        assert not answer.all(name), f"{name!r} is in {answer}"
    assert answer.trailers == row.trailers, f"its trailers are {answer.trailers}"


def talk(row, link):
    """The answer to the row's request, and that to the next one on the connection."""
    if not link.talk(ask(row), 1) and not link.ended:
        raise AssertionError(f"no answer: {link.received[:300]!r}")
    answers, rest = link.answers()
    finals = [answer for answer in answers if answer.status >= 200]
    interims = [answer.status for answer in answers if answer.status < 200]
    if row.broken and not finals:
        # Cut off, perhaps before the head was on its way: reset then, so that it can't be taken for a whole one.
        assert link.ended and (rest or link.reset), f"neither cut off nor answered: {link.received[:300]!r}"
        return
    assert len(finals) == 1, f"{len(finals)} answers: {link.received[:600]!r}"
    if interims != row.interims[:len(interims)] or (row.status != 502 and interims != row.interims):
        raise AssertionError(f"the interim answers are {interims}")
    check_answer(row, finals[0])
    if finals[0].get(b"Connection") == b"close":
        assert link.talk(), "the connection was not closed"
        link.answers()
        return
    link.methods.append(b"GET")
    if not link.talk(PROBE, 2) or link.finals()[1].body != b"/probe":
        raise AssertionError(f"the next request on the connection got {link.received[-300:]!r}")


def check_row(bench, row):
    bench.recorder.scripts = {b"/row": row.steps}
    wrong = []
    try:
        with Link(bench.port, [row.method]) as link:
            talk(row, link)
    except (AssertionError, Ambiguous, OSError) as error:
        wrong.append(str(error))
    seen = bench.settle()
    if seen.wrong or seen.cut or seen.waiting:
        wrong.append(f"at the origin: {seen}")
    streams = [request.stream for request in seen.requests if request.target == b"/row"]
    if len(streams) != 1:
        wrong.append(f"the request reached the origin {len(streams)} times")
    elif row.reuse is not None and streams[0].closed == row.reuse:
        wrong.append("the origin's connection was " + ("closed" if row.reuse else "kept"))
    if wrong:
        raise AssertionError("; ".join(wrong))


class Answers(Case):
    def table(self, table):
        bench = Bench(self, APIS, TIMES)
        rows = Rows()
        for row in table:
            rows.check(row.name, check_row, bench, row)
        rows.end()

    def test_the_tables_are_whole(self):
        rows = [row for group in table_answers.GROUPS.values() for row in group]
        malformed = [row for row in rows if row.broken or row.type]
        self.assertGreaterEqual(len(malformed), 80)
        self.assertEqual(len({row.name for row in rows}), len(rows), "two rows have one name")

    def bench(self):
        return Bench(self, APIS, TIMES)

    def test_answer_before_the_request_is_whole(self):
        """It is sent on; the origin's connection is not used again; what is left of the body is no request."""
        bench = self.bench()
        bench.recorder.early = {b"/early": [table_answers.hello()]}
        with Link(bench.port, [b"POST"]) as link:
            self.assertTrue(link.talk(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 74\r\n\r\n", 1))
            self.assertEqual(link.finals()[0].body, b"hello")
            rest = (b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 3)[:74]
            if link.finals()[0].get(b"Connection") == b"close":
                link.talk(rest)
            else:
                self.assertTrue(link.talk(rest + PROBE, 2))
                self.assertEqual(link.finals()[1].body, b"/probe")
        seen = bench.settle()
        self.assertEqual([request.target for request in seen.requests if request.target != b"/probe"], [])
        self.assertEqual((len(seen.cut), seen.waiting, seen.wrong), (1, [], []))
        self.assertTrue(bench.recorder.streams[0].closed)

    def test_answer_before_the_chunks_are_whole(self):
        bench = self.bench()
        bench.recorder.early = {b"/early": [table_answers.hello(), CLOSE]}
        with Link(bench.port, [b"POST"]) as link:
            self.assertTrue(link.talk(b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 1))
            self.assertEqual(link.finals()[0].body, b"hello")
            self.assertEqual(link.finals()[0].get(b"Connection"), b"close")
            link.talk(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(len(link.finals()), 1)
        seen = bench.settle()
        self.assertEqual(seen.requests, [])

    def test_answer_that_no_request_asked_for(self):
        """What an origin says on an idle connection is no answer to the next request."""
        bench = self.bench()
        with Link(bench.port) as link:
            self.assertTrue(link.talk(PROBE, 1))
            with bench.recorder.lock:
                stream = next(stream for stream in bench.recorder.streams if not stream.closed)
                stream.sock.sendall(table_answers.hello(b"X-Smuggled: yes"))
            # The gateway hears of it before it reads the request that is sent after it.
            self.assertTrue(link.talk(PROBE, 2))
            self.assertEqual(link.finals()[1].body, b"/probe")
            self.assertEqual(link.finals()[1].all(b"X-Smuggled"), [])


def add_groups():
    for group, table in table_answers.GROUPS.items():
        def test(self, table=table):
            self.table(table)
        setattr(Answers, f"test_{group}", limit(120)(test))


add_groups()
