"""The policies `quota` and `concurrency`: how much in a window of the calendar, how many at a time, over all workers."""
import json
import os
import signal
import threading
import time

from gatehouse import age, wait_until
from pair import Pair
from peers import Origin, answer

RESPOND = 'respond = { status = 200; body = "pong"; };'


def api(policies, content=RESPOND):
    return '{ name = "a"; routes = ( { match = { path = "/{rest*}"; }; %s %s } ); }' % (policies, content)


class Quota(Pair):
    def serve(self, policies, workers=1, **settings):
        return self.gateway(workers=workers, apis=api(policies), **settings)

    def ask(self, gateway, count, fields=()):
        with gateway.client() as client:
            return [client.request("GET", "/", fields).status for _ in range(count)]

    def test_a_window_gives_what_it_has(self):
        gateway = self.serve('quota = { limit = "5/month"; headers = true; };')
        first = gateway.get("/")
        self.assertEqual(first.status, 200)
        self.assertEqual(first.get("RateLimit-Policy"), '"quota";q=5;w=2592000')
        self.assertRegex(first.get("RateLimit"), r'^"quota";r=4;t=\d+$')
        self.assertEqual(self.ask(gateway, 5), [200] * 4 + [429])
        refused = gateway.get("/")
        problem = json.loads(refused.body)
        self.assertEqual(problem["type"], "urn:gatehouse:problem:quota-exceeded")
        self.assertEqual(problem["detail"], "quota of a//{rest*} allows 5/month")
        left = int(refused.get("Retry-After"))
        now = time.gmtime(time.time() + left + 1)
        self.assertEqual((now.tm_mday, now.tm_hour, now.tm_min), (1, 0, 0))  # when the next month begins
        self.assertIn(f";r=0;t={left}", refused.get("RateLimit"))

    def test_it_goes_on_over_reloads_and_deaths(self):
        gateway = self.serve('quota = "20/month";', workers=4)
        gateway.deaths_expected = True
        self.assertEqual(self.ask(gateway, 8), [200] * 8)
        gateway.replace(apis=api('quota = "30/month";'))
        self.assertEqual(self.ask(gateway, 12), [200] * 12)
        workers = gateway.wait_processes("worker", 4)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        gateway.wait_processes("worker", 4, workers)
        self.assertEqual(self.ask(gateway, 11), [200] * 10 + [429])

    def test_it_is_exact(self):
        gateway = self.serve('quota = { limit = "1000/month"; by = "all"; };', workers=4)
        passed = []

        def ask_many():
            passed.append(sum(status == 200 for status in self.ask(gateway, 200)))
        threads = [threading.Thread(target=ask_many) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sum(passed), 1000)
        self.assertEqual(gateway.status()["stats"]["limited"], 1400)

    def test_costs_and_what_counts(self):
        origin = Origin(lambda request, sock: answer(status=request.get("X-Status", "200 OK")))
        self.addCleanup(self.close_origin, origin)
        gateway = self.gateway(workers=1, upstreams='o = { endpoints = ( "%s" ); };' % origin.text, apis=api(
            'quota = { limit = "10/month"; cost = "${header.x-cost:-1}"; count_when = "2xx"; };',
            'proxy = { upstream = "o"; };'))
        self.assertEqual(self.ask(gateway, 3, [("X-Cost", "9"), ("X-Status", "500 Not")]), [500] * 3)
        self.assertEqual(self.ask(gateway, 2, [("X-Cost", "9")]), [200, 429])
        self.assertEqual(self.ask(gateway, 2), [200, 429])
        never = gateway.get("/", fields=[("X-Cost", "11")])
        self.assertIn("costs more than quota of a//{rest*} allows in all", never.body.decode())

    def test_bytes(self):
        gateway = self.serve('quota = { limit = "2K/month"; count = "bytes"; };')
        answered = 0
        while gateway.get("/").status == 200:
            answered += 1
            wait_until(lambda: len(gateway.accesses()) == answered, "it is charged")
        self.assertTrue(3 < answered < 30, answered)  # a request and its answer are some 200 bytes

    def test_a_limit_before_it_counts_nothing_for_what_it_refuses(self):
        gateway = self.serve('limit = { rate = "1/h"; burst = 5; }; quota = ( "3/month", "100/day" );')
        self.assertEqual(self.ask(gateway, 6), [200] * 3 + [429] * 3)
        gateway.replace(apis=api('limit = { rate = "1/h"; burst = 5; };'))
        self.assertEqual(self.ask(gateway, 3), [200, 200, 429])

    def test_errors_of_the_configuration(self):
        cases = {
            'quota = "100/s";': r"quota\.limit: .*a quota's window is a minute, hour, day, week or month",
            'quota = "100/5m";': r"a quota's window is a minute",
            'quota = "2T/day";': r'more than can be counted \(write "1T/…" or less\)',
            'quota = { limit = "1T/day"; count = "bytes"; };': r'more than can be counted \(write "1023G/…" or less\)',
            'quota = { limit = "5/day"; cost = "6"; };': r"quota\.cost: 6 is more than can ever be had",
            'concurrency = 0;': r"concurrency.*too small",
            'concurrency = { };': r"max",
        }
        gateway = self.serve("")
        for text, pattern in cases.items():
            with self.subTest(text=text):
                gateway.write(apis=api(text))
                done = gateway.run("check")
                self.assertEqual(done.status, 1, done)
                self.assertRegex(done.text, pattern)


