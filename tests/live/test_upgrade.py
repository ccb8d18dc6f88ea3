"""Upgrade: another program takes the place of the running one, with the same pid and no request lost; or nothing
changes."""
import os
import re
import shutil
import signal
import subprocess
import threading

from gatehouse import (DEADLINE, PROGRAM, UNDER, Gateway, Load, alive, children, descriptors, end_process, limit,
                       wait_until)
from installed import PROXY, Installed, respond
from test_reload import Traced


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

    def test_by_signal(self):
        gateway = self.installed(apis=respond("one"))
        before = gateway.wait_processes("worker", 2)
        gateway.told = b""
        gateway.signal(signal.SIGUSR2)
        gateway.wait_told(b"RELOADING=1")
        gateway.wait_told(b"READY=1\nMAINPID=%d" % gateway.pid)
        gateway.wait_processes("worker", 2, besides=before)
        self.sound(gateway)

    def test_pid_and_files_stay(self):
        """Nothing that was open is left open: not after one upgrade more than after another."""
        gateway = self.installed(apis=respond("one"))
        with open(gateway.pidfile, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), gateway.pid)
        held = []
        for _ in range(4):
            before = sorted(children(gateway.pid))
            self.upgrade(gateway)
            wait_until(lambda gone=before: not any(map(alive, gone)), "the old processes' end")
            gateway.wait_processes("worker", 2)
            held.append(descriptors(gateway.pid))
        self.assertEqual(len(set(held)), 1, held)
        with open(gateway.pidfile, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), gateway.pid)
        done = gateway.run("run", "-f")  # the lock holds still
        self.assertEqual(done.status, 1)
        self.assertIn(str(gateway.pid), done.err)

    def test_a_new_configuration_too(self):
        gateway = self.installed(apis=respond("one"))
        gateway.write(apis=respond("two"))
        self.upgrade(gateway)
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def test_by_a_symbolic_link(self):
        """What the name leads to now, not what it led to."""
        for version in ("1", "2"):
            os.mkdir(os.path.join(self.folder, version))
            shutil.copy(PROGRAM, os.path.join(self.folder, version, "gatehouse"))
        os.unlink(self.program_path)
        os.symlink("../1/gatehouse", self.program_path)
        gateway = self.installed(apis=respond("one"))
        self.assertEqual(os.readlink(f"/proc/{gateway.pid}/exe"), os.path.join(self.folder, "1", "gatehouse"))
        os.unlink(self.program_path)
        os.symlink("../2/gatehouse", self.program_path)
        self.upgrade(gateway)
        self.assertEqual(os.readlink(f"/proc/{gateway.pid}/exe"), os.path.join(self.folder, "2", "gatehouse"))

    def test_by_the_path(self):
        gateway = Gateway(self.folder, apis=respond("one"))
        process = subprocess.Popen(
            ["gatehouse", "-f", "-c", os.path.basename(gateway.config)], stdin=subprocess.DEVNULL, cwd=self.folder,
            env={**os.environ, "PATH": "/nowhere:sbin:" + os.environ["PATH"]}, executable=self.program_path)
        try:
            wait_until(lambda: process.poll() is not None or gateway.status(), "a status")
            gateway.pid = process.pid
            shutil.copy(PROGRAM, self.program_path + ".other")
            os.rename(self.program_path + ".other", self.program_path)
            self.upgrade(gateway)
            self.assertEqual(os.readlink(f"/proc/{process.pid}/exe"), self.program_path)
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0)
        finally:
            process.kill()

    def test_a_reload_meanwhile(self):
        """The configuration is read anew in any case; both are told."""
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        real = os.path.join(self.folder, "real")
        shutil.copy(PROGRAM, real)
        gateway = self.installed(apis=respond("one"))
        self.script(f"echo > {gate}", f"read line < {gate}", f'exec {real} "$@"')
        done = {}

        def order(name):
            done[name] = gateway.run(name)

        upgrade = threading.Thread(target=order, args=("upgrade",))
        upgrade.start()
        with open(gate, encoding="utf-8") as file:  # the trial has begun
            file.read()
        gateway.write(apis=respond("two"))
        reload = threading.Thread(target=order, args=("reload",))
        reload.start()
        before = len(children(gateway.pid))
        wait_until(lambda: self.control_clients(gateway) == 2, "the order to reload")
        self.assertEqual(len(children(gateway.pid)), before)
        for again in (False, True):  # the trial, then the upgrade
            if again:
                with open(gate, encoding="utf-8") as file:
                    file.read()
            with open(gate, "w", encoding="utf-8") as file:
                file.write("go\n")
        upgrade.join(DEADLINE)
        reload.join(DEADLINE)
        for name, outcome in done.items():
            self.assertEqual(outcome.status, 0, f"{name}: {outcome}{gateway.said()}")
        self.assertIn("generation 2 serves", done["reload"].text)
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def control_clients(self, gateway):
        """Connections to the control socket that the master has accepted."""
        with open("/proc/net/unix", encoding="utf-8") as file:
            inodes = {line.split()[6] for line in file if line.rstrip().endswith(gateway.control)}
        held = set()
        for name in os.listdir(f"/proc/{gateway.pid}/fd"):
            found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{gateway.pid}/fd/{name}"))
            held |= {found.group(1)} if found else set()
        return len(inodes & held) - 1  # the socket itself

    def test_in_the_background(self):
        gateway = Gateway(self.folder, apis=respond("one"), program=self.program_path)
        done = gateway.run("run")
        self.assertEqual(done.status, 0, done)
        gateway.program = PROGRAM
        with open(gateway.pidfile, encoding="utf-8") as file:
            gateway.pid = int(file.read())
        try:
            before = gateway.wait_processes("worker", 2)
            self.install()
            self.upgrade(gateway)
            gateway.wait_processes("worker", 2, besides=before)
            with open(gateway.pidfile, encoding="utf-8") as file:
                self.assertEqual(int(file.read()), gateway.pid)
            gateway.get("/")
            gateway.wait_access(1)
            self.assertEqual(gateway.run("stop").status, 0)
            wait_until(lambda: not alive(gateway.pid), "the master's end")
        finally:
            end_process(gateway.pid)

    def test_as_process_one(self):
        """In a pid namespace of its own, as in a container."""
        space = self.pid_namespace()
        gateway = Gateway(self.folder, apis=respond("one"))
        with open(gateway.output, "wb") as output:
            outer = subprocess.Popen([*space, "--kill-child", *UNDER, self.program_path, "-f", "-c", gateway.config],
                                     stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: outer.poll() is not None or gateway.status(), "a status")
            self.assertIsNone(outer.poll(), gateway.said())
            gateway.pid = list(children(outer.pid))[0]
            before = sorted(children(gateway.pid))
            self.install()
            self.upgrade(gateway)
            wait_until(lambda: not any(map(alive, before)), "the old processes' end")
            self.script("exit 1")
            self.refused(gateway, "exited with status 1")
            self.assertEqual(gateway.get("/").body, b"one")
            self.assertEqual(list(children(outer.pid)), [gateway.pid])
            os.kill(gateway.pid, signal.SIGTERM)
            self.assertEqual(outer.wait(DEADLINE), 0, gateway.said())
        finally:
            outer.kill()

    def pid_namespace(self):
        """How to start a program as process 1: with a /proc of its own where that can be mounted."""
        for words in (["unshare", "--pid", "--fork", "--mount-proc"], ["unshare", "--pid", "--fork"]):
            if subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                return words
        return self.forbidden("namespaces are not allowed here")


