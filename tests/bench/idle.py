"""What an idle connection costs in user-space memory: plain and kept, with TLS, with HTTP/2 over TLS.

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

from measure import ask, ask_often, tree
from servers import connect

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
    """How many of the connections the server has ended."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLRDHUP)
    return len(poll.poll(0))


def literal(index, text):
    return bytes((index, len(text))) + text.encode()


def ask_stream(sock, path):
    """The first request on a connection of HTTP/2, its answer, and all that the server says of settings: from then on
    it is idle. Written for answers that are short, and headers in the encoding that is the plainest."""
    block = b"\x82\x87" + literal(1, "bench") + literal(4, path)  # GET, https, :authority, :path
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) + frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
    came, due = sock.makefile("rb"), {"answer", "settings", "acknowledgement"}
    while due:
        head = came.read(9)
        if len(head) < 9:
            raise RuntimeError("the connection was closed")
        kind, flags, payload = head[3], head[4], came.read(int.from_bytes(head[:3], "big"))
        if kind == SETTINGS and flags & ACK:
            due.discard("acknowledgement")
        elif kind == SETTINGS:
            sock.sendall(frame(SETTINGS, ACK))
            due.discard("settings")
        elif kind == HEADERS and STATUS_200 not in payload[:4]:
            raise RuntimeError(f"{path}: not status 200: {payload}")
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            due.discard("answer")


DATA, HEADERS, SETTINGS = 0, 1, 4
ACK = END_STREAM = 1
END_HEADERS = 4
STATUS_200 = 0x88


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def idle_memory(target, path, count, tls=False, protocol="http/1.1"):
    """{bytes: a connection, before: all of it without them}."""
    need_descriptors(count + SPARE)
    pid = target.server.process.pid
    ask_often(target.port, path, WARM, tls)
    before = written_memory(pid)
    with contextlib.ExitStack() as stack:
        socks = []
        while len(socks) < count:
            some = [stack.enter_context(connect(target.port, tls, protocol, 60))
                    for _ in range(min(AT_ONCE, count - len(socks)))]
            for sock in some:
                (ask_stream if protocol == "h2" else ask)(sock, path)
            socks += some
        grown = written_memory(pid) - before
        ended = closed(socks)
    if ended:
        raise RuntimeError(f"{target.name}: {ended} of {count} idle connections were closed")
    return {"bytes": grown / count, "before": before}
