"""The bounds that speed must meet, and the table that says whether it does."""
import os
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass

from servers import GATEHOUSE


@dataclass(frozen=True)
class Bound:
    """A figure of samples[row][target][round][key], and what it may be at most; None: it is only shown.
    `kind` says how: "ratio" to what `against` has in the same round, the "more" than that, or the "value" itself."""
    what: str
    row: str
    key: str
    kind: str = "ratio"
    against: str = "nginx"
    most: float | None = None
    target: str = "gatehouse"
    says: str = ""  # the bound in words, where a number would not do


# Below it nothing happens once a request: only as often as connections are opened, timers run out or logs are written.
NONE = 0.05

BOUNDS = (
    Bound("CPU, proxy 154 B, 64 clients", "small", "cpu", most=0.82),
    Bound("the same", "small", "cpu", against="haproxy", most=0.90),
    Bound("CPU with the access log, logger included", "log", "cpu", target="gatehouse, log", against="gatehouse"),
    Bound("HAProxy's", "log", "cpu", target="haproxy, log", against="haproxy"),
    Bound("nginx's", "log", "cpu", target="nginx, log", against="nginx"),
    Bound("nginx's, buffered", "log", "cpu", target="nginx, buffered log", against="nginx"),
    Bound("user instructions that the access log adds", "instructions", "instructions", "more", "gatehouse", 2500,
          "gatehouse, log"),
    Bound("system calls that it adds, but epoll_wait", "syscalls", "unwaited", "more", "gatehouse", NONE,
          "gatehouse, log", "none"),
    Bound("user instructions that breaker, ejection and retries add", "instructions", "instructions", "more",
          "gatehouse", 2500, "gatehouse, guarded"),
    Bound("system calls that they add, but epoll_wait", "syscalls", "unwaited", "more", "gatehouse", NONE,
          "gatehouse, guarded", "none"),
    Bound("CPU with a limit, one key", "limit", "cpu", against="nginx, limited", most=0.82, target="gatehouse, limited"),
    Bound("the same", "limit", "cpu", against="haproxy, limited", most=0.90, target="gatehouse, limited"),
    Bound("to its own without", "limit", "cpu", target="gatehouse, limited", against="gatehouse"),
    Bound("nginx's", "limit", "cpu", target="nginx, limited", against="nginx"),
    Bound("HAProxy's", "limit", "cpu", target="haproxy, limited", against="haproxy"),
    Bound("CPU with a limit, 1,000,000 keys", "keys", "cpu", against="nginx, keys", most=0.82, target="gatehouse, keys"),
    Bound("the same", "keys", "cpu", against="haproxy, keys", most=0.90, target="gatehouse, keys"),
    Bound("user instructions that a limit adds", "instructions", "instructions", "more", "gatehouse", 2500,
          "gatehouse, limited"),
    Bound("the same when each request has a new key", "instructions, keys", "instructions", "more", "gatehouse", 2500,
          "gatehouse, keys"),
    Bound("system calls that it adds, but epoll_wait", "syscalls", "unwaited", "more", "gatehouse", NONE,
          "gatehouse, limited", "none"),
    Bound("CPU, proxy 16 KB", "16k", "cpu", most=0.70),
    Bound("the same", "16k", "cpu", against="haproxy", most=1.00),
    Bound("CPU, proxy 100 KB", "100k", "cpu", against="nginx, large buffers", most=0.65),
    Bound("the same", "100k", "cpu", against="haproxy", most=1.00),
    Bound("CPU, 1,000 keep-alive clients", "clients", "cpu", most=0.65),
    Bound("CPU, a new connection for each request", "connect", "cpu", most=0.90),
    Bound("CPU, TLS 1.3, 64 clients", "tls", "cpu", against="nginx, TLS", most=0.82, target="gatehouse, TLS"),
    Bound("the same", "tls", "cpu", against="haproxy, TLS", target="gatehouse, TLS"),
    Bound("CPU, TLS 1.3, a new connection for each request", "tls-connect", "cpu", against="nginx, TLS", most=0.95,
          target="gatehouse, TLS"),
    Bound("the same", "tls-connect", "cpu", against="haproxy, TLS", target="gatehouse, TLS"),
    Bound("CPU, TLS 1.3, 100 KB", "tls-100k", "cpu", against="nginx, TLS, large buffers", target="gatehouse, TLS"),
    Bound("the same", "tls-100k", "cpu", against="haproxy, TLS", target="gatehouse, TLS"),
    Bound("CPU, HTTP/2 over TLS, 10 × 32 streams", "h2", "cpu", against="nginx, TLS", most=0.76, target="gatehouse, TLS"),
    Bound("the same", "h2", "cpu", against="haproxy, TLS", target="gatehouse, TLS"),
    Bound("CPU, gRPC, 10 × 32 calls at a time", "grpc", "cpu", against="nginx, gRPC", most=0.70, target="gatehouse, gRPC"),
    Bound("the same", "grpc", "cpu", against="haproxy, gRPC", target="gatehouse, gRPC"),
    Bound("user instructions a request", "instructions", "instructions", "value", "", 14000),
    Bound("user-space bytes an idle keep-alive connection", "idle", "bytes", "value", "", 600),
    Bound("with TLS", "idle, TLS", "bytes", "value", "", 12 * 1024, "gatehouse, TLS"),
    Bound("of HTTP/2 over TLS", "idle, h2", "bytes", "value", "", 20 * 1024, "gatehouse, TLS"),
    Bound("system calls a request: data", "syscalls", "data", "value", "", 4 + NONE, says="4"),
    Bound("epoll_wait", "syscalls", "wait", "value", "", 1, says="a share"),
    Bound("epoll_ctl, setsockopt and all others", "syscalls", "other", "value", "", NONE, says="none"),
    Bound("reads and writes in vain (EAGAIN)", "syscalls", "vain", "value", "", NONE, says="none"),
    Bound("p99 at 70 % of nginx's peak rate", "latency", "p99", most=1.00),
    Bound("CPU of handing over 10,000 idle connections at a reload, ms", "handoff", "cpu", "more", "none", 100, "idle"),
    Bound("CPU, 10,000 routes", "routes", "cpu", target="10,000 routes", against="10 routes", most=1.30),
)


