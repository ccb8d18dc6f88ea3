"""Upgrades to a program that lays parts of the shared memory out otherwise: what fits goes on, the rest starts cold."""
import re
import struct
import subprocess

from gatehouse import Load, alive, answer, children, limit, wait_until
from installed import PROXY, Installed, respond
from test_reload import Traced


class Layout(Installed):
    """A new program that wants the shared memory otherwise."""

    def install_other(self, *zones):
        """The program, but the versions of these zones are one more."""
        self.install()
        with open(self.program_path, "r+b") as file:
            data = bytearray(file.read())
            for zone in zones:
                offset = self.offset_of(zone + "_kind") + 8  # behind the pointer to the name
                version, = struct.unpack_from("<I", data, offset)
                struct.pack_into("<I", data, offset, version + 1)
            file.seek(0)
            file.write(data)

    def offset_of(self, symbol):
        """Where a constant is in the program's file."""
        def lines(*words):
            return subprocess.run([*words, self.program_path], check=True, capture_output=True, text=True).stdout
        address = int(re.search(rf"^([0-9a-f]+) \w {symbol}$", lines("nm"), re.M).group(1), 16)
        for found in re.finditer(r"\] \S+ +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)",
                                 lines("readelf", "-S", "-W")):
            start, offset, size = (int(text, 16) for text in found.groups())
            if start <= address < start + size:
                return address - start + offset
        raise AssertionError(f"{symbol} is in no section")

    @limit(120)
    def test_limits_go_on(self):
        """What was let through is exactly what one node may, however many programs it was."""
        gateway = self.installed(apis=respond("one").replace("respond =", 'limit = { rate = "1/h"; burst = 20000; }; respond ='))
        load = Load(gateway.port, seconds=8)
        count = 0
        while load.running():
            self.install_other(*[[], ["slots"], ["stats"]][count % 3])
            self.upgrade(gateway)
            count += 1
        result = load.finish()
        self.assertGreater(count, 2)
        self.assertEqual(result["errors"], result["status"], result["text"])
        self.assertEqual(result["requests"] - result["status"], 20000, result["text"])

    def test_limits_of_another_layout_start_cold(self):
        gateway = self.installed(apis=respond("one").replace("respond =", 'limit = { rate = "1/h"; burst = 3; }; respond ='))
        self.assertEqual([gateway.get("/").status for _ in range(4)], [200, 200, 200, 429])
        self.install_other("slots")
        self.upgrade(gateway)
        self.assertEqual(gateway.get("/").status, 429)
        before = gateway.wait_processes("worker", 2)
        self.install_other("limits")
        self.assertRegex(self.upgrade(gateway).out, r"these start cold: .*limits \(its version is 2, was 1\)")
        gateway.wait_processes("worker", 2, besides=before)
        wait_until(lambda: not any(map(alive, before)), "the old workers' end")
        self.assertEqual([gateway.get("/").status for _ in range(4)], [200, 200, 200, 429])

    def test_breakers_stay_open(self):
        origin = self.origin(lambda request, sock: answer(b"broken", "500 Internal Server Error"))
        gateway = self.installed(apis=PROXY, upstreams=f"""origin = {{ endpoints = ( "{origin.text}" );
            breaker = {{ errors = 3; open = "1h"; max_open = "1h"; }}; }};""")
        self.assertEqual([gateway.get("/").status for _ in range(4)], [500, 500, 500, 503])
        for zones in ([], ["slots"]):
            self.install_other(*zones)
            before = gateway.wait_processes("worker", 2)
            self.upgrade(gateway)
            gateway.wait_processes("worker", 2, besides=before)
            self.assertEqual({gateway.get("/").status for _ in range(20)}, {503})
        self.assertEqual(len(origin.requests), 3)

    def test_health_is_known_on(self):
        healthy = {0: False, 1: True}

        def service(number):
            return lambda request, sock: answer(b"%d" % number, "200 OK" if request.target == "/" or healthy[number]
                                                else "500 Internal Server Error")

        origins = [self.origin(service(number)) for number in healthy]
        gateway = self.installed(apis=PROXY, upstreams=f"""origin = {{ health = {{ path = "/healthz"; interval = "1s"; fall = 1; }};
            endpoints = ( "{origins[0].text}", "{origins[1].text}" ); }};""")

        def state():
            return (gateway.status() or {"upstreams": [{"endpoints": [{}]}]})["upstreams"][0]["endpoints"][0].get("state")

        wait_until(lambda: state() == "down", "the endpoint is down")
        for zones in ([], ["slots"]):
            self.install_other(*zones)
            before = gateway.wait_processes("worker", 2)
            self.upgrade(gateway)
            self.assertEqual({gateway.get("/").body for _ in range(20)}, {b"1"})
            gateway.wait_processes("worker", 2, besides=before)
            self.assertEqual(state(), "down")

    def test_counters_start_cold(self):
        gateway = self.installed(apis=respond("one"))
        before = gateway.wait_processes("worker", 2)
        self.install_other("stats")
        done = self.upgrade(gateway)
        self.assertRegex(done.out, r"these start cold: stats \(its version is \d+, was \d+\)\n")
        gateway.wait_error("these start cold: stats")
        gateway.wait_processes("worker", 2, besides=before)
        self.assertEqual(gateway.get("/").body, b"one")
        self.sound(gateway)

    @limit(120)
    def test_processes_of_both_layouts_under_load(self):
        """Nothing is lost, not a line of the log either: the old workers have the old logger until they are gone."""
        gateway = self.installed(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};',
                                 state='state = { size = "256M"; };', log_extra='buffer = "8M";',
                                 extra="max_generations = 2;")  # rings for some seconds without a logger
        load = Load(gateway.port, seconds=10)
        count = 0
        while load.running():
            before = sorted(children(gateway.pid))
            zones = [["slots"], [], ["wake", "stats"], ["logs"]][count % 4]
            self.install_other(*zones)
            done = self.upgrade(gateway)
            if zones:
                self.assertRegex(done.out, "these start cold: slots .*wake .*logs ")
            wait_until(lambda gone=before: not any(map(alive, gone)),
                       lambda: f"the old processes' end{gateway.said()}")
            count += 1
        result = load.finish()
        self.assertGreater(count, 1)
        self.assertEqual(result["errors"], 0, f"{count} upgrades: {result['text']}{gateway.said()}")
        wait_until(lambda: len(gateway.accesses()) >= result["requests"],
                   lambda: f"{result['requests']} lines, {len(gateway.accesses())}{gateway.said()}")
        self.assertNotIn("dropped", gateway.errors())
        gateway.wait_processes("worker", 2)
        self.assertEqual(len(gateway.processes("logger")), 1)

    def test_back_from_another_layout(self):
        gateway = self.installed(apis=respond("one"))
        gateway.deaths_expected = True
        before = gateway.wait_processes("worker", 2)
        self.install_other("slots")
        with Traced(gateway.pid, "epoll_create1:error=EMFILE"):
            self.refused(gateway, "no event loop|can't start")
        self.assertEqual(gateway.wait_processes("worker", 2), before)
        self.sound(gateway)
