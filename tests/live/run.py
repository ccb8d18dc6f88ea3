#!/usr/bin/python3
"""Runs live tests: run.py FOLDER [NAME …], FOLDER being live or wire.

A NAME is a file, a class, or a test, whole or in part. Each test is a process of its own with a time limit; what it
leaves behind is removed, and a process that it leaves behind is a failure. Prints `ok NAME` or `FAILED NAME` with
the reason; exits 1 if one failed.
"""
import glob
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 60  # seconds a test may take, if it doesn't say otherwise by @limit
FORBIDDEN = 77  # the exit status of a test that can't be made here (Case.forbidden)
GRACE = 5  # seconds that the last processes of a test may take to be gone


def find(folder):
    """(module, class, method, limit) of every test of the folder."""
    sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), folder)]
    for path in sorted(glob.glob(os.path.join(os.path.dirname(HERE), folder, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, case in sorted(vars(module).items()):
            if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
                for method in unittest.TestLoader().getTestCaseNames(case):
                    yield module.__name__, name, method, getattr(getattr(case, method), "limit", LIMIT)


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


def supervise(folder, module, case, method, limit):
    """Starts the process of a test and judges it: (what was wrong or None, whether it could be made here)."""
    temp = tempfile.mkdtemp(prefix="gatehouse-test-")
    os.chmod(temp, 0o755)
    try:
        limit *= 10 if os.environ.get("GATEHOUSE_UNDER") else 1
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--one", folder, module, case, method],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, env={**os.environ, "GATEHOUSE_TEMP": temp})
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
    status = 0
    for module, case, method, limit in find(folder):
        name = f"{folder}/{module}.{case}.{method}"
        if names and not any(wanted in name for wanted in names):
            continue
        wrong, possible = supervise(folder, module, case, method, limit)
        if wrong is None:
            print("ok " + name, flush=True)
        elif not possible:
            print(f"note: {name} was not made: {wrong}", flush=True)
        else:
            print("FAILED " + name)
            print("\n".join("    " + line for line in wrong.split("\n")), flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