class Concurrency(Pair):
    def held(self, policies, workers=1, **settings):
        """A gateway whose origin answers /hold when it is told to, and everything else at once."""
        self.release = threading.Event()

        def serve(request, _sock):
            if request.target == "/hold":
                self.release.wait(30)
            return answer(b"done")
        origin = Origin(serve)
        self.addCleanup(self.close_origin, origin)
        self.addCleanup(self.release.set)
        gateway = self.gateway(workers=workers, upstreams='o = { endpoints = ( "%s" ); };' % origin.text,
                               apis=api(policies, 'proxy = { upstream = "o"; };'), **settings)
        return gateway, origin

    def hold(self, gateway, origin, count, **where):
        """So many requests in progress at the origin."""
        before = len(origin.requests)
        clients = []
        for _ in range(count):
            client = gateway.client(**where)
            self.addCleanup(client.close)
            client.send_head("GET", "/hold")
            clients.append(client)
        origin.wait(lambda one: len(one.requests) == before + count)
        return clients

    def test_so_many_at_a_time(self):
        gateway, origin = self.held("concurrency = 3;", workers=4)
        clients = self.hold(gateway, origin, 3)
        for _ in range(8):  # whichever worker is asked
            refused = gateway.get("/")
            self.assertEqual(refused.status, 429)
        problem = json.loads(refused.body)
        self.assertEqual(problem["type"], "urn:gatehouse:problem:too-many-in-flight")
        self.assertEqual(problem["detail"], "concurrency of a//{rest*} allows 3 at a time")
        self.assertEqual(refused.get("Retry-After"), "1")
        self.assertEqual(gateway.get("/", source="127.0.0.2").status, 200)
        self.release.set()
        for client in clients:
            self.assertEqual(client.answer().status, 200)
        wait_until(lambda: gateway.get("/").status == 200, "a place")

    def test_who_leaves_gives_his_place_back(self):
        gateway, origin = self.held('concurrency = { max = 2; by = "all"; };')
        clients = self.hold(gateway, origin, 2)
        self.assertEqual(gateway.get("/").status, 429)
        clients[0].close()
        wait_until(lambda: gateway.get("/").status == 200, "a place")
        self.hold(gateway, origin, 1)
        self.assertEqual(gateway.get("/").status, 429)

    def test_over_a_reload(self):
        """What old workers have in progress counts for the new ones."""
        gateway, origin = self.held("concurrency = 2;", workers=2)
        self.hold(gateway, origin, 2)
        gateway.replace(extra="max_connections = 999;")
        self.assertEqual(gateway.get("/").status, 429)
        self.release.set()
        wait_until(lambda: gateway.get("/").status == 200, "a place")

    def test_what_the_dead_held(self):
        gateway, origin = self.held("concurrency = 4;", workers=2)
        gateway.deaths_expected = True
        for _ in range(3):
            self.hold(gateway, origin, 4)
            self.assertEqual(gateway.get("/").status, 429)
            workers = gateway.wait_processes("worker", 2)
            wait_until(lambda: min(map(age, workers)) > 1.2, "they are no deaths of the first second, for which others pause")
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            gateway.wait_processes("worker", 2, workers)
            self.assertEqual(gateway.get("/").status, 200)
            # An answer is there a moment before its place is given back.
            wait_until(lambda: {zone["name"]: zone.get("used") for zone in gateway.status()["zones"]}["concurrency"] == 0,
                       "all places are free")

    def test_never_more_over_all_workers(self):
        most, inside, lock = [0], [0], threading.Lock()

        def serve(_request, _sock):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.001)  # the origin's work
            with lock:
                inside[0] -= 1
            return answer(b"done")
        origin = Origin(serve)
        self.addCleanup(self.close_origin, origin)
        gateway = self.gateway(workers=4, upstreams='o = { endpoints = ( "%s" ); };' % origin.text, apis=api(
            'concurrency = { max = 5; by = "route"; };', 'proxy = { upstream = "o"; };'))
        statuses = []

        def ask_many():
            with gateway.client() as client:
                statuses.extend([client.request("GET", "/").status for _ in range(100)])
        threads = [threading.Thread(target=ask_many) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(statuses), {200, 429})
        self.assertLessEqual(most[0], 5)
        self.assertEqual(statuses.count(200), len(origin.requests))

    def test_dry_run(self):
        gateway, origin = self.held("concurrency = { max = 1; dry_run = true; };")
        self.hold(gateway, origin, 1)
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(gateway.status()["stats"]["limited_dry"], 1)
