"""A program that is installed in a folder of its own, for tests that install another one over it."""
import os
import shutil
import signal

from gatehouse import PROGRAM, Case, children, descriptors, wait_until

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
        """A gateway of it; commands come from the usual program, whatever is installed meanwhile."""
        gateway = self.gateway(program=self.program_path, **settings)
        gateway.program = PROGRAM
        return gateway

    def upgrade(self, gateway):
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, f"{done}{gateway.said()}")
        return done

    def script(self, *lines):
        """A program that isn't ours."""
        self.text("#!/bin/sh\n" + "\n".join(lines) + "\n")

    def text(self, text):
        path = os.path.join(self.folder, "text")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        self.install(path)

    def snapshot(self, gateway):
        """What an upgrade that fails must leave alone."""
        image = os.stat(f"/proc/{gateway.pid}/exe")
        return (image.st_dev, image.st_ino), sorted(children(gateway.pid)), descriptors(gateway.pid)

    def refused(self, gateway, pattern):
        """An upgrade that must fail: the reason is printed, and nothing is different afterwards."""
        before = self.snapshot(gateway)
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.text, pattern)
        self.assertIn("nothing was changed", done.text)
        gateway.wait_error("upgrade: nothing was changed")
        wait_until(lambda: self.snapshot(gateway) == before,
                   f"the same as before: {before}, {self.snapshot(gateway)}, {done}{gateway.said()}")

    def sound(self, gateway, body=b"one"):
        """It serves, replaces who dies, reloads, can be upgraded, and all that."""
        self.assertEqual(gateway.get("/").body, body)
        before = gateway.wait_processes("worker", 2)
        os.kill(before[0], signal.SIGKILL)
        gateway.deaths_expected = True
        self.assertIn(before[1], gateway.wait_processes("worker", 2, besides=before[:1]))
        self.assertEqual(gateway.get("/").body, body)
        gateway.reload()
        gateway.wait_processes("worker", 2, besides=before)
        self.install()
        self.upgrade(gateway)
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")
