"""The policy `limit`: who is let through how fast, over all workers, and what is answered to the others."""
import json
import os
import re
import signal
import threading
import time

from gatehouse import Gateway, alone, wait_until
from pair import Pair
from peers import Client, Origin, answer

RESPOND = 'respond = { status = 200; body = "pong"; };'


def route(limits, more=RESPOND, path="/{rest*}", name=""):
    name = f'name = "{name}";' if name else ""
    return '{ %s match = { path = "%s"; }; %s %s }' % (name, path, limits, more)


def api(*routes, more="", name="a"):
    return '{ name = "%s"; %s routes = ( %s ); }' % (name, more, ", ".join(routes))


class Rate(Pair):
    def serve(self, limits, workers=1, **settings):
        return self.gateway(workers=workers, apis=api(route(limits)), **settings)

    def statuses(self, gateway, count, target="/", fields=(), source=None):
        with gateway.client(source=source) as client:
            return [client.request("GET", target, fields).status for _ in range(count)]

    def passes(self, gateway, count, target="/", fields=(), source=None):
        """So many pass, and not one more."""
        self.assertEqual(self.statuses(gateway, count + 1, target, fields, source), [200] * count + [429])

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def test_a_burst_passes_and_the_next_is_told_when(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 3; };')
        self.assertEqual(self.statuses(gateway, 3), [200] * 3)
        refused = gateway.get("/")
        self.assertEqual(refused.status, 429)
        self.assertTrue(0 < int(refused.get("Retry-After")) <= 60)
        problem = json.loads(refused.body)
        self.assertEqual(problem["type"], "urn:gatehouse:problem:rate-limited")
        self.assertEqual(problem["status"], 429)
        self.assertEqual(problem["detail"], "limit of a//{rest*} allows 1/m, and 3 at once")
        self.assertEqual(problem["instance"], refused.get("X-Request-Id"))
        self.assertIsNone(refused.get("RateLimit"))
        self.assertEqual(self.stat(gateway, "limited"), 1)

    def test_it_is_let_through_when_it_was_told(self):
        gateway = self.serve('limit = "2/s";')
        self.passes(gateway, 2)
        begun = time.monotonic()
        wait_until(lambda: gateway.get("/").status == 200, "a request that passes")
        self.assertLess(time.monotonic() - begun, 5)

    def test_clients_apart(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 2; };')
        self.passes(gateway, 2)
        self.passes(gateway, 2, source="127.0.0.2")
        self.passes(gateway, 0)

    def test_ipv6_by_network(self):
        """A client has a whole network of addresses; trusted proxies tell them."""
        gateway = self.serve('limit = { rate = "1/m"; burst = 2; };', extra='trusted_proxies = [ "127.0.0.1" ];')

        def of(address):
            return gateway.get("/", fields=[("X-Forwarded-For", address)]).status
        self.assertEqual([of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::1"), of("2001:db8:1:2:3::4")], [200, 200, 429])
        self.assertEqual([of("2001:db8:1:3::1"), of("2001:db8:1:3::2"), of("2001:db8:1:3::3")], [200, 200, 429])
        gateway.replace(apis=api(route('limit = { rate = "1/m"; burst = 2; ipv6_prefix = 61; };', path="/{r*}")))
        self.assertEqual([of("2001:db8:9:8::1"), of("2001:db8:9:f::2"), of("2001:db8:9:a::3")], [200, 200, 429])
        self.assertEqual(of("2001:db8:9:7::1"), 200)

    def test_keys(self):
        cases = {
            "header.X-Key": lambda key: ("/k", [("X-Key", key)]),
            "${header.x-key}": lambda key: ("/k", [("X-Key", key)]),
            "cookie.sid": lambda key: ("/k", [("Cookie", f"a=b; sid={key}")]),
            "query.key": lambda key: (f"/k?a=b&key={key}", []),
            "params.id": lambda key: (f"/{key}", []),
            "method:${method}:${header.x-key}": lambda key: ("/k", [("X-Key", key)]),
        }
        gateway = self.gateway(workers=1)
        for by, of in cases.items():
            with self.subTest(by=by):
                gateway.replace(apis=api(route('limit = { rate = "1/m"; burst = 2; by = "%s"; };' % by, path="/{id}")))
                for key in ("one", "two"):
                    self.passes(gateway, 2, *of(key))
                self.passes(gateway, 0, *of("one"))

    def test_several_parts_of_a_key(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 1; by = [ "header.a", "header.b" ]; };')
        self.passes(gateway, 1, fields=[("a", "xy"), ("b", "z")])
        self.passes(gateway, 1, fields=[("a", "x"), ("b", "yz")])
        self.passes(gateway, 1, fields=[("a", "xyz")])
        self.passes(gateway, 1)  # without either: a key like others
        self.passes(gateway, 0, source="127.0.0.2")

    def test_a_key_that_is_too_long(self):
        gateway = self.serve('limit = { rate = "1/m"; by = "header.k"; };')
        refused = gateway.get("/", fields=[("k", "x" * 5000)])
        self.assertEqual(refused.status, 431)
        self.assertIn("counts by is longer than 4096 bytes", refused.body.decode())

    def test_it_counts_where_it_is_written(self):
        """On a route that one, on an API all its routes, in `defaults` everything, unless the key says otherwise."""
        one = 'limit = { rate = "1/m"; burst = 2; };'
        routes = [route("", path="/a"), route("", path="/b")]
        gateway = self.gateway(workers=1, apis=api(route(one, path="/a"), route(one, path="/b")))
        self.passes(gateway, 2, "/a")
        self.passes(gateway, 2, "/b")
        gateway.replace(apis=api(*routes, more=one))
        self.passes(gateway, 2, "/a")
        self.passes(gateway, 0, "/b")
        gateway.replace(apis=api(*routes, more='limit = { rate = "1/m"; burst = 2; by = [ "ip", "route" ]; };'))
        self.passes(gateway, 2, "/a")
        self.passes(gateway, 2, "/b")
        other = '{ name = "b"; prefix = "/b"; routes = ( %s ); }' % route("", path="/c")
        gateway.replace(apis=api(*routes) + ", " + other, extra="defaults = { %s };" % one)
        self.passes(gateway, 2, "/a")
        self.passes(gateway, 0, "/b/c")
        # Whoever asks for what isn't there is counted too.
        self.assertEqual([gateway.get("/none", source="127.0.0.2").status for _ in range(3)], [404, 404, 429])
        gateway.replace(extra='defaults = { limit = { rate = "1/m"; burst = 2; by = [ "ip", "api" ]; }; };')
        self.passes(gateway, 2, "/a")
        self.passes(gateway, 0, "/b")
        self.passes(gateway, 2, "/b/c")

    def test_a_version_with_and_without_its_segment_is_one(self):
        gateway = self.gateway(workers=1, apis=api(
            route('limit = { rate = "1/m"; burst = 2; };', path="/x"),
            more='prefix = "/p"; version = { name = "1"; by = "path"; default = true; };'))
        self.passes(gateway, 2, "/p/v1/x")
        self.passes(gateway, 0, "/p/x")

    def test_a_name_is_shared(self):
        shared = 'limit = { name = "search"; rate = "1/m"; burst = 4; cost = "%d"; };'
        gateway = self.gateway(workers=1, apis=api(route(shared % 1, path="/cheap"), route(shared % 2, path="/dear")))
        self.assertEqual(self.statuses(gateway, 2, "/cheap"), [200] * 2)
        self.passes(gateway, 1, "/dear")
        self.passes(gateway, 0, "/cheap")
        self.assertIn("search allows 1/m", gateway.get("/dear").body.decode())

    def test_costs(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 10; cost = "${header.x-cost:-3}"; };')
        self.assertEqual(self.statuses(gateway, 1, fields=[("X-Cost", "8")]), [200])
        self.passes(gateway, 0)
        self.assertEqual(self.statuses(gateway, 2, fields=[("X-Cost", "none")]), [200, 200])  # 1 each
        self.passes(gateway, 0, fields=[("X-Cost", "1")])
        self.assertEqual(self.statuses(gateway, 1, fields=[("X-Cost", "0")]), [200])
        never = gateway.get("/", fields=[("X-Cost", "11")], source="127.0.0.2")
        self.assertEqual(never.status, 429)
        self.assertIn("costs more than the 10", never.body.decode())
        self.assertIsNone(never.get("Retry-After"))
        for cost in ("4294967296", "18446744073709551616", "9" * 100):  # one that is too large is not taken for none
            self.assertEqual(self.statuses(gateway, 1, fields=[("X-Cost", cost)], source="127.0.0.2"), [429])
        self.passes(gateway, 3, source="127.0.0.2")

    def test_a_cost_that_can_never_be_met_leaves_what_there_is(self):
        gateway = self.serve('limit = { rate = "1/h"; burst = 10; headers = true; cost = "${header.x-cost:-1}"; };')
        self.assertRegex(gateway.get("/", fields=[("X-Cost", "7")]).get("RateLimit"), r"r=3\b")
        never = gateway.get("/", fields=[("X-Cost", "11")])
        self.assertEqual(never.status, 429)
        self.assertRegex(never.get("RateLimit"), r"r=3\b")
        quotas = self.gateway_of_quotas()
        quotas.get("/", fields=[("X-Cost", "7")])
        never = quotas.get("/", fields=[("X-Cost", "11")])
        self.assertEqual(never.status, 429)
        self.assertRegex(never.get("RateLimit"), r"r=3\b")

    def gateway_of_quotas(self):
        gateway = Gateway(self.folder, "quotas", workers=1, apis=api(route(
            'quota = { limit = "10/month"; headers = true; cost = "${header.x-cost:-1}"; };')))
        self.addCleanup(gateway.finish)
        gateway.start()
        return gateway

    def test_several_limits(self):
        """What one of them refuses counts for none."""
        gateway = self.serve('limit = ( { rate = "1/m"; burst = 5; by = "all"; }, { rate = "1/m"; burst = 2; } );')
        for source in ("127.0.0.2", "127.0.0.3"):
            self.passes(gateway, 2, source=source)
            self.passes(gateway, 0, source=source)
        self.passes(gateway, 1, source="127.0.0.4")

    def test_count_when(self):
        """What is answered otherwise is given back."""
        origin = Origin(lambda request, sock: answer(status=request.get("X-Status", "200 OK")))
        self.addCleanup(self.close_origin, origin)
        gateway = self.gateway(workers=1, upstreams='o = { endpoints = ( "%s" ); };' % origin.text, apis=api(route(
            'limit = { rate = "1/m"; burst = 2; count_when = [ "2xx", "404", "500-501" ]; };',
            'proxy = { upstream = "o"; };')))

        def ask(status):
            return gateway.get("/", fields=[("X-Status", f"{status} Said")]).status
        for status in (302, 400, 403, 405, 499, 502, 503):
            self.assertEqual(ask(status), status)
        wait_until(lambda: len(gateway.accesses()) == 7, "all are over")
        self.assertEqual([ask(404), ask(500), ask(302), ask(200)], [404, 500, 429, 429])

    def test_bytes(self):
        """Who has overdrawn waits until it is paid off."""
        gateway = self.gateway(workers=1, apis=api(route(
            'limit = { rate = "1000/s"; burst = 3000; count = "bytes_out"; headers = true; };',
            'respond = { status = 200; body = "%s"; };' % ("x" * 1900))))
        self.assertEqual(gateway.get("/").status, 200)
        wait_until(lambda: len(gateway.accesses()) == 1, "it is charged")
        second = gateway.get("/")
        self.assertEqual(second.status, 200)
        self.assertEqual(second.get("RateLimit-Policy"), '"limit";q=3000;w=3;qu="content-bytes"')
        wait_until(lambda: len(gateway.accesses()) == 2, "it is charged")
        refused = gateway.get("/")
        self.assertEqual(refused.status, 429)
        self.assertIn("allows 1000/s bytes, and 3000 at once", refused.body.decode())
        self.assertTrue(1 <= int(refused.get("Retry-After")) <= 2)
        wait_until(lambda: gateway.get("/").status == 200, "it is paid off")

    def test_dry_run(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 2; dry_run = true; headers = true; };')
        self.assertEqual(self.statuses(gateway, 5), [200] * 5)
        gateway.wait_error(r"notice .*limit of a//\{rest\*\} would refuse request .*dry_run")
        stats = gateway.status()["stats"]
        self.assertEqual((stats["limited"], stats["limited_dry"]), (0, 3))
        self.assertIsNone(gateway.get("/").get("RateLimit"))

    def test_delay(self):
        gateway = self.serve('limit = { rate = "10/s"; burst = 1; mode = "delay"; max_delay = "10s"; };', workers=2)
        begun, ended = time.monotonic(), []
        clients = [gateway.client() for _ in range(8)]
        for client in clients:
            client.send_head("GET", "/")
        for client in clients:
            self.assertEqual(client.answer().status, 200)
            ended.append(time.monotonic())
            client.close()
        # One at once, seven in their turns: the last one no sooner than 0.7 s after the first one was sent.
        self.assertGreaterEqual(max(ended) - begun, 0.7)
        self.assertEqual(self.stat(gateway, "delayed"), 7)

    def test_delay_is_bounded_and_who_leaves_is_not_counted(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 1; mode = "delay"; max_delay = "2m"; };')
        self.assertEqual(gateway.get("/").status, 200)
        waiting = [gateway.client() for _ in range(2)]
        for client in waiting:
            client.send_head("GET", "/")
        wait_until(lambda: self.stat(gateway, "delayed") == 2, "two wait")
        refused = gateway.get("/")
        self.assertEqual(refused.status, 429)
        self.assertTrue(1 <= int(refused.get("Retry-After")) <= 60)
        for client in waiting:
            client.close()
        wait_until(lambda: self.stat(gateway, "aborted") == 2, "both are gone")
        with gateway.client() as third, gateway.client() as fourth:  # their turns are free
            third.send_head("GET", "/")
            fourth.send_head("GET", "/")
            wait_until(lambda: self.stat(gateway, "delayed") == 4, "two wait again")

    def test_fields(self):
        gateway = self.serve('limit = ( { rate = "1/m"; burst = 3; headers = true; },'
                             ' { name = "all of us"; rate = "10/h"; burst = 9; by = "all"; headers = true; } );')
        first = gateway.get("/")
        self.assertEqual(sorted(first.all("RateLimit-Policy")), ['"all of us";q=9;w=3240', '"limit";q=3;w=180'])
        self.assertEqual(sorted(first.all("RateLimit")), ['"all of us";r=8;t=360', '"limit";r=2;t=60'])
        self.assertIsNone(first.get("Retry-After"))
        gateway.get("/")
        gateway.get("/")
        refused = gateway.get("/")
        self.assertEqual(refused.status, 429)
        self.assertEqual(refused.all("RateLimit-Policy"), ['"limit";q=3;w=180'])
        self.assertRegex(refused.get("RateLimit"), r'^"limit";r=0;t=1[78]\d$')
        self.assertEqual(len(refused.all("Retry-After")), 1)

    def fill(self, gateway, keys):
        with gateway.client() as client:
            return [client.request("GET", "/", [("k", str(number))]) for number in range(keys)]

    def test_no_room(self):
        """Only keys that hold nothing give way; when all do, `when_full` decides."""
        small = 'state = { size = "16M"; limits = "8K"; quotas = "64K"; concurrency = "256K"; };'
        gateway = self.serve('limit = { rate = "1/h"; by = "header.k"; when_full = "reject"; };', state=small)
        answers = self.fill(gateway, 600)
        statuses = [one.status for one in answers]
        self.assertEqual(set(statuses), {200, 503})
        self.assertGreater(statuses.count(200), 100)
        refused = next(one for one in answers if one.status == 503)
        self.assertEqual(json.loads(refused.body)["type"], "urn:gatehouse:problem:uncounted")
        gateway.wait_error(r"warning .*limit of a//\{rest\*\}: no room to count a request, which is refused")
        self.assertEqual(self.stat(gateway, "uncounted"), statuses.count(503))
        self.assertLess(len(re.findall("no room", gateway.errors())), 30)
        for number, status in enumerate(statuses[:50]):
            if status == 200:  # nobody who was counted is forgotten
                self.assertEqual(gateway.get("/", fields=[("k", str(number))]).status, 429)
        gateway.replace(apis=api(route('limit = { rate = "1/h"; by = "header.k"; };')))
        self.assertEqual({one.status for one in self.fill(gateway, 600)}, {200, 429})

    def test_errors_of_the_configuration(self):
        cases = {
            'limit = { };': r"rate.*missing|required",
            'limit = "100";': r'limit\.rate: "100" says nothing of the time \(write "100/s"',
            'limit = "x/s";': r'"x" is not a count',
            'limit = "0/s";': r'lets nothing through',
            'limit = "5/fortnight";': r'"fortnight" is no unit of time \(write s, m, h, day, week or month',
            'limit = "5/0s";': r'the number behind the / is 1 to 1000',
            'limit = "5/month";': r'a month has no fixed length',
            'limit = "2M/s";': r'too fast to be exact \(write "1M/s" or less\)',
            'limit = { rate = "1/day"; burst = 10000; };': r'paid off in more than ten years',
            'limit = { rate = "5/s"; burst = 5; cost = "6"; };': r'limit\.cost: 6 is more than can ever be had at once \(5\)',
            'limit = { rate = "5/s"; cost = "-1"; };': r'"-1" is no number',
            'limit = { rate = "5/s"; by = "consumr"; };': r'limit\.by: there is no \$\{consumr\} here',
            'limit = { rate = "5/s"; by = "${params.nam}"; };': r'has no parameter \{nam\}',
            'limit = { rate = "5/s"; count_when = "2yy"; };': r'"2yy" is no status',
            'limit = { rate = "5/s"; count = "bytes"; mode = "delay"; };': r"can't be \"delay\" where bytes are counted",
            'limit = { rate = "5/s"; count = "bytes"; cost = "2"; };': r"cost.*has no meaning where bytes are counted",
            'limit = { rate = "5/s"; name = "a\\"b"; };': r"can't stand in a field",
            'limit = { rate = "5/s"; cost = "5000000000"; };': r"limit\.cost: 5000000000 is more than can ever be had at once",
            'limit = ( { rate = "5/s"; name = "n"; }, { rate = "9/m"; name = "n"; } );': r'limit\.name: "n" stands here twice',
            'concurrency = ( { max = 1; name = "n"; }, { max = 2; name = "n"; } );': r'concurrency\.name: "n" stands here twice',
        }
        gateway = self.gateway(workers=1, apis=api(route("")))
        for text, pattern in cases.items():
            with self.subTest(text=text):
                gateway.write(apis=api(route(text)))
                done = gateway.run("check")
                self.assertEqual(done.status, 1, done)
                self.assertRegex(done.text, pattern)
                self.assertRegex(done.text, r"gatehouse\.conf:\d+: ")


class Hammer:
    """Clients that ask as fast as they can, on kept connections, until told to end; `admitted`: when each request that was
    answered 200 was sent, and when its answer had come."""

    def __init__(self, port, clients, fields=()):
        self.port, self.fields = port, fields
        self.admitted, self.refused, self.broken = [], 0, 0
        self.counts, self.wrong = [0] * clients, set()
        self.going = True
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def more(self, count):
        """Waits until so many more were answered."""
        before = sum(self.counts)
        wait_until(lambda: sum(self.counts) >= before + count, f"{count} answers more")

    def ask(self, client, admitted):
        sent = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        status = client.request("GET", "/", self.fields).status
        if status == 200:
            admitted.append((sent, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))
        elif status != 429:
            self.wrong.add(status)
        return status

    def run(self, number):
        own, refused, broken = [], 0, 0
        while self.going:
            try:
                with Client(self.port) as client:
                    while self.going:
                        refused += self.ask(client, own) == 429
                        self.counts[number] += 1
            except (OSError, EOFError, AttributeError):  # its worker was killed or replaced
                broken += 1
        self.admitted += own
        self.refused += refused
        self.broken += broken

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join()
        # What is left of the burst: at the end there must be nothing.
        with Client(self.port) as client:
            while self.ask(client, self.admitted) == 200:
                pass
        self.admitted.sort()
        return self


class Exact(Pair):
    RATE, BURST = 400, 200  # a pause of the machine within half a second loses nothing

    def limited(self, by="all", **settings):
        return self.gateway(workers=4, apis=api(route(
            'limit = { rate = "%d/s"; burst = %d; by = "%s"; };' % (self.RATE, self.BURST, by))), **settings)

    def most(self, ns):
        return self.BURST + self.RATE * ns // 10**9

    def assert_bound(self, hammer):
        """In no span are more admitted than may be: those sent within it and answered within it were admitted in it."""
        admitted = hammer.admitted
        self.assertEqual(hammer.wrong, set())
        self.assertGreater(len(admitted), self.BURST)
        answered = sorted(end for _, end in admitted)
        for number, (begin, _) in enumerate(admitted):
            if number % 7:  # of all spans that begin with a request and end with an answer
                continue
            within = sorted(end for sent, end in admitted[number:])
            for count, end in enumerate(within, 1):
                if count > self.most(end - begin):
                    self.fail(f"{count} were admitted in {(end - begin) / 1e9:.6f} s, of {self.most(end - begin)}")
        return answered

    def assert_saturated(self, hammer, lost=0):
        """And no less than 999 of 1000, under saturation: from the first answer to the last request. The last one may not
        have come yet, and an answer that a kill cut off is known to nobody."""
        first = min(end for _, end in hammer.admitted)
        last = max(sent for sent, _ in hammer.admitted)
        self.assertGreater(hammer.refused, len(hammer.admitted) // 10, "it was not saturated")
        self.assertGreaterEqual(len(hammer.admitted) + lost, 0.999 * self.most(last - first) - 1)

    @alone
    def test_through_contention(self):
        gateway = self.limited()
        hammer = Hammer(gateway.port, 16)
        hammer.more(4000)
        hammer.end()
        self.assert_bound(hammer)
        self.assert_saturated(hammer)
        self.assertEqual(hammer.broken, 0)
        self.assertEqual(gateway.status()["stats"]["limited"], hammer.refused + 1)  # the last one of all

    @alone
    def test_through_reloads(self):
        gateway = self.limited()
        hammer = Hammer(gateway.port, 16)
        for number in range(5):
            gateway.replace(extra=f"max_connections = {1000 + number};")
            hammer.more(500)
        hammer.end()
        self.assert_bound(hammer)
        self.assert_saturated(hammer)

    @alone
    def test_through_kills(self):
        gateway = self.limited()
        gateway.deaths_expected = True
        hammer = Hammer(gateway.port, 16)
        for _ in range(6):
            workers = gateway.wait_processes("worker", 4)
            os.kill(workers[0], signal.SIGKILL)
            gateway.wait_processes("worker", 4, [workers[0]])
            hammer.more(300)
        hammer.end()
        self.assert_bound(hammer)
        self.assert_saturated(hammer, hammer.broken)

    @alone
    def test_through_upgrades(self):
        gateway = self.limited()
        hammer = Hammer(gateway.port, 16)
        for _ in range(3):
            done = gateway.run("upgrade")
            self.assertEqual(done.status, 0, f"{done}{gateway.said()}")
            hammer.more(500)
        hammer.end()
        self.assert_bound(hammer)
        self.assert_saturated(hammer, hammer.broken)

    def test_a_changed_limit_is_not_cold(self):
        """Who has used it up has used up the new one; and nobody waits longer than the new bucket drains."""
        gateway = self.gateway(workers=2, apis=api(route('limit = { rate = "10/h"; burst = 10; };')))
        with gateway.client() as client:
            self.assertEqual([client.request("GET", "/").status for _ in range(11)], [200] * 10 + [429])
        gateway.replace(apis=api(route('limit = { rate = "20/h"; burst = 20; };')))
        refused = gateway.get("/")  # an hour is owed; the new bucket holds as much
        self.assertEqual(refused.status, 429)
        self.assertLessEqual(int(refused.get("Retry-After")), 180)
        gateway.replace(apis=api(route('limit = { rate = "2/s"; burst = 2; };')))
        self.assertEqual(gateway.get("/").status, 429)
        wait_until(lambda: gateway.get("/").status == 200, "one more, soon")
