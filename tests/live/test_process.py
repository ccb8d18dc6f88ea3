"""The processes: how they start and stop, what they may do, and what happens when one of them doesn't."""
import grp
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import threading

from gatehouse import (DEADLINE, PROGRAM, UNDER, Case, Gateway, Load, alive, answer, children, command, descriptors,
                       end_process, get, limit, wait_until)

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'


def status_of(pid):
    """/proc/PID/status as a table."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def links(pid):
    """What the descriptors of a process lead to."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            pass
    return found


class Start(Case):
    def daemon(self, gateway, *under, **options):
        """Starts in the background; the starting command's end means that all are ready."""
        done = command("-c", gateway.config, **options)
        self.assertEqual(done.status, 0, done)
        with open(gateway.pidfile, encoding="utf-8") as file:
            gateway.pid = int(file.read())
        return gateway

    def test_in_the_background(self):
        gateway = Gateway(self.folder, apis=RESPOND)
        self.daemon(gateway)
        try:
            self.assertEqual(gateway.get("/").body, b"one")
            self.assertNotEqual(os.getsid(gateway.pid), os.getsid(0))
            self.assertEqual(os.readlink(f"/proc/{gateway.pid}/cwd"), "/")
            for number in (0, 1, 2):
                self.assertNotRegex(os.readlink(f"/proc/{gateway.pid}/fd/{number}"), "pts|pipe")
            done = gateway.run("stop")
            self.assertEqual(done.status, 0, done)
            wait_until(lambda: not alive(gateway.pid), "the master's end")
            self.assertFalse(os.path.exists(gateway.pidfile))
        finally:
            end_process(gateway.pid)

    def test_relative_configuration(self):
        """The path is made absolute before the folder changes: a reload still finds it."""
        gateway = Gateway(self.folder, apis=RESPOND)
        absolute, gateway.config = gateway.config, os.path.basename(gateway.config)
        self.daemon(gateway, cwd=self.folder)
        gateway.config = absolute
        try:
            gateway.reload(apis=RESPOND.replace("one", "two"))
            wait_until(lambda: gateway.get("/").body == b"two", "the new answer")
            self.assertEqual(gateway.run("stop").status, 0)
            wait_until(lambda: not alive(gateway.pid), "the master's end")
        finally:
            end_process(gateway.pid)

    def test_failure_is_reported(self):
        first = self.gateway(apis=RESPOND)
        other = Gateway(self.folder, "other", apis=RESPOND,
                        listeners=f'{{ listen = "127.0.0.1:{first.port}"; }}')
        done = command("-c", other.config)
        self.assertEqual(done.status, 1, done)
        self.assertIn(f"127.0.0.1:{first.port}", done.err)
        self.assertFalse(os.path.exists(other.pidfile))
        self.assertEqual(first.get("/").body, b"one")

    def test_a_second_instance(self):
        gateway = self.gateway(apis=RESPOND)
        for words in ((), ("-f",)):
            done = command("-c", gateway.config, *words)
            self.assertEqual(done.status, 1, done)
            self.assertIn(str(gateway.pid), done.err)
        self.assertEqual(gateway.get("/").body, b"one")

    def test_pid_one_in_a_container(self):
        """In a pid namespace of its own the program is process 1, and a TERM from outside ends it."""
        space = self.pid_namespace()
        gateway = Gateway(self.folder, apis=RESPOND)
        with open(gateway.output, "wb") as output:
            outer = subprocess.Popen([*space, "--kill-child", *UNDER, PROGRAM, "-f", "-c", gateway.config],
                                     stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: outer.poll() is not None or self.answers(gateway), "an answer")
            self.assertIsNone(outer.poll(), gateway.said())
            inner = list(children(outer.pid))[0]
            self.assertRegex(status_of(inner)["NSpid"], r"\t1$")
            os.kill(inner, signal.SIGTERM)
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

    def answers(self, gateway):
        try:
            return gateway.get("/").body == b"one"
        except OSError:
            return False

    def test_foreign_children_are_reaped(self):
        """As process 1 does: a child that the master never started, and that ends, leaves no zombie."""
        gateway = Gateway(self.folder, apis=RESPOND)
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        with open(gateway.output, "wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", 'cat "$0" & exec "$@"', fifo, *UNDER, PROGRAM, "-f", "-c", gateway.config],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: process.poll() is not None or self.answers(gateway), "an answer")
            count = len(children(process.pid))
            with open(fifo, "w", encoding="utf-8"):
                pass
            wait_until(lambda: len(children(process.pid)) == count - 1, "the foreign child's end")
            self.assertNotIn("Z", children(process.pid).values())
        finally:
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0, gateway.said())

    def test_unprivileged_user(self):
        if os.geteuid() != 0:
            self.assertEqual(self.gateway(apis=RESPOND).get("/").body, b"one")
            return
        folder = os.path.join(self.folder, "own")
        os.mkdir(folder)
        program = os.path.join(folder, "gatehouse")
        shutil.copy(PROGRAM, program)
        gateway = Gateway(folder, apis=RESPOND, user=None)
        nobody = pwd.getpwnam("nobody")
        for path in (folder, gateway.config, program):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        run = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *UNDER, program]
        with open(gateway.output, "wb") as output:
            process = subprocess.Popen([*run, "-f", "-c", gateway.config], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output)
        try:
            wait_until(lambda: process.poll() is not None or self.answers(gateway), "an answer")
            self.assertIsNone(process.poll(), gateway.said())
            done = subprocess.run([*run, "reload", "-c", gateway.config], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        finally:
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0, gateway.said())

    def test_privileges(self):
        if os.geteuid() != 0:
            self.forbidden("only root has privileges to drop")
        gateway = self.gateway(apis=RESPOND)
        nobody = pwd.getpwnam("nobody")
        roles = {role: gateway.processes(role)[0]["pid"] for role in ("worker", "keeper", "logger")}
        for role, pid in roles.items():
            status = status_of(pid)
            self.assertEqual(set(status["Uid"].split()), {str(nobody.pw_uid)}, role)
            self.assertEqual(set(status["Gid"].split()), {str(nobody.pw_gid)}, role)
            self.assertEqual(status["NoNewPrivs"], "1", role)
            self.assertEqual(int(status["CapEff"], 16), 0, role)
            self.assertFalse(set(status["Groups"].split()) - {str(nobody.pw_gid)}, role)

    def test_what_children_hold(self):
        """No child holds the pidfile or the control socket, no worker the logs, and only the master's own is left."""
        gateway = self.gateway(apis=RESPOND)
        for process in gateway.processes():
            if process["role"] == "master":
                continue
            held = links(process["pid"])
            self.assertNotIn(gateway.pidfile, held, process)
            if process["role"] != "logger":
                self.assertNotIn(gateway.access_log, held, process)

    def test_modes(self):
        gateway = self.gateway(apis=RESPOND)
        gateway.get("/")
        gateway.wait_access(1)
        for path, mode in ((gateway.error_log, 0o640), (gateway.access_log, 0o640), (gateway.control, 0o600),
                           (gateway.admin, 0o660)):
            self.assertEqual(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(mode), path)
        if os.geteuid() == 0:
            self.assertEqual(grp.getgrgid(os.stat(gateway.admin).st_gid).gr_name, "root")

    def test_unix_listener(self):
        path = os.path.join(self.folder, "listen.sock")
        gateway = self.gateway(apis=RESPOND, listeners=f'{{ listen = "unix:{path}"; mode = "0666"; }}')
        self.assertEqual(get(path, "/").body, b"one")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o666)
        gateway.signal(signal.SIGKILL)
        gateway.process.wait()
        gateway.finished = True
        again = Gateway(self.folder, apis=RESPOND, listeners=f'{{ listen = "unix:{path}"; mode = "0666"; }}')
        self.addCleanup(again.finish)
        again.start()
        wait_until(lambda: get(path, "/").body == b"one", "an answer behind the stale socket")


