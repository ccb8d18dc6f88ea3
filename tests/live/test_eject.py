"""Ejection of endpoints by what comes of calls: on the whole node at once, no more of them than may be out, and back."""
import math
import os
import re
import signal
import threading
import time

from gatehouse import Case, Load, answer, wait_until
from pair import ALL


class Service:
    """Answers with its number, or as it is told; counts."""

    def __init__(self, case, number):
        self.number, self.calls, self.fails = number, 0, False
        self.lock = threading.Lock()
        self.wait = 0
        self.origin = case.origin(self)
        self.text = self.origin.text

    def __call__(self, request, sock):
        with self.lock:
            self.calls += 1
        if self.wait:
            threading.Event().wait(self.wait)
        fails = self.fails(self.calls) if callable(self.fails) else self.fails
        return answer(b"%d" % self.number, "500 Internal Server Error" if fails else "200 OK")


class Eject(Case):
    def services(self, count):
        return [Service(self, number) for number in range(count)]

    def upstreams(self, services, settings):
        return "origin = { endpoints = ( %s ); %s };" % (", ".join(f'"{one.text}"' for one in services), settings)

    def start(self, services, settings, **more):
        return self.gateway(apis=ALL, upstreams=self.upstreams(services, settings), **more)

    def endpoints(self, gateway):
        return gateway.status()["upstreams"][0]["endpoints"]

    def states(self, gateway):
        return [endpoint["state"] for endpoint in self.endpoints(gateway)]

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def ask(self, gateway, count):
        """The answers of `count` requests, over all workers."""
        return [gateway.get("/") for _ in range(count)]

    def all_workers(self, gateway):
        """Clients, so many that every worker has some: then a request on each is one for every worker."""
        clients = []

        def more():
            for _ in range(50):
                clients.append(gateway.client())
                self.addCleanup(clients[-1].close)
            return all(process["connections"] for process in gateway.processes("worker"))
        wait_until(more, "connections at every worker")
        return clients

    def numbers(self, clients):
        return {int(client.request("GET", "/").body) for client in clients}

    # By errors in a row

    def test_all_workers_agree(self):
        """Five errors in a row, whichever worker saw them: not one call more goes there, from no worker."""
        services = self.services(4)
        services[2].fails = True
        gateway = self.start(services, 'ejection = { consecutive = 5; time = "600s"; max_time = "600s"; };', workers=4)
        clients = self.all_workers(gateway)
        for client in clients:
            client.request("GET", "/")
        self.assertEqual(services[2].calls, 5)
        self.assertEqual(self.states(gateway), ["up", "up", "ejected", "up"])
        self.assertEqual(self.numbers(clients), {0, 1, 3})
        ejected = self.endpoints(gateway)[2]
        self.assertEqual(ejected["ejection"]["times"], 1)
        self.assertGreater(ejected["ejection"]["for_ms"], 500000)
        gateway.wait_error("is ejected")
        lines = re.findall(r"upstream origin: (\S+) is ejected for ([\d.]+) s: 5 errors in a row \(3 of 4 endpoints are left\)",
                           gateway.errors())
        self.assertEqual(lines, [(services[2].text, "600.0")], "once a node")
        self.assertEqual(self.stat(gateway, "ejections"), 1)
        self.assertRegex(gateway.run("status").out, re.escape(services[2].text) + r" +1 ejected ")
        # It survives a reload, and the deaths of all.
        gateway.deaths_expected = True
        gateway.replace()
        for role in ("keeper", "worker"):
            before = [process["pid"] for process in gateway.processes(role)]
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            gateway.wait_processes(role, len(before), before)
            self.ask(gateway, 20)
            self.assertEqual(services[2].calls, 5, role)
        # Settings that are no more hold no more.
        gateway.replace(upstreams=self.upstreams(services, ""))
        self.assertIn(500, {answer.status for answer in self.ask(gateway, 8)})

    def test_errors_between_successes(self):
        """Four of five are errors: they are never five in a row."""
        services = self.services(2)
        services[0].fails = lambda call: call % 5
        gateway = self.start(services, "ejection = 5;", workers=4)
        self.ask(gateway, 100)
        self.assertEqual(self.stat(gateway, "ejections"), 0)

    def test_what_counts(self):
        """`errors`: a 500 may be the request's fault; no connection and no answer never is."""
        services = self.services(2)
        services[0].fails = True
        for errors in ("gateway", "connection"):
            gateway = self.start(services, f'ejection = {{ consecutive = 2; errors = "{errors}"; }};')
            self.ask(gateway, 20)
            self.assertEqual(self.stat(gateway, "ejections"), 0, errors)
            gateway.stop()

        def close(request, sock):
            raise ConnectionError
        services[0].origin.serve = close
        gateway = self.start(services, 'ejection = { consecutive = 2; errors = "connection"; };')
        self.ask(gateway, 20)
        self.assertEqual(self.states(gateway), ["ejected", "up"])

    def test_answers_that_break_off(self):
        """Good heads, and bodies that never come whole; a whole one begins the row anew."""
        services = self.services(2)

        def cut(request, sock):
            services[0].calls += 1
            if services[0].calls == 3:
                return answer(b"whole")
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            raise ConnectionError
        services[0].origin.serve = cut
        gateway = self.start(services, "ejection = 4;", workers=4)

        def ask():
            with gateway.client() as client:
                client.send_head("GET", "/", [("Connection", "close")])
                client.closed()
            return self.states(gateway) == ["ejected", "up"]
        wait_until(ask, "it is ejected")
        self.assertEqual(services[0].calls, 7)
        gateway.wait_error("is ejected for 30.0 s: 4 answers in a row broke off")

    # How many

    def test_max_percent_under_load(self):
        """Nine of ten fail, for four workers at once: three are out, never more, and never fewer in the end."""
        services = self.services(10)
        for service in services[1:]:
            service.fails = True
        gateway = self.start(services, 'ejection = { consecutive = 1; max_percent = 30; time = "600s"; max_time = "600s"; };',
                             workers=4)
        load = Load(gateway.port, seconds=3, connections=32)
        most = 0
        while load.running():
            most = max(most, self.states(gateway).count("ejected"))
        load.finish()
        self.assertEqual(most, 3)
        self.assertEqual(self.states(gateway).count("ejected"), 3)
        self.assertEqual(self.stat(gateway, "ejections"), 3)
        self.assertGreater(self.stat(gateway, "ejections_spared"), 0)

    def test_the_last_one_stays(self):
        services = self.services(3)
        for service in services:
            service.fails = True
        gateway = self.start(services, 'ejection = { consecutive = 1; max_percent = 99; time = "600s"; max_time = "600s"; };',
                             workers=4)
        self.ask(gateway, 60)
        self.assertEqual(sorted(self.states(gateway)), ["ejected", "ejected", "up"])
        # At 100 percent all may go, and then all are tried, or none.
        gateway.replace(upstreams=gateway.settings["upstreams"].replace("max_percent = 99", "max_percent = 100"))
        wait_until(lambda: self.ask(gateway, 1) and set(self.states(gateway)) == {"ejected"}, "all are out")
        gateway.wait_error(r"\(0 of 3 endpoints are left: all are tried\)")
        self.assertEqual({int(answer.body) for answer in self.ask(gateway, 30)}, {0, 1, 2})
        gateway.replace(upstreams=gateway.settings["upstreams"].replace("ejection", "panic = false; ejection"))
        self.problem(gateway.get("/"), 503, "healthy")

    def test_a_healthy_one_stays(self):
        """The last that probes find healthy isn't ejected for its errors, though another isn't out by ejection."""
        services = self.services(3)
        services[0].fails = True

        def silent(request, sock):
            return answer(b"", "503 Service Unavailable")
        for service in services[1:]:
            service.origin.serve = silent
        gateway = self.start(services, """health = { path = "/"; interval = "100ms"; fall = 1; status = "200-500"; };
            ejection = { consecutive = 1; max_percent = 99; };""")
        wait_until(lambda: self.states(gateway) == ["up", "down", "down"], "two are down")
        self.assertEqual({answer.status for answer in self.ask(gateway, 20)}, {500})
        self.assertEqual(self.states(gateway), ["up", "down", "down"])

    # How long

    def test_time_grows(self):
        services = self.services(2)
        services[0].fails = True
        gateway = self.start(services, 'ejection = { consecutive = 1; time = "300ms"; max_time = "700ms"; };')
        for times, seconds in ((1, "0.3"), (2, "0.6"), (3, "0.7"), (4, "0.7")):
            wait_until(lambda: any(answer.status == 500 for answer in self.ask(gateway, 4)), "the next error")
            gateway.wait_error(rf"(?s)(is ejected for .*){{{times}}}")
            self.assertEqual(re.findall(r"is ejected for ([\d.]+) s", gateway.errors())[-1], seconds)
            self.assertEqual(self.endpoints(gateway)[0]["ejection"]["times"], times)
            wait_until(lambda: self.stat(gateway, "returns") == times, "its return is told")
            self.assertEqual(gateway.errors().count("is back after its ejection"), times)

    # By comparison

    def test_ratio(self):
        services = self.services(2)
        services[0].fails = lambda call: call % 3 == 0
        gateway = self.start(services, "ejection = { consecutive = 0; deviation = 0; ratio = 30; volume = 40; };", workers=4)
        wait_until(lambda: self.ask(gateway, 5) and self.states(gateway)[0] == "ejected", "it is ejected")
        gateway.wait_error(r"is ejected for 30.0 s: 1\d errors in 4\d calls")

    def test_deviation(self):
        """One in three fails, where the others never do."""
        services = self.services(6)
        services[4].fails = lambda call: call % 3 == 0
        gateway = self.start(services, "ejection = { consecutive = 0; volume = 20; };", workers=4)
        wait_until(lambda: self.ask(gateway, 12) and self.states(gateway)[4] == "ejected", "it is ejected")
        self.assertEqual(self.states(gateway).count("ejected"), 1)
        gateway.wait_error(r"is ejected for 30.0 s: [67]\d\.\d % of its answers are good, of all endpoints' 9")

    def test_slow(self):
        services = self.services(3)
        services[1].wait = 0.1
        gateway = self.start(services, "ejection = { consecutive = 0; deviation = 0; slow = 5; volume = 10; };", workers=2)
        wait_until(lambda: self.ask(gateway, 6) and self.states(gateway)[1] == "ejected", "it is ejected")
        self.assertEqual(self.states(gateway).count("ejected"), 1)
        gateway.wait_error(r"is ejected for 30.0 s: its answers take \d+\.\d ms, the others' \d\.\d ms")

    # Back

    def test_slow_start(self):
        """An endpoint that is back begins with a tenth of its share, and has all of it in the end."""
        services = self.services(2)
        services[0].fails = lambda call: call == 1
        gateway = self.start(services, """ejection = { consecutive = 1; time = "300ms"; };
            slow_start = { window = "600s"; least = 10; };""", workers=1)
        wait_until(lambda: any(answer.status == 500 for answer in self.ask(gateway, 4)), "an error")
        wait_until(lambda: self.states(gateway)[0] == "up", "it is back")
        before, since = services[0].calls, time.monotonic()
        self.ask(gateway, 220)
        self.assertAlmostEqual(services[0].calls - before, 20, delta=3)
        self.assertEqual(self.endpoints(gateway)[0]["share_percent"], 10)
        gateway.replace(upstreams=gateway.settings["upstreams"].replace("600s", f"{math.ceil(2 * (time.monotonic() - since)) + 3}s"))
        shares = []

        def whole():
            shares.append(self.endpoints(gateway)[0]["share_percent"])
            return shares[-1] == 100
        wait_until(whole, "its whole share", 40)
        self.assertGreater(len(set(shares)), 10, "it grew little by little")
        self.assertEqual(shares, sorted(shares))
        before = services[0].calls
        self.ask(gateway, 100)
        self.assertAlmostEqual(services[0].calls - before, 50, delta=1)
