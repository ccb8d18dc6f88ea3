"""An overloaded worker refuses what is less important first."""
import os
import signal

from gatehouse import Case, Load, limit, wait_until

APIS = """{ name = "a"; routes = (
    { match = { path = "/low"; }; importance = "low"; respond = { status = 200; }; },
    { match = { path = "/normal"; }; respond = { status = 200; }; },
    { match = { path = "/high"; }; importance = "high"; respond = { status = 200; }; } ); }"""


class Shed(Case):
    def start(self, shed, **more):
        return self.gateway(workers=1, apis=APIS, extra=f"shed = {{ {shed} }};", **more)

    def statuses(self, gateway):
        return [gateway.get(path).status for path in ("/low", "/normal", "/high")]

    def hold_up(self, gateway, ms):
        """The worker doesn't run for that long and more, as if it had no processor; then it goes on."""
        (pid,) = gateway.wait_processes("worker", 1)
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: gateway.processes("worker")[0]["heartbeat_age_ms"] > 1000 + ms, "it is late")
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_by_lag(self):
        gateway = self.start('lag = "50ms"; hold = "1h";')
        self.assertEqual(self.statuses(gateway), [200, 200, 200])
        self.hold_up(gateway, 500)
        self.assertEqual(self.statuses(gateway), [503, 503, 200])
        refused = gateway.get("/low")
        details = self.problem(refused, 503)
        self.assertEqual(details["type"], "urn:gatehouse:problem:overloaded")
        self.assertIn(int(refused.get("Retry-After")), range(2, 5))
        self.problem(gateway.get("/nowhere"), 404)
        self.assertEqual(gateway.status()["stats"]["shed"], 3)
        gateway.wait_error(r"warning worker.*overloaded \(\d+ ms late, .*but those of high importance")

    def test_it_ends(self):
        gateway = self.start('lag = "50ms"; hold = "200ms";')
        self.hold_up(gateway, 500)
        wait_until(lambda: self.statuses(gateway) == [200, 200, 200], "nobody is refused")
        gateway.wait_error("less load .*nobody is refused any more")

    @limit(120)
    def test_by_work(self):
        """What comes to a worker has to wait for what others make it do: a pattern that takes long, again and again."""
        apis = APIS.replace('{ match = { path = "/low"; }', """{ match = { regex = "/(a+)+[cd]"; }; importance = "high"; respond = { status = 200; }; },
            { match = { path = "/low"; }""")
        gateway = self.gateway(workers=1, apis=apis, extra='shed = { lag = "5ms"; hold = "100ms"; };')
        self.assertEqual(self.statuses(gateway), [200, 200, 200])
        load = Load(gateway.port, "/" + "a" * 3000, seconds=60)
        self.addCleanup(load.process.wait)
        self.addCleanup(load.process.kill)
        wait_until(lambda: self.statuses(gateway) == [503, 503, 200], "the less important are refused")
        gateway.wait_error(r"overloaded \(\d+ ms late")
        self.assertTrue(load.running())
        load.process.kill()
        wait_until(lambda: self.statuses(gateway) == [200, 200, 200], "nobody is refused")

    def test_without_it_nothing_is_refused(self):
        gateway = self.gateway(workers=1, apis=APIS)
        self.hold_up(gateway, 500)
        self.assertEqual(self.statuses(gateway), [200, 200, 200])

    def test_by_memory(self):
        """The bound is put below what a worker has, by little and by much."""
        gateway = self.start('memory = "1T";')
        self.assertEqual(self.statuses(gateway), [200, 200, 200])
        for part, expected in ((0.9, [503, 200, 200]), (0.5, [503, 503, 200])):
            (pid,) = gateway.wait_processes("worker", 1)
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                resident, shared = (int(field) * os.sysconf("SC_PAGESIZE") for field in file.read().split()[1:3])
            gateway.replace(extra=f'shed = {{ memory = "{int((resident - shared) * part)}"; }};')
            wait_until(lambda: self.statuses(gateway) == expected, lambda: f"{part}{gateway.said()}")

    def test_the_nearest_level_decides(self):
        apis = APIS.replace('name = "a";', 'name = "a"; importance = "low";').replace(
            'match = { path = "/low"; }; importance = "low";', 'match = { path = "/low"; };').replace(
            'match = { path = "/normal"; };', 'match = { path = "/normal"; }; importance = "high";')
        gateway = self.gateway(workers=1, apis=apis, extra='shed = { lag = "50ms"; hold = "1h"; };')
        self.hold_up(gateway, 500)
        self.assertEqual(self.statuses(gateway), [503, 200, 200])
