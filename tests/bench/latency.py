"""How long answers take when all servers get the same load, which the slowest can bear.

h2load sends requests at a constant rate, on connections of HTTP/1.1. It counts a request's time from when it was
sent; one that waits for the answer before it on its connection is late and not counted as such. So the rate that
was reached is looked at too: below REACHED of what was asked for, the server (or the machine) was too slow, and
the times mean nothing. h2load sends in turns of up to 10 ms: the load comes in bursts, for all servers alike.

CPU time a request is measured as well: under the same rate all servers sleep as often as their speed allows.
"""
import os
import statistics
import subprocess

from measure import cpu_seconds, load, percentile
from servers import OTHER_CPUS, on_cpus

SHARE = 0.7     # of the peak rate
WARM = 1        # seconds
REACHED = 0.97  # of the wanted rate


def peak_rate(target, workload, seconds, runs=3):
    """Requests a second that the server answers to as many clients without a pause."""
    return statistics.median(load(target, workload, seconds)["rate"] for _ in range(runs))


def at_rate(target, workload, rate, seconds):
    """Microseconds of answers under `rate` requests a second, when a second of it has passed."""
    path = os.path.join(target.server.folder, "latencies")
    command = [*on_cpus(OTHER_CPUS), "h2load", "--h1", "-t1", f"-c{workload.connections}",
               f"--rps={rate / workload.connections:.3f}", f"-D{seconds + WARM}", f"--log-file={path}",
               f"http://127.0.0.1:{target.port}{workload.path}"]
    before = cpu_seconds(target.server.process.pid)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    spent = cpu_seconds(target.server.process.pid) - before
    if done.returncode != 0 or not os.path.exists(path):
        raise RuntimeError("h2load: " + done.stdout)
    with open(path, encoding="ascii") as file:
        answers = [[int(field) for field in line.split()[:3]] for line in file]  # start, status, microseconds
    os.unlink(path)  # it would be appended to
    begin = min((start for start, _, _ in answers), default=0) + WARM * 1000000
    times = sorted(time for start, _, time in answers if start >= begin)
    if not times:
        raise RuntimeError(f"{target.name}: no request was answered: {done.stdout}")
    return {
        "requests": len(answers),
        "errors": 0,
        "bad": sum(status != 200 for _, status, _ in answers),
        "cpu": spent * 1e6 / len(answers),
        "reached": len(times) / seconds / rate,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
        "p99.9": percentile(times, 0.999),
    }
