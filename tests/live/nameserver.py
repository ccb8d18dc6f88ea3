"""A name server for the tests: UDP and TCP on a port of 127.0.0.1, with answers that a test changes while it runs."""
import ipaddress
import socket
import struct
import threading

A, CNAME, AAAA, SRV, OPT = 1, 5, 28, 33, 41
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
SILENT, GARBAGE = "silent", "garbage"  # instead of a code: no answer, or bytes that are none


def pack_name(name):
    labels = [label.encode() for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class NameServer:
    """`records`: {(name, type): [data, …]}, data an address, a name, or (priority, weight, port, target); `fail`:
    {name or (name, type): what is answered instead}; `ttls`: {name: seconds}; `asked`: [(name, type)] of all questions; `drop`: how
    many of them are not answered; `truncate`: by UDP nothing is."""

    def __init__(self, ttl=0):
        self.records, self.fail, self.asked, self.ttl, self.ttls = {}, {}, [], ttl, {}
        self.lock = threading.Lock()
        self.truncate, self.drop = False, 0
        while True:  # one port for both
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen()
        self.text = f"127.0.0.1:{self.port}"
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def close(self):
        """Nobody is there any more."""
        self.udp.close()
        self.tcp.close()

    def set(self, name, kind, *data):
        with self.lock:
            self.records[name, kind] = list(data)

    def refuse(self, name, how):
        """From now on `name` is answered so; None: as before."""
        with self.lock:
            self.fail[name] = how

    def count(self, name, kind):
        with self.lock:
            return self.asked.count((name, kind))

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            answer = self.answer(query, self.truncate)
            if answer:
                try:
                    self.udp.sendto(answer, peer)
                except OSError:
                    return

    def serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_one, args=(sock,), daemon=True).start()

    def serve_one(self, sock):
        with sock:
            stream = sock.makefile("rb")
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                answer = self.answer(stream.read(struct.unpack("!H", head)[0]), False)
                if answer:
                    sock.sendall(struct.pack("!H", len(answer)) + answer)

    def data(self, kind, value):
        if kind in (A, AAAA):
            return ipaddress.ip_address(value).packed
        if kind == CNAME:
            return pack_name(value)
        priority, weight, port, target = value
        return struct.pack("!HHH", priority, weight, port) + pack_name(target)

    def answer(self, query, truncated):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        at += 1
        kind = struct.unpack("!H", query[at:at + 2])[0]
        name = ".".join(labels).lower()
        with self.lock:
            self.asked.append((name, kind))
            how = self.fail.get((name, kind), self.fail.get(name))
            known = any(known == name for known, _ in self.records)
            found, owner, met = [], name, set()
            while kind != CNAME and owner not in met and (owner, CNAME) in self.records:  # in a circle: once round
                met.add(owner)
                (alias,) = self.records[owner, CNAME]
                found.append((owner, CNAME, alias))
                owner = alias
            found += [(owner, kind, value) for value in self.records.get((owner, kind), [])]
            ttl = self.ttls.get(name, self.ttl)
            self.drop, dropped = max(0, self.drop - 1), self.drop > 0
        if how == SILENT or dropped:
            return None
        if how == GARBAGE:
            return query[:2] + b"\x81\x80\xff\xff\xff\xff" + b"\xc0\x0c" * 20
        code = how if how is not None else NOERROR if known else NXDOMAIN
        if code or truncated:
            found = []
        flags = 0x8180 | code | (0x0200 if truncated else 0)
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + query[12:at + 4]
        for owner, type_, value in found:
            data = self.data(type_, value)
            head += pack_name(owner) + struct.pack("!HHIH", type_, 1, ttl, len(data)) + data
        return head
