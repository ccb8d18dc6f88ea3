"""The harness of the live tests: the real program, started, watched and stopped.

    GATEHOUSE         the program to test
    GATEHOUSE_UNDER   what to run it under (valgrind …), with its options
    GATEHOUSE_TEMP    a folder for this test alone; the runner makes and removes it

Nothing here waits by the clock: readiness is told by the program (the notification socket), and whatever else is
waited for is a condition with a deadline.
"""
import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

from peers import Client, Message, Origin, Reader, Load, answer, free_port, get  # noqa: F401: for the tests

PROGRAM = os.environ.get("GATEHOUSE", "")
UNDER = os.environ.get("GATEHOUSE_UNDER", "").split()
DEADLINE = 60 if UNDER else 20  # seconds within which what must happen happens
REPORT = re.compile(r"Sanitizer|runtime error:|==\d+== |Assertion .* failed|\*\*\* .* \*\*\*")
DIED = re.compile(r"was killed by signal|exited with status [1-9]")


def sanitized():
    """Whether the program under test was built with sanitizers: it is slower then, and its memory grows."""
    with open(PROGRAM, "rb") as file:
        return b"__asan_init" in file.read()


def slow():
    return bool(UNDER) or sanitized()


def wait_until(condition, what, seconds=DEADLINE):
    """Asks `condition` until it gives something true, and returns that. `what`: in words, or a function that finds them
    when it was in vain."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {what() if callable(what) else what}")
        select.select([], [], [], 0.01)


def limit(seconds):
    """Gives a test more time than the runner's usual limit."""

    def mark(function):
        function.limit = seconds
        return function

    return mark


def alone(function):
    """For a test that measures time or work: no other runs beside it."""
    function.alone = True
    return function


class Case(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix=self._testMethodName[:20] + ".", dir=os.environ.get("GATEHOUSE_TEMP"))
        os.chmod(self.folder, 0o755)

    def forbidden(self, why):
        """Ends a test that the kernel or the container around us doesn't let us make. The runner tells it; what is
        merely missing is a failure."""
        raise unittest.SkipTest(why)

    def gateway(self, **settings):
        """A gateway that runs, and is stopped and looked over at the test's end."""
        gateway = Gateway(self.folder, **settings)
        self.addCleanup(gateway.finish)
        gateway.start()
        return gateway

    def origin(self, serve=None, address=None):
        origin = Origin(serve, address)
        self.addCleanup(self.close_origin, origin)
        return origin

    def close_origin(self, origin):
        origin.close()
        self.assertEqual(origin.errors, [], "what the gateway sent to the origin")

    def program(self, name, port, config, *command):
        """A server of Debian's, started by `command` and the path of its configuration, that listens on the port."""
        program = Program(os.path.join(self.folder, name), config, command)
        self.addCleanup(program.stop)
        program.wait(port)

    def run_nginx(self, port, config, name="nginx"):
        """An nginx with these blocks, in a folder of that name."""
        self.program(name, port, f"""
            {'user root;' if os.geteuid() == 0 else ''} daemon off; master_process off; pid nginx.pid; error_log error.log;
            {config}
            """, "nginx", "-p", os.path.join(self.folder, name), "-e", "error.log", "-c")

    def nginx(self, body="hello", name="nginx"):
        """The port of an nginx that answers everything with `body`, for load."""
        port = free_port()
        self.run_nginx(port, f"""events {{ worker_connections 4096; }}
            http {{ {NGINX_HTTP} keepalive_requests 1000000000; keepalive_timeout 1h;
                server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }} }}""", name)
        return port

    def problem(self, message, status, says=""):
        """Checks that an answer is problem details (RFC 9457) with that status."""
        self.assertEqual(message.status, status, message)
        self.assertEqual(message.get("Content-Type"), "application/problem+json", message)
        details = json.loads(message.body)
        self.assertEqual(details["status"], status)
        for member in ("type", "title", "instance"):
            self.assertIn(member, details)
        self.assertIn(says, json.dumps(details))
        return details


class Done:
    """How a command ended."""

    def __init__(self, process):
        self.status, self.out, self.err = process.returncode, process.stdout, process.stderr
        self.text = self.out + self.err

    def __repr__(self):
        return f"status {self.status}\n{self.text}"


