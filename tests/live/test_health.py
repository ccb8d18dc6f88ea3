"""Probes of endpoints: who is up, who is down, what is remembered, and that nobody is asked more than is due."""
import os
import re
import signal
import threading
import time

from gatehouse import NGINX_HTTP, Case, answer, free_port, wait_until
from pair import ALL, RawOrigin


class Service:
    """Answers with its number; `/healthz` as it is told."""

    def __init__(self, case, number):
        self.number, self.healthy = number, True
        self.calls, self.probes = 0, 0
        self.origin = case.origin(self)
        self.text = self.origin.text

    def __call__(self, request, sock):
        if request.target == "/healthz":
            self.probes += 1
            return answer(b"fine", "200 OK" if self.healthy else "500 Internal Server Error")
        self.calls += 1
        return answer(b"%d" % self.number)


class Health(Case):
    HEALTH = 'health = { path = "/healthz"; interval = "200ms"; timeout = "1s"; rise = 2; fall = 3; };'

    def services(self, count):
        return [Service(self, number) for number in range(count)]

    def upstreams(self, services, settings):
        return "origin = { endpoints = ( %s ); %s };" % (", ".join(f'"{one.text}"' for one in services), settings)

    def start(self, services, settings=HEALTH, **more):
        return self.gateway(apis=ALL, upstreams=self.upstreams(services, settings), **more)

    def endpoint(self, gateway, number):
        status = gateway.status()
        return status and status["upstreams"][0]["endpoints"][number]

    def wait_state(self, gateway, number, state):
        return wait_until(lambda: (self.endpoint(gateway, number) or {}).get("state") == state and
                          self.endpoint(gateway, number), f"endpoint {number} is {state}{gateway.said()}")

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def ask(self, gateway, count=40):
        """The numbers of those that answered."""
        return {int(gateway.get("/").body) for _ in range(count)}

    def probed(self, service, count):
        """Until it was probed that many times more."""
        before = service.probes
        wait_until(lambda: service.probes >= before + count, "probes")

    # Down and up

    def test_down_and_up(self):
        services = self.services(3)
        gateway = self.start(services, workers=4)
        for service in services:
            self.probed(service, 1)
        self.assertEqual(self.ask(gateway), {0, 1, 2})
        services[1].healthy = False
        before = services[1].probes
        down = self.wait_state(gateway, 1, "down")
        self.assertLessEqual(services[1].probes - before, 5)
        self.assertEqual(down["health"]["state"], "down")
        self.assertEqual(down["health"]["why"], "it answered 500")
        self.assertEqual(len(gateway.status()["upstreams"][0]["endpoints"]), 3)
        calls = services[1].calls
        self.assertEqual(self.ask(gateway), {0, 2})
        self.assertEqual(services[1].calls, calls)
        self.assertRegex(gateway.run("status").out, re.escape(services[1].text) + r" +1 down .*it answered 500")
        services[1].healthy = True
        self.wait_state(gateway, 1, "up")
        self.assertEqual(self.ask(gateway), {0, 1, 2})
        gateway.wait_error("is up")
        said = gateway.errors()
        address = f"upstream origin: {services[1].text}"
        self.assertEqual(len(re.findall(re.escape(address) + r" is down: 3 failed probes in a row: it answered 500 "
                                        r"\(2 of 3 endpoints are left\)", said)), 1, "once a node")
        self.assertEqual(len(re.findall(re.escape(address) + r" is up: 2 good probes in a row", said)), 1)
        self.assertEqual((self.stat(gateway, "endpoints_down"), self.stat(gateway, "endpoints_up")), (1, 4))

    def test_nginx(self):
        """The same with a real server: a file that is there, or isn't."""
        ports, flags = [], []
        for number in range(2):
            ports.append(free_port())
            flags.append(os.path.join(self.folder, f"n{number}", "healthz"))
            self.run_nginx(ports[-1], f"""events {{ }}
                http {{ {NGINX_HTTP} server {{ listen 127.0.0.1:{ports[-1]};
                    location / {{ return 200 "{number}"; }} location = /healthz {{ root {os.path.dirname(flags[-1])}; }} }} }}""",
                           f"n{number}")
            with open(flags[-1], "w", encoding="utf-8") as file:
                file.write("fine")
        endpoints = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        gateway = self.gateway(apis=ALL, upstreams=f"origin = {{ endpoints = ( {endpoints} ); {self.HEALTH} }};", workers=4)
        wait_until(lambda: self.stat(gateway, "probes") >= 4, "probes")
        self.assertEqual(self.ask(gateway), {0, 1})
        os.unlink(flags[0])
        self.assertEqual(self.wait_state(gateway, 0, "down")["health"]["why"], "it answered 404")
        self.assertEqual(self.ask(gateway), {1})
        with open(flags[0], "w", encoding="utf-8") as file:
            file.write("fine")
        self.wait_state(gateway, 0, "up")
        self.assertEqual(self.ask(gateway), {0, 1})

    def test_few_failures_are_forgiven(self):
        """Two of three failures, then a good probe: nobody is down, and the count begins anew."""
        services = self.services(2)
        pattern = iter([True, False, False, True, False, False, True])
        done = threading.Event()
        plain = services[0].__call__

        def serve(request, sock):
            if request.target == "/healthz":
                services[0].healthy = next(pattern, None)
                if services[0].healthy is None:
                    services[0].healthy = True
                    done.set()
            return plain(request, sock)
        services[0].origin.serve = serve
        gateway = self.start(services)
        self.assertTrue(done.wait(20))
        self.assertEqual(self.stat(gateway, "endpoints_down"), 0)
        self.assertEqual(self.stat(gateway, "probes_failed"), 4)

    def test_one_prober_a_node(self):
        """Over reloads and kills too: an endpoint is asked as often as its interval says, and no more."""
        services = self.services(1)
        gateway = self.start(services, self.HEALTH.replace("200ms", "1s"), workers=4)
        gateway.deaths_expected = True
        self.probed(services[0], 1)
        before = services[0].probes
        for _ in range(5):
            gateway.replace()
        keeper = gateway.processes("keeper")[0]["pid"]
        os.kill(keeper, signal.SIGKILL)
        gateway.wait_processes("keeper", 1, [keeper])
        age = self.endpoint(gateway, 0)["health"]["probed_ms_ago"]
        self.assertLess(age, 3000)
        # As many as fit into the time since then, by the gateway's own clock of uptime.
        self.assertLessEqual(services[0].probes - before, gateway.status()["uptime_seconds"] * 10 / 9 + 2)

    # What is remembered

    def test_survives_reload_and_kill(self):
        services = self.services(2)
        gateway = self.start(services, self.HEALTH.replace("200ms", "1s").replace("fall = 3", "fall = 1"))
        gateway.deaths_expected = True
        services[0].healthy = False
        self.wait_state(gateway, 0, "down")
        self.assertEqual(self.ask(gateway), {1})
        gateway.replace()
        self.assertEqual(self.ask(gateway), {1}, "after a reload")
        self.assertEqual(self.endpoint(gateway, 0)["health"]["state"], "down")
        for role, count in (("keeper", 1), ("worker", 2)):
            before = [process["pid"] for process in gateway.processes(role)]
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            self.assertEqual(self.ask(gateway) if role == "keeper" else {1}, {1}, "while there is no keeper")
            gateway.wait_processes(role, count, before)
            self.assertEqual(self.ask(gateway), {1}, role)
        services[0].healthy = True
        self.wait_state(gateway, 0, "up")
        self.assertEqual(self.ask(gateway), {0, 1})

    def test_removed_and_added(self):
        """Without `health` what probes said holds no more; with it again they decide anew, and soon."""
        services = self.services(2)
        gateway = self.start(services)
        services[0].healthy = False
        self.wait_state(gateway, 0, "down")
        gateway.replace(upstreams=self.upstreams(services, ""))
        self.assertEqual(self.ask(gateway), {0, 1})
        self.assertNotIn("health", self.endpoint(gateway, 0))
        probes = services[0].probes
        self.ask(gateway)
        self.assertEqual(services[0].probes, probes)
        services[0].healthy = True
        gateway.replace(upstreams=self.upstreams(services, self.HEALTH))
        self.wait_state(gateway, 0, "up")
        self.assertEqual(self.ask(gateway), {0, 1})

    # None is left

    def test_panic(self):
        services = self.services(2)
        for service in services:
            service.healthy = False
        gateway = self.start(services)
        for number in (0, 1):
            self.wait_state(gateway, number, "down")
        self.assertEqual(self.ask(gateway), {0, 1}, "all are tried rather than none")
        gateway.wait_error(r"\(0 of 2 endpoints are left: all are tried\)")
        gateway.replace(upstreams=self.upstreams(services, self.HEALTH + "panic = false;"))
        self.problem(gateway.get("/"), 503, "healthy")
        services[1].healthy = True
        self.wait_state(gateway, 1, "up")
        self.assertEqual(self.ask(gateway), {1})

    def test_panic_of_one(self):
        services = self.services(1)
        services[0].healthy = False
        gateway = self.start(services)
        self.wait_state(gateway, 0, "down")
        self.assertEqual(self.ask(gateway, 3), {0})
        gateway.replace(upstreams=self.upstreams(services, self.HEALTH + "panic = false;"))
        self.problem(gateway.get("/"), 503, "healthy")

    def test_start_down(self):
        """Nobody is asked before its first probe, which alone decides."""
        services, held = self.services(2), threading.Event()
        plain = services[0].__call__

        def serve(request, sock):
            if request.target == "/healthz":
                held.wait(20)
            return plain(request, sock)
        services[0].origin.serve = serve
        gateway = self.start(services, self.HEALTH.replace("1s", "30s").replace("rise", 'start = "down"; rise'))
        self.wait_state(gateway, 1, "up")
        self.assertEqual(self.endpoint(gateway, 0)["health"]["state"], "unknown")
        self.assertEqual(self.ask(gateway), {1})
        held.set()
        self.wait_state(gateway, 0, "up")
        self.assertEqual(self.ask(gateway), {0, 1})

    def test_who_waits_gets_one_that_is_up_again(self):
        """A request that waits for a busy endpoint goes to another one as soon as that is up."""
        services, gate = self.services(2), threading.Event()
        plain = services[0].__call__

        def serve(request, sock):
            if request.target == "/held":
                gate.wait(30)
            return plain(request, sock)
        services[0].origin.serve = serve
        self.addCleanup(gate.set)
        services[1].healthy = False
        gateway = self.start(services, self.HEALTH + 'max_connections = 1; queue = { timeout = "20s"; };', workers=1)
        self.wait_state(gateway, 1, "down")
        with gateway.client() as holds, gateway.client() as waits:
            holds.send_head("GET", "/held")
            wait_until(lambda: self.endpoint(gateway, 0)["in_flight"] == 1, "it is busy")
            waits.send_head("GET", "/")
            wait_until(lambda: self.stat(gateway, "upstream_queued") == 1, "one waits")
            services[1].healthy = True
            self.assertEqual(waits.answer().body, b"1")
            gate.set()
            self.assertEqual(holds.answer().body, b"0")

    # Kinds of probes

    def test_tcp(self):
        services = self.services(2)
        silent = services[0].origin
        gateway = self.start(services, 'health = { interval = "200ms"; fall = 1; rise = 1; };')
        wait_until(lambda: self.stat(gateway, "probes") >= 4, "probes")
        self.assertEqual(self.ask(gateway), {0, 1})
        silent.close()
        down = self.wait_state(gateway, 0, "down")
        self.assertIn("can't connect", down["health"]["why"])
        self.assertEqual(silent.requests and {request.target for request in silent.requests}, {"/"})

    def test_body_status_host_port(self):
        said = {}

        def probe(request, sock):
            said[request.target] = (request.method, request.get("Host"))
            return answer(b"x" * 10000 + b"status: ready" + b"x" * 10000, "418 Teapot")
        services, checks = self.services(2), self.origin(probe)
        port = checks.port
        gateway = self.start(services, f"""health = {{ path = "/ready?a=b"; host = "check.example"; port = {port};
            method = "OPTIONS"; status = [ "204", "410-420" ]; body = "status: ready"; interval = "200ms"; fall = 1; }};""")
        wait_until(lambda: self.stat(gateway, "probes") >= 4, "probes")
        self.assertEqual(said, {"/ready?a=b": ("OPTIONS", "check.example")})
        self.assertEqual(self.stat(gateway, "probes_failed"), 0)
        gateway.replace(upstreams=gateway.settings["upstreams"].replace("status: ready", "status: other"))
        down = self.wait_state(gateway, 0, "down")
        self.assertIn("text", down["health"]["why"])
        gateway.replace(upstreams=gateway.settings["upstreams"].replace("status: other", "ready").replace("410", "419"))
        wait_until(lambda: "418" in str(self.endpoint(gateway, 1)["health"].get("why")), "the status")

    def test_time_out(self):
        """An endpoint that takes connections and never answers; and one that never ends its answer's body."""
        stuck = threading.Event()
        self.addCleanup(stuck.set)

        def silent(request, sock):
            stuck.wait(30)

        def endless(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            stuck.wait(30)
        gateway = self.start([self.origin(silent), self.origin(endless)],
                             'health = { path = "/"; body = "y"; interval = "100ms"; timeout = "200ms"; fall = 2; };')
        for number in (0, 1):
            self.assertEqual(self.wait_state(gateway, number, "down")["health"]["why"], "no answer within 200 ms")

    def test_a_keeper_that_stood_still(self):
        """It blames no endpoint for the time in which it was stopped itself."""
        services, held, armed, came = self.services(2), threading.Event(), threading.Event(), threading.Event()
        plain = services[0].__call__

        def serve(request, sock):
            if request.target == "/healthz" and armed.is_set():
                came.set()
                held.wait(20)
            return plain(request, sock)
        services[0].origin.serve = serve
        gateway = self.start(services, 'health = { path = "/healthz"; interval = "1s"; timeout = "500ms"; fall = 1; };',
                             extra='watchdog = "0";')
        keeper = gateway.processes("keeper")[0]["pid"]
        self.probed(services[0], 1)
        armed.set()
        self.assertTrue(came.wait(20))
        os.kill(keeper, signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() > stopped + 2, "a time in which the answer was due")
        armed.clear()
        held.set()
        os.kill(keeper, signal.SIGCONT)
        self.probed(services[0], 2)
        self.assertEqual((self.stat(gateway, "endpoints_down"), self.stat(gateway, "probes_failed")), (0, 0))

    def test_proxy_protocol(self):
        """A service that wants a PROXY header gets one with its probes too: of nobody."""
        heads = []

        def serve(sock):
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(4096)
            heads.append(data)
            sock.sendall(answer(b"", close=True))
        origin = RawOrigin(serve)
        self.addCleanup(origin.close)
        gateway = self.start([origin], 'proxy_protocol = "v1"; health = { path = "/healthz"; interval = "100ms"; };')
        wait_until(lambda: self.stat(gateway, "probes") >= 2, "probes")
        self.assertTrue(all(head.startswith(b"PROXY UNKNOWN\r\nGET /healthz ") for head in heads), heads)
