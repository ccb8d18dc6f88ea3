"""What an idle keep-alive connection costs in user-space memory.

Counted is Pss_Anon + Pss_Shmem (and what of it is swapped) of all processes of the server: every page that it wrote,
in heaps, mappings, stacks and shared memory, once, however many processes share it. Private memory alone would
not see a segment that processes share, or a page that ceases to be shared with the parent; the heap alone would not
see arenas that are mapped. Pages of the program's files are left out: they come with code that runs, not with
connections. So is the kernel's memory: sockets cost the same whoever holds them.

The figure is the growth from the moment before the connections, when requests have been answered on one connection, to
that when each of them has had one answer. What a server takes at its start for connections to come is not in
it (nginx does that: 8192 × about 430 bytes here); hence the memory before is shown as well.
"""
import contextlib
import re
import resource
import select
import socket

from measure import ask, ask_often, tree

SPARE = 200   # descriptors that the bench itself needs
WARM = 200    # requests before the first look
AT_ONCE = 64  # a server's queue of new connections is never long


def raise_limit():
    """Takes the descriptors that the kernel grants us; so do the programs that we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def need_descriptors(count):
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != limit < count:
        raise RuntimeError(f"{count} descriptors are needed, and {limit} are allowed (ulimit -Hn)")


def written_memory(pid):
    """Bytes of the tree's pages that are no file's."""
    total = 0
    for process in tree(pid):
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            fields = dict(re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M))
        total += sum(int(fields[name]) for name in ("Pss_Anon", "Pss_Shmem", "SwapPss"))
    return total * 1024


def closed(socks):
    """How many of the connections the server has ended: nothing else makes an idle one readable."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return len(poll.poll(0))


def idle_memory(target, path, count):
    """{bytes: a connection, before: all of it without them}."""
    need_descriptors(count + SPARE)
    pid = target.server.process.pid
    ask_often(target.port, path, WARM)
    before = written_memory(pid)
    with contextlib.ExitStack() as stack:
        socks = []
        while len(socks) < count:
            some = [stack.enter_context(socket.create_connection(("127.0.0.1", target.port), 60))
                    for _ in range(min(AT_ONCE, count - len(socks)))]
            for sock in some:
                ask(sock, path)
            socks += some
        grown = written_memory(pid) - before
        ended = closed(socks)
    if ended:
        raise RuntimeError(f"{target.name}: {ended} of {count} idle connections were closed")
    return {"bytes": grown / count, "before": before}
