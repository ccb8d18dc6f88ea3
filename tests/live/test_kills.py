"""Processes that die at any instruction: nothing is stuck after it, and nothing is lost but their own requests."""
import os
import random
import re
import signal
import threading

from gatehouse import Case, age, children, limit, slow, wait_until

KILLS = 200 if slow() else 1000
WORKERS = 32
CONFIG = """
    { name = "a"; routes = (
      { match = { path = "/proxy"; }; proxy = { upstream = "origin"; }; },
      { match = { path = "/own"; }; respond = { status = 200; body = "one"; }; } ); }
    """


class Kills(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(KILLS)  # the same order of victims in each run

    def victims(self, gateway):
        """Children that may be killed: who dies within a second of its GO is started again after a pause only."""
        return [pid for pid, state in children(gateway.pid).items() if state != "Z" and (age(pid) or 0) > 1.5]

    def kill_some(self, gateway, count):
        """Kills one process after another, each as soon as there is one that may be."""
        done = 0
        while done < count:
            victims = wait_until(lambda: self.victims(gateway), lambda: f"a victim after {done} kills{gateway.said()}")
            self.random.shuffle(victims)
            for pid in victims[:count - done]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    done += 1
                except ProcessLookupError:
                    pass

    def ask(self, gateway, stop, counts):
        """Asks again and again; a connection that is cut is the death of its worker."""
        targets = ("/proxy", "/own")
        while not stop.is_set():
            for target in targets:
                try:
                    answer = gateway.get(target)
                    counts[answer.status] = counts.get(answer.status, 0) + 1
                except (OSError, AssertionError, ValueError):
                    counts["cut"] = counts.get("cut", 0) + 1

    @limit(400)
    def test_nothing_is_stuck(self):
        port = self.nginx()
        gateway = self.gateway(workers=WORKERS, apis=CONFIG,
                               upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{port}" ); }};',
                               state='state = { size = "128M"; };')
        gateway.deaths_expected = True
        gateway.wait_processes("worker", WORKERS)
        stop, counts = threading.Event(), [{} for _ in range(4)]
        askers = [threading.Thread(target=self.ask, args=(gateway, stop, count)) for count in counts]
        for asker in askers:
            asker.start()
        try:
            self.kill_some(gateway, KILLS)
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        total = {}
        for count in counts:
            for status, number in count.items():
                total[status] = total.get(status, 0) + number
        self.assertEqual(set(total) - {"cut", 200}, set(), total)
        self.assertGreater(total[200], 10 * total.get("cut", 0), total)
        gateway.wait_processes("worker", WORKERS)
        gateway.wait_processes("keeper", 1)
        gateway.wait_processes("logger", 1)
        for target in ("/proxy", "/own"):
            for _ in range(4 * WORKERS):
                self.assertEqual(gateway.get(target).status, 200, gateway.said())
        gateway.reload()
        self.assertEqual(gateway.get("/proxy").status, 200)
        self.assertEqual(re.findall(r".*(?:Assertion|assert).*", gateway.said()), [])
