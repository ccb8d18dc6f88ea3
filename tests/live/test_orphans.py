"""Orphans: the master was killed; its workers serve on, and a new master takes over with nothing lost."""
import os
import signal

from gatehouse import Case, Gateway, Load, alive, children, limit, wait_until

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'


def title(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read()


class Orphans(Case):
    def kill(self, gateway):
        """The master alone; the workers' end is looked for by the next one."""
        gateway.signal(signal.SIGKILL)
        gateway.process.wait()
        gateway.finished = True
        gateway.notify.close()

    def next(self, gateway, **settings):
        again = Gateway(self.folder, **{**gateway.settings, **settings})
        again.port = gateway.port
        again.write()
        self.addCleanup(again.finish)
        again.start()
        return again

    def load_while_killed(self, seconds, **options):
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        load = Load(gateway.port, seconds=seconds, **options)
        count = 0
        while load.running():
            workers = gateway.wait_processes("worker", 2)
            self.kill(gateway)
            gateway = self.next(gateway)
            wait_until(lambda orphans=workers: not any(map(alive, orphans)), "the orphans' end")
            count += 1
        result = load.finish()
        self.assertGreater(count, 1)
        self.assertEqual(result["errors"], 0, f"{count} masters: {result['text']}{gateway.said()}")
        wait_until(lambda: len(children(gateway.pid)) == 4, "its own processes alone")

    def test_new_connections_come_to_the_new_workers_only(self):
        """Else what waits in the old ones' queue when they close it would be lost. Twice: also beside two of them."""
        gateway = self.gateway(apis=RESPOND)
        stopped = []
        for _ in range(2):
            workers = gateway.wait_processes("worker", 2)
            self.kill(gateway)
            for pid in workers:
                wait_until(lambda orphan=pid: "orphan of" in title(orphan), "an orphan")
                os.kill(pid, signal.SIGSTOP)
            stopped += workers
            gateway = self.next(gateway)
            for _ in range(200):
                self.assertEqual(gateway.get("/").body, b"one")
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        gateway.wait_error(r"\d processes of a killed master were told to drain")
        wait_until(lambda: not any(map(alive, stopped)), "the orphans' end")
        for _ in range(200):
            self.assertEqual(gateway.get("/").body, b"one")

    @limit(120)
    def test_under_load(self):
        self.load_while_killed(10)

    @limit(120)
    def test_under_load_of_new_connections(self):
        self.load_while_killed(10, fields=[("Connection", "close")])
