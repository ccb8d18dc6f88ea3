"""How it is measured: CPU time of a process tree, load, system calls, instructions."""
import os
import re
import socket
import subprocess

from servers import OTHER_CPUS, Server

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and all below it."""
    below = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    below.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
            except OSError:
                pass
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += below.get(found[-1], [])
    return found


def cpu_seconds(pid):
    """CPU time of the tree so far: by the scheduler's clock, or by ticks where that isn't kept."""
    total = 0.0
    for process in tree(pid):
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                try:
                    with open(f"/proc/{process}/task/{thread}/schedstat", encoding="ascii") as file:
                        total += int(file.read().split()[0]) / 1e9
                except FileNotFoundError:
                    with open(f"/proc/{process}/task/{thread}/stat", encoding="utf-8", errors="replace") as file:
                        fields = file.read().rpartition(")")[2].split()
                    total += (int(fields[11]) + int(fields[12])) / TICK
        except OSError:
            pass
    return total


def load(port, workload, seconds):
    """A run of wrk: requests, errors, requests a second, latencies in microseconds."""
    command = ["wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    if workload.close:
        command += ["-H", "Connection: close"]
    if workload.script:
        command += ["-s", workload.script]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{workload.target}"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CPUS))
    text = done.stdout
    requests = re.search(r"(\d+) requests in", text)
    if done.returncode != 0 or not requests:
        raise RuntimeError("wrk: " + text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests": int(requests.group(1)),
        "errors": sum(map(int, errors.groups())) if errors else 0,
        "bad": int(bad.group(1)) if bad else 0,
        "rate": float(re.search(r"Requests/sec: +([\d.]+)", text).group(1)),
        "p50": microseconds(re.search(r"50% +([\d.]+\w+)", text).group(1)),
        "p99": microseconds(re.search(r"99% +([\d.]+\w+)", text).group(1)),
    }


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def sample(server, port, workload, seconds):
    """CPU of the server's tree for a request, in microseconds, and what wrk saw."""
    before = cpu_seconds(server.process.pid)
    result = load(port, workload, seconds)
    spent = cpu_seconds(server.process.pid) - before
    if result["requests"] == 0:
        raise RuntimeError(f"{server.name}: no request was answered")
    return {**result, "cpu": spent * 1e6 / result["requests"], "busy": spent / seconds}


def system_calls(server, port, workload, seconds):
    """{name: calls a request} of the server's tree, by strace."""
    pids = [word for pid in tree(server.process.pid) for word in ("-p", str(pid))]
    with subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", *pids], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as tracer:
        said = tracer.stderr.readline()  # "Process … attached": from here on it counts
        if "attached" not in said:
            raise RuntimeError("strace: " + said + tracer.stderr.read())
        result = load(port, workload, seconds)
        tracer.send_signal(2)
        table = tracer.stderr.read()
    calls = {}
    for count, name in re.findall(r"^ *(\d+) +([a-z_0-9]+)$", table, re.M):
        if name != "total":
            calls[name] = int(count) / result["requests"]
    if not calls:
        raise RuntimeError("strace: " + table)
    return calls


def ask(port, target, count):
    """`count` requests on one connection."""
    request = f"GET {target} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        for _ in range(count):
            sock.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data:
                piece = sock.recv(65536)
                if not piece:
                    raise RuntimeError("the connection was closed")
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            left = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1)) - len(body)
            while left > 0:
                left -= len(sock.recv(min(left, 65536)))


def counted(server: Server, target, count):
    """Instructions of all processes of the server for a start, `count` requests and a stop."""
    pattern = os.path.join(server.folder, "callgrind.")
    for name in os.listdir(server.folder):
        if name.startswith("callgrind."):
            os.unlink(os.path.join(server.folder, name))
    os.chmod(server.folder, 0o1777)  # workers write their counts when they have dropped their privileges
    server.under = ["valgrind", "--quiet", "--tool=callgrind", "--vgdb=no", f"--callgrind-out-file={pattern}%p"]
    try:
        server.start(target)
        ask(server.port, target, count)
    finally:
        server.stop()
        server.under = []
    total = 0
    for name in os.listdir(server.folder):
        if name.startswith("callgrind."):
            with open(os.path.join(server.folder, name), encoding="utf-8", errors="replace") as file:
                totals = re.findall(r"^(?:totals|summary): (\d+)", file.read(), re.M)
            total += max(map(int, totals), default=0)
    return total


def instructions(server, target, few=500, many=2500):
    """User instructions a request: the difference of two runs, so that start and stop are not in it."""
    return (counted(server, target, many) - counted(server, target, few)) / (many - few)
