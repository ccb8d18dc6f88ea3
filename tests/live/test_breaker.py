"""Breakers: one state a node, one probe, what is answered meanwhile, and what survives."""
import os
import random
import re
import signal
import threading
import time

from gatehouse import age, Case, Load, answer, get, limit, slow, wait_until
from pair import ALL

FAST = 'open = "300ms"; jitter = 0.0; max_open = "10m";'
LONG = 'open = "10m"; jitter = 0.0; max_open = "10m";'


class Switch:
    """An origin's mind: what it answers can be changed, and requests can be held."""

    def __init__(self, status="500 Internal Server Error", fields=()):
        self.status, self.fields, self.held, self.free = status, fields, False, threading.Event()

    def __call__(self, request, sock):
        if self.held:
            self.free.wait(30)
        return answer(b"from the origin", self.status, self.fields)


class Breaker(Case):
    def start(self, breaker, more="", **settings):
        self.switch = Switch()
        self.peer = self.origin(self.switch)
        self.upstreams = f'origin = {{ endpoints = ( "{self.peer.text}" ); breaker = {{ {breaker} }}; {more} }};'
        settings.setdefault("workers", 4)
        settings.setdefault("apis", ALL)
        return self.gateway(upstreams=self.upstreams + settings.pop("others", ""), **settings)

    def ask(self, gateway, count, target="/", **more):
        """So many requests, each on a connection of its own: any worker may get it."""
        return [get(gateway.port, target, **more) for _ in range(count)]

    def trip(self, gateway, errors=5):
        self.assertEqual({message.status for message in self.ask(gateway, errors)}, {500})
        gateway.wait_error("the breaker opened")

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def lines(self, gateway, pattern):
        return re.findall(pattern, gateway.errors())

    # Opening

    def test_opens_by_errors_in_a_row_of_all_workers_and_answers_by_itself(self):
        gateway = self.start("errors = 5; " + LONG)
        self.switch.status = "200 OK"
        self.ask(gateway, 3)
        self.switch.status = "503 Service Unavailable"
        self.ask(gateway, 4)
        self.switch.status = "404 Not Found"  # no failure
        self.ask(gateway, 1)
        self.switch.status = "500 Internal Server Error"
        self.trip(gateway)
        before = len(self.peer.requests)
        for message in self.ask(gateway, 12):
            details = self.problem(message, 503, "upstream origin: its breaker is open")
            self.assertEqual(details["type"], "urn:gatehouse:problem:upstream-broken")
            self.assertTrue(590 <= int(message.get("Retry-After")) <= 600, message)
        self.assertEqual(len(self.peer.requests), before)
        self.assertEqual(self.stat(gateway, "breaker_refused"), 12)
        self.assertRegex(gateway.run("status").text, "BREAKER OF .*\norigin +open +\\d+ ms")
        self.assertEqual(self.stat(gateway, "breaker_opened"), 1)
        self.assertEqual(len(self.lines(gateway, "upstream origin: the breaker opened for 600000 ms: 5 failures in a row "
                                                 f"\\(the last: {self.peer.text}: status 500\\)")), 1)

    def test_opens_by_the_share_of_failures_with_enough_calls(self):
        gateway = self.start('errors = 0; ratio = 0.5; volume = 10; window = "60s"; ' + LONG)
        self.ask(gateway, 4)
        self.switch.status = "200 OK"
        self.ask(gateway, 5)
        self.assertEqual(len(self.peer.requests), 9)
        self.switch.status = "500 Internal Server Error"
        self.ask(gateway, 1)  # 5 of 10
        gateway.wait_error("5 of 10 calls in 60000 ms failed")
        self.problem(self.ask(gateway, 1)[0], 503)

    def test_opens_by_what_gives_no_answer(self):
        def closes(request, sock):
            raise ConnectionError
        gateway = self.start("errors = 3; " + LONG)
        self.peer.serve = closes
        for _ in range(3):
            self.problem(get(gateway.port, "/"), 502)
        gateway.wait_error("3 failures in a row .*before the answer's head was complete")
        self.problem(get(gateway.port, "/"), 503)

    def test_one_endpoint_that_refuses_is_not_the_upstream(self):
        gateway = self.start("errors = 2; " + LONG)
        self.switch.status = "200 OK"
        gateway.replace(upstreams=f'origin = {{ endpoints = ( "unix:{self.folder}/no", "{self.peer.text}" ); '
                                  f'balance = "random"; breaker = {{ errors = 2; }}; }};')
        self.assertEqual({message.status for message in self.ask(gateway, 30)}, {200})
        gateway.replace(upstreams=f'origin = {{ endpoints = ( "unix:{self.folder}/no" ); breaker = {{ errors = 2; }}; }};')
        self.assertEqual([message.status for message in self.ask(gateway, 3)], [502, 502, 503])
        gateway.wait_error("2 failures in a row .the last: unix:.*/no: No such file")

    def test_statuses_and_retry_after(self):
        gateway = self.start('errors = 1; statuses = [ 429 ]; ' + FAST)
        self.ask(gateway, 3)  # 500 is none of them
        self.switch.status, self.switch.fields = "429 Too Many Requests", [("Retry-After", "77")]
        self.ask(gateway, 1)
        message = self.ask(gateway, 1)[0]
        self.problem(message, 503)
        self.assertTrue(70 <= int(message.get("Retry-After")) <= 77, message)

    # Half-open

    def test_one_probe_of_all_workers_and_it_closes(self):
        gateway = self.start('errors = 5; probe = "5m"; ' + FAST)
        self.trip(gateway)
        before = len(self.peer.requests)
        self.switch.status, self.switch.held = "200 OK", True
        results = []
        asking = [threading.Thread(target=lambda: results.append(get(gateway.port, "/"))) for _ in range(40)]
        wait_until(lambda: self.time_is_up(gateway), "time is up")
        for thread in asking:
            thread.start()
        wait_until(lambda: len(results) == 39, "39 are refused while the probe is under way")
        self.assertEqual(len(self.peer.requests), before + 1)
        self.assertEqual({message.status for message in results}, {503})
        self.switch.free.set()
        for thread in asking:
            thread.join()
        self.assertEqual(results[-1].status, 200)
        gateway.wait_error("upstream origin: the breaker closed: the probe was answered with status 200")
        self.assertEqual({message.status for message in self.ask(gateway, 10)}, {200})
        for pattern in ("half-open: one request is let through", "the breaker closed"):
            self.assertEqual(len(self.lines(gateway, pattern)), 1, pattern)

    def breaker(self, gateway):
        return gateway.status()["upstreams"][0]["breaker"]

    def time_is_up(self, gateway):
        breaker = self.breaker(gateway)
        return breaker["state"] == "open" and breaker["left_ms"] == 0

    def test_a_probe_that_fails_opens_it_for_longer(self):
        gateway = self.start("errors = 2; " + FAST)
        self.trip(gateway, 2)
        for expected in (600, 1200):
            wait_until(lambda: self.time_is_up(gateway), "time is up")
            self.assertEqual(self.ask(gateway, 1)[0].status, 500)
            gateway.wait_error(f"the breaker opened for {expected} ms: the probe failed")
        self.assertEqual(self.stat(gateway, "breaker_probes"), 2)

    def test_a_client_that_leaves_gives_the_probe_back(self):
        gateway = self.start('errors = 2; probe = "5m"; ' + FAST)
        self.trip(gateway, 2)
        wait_until(lambda: self.time_is_up(gateway), "time is up")
        self.switch.status, self.switch.held = "200 OK", True
        before = len(self.peer.requests)
        with gateway.client() as client:
            client.send_head("GET", "/")
            self.peer.wait(lambda peer: len(peer.requests) == before + 1)
            self.assertEqual(self.breaker(gateway)["state"], "half-open")
        wait_until(lambda: self.breaker(gateway)["state"] == "open", "given back")
        self.switch.held = False
        self.switch.free.set()
        self.assertEqual(self.ask(gateway, 1)[0].status, 200)
        self.assertEqual(self.breaker(gateway)["state"], "closed")

    def test_a_killed_worker_gives_the_probe_back(self):
        gateway = self.start('errors = 2; probe = "5m"; ' + FAST)
        gateway.deaths_expected = True
        self.trip(gateway, 2)
        wait_until(lambda: self.time_is_up(gateway), "time is up")
        self.switch.status, self.switch.held = "200 OK", True
        before = len(self.peer.requests)
        with gateway.client() as client:
            client.send_head("GET", "/")
            self.peer.wait(lambda peer: len(peer.requests) == before + 1)
            self.problem(get(gateway.port, "/"), 503)
            owner = [process for process in gateway.processes("worker") if process["requests"]]
            self.assertEqual(len(owner), 1)
            os.kill(owner[0]["pid"], signal.SIGKILL)
            client.closed()
        wait_until(lambda: self.breaker(gateway)["state"] == "open", "given back")
        self.switch.held = False
        self.switch.free.set()
        self.assertEqual(self.ask(gateway, 1)[0].status, 200)
        self.assertEqual(self.breaker(gateway)["state"], "closed")

    def test_a_probe_that_takes_too_long_is_taken_over(self):
        gateway = self.start('errors = 2; probe = "200ms"; ' + FAST)
        self.trip(gateway, 2)
        wait_until(lambda: self.time_is_up(gateway), "time is up")
        self.switch.status, self.switch.held = "200 OK", True
        before = len(self.peer.requests)
        with gateway.client() as client:
            client.send_head("GET", "/")
            self.peer.wait(lambda peer: len(peer.requests) == before + 1)
            self.switch.held = False
            wait_until(lambda: get(gateway.port, "/").status == 200, "another is the probe")
            gateway.wait_error("the breaker's probe got no answer within 200 ms: another request is the probe")
            self.switch.free.set()
            self.assertEqual(client.answer().status, 200)

    # What lives on

    def test_survives_a_reload_and_new_settings(self):
        gateway = self.start("errors = 5; " + LONG)
        self.trip(gateway)
        before = len(self.peer.requests)
        gateway.replace(extra="client = { max_requests = 7; };")
        self.problem(self.ask(gateway, 1)[0], 503)
        self.assertEqual(len(self.peer.requests), before)
        # A shorter time holds for the one that is open too.
        gateway.replace(upstreams=self.upstreams.replace(LONG, 'open = "200ms"; jitter = 0.0; max_open = "300ms";'))
        self.switch.status = "200 OK"
        wait_until(lambda: get(gateway.port, "/").status == 200, "closed within the new bound")
        # Without the breaker nothing is refused.
        gateway.replace(upstreams=self.upstreams)
        self.switch.status = "500 Internal Server Error"
        self.ask(gateway, 5)
        self.problem(self.ask(gateway, 1)[0], 503)
        gateway.replace(upstreams=re.sub("breaker = {[^}]*};", "", self.upstreams))
        self.assertEqual(self.ask(gateway, 1)[0].status, 500)

    def test_survives_an_upgrade_and_its_probe_goes_on(self):
        gateway = self.start('errors = 2; probe = "5m"; ' + FAST)
        self.trip(gateway, 2)
        wait_until(lambda: self.time_is_up(gateway), "time is up")
        self.switch.status, self.switch.held = "200 OK", True
        before = len(self.peer.requests)
        with gateway.client() as client:
            client.send_head("GET", "/")
            self.peer.wait(lambda peer: len(peer.requests) == before + 1)
            workers = [process["pid"] for process in gateway.processes("worker")]
            done = gateway.run("upgrade")
            self.assertEqual(done.status, 0, f"{done}{gateway.said()}")
            gateway.wait_processes("worker", 4, workers)
            self.problem(self.ask(gateway, 1)[0], 503)  # an old worker has the probe
            self.assertEqual(self.breaker(gateway)["state"], "half-open")
            self.switch.free.set()
            self.assertEqual(client.answer().status, 200)
        self.assertEqual(self.ask(gateway, 1)[0].status, 200)

    @limit(180)
    def test_deaths_leave_nothing_stuck(self):
        """Workers are killed one after another under load, while the breaker opens and closes and calls are repeated."""
        def moody(request, sock):  # a fifth of a second good, a fifth bad
            return answer(b"x", "500 Internal Server Error" if int(5 * time.monotonic()) % 2 else "200 OK")
        gateway = self.start('errors = 50; ratio = 0.9; open = "20ms"; max_open = "40ms"; probe = "200ms";',
                             'retry = { attempts = 3; budget = { minimum = 2000.0; }; statuses = [ 500 ]; backoff = { base = "0"; }; }; hedge = { delay = "1ms"; }; '
                             "adaptive = { min = 20; };")
        gateway.deaths_expected = True
        self.peer.serve = moody
        load = Load(gateway.port, seconds=170, connections=16)
        killed = []
        for _ in range(5 if slow() else 15):
            workers = gateway.wait_processes("worker", 4, killed)
            asked = len(self.peer.requests)
            self.peer.wait(lambda peer: len(peer.requests) > asked + 100)
            # Who dies within a second of its GO is started again after a pause only.
            killed.append(random.choice(wait_until(lambda: [pid for pid in workers if age(pid) > 1.5], "a victim")))
            os.kill(killed[-1], signal.SIGKILL)
        self.assertTrue(load.running())
        load.process.send_signal(signal.SIGINT)
        self.assertGreater(load.finish()["requests"], 1000)
        self.peer.serve = lambda request, sock: answer(b"good")
        gateway.wait_processes("worker", 4, killed)
        wait_until(lambda: get(gateway.port, "/").status == 200, "it answers again")

        def at_rest():
            upstream = gateway.status()["upstreams"][0]
            return (upstream["breaker"]["state"] == "closed" and upstream["adaptive"]["in_flight"] == 0
                    and upstream["endpoints"][0]["in_flight"] == 0)
        wait_until(at_rest, "nothing is held")
        stats = gateway.status()["stats"]
        for name in ("breaker_opened", "breaker_probes", "breaker_refused", "retries", "hedges"):
            self.assertGreater(stats[name], 0, name)

    # Instead of an answer

    def test_fallback_answers(self):
        gateway = self.start('errors = 2; fallback = { status = 200; body = "{\\"stale\\":true}"; type = "application/json"; }; '
                             + LONG)
        self.trip(gateway, 2)
        before = len(self.peer.requests)
        message = self.ask(gateway, 1)[0]
        self.assertEqual((message.status, message.body, message.get("Content-Type")),
                         (200, b'{"stale":true}', "application/json"))
        with gateway.client() as client:  # and the connection goes on
            for method in ("HEAD", "POST", "GET"):
                self.assertEqual(client.request(method, "/", body=b"some" if method == "POST" else None).status, 200)
        self.assertEqual(len(self.peer.requests), before)
        self.assertEqual(self.stat(gateway, "fallbacks"), 4)

    def test_fallback_upstream(self):
        other = self.origin(lambda request, sock: answer(request.body or b"from the other"))
        gateway = self.start('errors = 2; fallback = { upstream = "other"; }; ' + LONG,
                             others=f'other = {{ endpoints = ( "{other.text}" ); breaker = {{ errors = 1; {LONG} '
                                    'fallback = { upstream = "origin"; }; }; };')
        self.trip(gateway, 2)
        self.assertEqual(self.ask(gateway, 1)[0].body, b"from the other")
        self.assertEqual(self.ask(gateway, 1, method="POST", body=b"x" * 100000)[0].body, b"x" * 100000)
        other.serve = lambda request, sock: answer(b"no", "500 Internal Server Error")
        self.assertEqual(self.ask(gateway, 1)[0].status, 500)
        self.problem(self.ask(gateway, 1)[0], 503, "upstream other: its breaker is open")
        self.assertIn("other", {line["upstream"] for line in gateway.wait_access(6)})

    def test_a_body_that_went_out_is_not_cut_for_the_fallback(self):
        other = self.origin(lambda request, sock: answer(request.body or b"nothing"))
        gateway = self.start('errors = 2; fallback = { upstream = "other"; }; ' + LONG,
                             'retry = { attempts = 2; statuses = [ 503 ]; methods = [ "POST" ]; retry_after = "3s"; };',
                             others=f'other = {{ endpoints = ( "{other.text}" ); }};')
        self.switch.status, self.switch.fields = "503 Service Unavailable", [("Retry-After", "3")]
        with gateway.client() as client:
            client.send_head("POST", "/", body=b"all of it")
            wait_until(lambda: gateway.status()["upstreams"][0]["breaker"]["failures_in_a_row"] == 1, "the first failure")
            self.ask(gateway, 1)  # the second failure, while the first waits for its other try
            gateway.wait_error("the breaker opened")
            self.problem(client.answer("POST"), 503, "upstream origin: its breaker opened before another try")
        self.assertEqual(other.requests, [])
        self.assertEqual(self.ask(gateway, 1, method="POST", body=b"all of it")[0].body, b"all of it")

    def in_pieces(self, *pieces):
        """A request whose body comes so, with both framings: its head, and the pieces as they are sent."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\n"
        yield head + b"Content-Length: %d\r\n\r\n" % sum(map(len, pieces)), *pieces
        *most, last = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        yield head + b"Transfer-Encoding: chunked\r\n\r\n", *most, last + b"0\r\n\r\n"

    def test_the_fallback_while_the_body_comes(self):
        """It is there at once; the connection goes on behind the body, or it is closed, and says so."""
        gateway = self.start('errors = 2; fallback = { status = 200; body = "stale"; }; ' + LONG)
        self.trip(gateway, 2)
        for rest in (1000, 8_000_000):
            for head, first, second in self.in_pieces(b"x" * 1000, b"x" * rest):
                with gateway.client() as client:
                    client.send(head + first)
                    got = client.answer("POST")
                    self.assertEqual((got.status, got.body), (200, b"stale"), head)
                    try:
                        client.send(second + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        after = client.answer()
                    except ConnectionError:
                        after = None
                    if got.get("Connection") == "close":
                        self.assertIsNone(after)
                    else:
                        self.assertEqual(after.body, b"stale")
        with gateway.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.answer("POST", informational=True).body, b"stale")  # who isn't to send it isn't told to

    def test_the_fallback_upstream_while_the_body_comes(self):
        """It has the body, all of it, as it comes."""
        other = self.origin(lambda request, sock: answer(b"%d" % len(request.body)))
        gateway = self.start('errors = 2; fallback = { upstream = "other"; }; ' + LONG,
                             others=f'other = {{ endpoints = ( "{other.text}" ); }};')
        self.trip(gateway, 2)
        for head, first, second in self.in_pieces(b"x" * 1000, b"x" * 8_000_000):
            with gateway.client() as client:
                client.send(head + first)
                wait_until(lambda: gateway.status()["upstreams"][1]["endpoints"][0]["in_flight"] == 1, "it is asked")
                client.send(second)
                self.assertEqual(client.answer("POST").body, b"8001000")
                self.assertEqual(client.request("GET", "/").body, b"0")

    def test_of_a_route(self):
        apis = f'''{{ name = "a"; routes = (
            {{ name = "own"; match = {{ path = "/own"; }}; proxy = "origin"; breaker = {{ errors = 2; {LONG} }}; }},
            {{ name = "other"; match = {{ path = "/other"; }}; proxy = "origin"; }} ); }}'''
        gateway = self.start("errors = 100; " + LONG, apis=apis)
        self.ask(gateway, 2, "/own")
        gateway.wait_error("route a/own: the breaker opened for 600000 ms: 2 failures in a row")
        self.problem(self.ask(gateway, 1, "/own")[0], 503)
        self.assertEqual(self.ask(gateway, 1, "/other")[0].status, 500)
        self.assertEqual([(breaker["route"], breaker["state"]) for breaker in gateway.status()["route_breakers"]],
                         [("a/own", "open")])

    def test_of_routes_with_the_same_path(self):
        apis = f'''{{ name = "a"; breaker = {{ errors = 2; {LONG} }}; routes = (
            {{ match = {{ path = "/x"; methods = [ "GET" ]; }}; proxy = "origin"; }},
            {{ match = {{ path = "/x"; methods = [ "PUT" ]; }}; proxy = "origin"; }} ); }}'''
        gateway = self.start("errors = 100; " + LONG, apis=apis)
        self.ask(gateway, 2, "/x", method="PUT")
        gateway.wait_error("route a//x#2: the breaker opened")
        self.problem(self.ask(gateway, 1, "/x", method="PUT")[0], 503)
        self.assertEqual(self.ask(gateway, 1, "/x")[0].status, 500)

    def test_a_probe_that_is_not_sent_is_given_back(self):
        """The only connection that the upstream may have is in use when the probe's time has come."""
        apis = f'''{{ name = "a"; routes = (
            {{ name = "own"; match = {{ path = "/own"; }}; proxy = "origin"; breaker = {{ errors = 2; {FAST} }}; }},
            {{ match = {{ path = "/other"; }}; proxy = "origin"; }} ); }}'''
        gateway = self.start("errors = 100;", "max_connections = 1; queue = 0;", apis=apis, workers=1)

        def own():
            return gateway.status()["route_breakers"][0]
        self.ask(gateway, 2, "/own")
        wait_until(lambda: own()["state"] == "open" and own()["left_ms"] == 0, "time is up")
        self.switch.status, self.switch.held = "200 OK", True
        with gateway.client() as client:
            client.send_head("GET", "/other")
            self.peer.wait(lambda peer: peer.requests[-1].target == "/other")
            self.assertEqual(self.problem(self.ask(gateway, 1, "/own")[0], 503)["type"], "urn:gatehouse:problem:upstream-busy")
            self.assertEqual(own()["state"], "open")
            self.assertGreater(own()["left_ms"], 0)  # not at once again
            self.switch.held = False
            self.switch.free.set()
            self.assertEqual(client.answer().status, 200)
        wait_until(lambda: get(gateway.port, "/own").status == 200, "closed")

    def test_mistakes_are_told(self):
        for breaker, says in (("errors = 0;", "nothing would ever open it"),
                              ('open = "10s"; max_open = "5s";', "is less than open"),
                              ('fallback = { upstream = "nobody"; };', 'there is no upstream "nobody"'),
                              ('fallback = { upstream = "origin"; };', "is the upstream itself"),
                              ("fallback = { body = \"x\"; };", "says neither what to answer nor whom to ask"),
                              ('fallback = { status = 204; body = "x"; };', "has no body")):
            gateway = self.start(LONG)
            gateway.write(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); breaker = {{ {breaker} }}; }};')
            done = gateway.run("check")
            self.assertEqual(done.status, 1)
            self.assertRegex(done.text, f"{gateway.config}:\\d+: .*{says}")
            gateway.stop()