class Trial(Installed):
    """A new program that fails before the old one is gone."""

    def setUp(self):
        super().setUp()
        self.served = self.installed(apis=respond("one"), extra='start_timeout = "1s";')
        self.served.wait_processes("worker", 2)

    def refuses(self, pattern):
        self.refused(self.served, pattern)
        self.sound(self.served)

    def test_no_program(self):
        self.text("what is this?\n")
        self.refuses("can't be executed: Exec format error")

    def test_gone(self):
        os.unlink(self.program_path)
        self.refuses("can't be executed: No such file")

    def test_another_program(self):
        self.install("/bin/true")
        self.refuses("doesn't say that it can take over")

    def test_exits(self):
        self.script("echo a library is missing >&2", "exit 3")
        self.refuses(r"a library is missing(.|\n)*exited with status 3")

    def test_crashes(self):
        self.script("kill -SEGV $$")
        self.refuses("was killed by signal 11")

    def test_hangs(self):
        self.script("exec sleep 1000")
        self.refuses("start_timeout")

    def test_talks_without_end(self):
        self.script("exec yes")
        self.refuses("start_timeout")

    def test_a_broken_configuration(self):
        self.served.by_control = True
        before = dict(self.served.settings)
        self.served.write(apis="nonsense")
        self.refused(self.served, r"gatehouse\.conf:\d+: ")
        self.served.settings = before
        self.served.write()
        self.sound(self.served)

    def test_another_pidfile(self):
        self.served.by_control = True
        path = self.served.pidfile
        self.served.pidfile += ".other"
        self.served.write()
        self.refused(self.served, "pidfile: .*restart")
        self.served.pidfile = path
        self.served.write()
        self.sound(self.served)

    def test_another_size_of_the_shared_memory(self):
        """It would be cold, for a slip."""
        usual = 'size = "24M"; limits = "256K"; quotas = "64K"; concurrency = "256K";'  # as the harness has it
        self.served.write(state=f"state = {{ {usual} endpoints = 100; }};")
        self.refused(self.served, "endpoints can't be changed by an upgrade")
        self.served.write(state=f"state = {{ {usual} }};")
        self.sound(self.served)

    def test_more_workers_than_there_is_room_for(self):
        self.served.by_control = True
        self.served.write(workers=500)
        self.refused(self.served, "workers: .*restart")
        self.served.write(workers=2)
        self.sound(self.served)

    def test_stop_meanwhile(self):
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        self.script(f"echo > {gate}", "exec sleep 1000")
        self.served.reload(extra='start_timeout = "10m";')
        upgrade = threading.Thread(target=self.served.run, args=("upgrade",))
        upgrade.start()
        with open(gate, encoding="utf-8"):
            self.served.signal(signal.SIGTERM)
            self.assertEqual(self.served.ended(), 0)
        upgrade.join(DEADLINE)


