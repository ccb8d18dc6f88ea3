"""Requests of hostile and of odd clients: the answer to each, and what reached the origin: nothing, or what can be read
in one way only. Every row goes as one piece, a byte at a time, and with a further request behind it, on connections of
their own; after each, another client's request must get its own answer."""
import json
import socket
import threading

import table_legal
import table_refused
from gatehouse import Case, answer, limit
from raw import PATIENCE, Bench, Link, Rows
from strict import Ambiguous
from table import SMUGGLED

APIS = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
CLIENT = 'client = { header_timeout = "2s"; body_timeout = "2s"; keepalive_timeout = "60s"; %s };'
PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PIECES = 4096  # rows up to so many bytes are sent a byte at a time as well


def check_answer(final, statuses):
    """Its status, and that one of the gateway's own says why."""
    allowed = statuses if isinstance(statuses, tuple) else (statuses,)
    if final.status not in allowed:
        raise AssertionError(f"answered by {final.status} instead of {statuses}: {final}")
    if final.status >= 400:
        assert final.get(b"Content-Type") == b"application/problem+json", final
        if final.body:
            assert json.loads(final.body)["status"] == final.status, final


def check_origin(row, seen):
    """What the origin recorded is what the row expects, and no byte more."""
    if seen.wrong:
        raise AssertionError(f"the origin was sent what is ambiguous: {seen.wrong}")
    if seen.waiting:
        raise AssertionError(f"the origin still waits for the rest of {seen.waiting}")
    if len(seen.cut) > row.cut:
        raise AssertionError(f"requests that were broken off reached the origin: {seen.cut}")
    if len(seen.requests) != len(row.origin):
        raise AssertionError(f"{len(seen.requests)} requests reached the origin instead of {len(row.origin)}: {seen.requests}")
    for expected, request in zip(row.origin, seen.requests):
        wrong = expected.differs(request)
        if wrong:
            raise AssertionError(f"{wrong}; the origin got {request}")


def probe(link, count):
    """The connection serves on: the next request on it gets the next answer, and nothing stands between."""
    if not link.talk(PROBE, count + 1) or link.finals()[-1].body != b"/probe":
        raise AssertionError(f"a request behind it on the same connection got {link.received[-300:]!r}")


def check_answers(row, link):
    """As many answers as expected, each with its status; and an end if the last one says so, or the next request's."""
    count = len(row.statuses)
    finals = link.finals()
    if len(finals) != count:
        raise AssertionError(f"{len(finals)} answers instead of {count}: {finals}")
    for final, statuses in zip(finals, row.statuses):
        check_answer(final, statuses)
    if finals[-1].get(b"Connection") != b"close":
        if row.closes:
            raise AssertionError(f"the last answer doesn't close: {finals[-1]}")
        probe(link, count)
    if not link.talk():
        raise AssertionError("the connection was not closed")
    if link.answers()[1]:
        raise AssertionError(f"the last answer is cut: {link.answers()[1]!r}")


def check_row(bench, row, behind=b"", piece=None):
    wrong = []
    try:
        with Link(bench.port, row.methods) as link:
            if not link.talk(row.data + behind, len(row.statuses), piece):
                raise AssertionError(f"no answer: {link.received[:300]!r}")
            check_answers(row, link)
    except (AssertionError, Ambiguous, OSError) as error:
        wrong.append(str(error))
    seen = bench.settle()
    seen.requests = [request for request in seen.requests if request.target != b"/probe"]
    try:
        check_origin(row, seen)
    except AssertionError as error:
        wrong.insert(0, str(error))
    if wrong:
        raise AssertionError("; ".join(wrong))


class Requests(Case):
    def table(self, table, client=""):
        bench = Bench(self, APIS, extra=CLIENT % client)
        rows = Rows()
        for row in table:
            if not rows.check(row.name, check_row, bench, row):
                continue
            if len(row.data) <= PIECES:
                rows.check(row.name + ", a byte at a time", check_row, bench, row, b"", 1)
            if row.closes:
                rows.check(row.name + ", with a request behind", check_row, bench, row, SMUGGLED)
        rows.end()

    def test_the_tables_are_whole(self):
        for tables, least in ((table_refused.GROUPS, 200), (table_legal.GROUPS, 100)):
            rows = [row for group in tables.values() for row in group]
            self.assertGreaterEqual(len(rows), least)
            seen = set()
            twice = [row.name for row in rows if row.data in seen or seen.add(row.data)]
            self.assertEqual(twice, [], "these bytes stand in another row already")

    def test_bytes_behind_the_last_request_do_not_cost_the_answer(self):
        """RFC 9112, section 9.6: the client is let finish before the connection is closed, or it gets a reset instead
        of what the answer still had under way."""
        bench = Bench(self, APIS)
        came, go = threading.Event(), threading.Event()
        bench.recorder.scripts = {b"/held": [came.set, lambda: go.wait(PATIENCE), answer(b"x" * 100000)]}
        with Link(bench.port) as link:
            link.sock.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertTrue(came.wait(PATIENCE))
            link.sock.sendall(SMUGGLED)
            go.set()
            self.assertTrue(link.talk())
            self.assertEqual((len(link.finals()), link.answers()[1], link.reset), (1, b"", False))
        self.assertEqual([request.target for request in bench.settle().requests], [b"/held"])

    def test_client_that_closes_its_sending_side_behind_a_body(self):
        """With half_close its requests are answered, also when the end comes before the body was asked for."""
        bench = Bench(self, APIS, "keepalive = { idle = 0; };", extra="client = { half_close = true; };")
        for number in range(20):
            with Link(bench.port) as link:
                target = b"/%d" % number
                link.sock.sendall(b"POST " + target + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                link.sock.shutdown(socket.SHUT_WR)
                self.assertTrue(link.talk())
                self.assertEqual([final.body for final in link.finals()], [target])


def add_groups(kind, tables, client):
    for group, table in tables.items():
        def test(self, table=table, settings=client.get(group, "")):
            self.table(table, settings)
        setattr(Requests, f"test_{kind}_{group}", limit(120)(test))


add_groups("refused", table_refused.GROUPS, {"sizes": 'max_body = "2000";'})
add_groups("legal", table_legal.GROUPS, {})
