"""Upgrade: another program takes the place of the running one, with the same pid and no request lost; or nothing
changes."""
import os
import shutil

from gatehouse import PROGRAM, Case, Load, alive, limit, wait_until

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'


def respond(body):
    return ('{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "%s"; }; } ); }'
            % body)


class Installed(Case):
    """A program in a folder of its own, so that another one can be installed over it."""

    def setUp(self):
        super().setUp()
        self.program_path = os.path.join(self.folder, "sbin", "gatehouse")
        os.mkdir(os.path.dirname(self.program_path))
        self.install()

    def install(self, path=PROGRAM):
        """As `make install` does: the running program's file loses its name."""
        shutil.copy(path, self.program_path + ".new")
        os.rename(self.program_path + ".new", self.program_path)

    def installed(self, **settings):
        return self.gateway(program=self.program_path, **settings)

    def upgrade(self, gateway):
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, f"{done}{gateway.said()}")
        return done


class Same(Installed):
    def test_takes_over(self):
        gateway = self.installed(apis=respond("one"))
        before = {role: gateway.wait_processes(role, count) for role, count in
                  (("worker", 2), ("keeper", 1), ("logger", 1))}
        self.install()
        done = self.upgrade(gateway)
        self.assertRegex(done.out, "took over from .*generation 2 serves")
        self.assertEqual(os.readlink(f"/proc/{gateway.pid}/exe"), self.program_path)
        for role, pids in before.items():
            gateway.wait_processes(role, len(pids), besides=pids)
        wait_until(lambda: not any(alive(pid) for pids in before.values() for pid in pids), "the old processes' end")
        self.assertEqual(gateway.get("/").body, b"one")

    def load_while_upgrading(self, seconds, **options):
        gateway = self.installed(apis=PROXY,
                                 upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        load = Load(gateway.port, seconds=seconds, **options)
        count = 0
        while load.running():
            self.install()
            self.upgrade(gateway)
            count += 1
        result = load.finish()
        self.assertGreater(count, 1)
        self.assertGreater(result["requests"], 100)
        self.assertEqual(result["errors"], 0, f"{count} upgrades: {result['text']}{gateway.said()}")

    @limit(120)
    def test_under_load(self):
        self.load_while_upgrading(10)

    @limit(120)
    def test_under_load_of_new_connections(self):
        self.load_while_upgrading(10, fields=[("Connection", "close")])