class Stop(Case):
    def slow_origin(self):
        self.gate = threading.Event()

        def serve(request, sock):
            self.gate.wait(DEADLINE)
            return answer(b"late")

        return self.origin(serve)

    def stop_with_requests(self, stop):
        """Every request whose head was read is answered; a new connection is refused."""
        origin = self.slow_origin()
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        clients = [gateway.client() for _ in range(16)]
        for client in clients:
            client.send_head("GET", "/slow")
        origin.wait(lambda o: len(o.requests) == 16)
        stop(gateway)

        def refused():
            try:
                gateway.client().close()
                return False
            except ConnectionRefusedError:
                return True

        wait_until(refused, "the listener's end")
        self.gate.set()
        for client in clients:
            got = client.answer()
            self.assertEqual((got.status, got.body), (200, b"late"))
            client.close()
        self.assertEqual(gateway.ended(), 0)

    def test_by_command(self):
        def stop(gateway):
            threading.Thread(target=gateway.run, args=("stop",)).start()

        self.stop_with_requests(stop)

    def test_by_term(self):
        self.stop_with_requests(lambda gateway: gateway.signal(signal.SIGTERM))

    def test_by_quit(self):
        self.stop_with_requests(lambda gateway: gateway.signal(signal.SIGQUIT))

    def test_now(self):
        origin = self.slow_origin()
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        with gateway.client() as client:
            client.send_head("GET", "/slow")
            origin.wait(lambda o: len(o.requests) == 1)
            gateway.signal(signal.SIGINT)
            self.assertEqual(gateway.ended(), 0)
            self.gate.set()

    @limit(90)
    def test_under_load(self):
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        load = Load(gateway.port, seconds=4)
        wait_until(lambda: (gateway.status() or {}) and len(gateway.accesses()) > 500, "load")
        self.assertEqual(gateway.stop(), 0)
        result = load.finish()
        self.assertEqual(result["status"] + result["timeout"], 0, result["text"])
        # What wrk got, and at most what each of its connections had on its way, was logged, or told as dropped: on a busy
        # machine the logger may not keep up.
        dropped = sum(map(int, re.findall(r"(\d+) log lines of .* were dropped", gateway.errors())))
        self.assertGreaterEqual(len(gateway.accesses()) + dropped, result["requests"])
        self.assertLessEqual(len(gateway.accesses()), result["requests"] + 64)


