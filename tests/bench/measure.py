"""How it is measured: CPU time of a process tree, load, system calls, instructions."""
import math
import os
import re
import select
import subprocess
import time

from servers import OTHER_CPUS, Target, connect, on_cpus

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


def sleeps(pid):
    """How often threads of the tree went to sleep so far."""
    total = 0
    for process in tree(pid):
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/status", encoding="utf-8", errors="replace") as file:
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))
    return total


def load(target, workload, seconds):
    """A run of wrk, or of h2load where there are streams: requests, errors, requests a second, latencies in
    microseconds."""
    return (load_streams if workload.streams else load_connections)(target, workload, seconds)


def url(target, workload):
    return f"http{'s' if workload.tls else ''}://127.0.0.1:{target.port}{workload.path}"


def load_connections(target, workload, seconds):
    command = [*on_cpus(OTHER_CPUS), "wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}s", "--latency",
               "--timeout", "10s"]
    if workload.close:
        command += ["-H", "Connection: close"]
    if target.script:
        command += ["-s", target.script]
    done = subprocess.run([*command, url(target, workload)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
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


def fetch_stream(target, workload):
    """One request by HTTP/2, whose answer must be good."""
    done = subprocess.run(["nghttp", "-v", *said_of(target), url(target, workload)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if b":status: 200" not in done.stdout or target.body and b"grpc-status: 0" not in done.stdout:
        raise RuntimeError(f"{target.name}: wrong answer for {workload.path}: {done.stdout.decode(errors='replace')}")


def said_of(target):
    """The words for h2load and nghttp that make a request a call of gRPC."""
    return ["-d", target.body, *(word for field in GRPC for word in ("-H", field))] if target.body else []


GRPC = ("content-type: application/grpc", "te: trailers")


def load_streams(target, workload, seconds):
    """What is still under way when the time is over is neither answered nor an error."""
    log = os.path.join(target.server.folder, "streams")
    command = [*on_cpus(OTHER_CPUS), "h2load", "-t1", f"-c{workload.connections}", f"-m{workload.streams}", f"-D{seconds}",
               f"--log-file={log}"]
    done = subprocess.run([*command, *said_of(target), url(target, workload)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if done.returncode != 0 or not counts:
        raise RuntimeError("h2load: " + done.stdout)
    with open(log, encoding="ascii") as file:
        answers = [[int(field) for field in line.split()[:3]] for line in file]  # start, status, microseconds
    os.unlink(log)  # it would be appended to
    if not answers:
        raise RuntimeError(f"{target.name}: no request was answered: {done.stdout}")
    times = sorted(time for _, _, time in answers)
    return {
        "requests": len(answers),
        "errors": sum(map(int, counts.groups()[2:])),
        "bad": sum(status // 100 != 2 for _, status, _ in answers),
        "rate": len(answers) / seconds,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
    }


def percentile(ordered, share):
    """The smallest value that so large a share is not above."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


LOG_WAIT = 5  # seconds within which the last lines are in the log


def lines_in(path, count):
    """Lines of a log: waits until there are `count`, for a while. Servers write them late."""
    end, lines = time.monotonic() + LOG_WAIT, 0
    with open(path, "rb") as file:
        while True:
            while piece := file.read(1 << 20):
                lines += piece.count(b"\n")
            if lines >= count or time.monotonic() > end:
                return lines
            select.select([], [], [], 0.02)


def sample(target, workload, seconds):
    """CPU of the server's tree for a request, in microseconds, and what wrk saw. When there is an access log, until
    all lines are in it: `lost` are those that don't come."""
    pid = target.server.process.pid
    if target.log:
        os.truncate(target.log, 0)  # all write at its end, wherever that is
    slept, before = sleeps(pid), cpu_seconds(pid)
    result = load(target, workload, seconds)
    if result["requests"] < workload.connections:  # then it would be the connections' cost, not the requests'
        raise RuntimeError(f"{target.name}: only {result['requests']} answers to {workload.connections} clients in "
                           f"{seconds} s")
    if target.log:
        result["lost"] = max(0, result["requests"] - lines_in(target.log, result["requests"]))
    spent = cpu_seconds(pid) - before
    return {**result, "cpu": spent * 1e6 / result["requests"], "busy": spent / seconds,
            "sleeps": (sleeps(pid) - slept) / result["requests"]}


# What moves a request's bytes, and what waits for them; the rest is overhead.
DATA_CALLS = {"read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg", "sendfile", "splice"}
WAIT_CALLS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}


def strace_table(text):
    """{name: (calls, those that failed)} of what `strace -c -U calls,errors,name` says."""
    return {name: (int(calls), int(errors or 0))
            for calls, errors, name in re.findall(r"^ *(\d+) +(?:(\d+) +)?([a-z_0-9]+)$", text, re.M)
            if name != "total"}


def traced(target, workload, seconds):
    """Requests, and what strace counted meanwhile in the server's tree."""
    pids = tree(target.server.process.pid)
    attach = [word for pid in pids for word in ("-p", str(pid))]
    with subprocess.Popen(["strace", "-f", "-c", "-U", "calls,errors,name", *attach], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as tracer:
        for _ in pids:
            said = tracer.stderr.readline()  # "Process … attached": from here on it counts
            if "attached" not in said:
                raise RuntimeError("strace: " + said + tracer.stderr.read())
        result = load(target, workload, seconds)
        tracer.send_signal(2)
        table = tracer.stderr.read()
    calls = strace_table(table)
    if not calls:
        raise RuntimeError("strace: " + table)
    return result["requests"], calls


def system_calls(target, workload, seconds):
    """Calls a request of the server's tree, by strace: by name, and in sums. The difference of a long run and a short
    one, so that opening and closing wrk's connections is not in it."""
    load(target, workload, 1)  # fills the pools
    few, short = traced(target, workload, 1)
    for longer in (1, 2, 4):  # on a machine with other work
        many, long = traced(target, workload, longer * (1 + seconds))
        if many >= 1.5 * few:
            break
    else:
        raise RuntimeError(f"{target.name}: {many} requests under strace in {longer * (1 + seconds)} s, {few} in one")
    count, failed = ({name: (long[name][which] - short.get(name, (0, 0))[which]) / (many - few) for name in long}
                     for which in (0, 1))
    sums = {
        "all": sum(count.values()),
        "data": sum(count.get(name, 0) for name in DATA_CALLS),
        "wait": sum(count.get(name, 0) for name in WAIT_CALLS),
        "vain": sum(failed.get(name, 0) for name in DATA_CALLS),  # EAGAIN
    }
    return {**sums, "unwaited": sums["all"] - sums["wait"], "other": sums["all"] - sums["wait"] - sums["data"],
            "calls": count}


def read_answer(sock):
    """One answer, with a Content-Length like all that are measured here: its status."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise RuntimeError("the connection was closed")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    left = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1)) - len(body)
    while left > 0:
        piece = sock.recv(min(left, 65536))
        if not piece:
            raise RuntimeError("the connection was closed")
        left -= len(piece)
    return int(head.split(b" ", 2)[1])


def ask(sock, path):
    """A request and its answer."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode())
    status = read_answer(sock)
    if status != 200:
        raise RuntimeError(f"{path}: status {status}")


def ask_often(port, path, count, tls=False):
    """`count` requests on one connection; {} in the path is the number of each."""
    with connect(port, tls, patience=60) as sock:
        for number in range(count):
            ask(sock, path.format(number))


def counted(target: Target, path, count):
    """Instructions of all processes of the server for a start, `count` requests and a stop."""
    server = target.server
    pattern = os.path.join(server.folder, "callgrind.")
    for name in os.listdir(server.folder):
        if name.startswith("callgrind."):
            os.unlink(os.path.join(server.folder, name))
    os.chmod(server.folder, 0o1777)  # workers write their counts when they have dropped their privileges
    server.under = ["valgrind", "--quiet", "--tool=callgrind", "--vgdb=no", f"--callgrind-out-file={pattern}%p"]
    try:
        server.start(path.format("first"))
        ask_often(target.port, path, count)
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


def instructions(target, path, few=500, many=2500):
    """User instructions a request: the difference of two runs, so that start and stop are not in it."""
    return (counted(target, path, many) - counted(target, path, few)) / (many - few)
