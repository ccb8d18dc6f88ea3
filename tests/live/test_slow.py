"""Attacks by slowness, as slowhttptest makes them: all its modes at once, and a client like others who is served meanwhile."""
import os
import re
import subprocess

from gatehouse import limit, wait_until
from pair import Pair
from peers import answer

CONNECTIONS = 150
MODES = {  # its own words for what is slow, and how the attack ends
    "-H -i 2 -l 40": "No open connections left",  # heads, from which the gateway cuts off
    "-B -i 2 -l 40": "No open connections left",  # bodies, likewise
    "-R -l 40": "No open connections left",  # ranges: a head that is merely long
    "-X -l 5 -w 10 -y 20 -n 1 -z 5": "",  # answers: it may read on what it has, though the gateway closed
}


class Slow(Pair):
    def attack(self, gateway, mode):
        path = os.path.join(self.folder, "slow" + mode[1])
        command = ["slowhttptest", *mode.split(), "-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-p", "10",
                   "-u", f"http://127.0.0.1:{gateway.port}/{'large' if mode[1] == 'X' else 'small'}"]
        with open(path, "wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, path

    @limit(120)
    def test_slowhttptest(self):
        large = b"x" * 4000000
        gateway, _ = self.pair(lambda request, sock: answer(large if request.target == "/large" else b"small"), extra="""client = {
            header_timeout = "1s"; body_timeout = "1s"; send_timeout = "1s"; keepalive_timeout = "1s"; };""")
        attacks = {mode: self.attack(gateway, mode) for mode in MODES}
        served = 0
        while any(process.poll() is None for process, _ in attacks.values()):
            self.assertEqual(gateway.get("/fine").body, b"small")
            served += 1
        self.assertGreater(served, 0)
        for mode, (process, path) in attacks.items():
            with open(path, encoding="utf-8", errors="replace") as file:
                said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", file.read())
            self.assertEqual(process.returncode, 0, said[-2000:])
            self.assertIn("Exit status: " + MODES[mode], said, mode)
            self.assertIn("service available:   YES", said, mode)
            self.assertNotIn("service available:   NO", said, mode)
        wait_until(lambda: [process["connections"] for process in gateway.processes("worker")] == [0], "the last connections to be closed")
        stats = gateway.status()["stats"]
        self.assertGreaterEqual(stats["connections"], served + len(MODES) * CONNECTIONS)
        self.assertGreaterEqual(stats["aborted"], CONNECTIONS, "slow readers were let go")
        wait_until(lambda: [line["status"] for line in gateway.accesses()].count(408) == 2 * CONNECTIONS,
                   "slow heads and slow bodies to be told")