class Deaths(Case):
    def loaded(self, seconds=4, **settings):
        gateway = self.gateway(apis=PROXY, **settings,
                               upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        load = Load(gateway.port, seconds=seconds)
        wait_until(lambda: len(gateway.accesses()) > 500, "load")
        gateway.deaths_expected = True
        return gateway, load

    def test_worker_killed(self):
        gateway, load = self.loaded()
        before = gateway.wait_processes("worker", 2)
        held = max(process.get("connections", 64) for process in gateway.processes("worker"))
        os.kill(before[0], signal.SIGKILL)
        after = gateway.wait_processes("worker", 2, besides=before[:1])
        self.assertIn(before[1], after)
        result = load.finish()
        self.assertEqual(result["status"] + result["timeout"] + result["connect"], 0, result["text"])
        self.assertLessEqual(result["errors"], max(held, 64), result["text"])

    def replaced(self, role):
        gateway, load = self.loaded()
        before = gateway.wait_processes(role, 1)
        os.kill(before[0], signal.SIGKILL)
        gateway.wait_processes(role, 1, besides=before)
        result = load.finish()
        self.assertEqual(result["errors"], 0, result["text"])
        count = len(gateway.accesses())
        gateway.get("/after")
        gateway.wait_access(count + 1)
        gateway.reload()

    def test_keeper_killed(self):
        self.replaced("keeper")

    def test_logger_killed(self):
        self.replaced("logger")

    def test_worker_that_dies_at_once_comes_back_later(self):
        """The replacement of one that died within a second waits its turn, and comes."""
        gateway = self.gateway(apis=RESPOND, workers=1)
        gateway.deaths_expected = True
        known = []
        for _ in range(3):
            pid = gateway.wait_processes("worker", 1, besides=known)[0]
            known.append(pid)
            os.kill(pid, signal.SIGKILL)
        gateway.wait_processes("worker", 1, besides=known)
        self.assertEqual(gateway.get("/").body, b"one")

    def test_stopped_logger(self):
        """Traffic goes on while the logger hangs; lines are dropped, and counted."""
        gateway = self.gateway(apis=RESPOND, workers=1, log_extra='buffer = "64K";')
        logger = gateway.wait_processes("logger", 1)[0]
        os.kill(logger, signal.SIGSTOP)
        try:
            load = Load(gateway.port, seconds=2)
            result = load.finish()
        finally:
            os.kill(logger, signal.SIGCONT)
        self.assertEqual(result["errors"], 0, result["text"])
        self.assertGreater(result["requests"], 2000)
        gateway.wait_error(r"(?i)\d+ .*lines?.*(dropped|lost)|(dropped|lost).*\d+ .*line")
        found = re.search(r"(\d+) [^\n]*lines?[^\n]*(dropped|lost)", gateway.errors())
        if found:
            wait_until(lambda: len(gateway.accesses()) > 0, "lines behind the gap")

    def test_master_killed(self):
        """Workers serve on; a new master works beside them, then tells them to drain."""
        origin = self.origin()
        settings = {"apis": PROXY, "upstreams": f'origin = {{ endpoints = ( "{origin.text}" ); }};'}
        gateway = self.gateway(**settings)
        workers = gateway.wait_processes("worker", 2)
        gateway.signal(signal.SIGKILL)
        gateway.process.wait()
        gateway.finished = True
        for _ in range(10):
            self.assertEqual(gateway.get("/").status, 200)
        self.assertTrue(all(map(alive, workers)))
        again = Gateway(self.folder, **settings)
        again.port = gateway.port
        again.write()
        self.addCleanup(again.finish)
        again.start()
        wait_until(lambda: not any(map(alive, workers)), "the orphans' end")
        for _ in range(10):
            self.assertEqual(again.get("/").status, 200)
        wait_until(lambda: len(children(again.pid)) == 4, "its own processes alone")


class Logs(Case):
    def test_reopen(self):
        gateway = self.gateway(apis=RESPOND)
        gateway.get("/")
        gateway.wait_access(1)
        logger = gateway.wait_processes("logger", 1)[0]
        before = descriptors(logger)
        for path in (gateway.access_log, gateway.error_log):
            os.rename(path, path + ".1")
        done = gateway.run("reopen")
        self.assertEqual(done.status, 0, done)
        gateway.get("/")  # the command has waited for the logger: no line goes to the old file any more
        gateway.wait_access(1)
        with open(gateway.access_log + ".1", encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 1)
        wait_until(lambda: descriptors(logger) == before, "the old files' end")

    def test_reopen_while_the_logger_is_stopped(self):
        """The command says so after a while; the logger obeys once it runs again."""
        gateway = self.gateway(apis=RESPOND)
        logger = gateway.wait_processes("logger", 1)[0]
        os.kill(logger, signal.SIGSTOP)
        try:
            done = gateway.run("reopen", timeout=60)
        finally:
            os.kill(logger, signal.SIGCONT)
        self.assertEqual(done.status, 1, done)
        self.assertIn("the logger still writes to the old ones", done.err)
        gateway.wait_error("the logs were opened again")
        self.assertEqual(gateway.run("reopen").status, 0)

    def test_reopen_while_the_logger_dies(self):
        """Its successor has the new files from the start."""
        gateway = self.gateway(apis=RESPOND)
        gateway.deaths_expected = True
        logger = gateway.wait_processes("logger", 1)[0]
        os.kill(logger, signal.SIGSTOP)
        os.rename(gateway.access_log, gateway.access_log + ".1")
        told = []
        asking = threading.Thread(target=lambda: told.append(gateway.run("reopen")))
        asking.start()
        wait_until(lambda: os.path.exists(gateway.access_log), "the new file, which the master has opened")
        os.kill(logger, signal.SIGKILL)
        asking.join()
        self.assertEqual(told[0].status, 0, told[0])
        gateway.get("/")
        gateway.wait_access(1)

    def test_reopen_by_signal(self):
        gateway = self.gateway(apis=RESPOND)
        os.rename(gateway.access_log, gateway.access_log + ".1")
        gateway.signal(signal.SIGUSR1)
        gateway.wait_error("the logs were opened again")
        self.assertTrue(os.path.exists(gateway.access_log))
        gateway.get("/")
        gateway.wait_access(1)

    def test_no_symbolic_link_is_followed(self):
        gateway = Gateway(self.folder, apis=RESPOND)
        target = os.path.join(self.folder, "target")
        os.symlink(target, gateway.access_log)
        done = command("-c", gateway.config)
        if done.status == 0:
            gateway.run("stop")
        self.assertEqual(done.status, 1, done)
        self.assertFalse(os.path.exists(target))