def quartiles(values):
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def compared(kind, own, other):
    """Round by round."""
    if kind == "value":
        return own
    return [mine / its if kind == "ratio" else mine - its for mine, its in zip(own, other)]


def figure(bound, samples):
    """The upper quartile over the rounds; None: not measured."""
    row = samples.get(bound.row, {})
    own, other = ([one[bound.key] for one in row.get(name, [])] for name in (bound.target, bound.against))
    if not own or (bound.kind != "value" and not other):
        return None
    return quartiles(compared(bound.kind, own, other))[2]


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def line(bound, samples):
    value = figure(bound, samples)
    unit = f" × {bound.against}" if bound.kind == "ratio" else ""
    said = "" if value is None else shown(value) + unit
    if bound.most is None:
        return f"| {bound.what} | {said} | | |"
    met = "" if value is None else "yes" if value <= bound.most else "**no**"
    return f"| {bound.what} | {said} | {bound.says or shown(bound.most) + unit} | {met} |"


def table(samples):
    """What README shows."""
    return "\n".join(["| | upper quartile | at most | met |", "|---|---|---|---|",
                      *(line(bound, samples) for bound in BOUNDS)])


def version(*command):
    """The first number with dots in what a program says of itself."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    except OSError:  # it is missing: every row has said so
        return "?"
    found = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout)
    return found.group() if found else "?"


def machine():
    """When and where: date, processor, kernel, versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    model = re.search(r"^(?:model name|Model|Processor)\s*: *(.+)$", text, re.M)
    cores = len(re.findall(r"^processor\s*:", text, re.M)) or os.cpu_count()
    programs = (("Gatehouse", GATEHOUSE, "--version"), ("nginx", "nginx", "-v"), ("HAProxy", "haproxy", "-v"),
                ("wrk", "wrk", "-v"), ("h2load", "h2load", "--version"), ("strace", "strace", "-V"),
                ("valgrind", "valgrind", "--version"))
    return (f"{time.strftime('%Y-%m-%d')}, {cores} cores of {model.group(1) if model else platform.machine()}, "
            f"{platform.system()} {platform.release()}; "
            + ", ".join(f"{name} {version(*command)}" for name, *command in programs) + ".")