def command(*words, timeout=DEADLINE, program=PROGRAM, **options):
    """Runs the program with these arguments to its end."""
    process = subprocess.run([*UNDER, program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=timeout, **options)
    done = Done(process)
    if REPORT.search(done.err):
        raise AssertionError(f"a report in the output of {words}: {done.err}")
    return done


class Gateway:
    """A gateway with a configuration of its own in `folder`.

    The settings are pieces of configuration: `apis` and `upstreams` (what stands between the brackets), `listeners`
    (default: one, on self.port), `workers`, `extra` (further lines). `log`, `state` and `admin` replace those groups, `log_extra` stands in the usual `log`.
    """

    def __init__(self, folder, name="gatehouse", **settings):
        self.folder, self.name = folder, name
        self.port = free_port()
        self.config = os.path.join(folder, name + ".conf")
        self.error_log = os.path.join(folder, name + ".error.log")
        self.access_log = os.path.join(folder, name + ".access.log")
        self.output = os.path.join(folder, name + ".output")
        self.pidfile = os.path.join(folder, name + ".pid")
        self.control = os.path.join(folder, name + ".control")
        self.admin = os.path.join(folder, name + ".admin")
        self.settings = {"workers": 2, "apis": "", "upstreams": "", "extra": ""}
        self.process = self.notify = None
        self.deaths_expected = False
        self.by_control = False
        self.program = settings.pop("program", PROGRAM)
        self.finished = False
        self.write(**settings)

    # Configuration

    def write(self, **settings):
        """Changes settings and writes the file anew."""
        self.settings.update(settings)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.text())

    def text(self):
        said = self.settings
        user = said.get("user", "nobody" if os.geteuid() == 0 else None)
        parts = [
            f"workers = {said['workers']};",
            f'user = "{user}";' if user else "",
            f'pidfile = "{self.pidfile}"; control = "{self.control}";',
            said.get("state", 'state = { size = "24M"; limits = "256K"; quotas = "64K"; concurrency = "256K"; };'),
            said.get("log", f"""log = {{ error = "{self.error_log}"; level = "info"; {said.get("log_extra", "")}
                access = {{ file = "{self.access_log}"; format = "json"; }}; }};"""),
            said.get("admin", f'admin = {{ socket = "{self.admin}"; }};'),
            "listeners = (" + said.get("listeners", f'{{ name = "main"; listen = "127.0.0.1:{self.port}"; }}') + ");",
            "upstreams = {" + said["upstreams"] + "};",
            "apis = (" + said["apis"] + ");",
            said["extra"],
        ]
        return "\n".join(textwrap.dedent(part) for part in parts if part) + "\n"

    # The process

    def start(self, expect_failure=False):
        """Starts in the foreground and waits for READY."""
        path = os.path.join(self.folder, self.name + ".notify")
        if os.path.exists(path):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.told = b""
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [*UNDER, self.program, "run", "-c", self.config, "-f"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env={**os.environ, "NOTIFY_SOCKET": path}, cwd=self.folder)
        self.pid = self.process.pid
        self.wait_told(b"READY=1")

    def wait_told(self, words, seconds=DEADLINE):
        """Waits until the program told the service manager `words`; fails at once if it ended instead."""
        end = time.monotonic() + seconds
        ended = os.pidfd_open(self.pid)
        try:
            while words not in self.told:
                left = end - time.monotonic()
                ready, _, _ = select.select([self.notify, ended], [], [], max(0, left))
                if self.notify in ready:
                    self.told += self.notify.recv(4096) + b"\n"
                elif ended in ready:
                    raise AssertionError(f"the gateway ended with {self.process.wait()}: {self.said()}")
                elif left <= 0:
                    raise AssertionError(f"the gateway did not tell {words} within {seconds} s: {self.said()}")
        finally:
            os.close(ended)

    def run(self, name, *words, timeout=DEADLINE):
        """A command for this gateway; `by_control` when its configuration says no more where it listens."""
        where = ("--control", self.control) if self.by_control else ()
        return command(name, "-c", self.config, *where, *words, timeout=timeout, program=self.program)

    def reload(self, **settings):
        """Changes settings, reloads, and demands that it worked."""
        if settings:
            self.write(**settings)
        done = self.run("reload")
        if done.status != 0:
            raise AssertionError(f"reload: {done}{self.said()}")
        return done

    def replace(self, **settings):
        """A reload after which no old worker accepts any more: what is asked now, the new ones answer."""
        before = [process["pid"] for process in self.processes("worker")]
        self.reload(**settings)
        self.wait_processes("worker", self.settings["workers"], before)

    def stop(self, timeout=DEADLINE):
        done = self.run("stop", timeout=timeout)
        if done.status != 0:
            raise AssertionError(f"stop: {done}")
        return self.ended(timeout)

    def signal(self, number):
        os.kill(self.pid, number)

    def ended(self, timeout=DEADLINE):
        """Waits for the end of the master: its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway did not end within {timeout} s: {self.said()}") from None

    def finish(self):
        """Stops it if it runs, and looks the remains over: status, reports, deaths, files."""
        if self.finished or self.process is None:
            return
        self.finished = True
        children = descendants(self.pid)
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
        try:
            status = self.ended()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            for pid in children:
                end_process(pid)
            self.notify.close()
        said = self.said()
        if status != 0:
            raise AssertionError(f"the gateway ended with {status}: {said}")
        if REPORT.search(said):
            raise AssertionError("a report in the output: " + said)
        died = DIED.search(said)
        if died and not self.deaths_expected:
            raise AssertionError("a process died: " + said)
        if os.path.exists(self.pidfile):
            raise AssertionError("the pidfile is left")

    # What it says

    def said(self):
        """The error log and the output, the end of them."""
        text = ""
        for path in (self.output, self.error_log):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += f"\n--- {os.path.basename(path)}\n{file.read()[-6000:]}"
        return text

    def errors(self):
        with open(self.error_log, encoding="utf-8") as file:
            return file.read()

    def wait_error(self, pattern, seconds=DEADLINE):
        """Waits until a line of the error log matches."""
        return wait_until(lambda: os.path.exists(self.error_log) and re.search(pattern, self.errors()),
                          lambda: f"{pattern!r} in the error log{self.said()}", seconds)

    def accesses(self):
        """The whole lines of the access log so far, parsed."""
        if not os.path.exists(self.access_log):
            return []
        with open(self.access_log, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def wait_access(self, count, seconds=DEADLINE):
        return wait_until(lambda: len(self.accesses()) >= count and self.accesses(), f"{count} lines in the access log",
                          seconds)

    def status(self):
        """What `status --json` says, or None while nothing answers."""
        done = self.run("status", "--json")
        return json.loads(done.out) if done.status == 0 else None

    def processes(self, role=None, states=("serving",)):
        """The processes in the status, of one role, in these states (None: any)."""
        status = self.status() or {"processes": []}
        return [process for process in status["processes"]
                if (role is None or process["role"] == role) and (states is None or process["state"] in states)]

    def wait_processes(self, role, count, besides=()):
        """Waits until `count` processes of the role serve, none of them in `besides`; their pids."""

        def look():
            pids = sorted(process["pid"] for process in self.processes(role))
            return len(pids) == count and not set(pids) & set(besides) and pids

        return wait_until(look, lambda: f"{count} × {role}: {self.status()}{self.said()}")

    def get(self, target, **options):
        return get(self.port, target, **options)

    def client(self, port=None, source=None):
        return Client(port or self.port, source=source)


def children(pid):
    """The processes whose parent is `pid`: {pid: state}."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read_stat(int(name))
            if stat and int(stat[1]) == pid:
                found[int(name)] = stat[0]
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def read_stat(pid):
    """The fields of /proc/PID/stat behind the name; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def alive(pid):
    stat = read_stat(pid)
    return stat is not None and stat[0] not in "ZX"


def end_process(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def resident(pid):
    """Bytes of memory of the process alone: what is shared with others doesn't count."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        text = file.read()
    return 1024 * sum(int(re.search(rf"^{name}: +(\d+)", text, re.M).group(1))
                      for name in ("Private_Clean", "Private_Dirty"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def age(pid):
    """Seconds since the process was started; None: it is gone."""
    stat = read_stat(pid)
    if not stat:
        return None
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0]) - int(stat[19]) / os.sysconf("SC_CLK_TCK")


