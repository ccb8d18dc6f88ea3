#!/usr/bin/python3
"""Runs live tests: run.py FOLDER [NAME …], FOLDER being live or wire.

A NAME is a file, a class, or a test, whole or in part. Each test is a process of its own with a time limit; what it
leaves behind is removed, and a process that it leaves behind is a failure. Prints `ok NAME` or `FAILED NAME` with
the reason; exits 1 if one failed.

Most tests wait more than they work, so one more runs at a time than there are processors (JOBS in the environment: so
many); those that measure (@alone) run when no other does. They share nothing but the machine: each has a folder and
a range of ports of its own. One that fails beside others is told, and judged by a second run without them. With TIMES in the environment, that file tells how long each took, the longest first.
"""
import concurrent.futures
import glob
import importlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 60  # seconds a test may take, if it doesn't say otherwise by @limit
FORBIDDEN = 77  # the exit status of a test that can't be made here (Case.forbidden)
GRACE = 5  # seconds that the last processes of a test may take to be gone
PORTS = (10000, 32000)  # shared out among the tests that run at a time; the kernel gives out those above by itself


class Test(typing.NamedTuple):
    folder: str
    module: str
    case: str
    method: str
    limit: int  # seconds
    alone: bool

    def __str__(self):
        return f"{self.folder}/{self.module}.{self.case}.{self.method}"


def find(folder):
    """Every test of the folder: a Test."""
    sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), folder)]
    for path in sorted(glob.glob(os.path.join(os.path.dirname(HERE), folder, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, case in sorted(vars(module).items()):
            if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
                for method in unittest.TestLoader().getTestCaseNames(case):
                    function = getattr(case, method)
                    yield Test(folder, module.__name__, name, method, getattr(function, "limit", LIMIT),
                               getattr(function, "alone", False))


def run_one(folder, module, case, method):
    """In the process of the test itself."""
    sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), folder)]
    test = getattr(importlib.import_module(module), case)(method)
    result = unittest.TestResult()
    test.run(result)
    for _, text in result.errors + result.failures:
        print(text)
    for _, reason in result.skipped:
        print(reason)
    return 1 if not result.wasSuccessful() else FORBIDDEN if result.skipped else 0


def left_behind(folder):
    """[pid]: the processes that have a file of the test's folder in their command line, or own a pidfile in it."""
    found = set()
    for path in glob.glob(os.path.join(folder, "*", "*.pid")):
        try:
            with open(path, encoding="utf-8") as file:
                pid = file.read().strip()
        except FileNotFoundError:
            continue
        if pid.isdigit() and os.path.exists("/proc/" + pid):
            found.add(int(pid))
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if os.fsencode(folder) in file.read():
                        found.add(int(name))
            except OSError:
                pass
    return sorted(found)


def supervise(test, ports):
    """Starts the process of a test and judges it: (what was wrong or None, whether it could be made here)."""
    limit = test.limit
    temp = tempfile.mkdtemp(prefix="gatehouse-test-")
    os.chmod(temp, 0o755)
    try:
        limit *= 10 if os.environ.get("GATEHOUSE_UNDER") else 1
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--one", *test[:4]],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True,
                                   env={**os.environ, "GATEHOUSE_TEMP": temp, "GATEHOUSE_PORTS": "%d-%d" % ports})
        try:
            said, _ = process.communicate(timeout=limit)
            wrong = said.decode(errors="replace").strip() if process.returncode != 0 else None
            if wrong == "":
                wrong = f"ended with status {process.returncode}"
        except subprocess.TimeoutExpired:
            wrong = f"took longer than {limit} s"
        end = time.monotonic() + GRACE
        while left_behind(temp) and time.monotonic() < end:
            time.sleep(0.05)
        left = left_behind(temp)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if process.poll() is None:
            process.kill()
            process.communicate()
        if left and not wrong:
            wrong = f"processes were left behind: {left}"
        return wrong, process.returncode != FORBIDDEN
    finally:
        shutil.rmtree(temp, ignore_errors=True)


class Runner:
    """Runs tests and prints what came of each."""

    def __init__(self, jobs):
        self.took, self.failed, self.jobs = [], False, jobs
        self.again = []  # tests that failed beside others
        self.ports = queue.SimpleQueue()  # ranges that no running test has
        each = (PORTS[1] - PORTS[0]) // jobs
        for number in range(jobs):
            self.ports.put((PORTS[0] + number * each, PORTS[0] + (number + 1) * each - 1))

    def run(self, tests):
        """As many at a time as there are jobs, then one by one those that must be alone."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for done in [pool.submit(self.run_test, test, True) for test in tests if not test.alone]:
                done.result()
        for test in [test for test in tests if test.alone] + self.again:
            self.run_test(test, False)

    def run_test(self, test, crowded):
        began, ports = time.monotonic(), self.ports.get()
        wrong, possible = supervise(test, ports)
        self.ports.put(ports)
        self.took.append((time.monotonic() - began, str(test)))
        if wrong is None:
            said = f"ok {test}"
        elif not possible:
            said = f"note: {test} was not made: {wrong}"
        elif crowded:
            said = f"note: {test} failed beside others, and is run again alone:\n    " + wrong.replace("\n", "\n    ")
            self.again.append(test)
        else:
            said = f"FAILED {test}\n    " + wrong.replace("\n", "\n    ")
            self.failed = True
        print(said + "\n", end="", flush=True)

    def write_times(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{seconds:7.2f} {name}\n" for seconds, name in sorted(self.took, reverse=True))


def main():
    if sys.argv[1:2] == ["--one"]:
        return run_one(*sys.argv[2:6])
    if not os.access(os.environ.get("GATEHOUSE", ""), os.X_OK):
        print("GATEHOUSE must name the program to test", file=sys.stderr)
        return 2
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder, names = sys.argv[1], sys.argv[2:]
    runner = Runner(int(os.environ.get("JOBS", 0)) or len(os.sched_getaffinity(0)) + 1)
    runner.run([test for test in find(folder) if not names or any(wanted in str(test) for wanted in names)])
    if os.environ.get("TIMES"):
        runner.write_times(os.environ["TIMES"])
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