class Return(Installed):
    """A new program that is executed, and whose processes don't become READY: the old one goes on."""

    def served(self, **settings):
        gateway = self.installed(apis=respond("one"), **settings)
        gateway.wait_processes("worker", 2)
        gateway.deaths_expected = True
        return gateway

    def test_workers_that_fail(self):
        gateway = self.served()
        self.install()
        with Traced(gateway.pid, "epoll_create1:error=EMFILE"):
            self.refused(gateway, "no event loop|can't start")
        self.sound(gateway)

    def test_workers_that_die(self):
        gateway = self.served()
        self.install()
        with Traced(gateway.pid, "epoll_create1:signal=SIGKILL"):
            self.refused(gateway, "was killed by signal 9")
        self.sound(gateway)

    def test_workers_that_never_get_ready(self):
        gateway = self.served(extra='start_timeout = "1s";')
        self.install()
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            self.refused(gateway, "was not ready within start_timeout")
        self.sound(gateway)

    def test_the_settings_are_as_they_were(self):
        """Whatever the file says by then."""
        gateway = self.served()
        gateway.write(apis=respond("other"))
        self.install()
        with Traced(gateway.pid, "epoll_create1:error=EMFILE"):
            self.refused(gateway, "no event loop|can't start")
        before = gateway.wait_processes("worker", 2)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        gateway.wait_processes("worker", 2, besides=before)
        self.assertEqual(gateway.get("/").body, b"one")
        gateway.reload()
        wait_until(lambda: gateway.get("/").body == b"other", "the new answer")

    def meanwhile(self, gateway):
        """A thread that upgrades to a program whose workers stop; returns when they have."""
        upgrade = threading.Thread(target=self.refused_later, args=(gateway,))
        before = len(children(gateway.pid))
        upgrade.start()
        wait_until(lambda: len(children(gateway.pid)) >= before + 3, "the new processes")
        return upgrade

    def refused_later(self, gateway):
        self.outcome = gateway.run("upgrade")

    def test_a_worker_that_dies_meanwhile(self):
        gateway = self.served(extra='start_timeout = "3s";')
        before = gateway.wait_processes("worker", 2)
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            upgrade = self.meanwhile(gateway)
            os.kill(before[0], signal.SIGKILL)
            upgrade.join(DEADLINE)
        self.assertEqual(self.outcome.status, 1, self.outcome)
        self.assertIn(before[1], gateway.wait_processes("worker", 2, besides=before[:1]))
        self.sound(gateway)

    def test_what_is_asked_meanwhile_is_done_later(self):
        gateway = self.served(extra='start_timeout = "3s";')
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            upgrade = self.meanwhile(gateway)
            os.rename(gateway.access_log, gateway.access_log + ".1")
            gateway.signal(signal.SIGUSR1)
            gateway.signal(signal.SIGHUP)
            upgrade.join(DEADLINE)
        self.assertEqual(self.outcome.status, 1, self.outcome)
        gateway.wait_error("generation 2 serves|reload: nothing was changed")  # its processes may have been stopped too
        wait_until(lambda: os.path.exists(gateway.access_log), "the new log file")
        self.sound(gateway)

    def test_stop_meanwhile(self):
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        gateway = self.served(extra='start_timeout = "10m";')
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            upgrade = self.meanwhile(gateway)
            self.assertEqual(gateway.stop(), 0)
            upgrade.join(DEADLINE)

    @limit(120)
    def test_under_load(self):
        gateway = self.installed(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        gateway.deaths_expected = True
        load = Load(gateway.port, seconds=8)
        count = 0
        with Traced(gateway.pid, "epoll_create1:error=EMFILE"):
            while load.running():
                self.refused(gateway, "no event loop|can't start")
                count += 1
        result = load.finish()
        self.assertGreater(count, 1)
        self.assertEqual(result["errors"], 0, f"{count} upgrades: {result['text']}{gateway.said()}")
