"""What it costs to hand idle connections over at a reload.

Counted is the CPU time of the workers, old and new, from the reload until the last connection was taken over; `none` is a
reload in the same place without any. The old workers are kept alive by a request each that isn't answered, so that
their time can still be read.
"""
import contextlib
import json
import select
import socket
import subprocess
import time

from idle import AT_ONCE, SPARE, closed, need_descriptors
from measure import ask, cpu_seconds
from servers import GATEHOUSE, Gatehouse

WORKERS = 2
PATIENCE = 60  # seconds for anything to happen
ROUTES = """{ match = { path = "/small"; }; respond = { status = 200; body = "idle"; }; },
    { match = { path = "/busy"; }; proxy = { upstream = "backend"; }; }"""


def run(server, command, *words):
    done = subprocess.run([GATEHOUSE, command, "-c", server.config, *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr}")
    return done.stdout


def status_when(server, condition, what):
    """The status that meets the condition. Asking costs the keeper's time, which isn't counted."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        status = json.loads(run(server, "status", "--json"))
        if condition(status):
            return status
        select.select([], [], [], 0.02)
    raise RuntimeError(f"waited in vain for {what}: {status}")


def workers(status, state="serving"):
    return [one for one in status["processes"] if one["role"] == "worker" and one["state"] == state]


def keep_busy(server, stack):
    """A request in progress in each worker."""
    for number in range(1, 1000):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
        sock.sendall(b"GET /busy HTTP/1.1\r\nHost: bench\r\n\r\n")
        if number % 20 == 0 and all(one["requests"] for one in workers(json.loads(run(server, "status", "--json")))):
            return
    raise RuntimeError("the workers don't share the connections")


def handoff_cpu(folder, name, count):
    """{cpu: milliseconds, lost: connections that were closed} of a reload with so many idle connections."""
    need_descriptors(count + SPARE)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        server = Gatehouse(folder, silent.getsockname()[1], name, ROUTES, workers=WORKERS)
        stack.callback(server.stop)
        server.start()
        keep_busy(server, stack)
        socks = []
        while len(socks) < count:
            some = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
                    for _ in range(min(AT_ONCE, count - len(socks)))]
            for sock in some:
                ask(sock, "/small")
            socks += some
        old = [one["pid"] for one in workers(json.loads(run(server, "status", "--json")))]
        before = sum(map(cpu_seconds, old))
        run(server, "reload")
        status = status_when(server, lambda now: now["stats"]["taken_over"] >= count and
                             len(workers(now)) == len(workers(now, "draining")) == WORKERS, "the hand-off")
        new = [one["pid"] for one in workers(status)]
        spent = sum(map(cpu_seconds, old + new)) - before
        if len(new) != WORKERS or set(new) & set(old):
            raise RuntimeError(f"{name}: not the workers that were expected: {status}")
        return {"cpu": 1000 * spent, "lost": closed(socks)}
