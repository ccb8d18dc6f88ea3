"""The watchdog: a worker whose heart stopped is replaced; one that only stood still with all the others is not."""
import os
import platform
import re
import select
import signal
import subprocess

from gatehouse import UNDER, Case, Load, alive, children, limit, wait_until

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'
SILENT = r"shows no sign of life for ([0-9.]+) s \(watchdog\)"


def address_of(pid, symbol):
    """Where a function of the program is in a running process."""
    path = os.readlink(f"/proc/{pid}/exe")
    names = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    offset = int(re.search(rf"^([0-9a-f]+) T {symbol}$", names, re.M).group(1), 16)
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        for line in file:
            if line.rstrip().endswith(path):
                return int(line.split("-")[0], 16) + offset
    raise AssertionError(f"{path} is not in the memory of {pid}")


class Watchdog(Case):
    def watched(self, seconds="2s", **settings):
        settings.setdefault("apis", RESPOND)
        gateway = self.gateway(extra=f'watchdog = "{seconds}"; ' + settings.pop("extra", ""), **settings)
        gateway.deaths_expected = True
        return gateway

    def loop_endlessly(self, pid):
        """The first instruction of what each turn of the loop calls becomes a jump to itself."""
        if platform.machine() not in ("x86_64", "i686"):
            self.forbidden("the test knows the instructions of x86 only")
        try:
            with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(address_of(pid, "shared_log_flush"))
                memory.write(b"\xeb\xfe")
        except OSError as error:
            self.forbidden(f"the memory of another process can't be written to: {error}")

    def test_endless_loop(self):
        if UNDER:
            self.forbidden("valgrind runs a copy of the instructions")
        gateway = self.watched()
        before = gateway.wait_processes("worker", 2)
        self.loop_endlessly(before[0])
        after = gateway.wait_processes("worker", 2, besides=before[:1])
        self.assertIn(before[1], after)
        self.assertRegex(gateway.errors(), rf"worker \d \(pid {before[0]}\) {SILENT}")
        gateway.wait_error(rf"\(pid {before[0]}\) was killed by signal 6")

    def test_stopped(self):
        """Only SIGKILL helps. What the others do goes on, what waits for it fails, and no more."""
        gateway = self.watched(apis=PROXY,
                               upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        before = gateway.wait_processes("worker", 2)
        load = Load(gateway.port, seconds=8)
        wait_until(lambda: len(gateway.accesses()) > 500, "load")
        held = max(process["connections"] for process in gateway.processes("worker"))
        os.kill(before[0], signal.SIGSTOP)
        after = gateway.wait_processes("worker", 2, besides=before[:1])
        self.assertIn(before[1], after)
        gateway.wait_error(rf"\(pid {before[0]}\) was killed by signal 9")
        result = load.finish()
        self.assertEqual(result["status"] + result["connect"], 0, result["text"])
        self.assertLessEqual(result["errors"], max(held, 64), result["text"])
        self.assertEqual(len(re.findall(SILENT, gateway.errors())), 1)

    def test_keeper(self):
        gateway = self.watched()
        keeper = gateway.wait_processes("keeper", 1)
        os.kill(keeper[0], signal.SIGSTOP)
        gateway.wait_error(rf"keeper \(pid {keeper[0]}\) was killed by signal 9")
        gateway.wait_processes("keeper", 1, besides=keeper)

    def test_one_at_a_time(self):
        gateway = self.watched(workers=3)
        before = gateway.wait_processes("worker", 3)
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        gateway.wait_processes("worker", 3, besides=before)
        events = re.findall(r"worker \d \(pid (\d+)\) (?:(shows) no sign|(was) killed by)", gateway.errors())
        self.assertEqual(len(events), 6, events)
        for first, second in zip(events[::2], events[1::2]):
            self.assertEqual((first[0], first[1], second[2]), (second[0], "shows", "was"), events)

    def test_draining(self):
        """Also one of an older generation, for which nobody waits."""
        gateway = self.watched(extra='drain_timeout = "1h";')
        before = gateway.wait_processes("worker", 2)
        os.kill(before[0], signal.SIGSTOP)
        gateway.reload()
        wait_until(lambda: not any(map(alive, before)), "the old workers' end")
        gateway.wait_error(rf"\(pid {before[0]}\) {SILENT}")

    def passes(self, gateway, seconds):
        """Waits until the master has run for so long."""
        until = gateway.status()["uptime_seconds"] + seconds
        wait_until(lambda: (gateway.status() or {"uptime_seconds": 0})["uptime_seconds"] >= until, f"{seconds} s")

    def test_off(self):
        gateway = self.watched("0")
        before = gateway.wait_processes("worker", 2)
        os.kill(before[0], signal.SIGSTOP)
        self.passes(gateway, 5)
        self.assertTrue(alive(before[0]))
        os.kill(before[0], signal.SIGCONT)
        self.assertNotRegex(gateway.errors(), SILENT)

    def test_the_logger_may_block(self):
        gateway = self.watched()
        logger = gateway.wait_processes("logger", 1)
        os.kill(logger[0], signal.SIGSTOP)
        self.passes(gateway, 5)
        os.kill(logger[0], signal.SIGCONT)
        self.assertEqual(gateway.wait_processes("logger", 1), logger)

    @limit(90)
    def test_frozen_and_thawed(self):
        """As a container is by `docker pause`, or by a laptop's lid: whoever is thawed first, nobody is lost."""
        gateway = self.watched()
        processes = [gateway.pid, *children(gateway.pid)]
        for order in (processes, processes[::-1]):
            for pid in order:
                os.kill(pid, signal.SIGSTOP)
            select.select([], [], [], 3)  # the time that the test is about
            for pid in order:
                os.kill(pid, signal.SIGCONT)
                select.select([], [], [], 0.1)
            self.passes(gateway, 3)
        self.assertEqual(sorted(children(gateway.pid)), sorted(processes[1:]))
        self.assertNotRegex(gateway.errors(), SILENT)
        self.assertEqual(gateway.get("/").body, b"one")