def no_more_descriptors(pid, room=0):
    """From now on the process gets no descriptor besides those that it has, and `room` others."""
    held = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    most = sorted(set(range(len(held) + room + 1)) - held)[room]  # the next one that it would get
    bound(pid, f"--nofile={most}:{most}")


def bound(pid, *limits):
    """Changes limits of a process (prlimit(1)). Only its own user may do that."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        said = dict(line.split(":", 1) for line in file.read().splitlines())
    user, group = int(said["Uid"].split()[0]), int(said["Gid"].split()[0])
    us = {} if os.geteuid() == user else {"user": user, "group": group, "extra_groups": []}
    subprocess.run(["prlimit", f"--pid={pid}", *limits], check=True, **us)


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def small_disk(folder, size):
    """A file system of so many bytes on the folder, for this process, those that it starts, and no others. False: the
    kernel or the container doesn't let us."""
    libc = ctypes.CDLL(None, use_errno=True)
    return (libc.unshare(CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
            and libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=%d,mode=0777" % size) == 0)


class Traced:
    """strace on a master, with a fault that its next children meet."""

    def __init__(self, pid, inject):
        call = inject.split(":")[0]
        self.process = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-e", f"trace={call}", "-e", f"inject={inject}", "-o", "/dev/null"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = ""
        while "attached" not in self.said:
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError("strace: " + self.said)
            self.said += line
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)


# What every nginx with an http block needs, so that it keeps its files in its own folder.
NGINX_HTTP = """access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;"""


class Program:
    """A server that isn't ours, with a configuration of ours, in a folder of its own."""

    def __init__(self, folder, config, command):
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "test.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        self.output = os.path.join(folder, "output")
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([*command, path], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=folder)

    def wait(self, port):
        """Until it listens there."""
        def listening():
            if self.process.poll() is not None:
                with open(self.output, encoding="utf-8", errors="replace") as file:
                    raise AssertionError("it ended: " + file.read())
            try:
                Client(port).close()
                return True
            except OSError:
                return False
        wait_until(listening, f"port {port}")

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)
