"""The PROXY protocol (HAProxy's proxy-protocol.txt): headers by hand, real senders in front, real receivers behind."""
import os
import socket
import struct
import threading

from gatehouse import NGINX_HTTP, Case, free_port, wait_until
from pair import ALL, Headers
from peers import get

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, destination="10.9.9.9", ports=(1234, 80)):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def v2(source=None, destination="10.9.9.9", ports=(1234, 80), tlvs=b"", command=1):
    if source is None:
        family, addresses = 0, b""
    else:
        kind = socket.AF_INET6 if ":" in source else socket.AF_INET
        family = 0x21 if kind == socket.AF_INET6 else 0x11
        addresses = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination) + struct.pack(">HH", *ports)
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(addresses + tlvs)) + addresses + tlvs


def read_v2(reader):
    """(command, family, source, destination, their ports) of a header; Nones where it names nobody."""
    head = reader.take(16)
    assert head[:12] == SIGNATURE, head
    version, family, length = struct.unpack(">BBH", head[12:])
    data = reader.take(length)
    if family not in (0x11, 0x21):
        return version & 15, family, None, None, None
    kind, size = (socket.AF_INET, 4) if family == 0x11 else (socket.AF_INET6, 16)
    return (version & 15, family, socket.inet_ntop(kind, data[:size]), socket.inet_ntop(kind, data[size:2 * size]),
            struct.unpack(">HH", data[2 * size:2 * size + 4]))


def haproxy(case, port, body):
    case.program("haproxy", port, f"""
        global
            maxconn 100
        defaults
            timeout connect 5s
            timeout client 20s
            timeout server 20s
        {body.rstrip()}
        """.rstrip() + "\n", "haproxy", "-db", "-f")


class Receiving(Case):
    def serve(self, mode="on", **settings):
        self.seen = self.origin()
        gateway = self.gateway(workers=1, apis=ALL, upstreams=f'origin = {{ endpoints = ( "{self.seen.text}" ); }};',
                               listeners="", **settings)
        gateway.reload(listeners=f'{{ name = "main"; listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "{mode}"; }}')
        return gateway

    def client_seen(self):
        return self.seen.requests[-1].all("X-Forwarded-For")

    def test_addresses_of_both_versions(self):
        gateway = self.serve()
        for number, (header, expected) in enumerate((
                (v1("192.0.2.1"), "192.0.2.1"),
                (v1("2001:db8::7", "::1"), "2001:db8::7"),
                (v1("::ffff:192.0.2.3", "::1"), "192.0.2.3"),
                (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
                (b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", "127.0.0.1"),
                (v2("192.0.2.4"), "192.0.2.4"),
                (v2("2001:db8::8", "::1"), "2001:db8::8"),
                (v2("::ffff:192.0.2.5", "::1"), "192.0.2.5"),
                (v2("192.0.2.6", tlvs=b"\1\0\2h2\x20\0\5\0\0\0\0\0\4\0\0"), "192.0.2.6"),
                (v2(), "127.0.0.1"),
                (v2(command=0), "127.0.0.1"),
                (v2("192.0.2.7", command=0), "127.0.0.1"))):
            with gateway.client() as client:
                client.send(header)
                self.assertEqual(client.request("GET", "/").status, 200, header)
                self.assertEqual(self.client_seen(), [expected], header)
                self.assertEqual(client.request("GET", "/again").status, 200, header)
                self.assertEqual(self.client_seen(), [expected], header)
            self.assertEqual(gateway.wait_access(2 * number + 2)[-1]["client"], expected)
        self.assertEqual(gateway.status()["stats"]["proxy_refused"], 0)

    def test_pieces_and_what_follows(self):
        gateway = self.serve()
        for header in (v1("192.0.2.1"), v2("192.0.2.1", tlvs=b"\4\0\x10" + b"x" * 16)):
            with gateway.client() as client:
                client.send(header + b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(client.answer().status, 200)
                self.assertEqual(client.answer().status, 200)
            with gateway.client() as client:
                client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in header + b"GET /bytes HTTP/1.1\r\nHost: a\r\n\r\n":
                    client.send(bytes([byte]))
                self.assertEqual(client.answer().status, 200)
                self.assertEqual(self.client_seen(), ["192.0.2.1"])

    def test_malformed_headers_are_closed_and_told(self):
        gateway = self.serve()
        table = ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "doesn't begin with a header"),
                 (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "destination's port"),
                 (v1("192.0.2.1")[:-2] + b"\n", "doesn't end with CRLF"),
                 (v2("192.0.2.1", tlvs=b"\4\0\1"), "reaches over"),
                 (v2("192.0.2.1", tlvs=b"\3\0\4abcd"), "checksum is wrong"),
                 (v2("192.0.2.1", tlvs=b"x" * 4096), "longer than 4096"))
        for number, (header, says) in enumerate(table):
            with gateway.client() as client:
                name = "127.0.0.1:%d" % client.sock.getsockname()[1]
                client.send(header)
                self.assertEqual(client.closed(), b"")
                line = gateway.wait_error(f"listener main: {name}: PROXY protocol: .*{says}.*")
                self.assertIn("warning", line.string[:line.start()].rsplit("\n", 1)[-1])
            wait_until(lambda: gateway.status()["stats"]["proxy_refused"] == number + 1, "the count")
        self.assertEqual(self.seen.requests, [])
        self.assertEqual(gateway.accesses(), [])
        # The log is not a way to fill the disk.
        for _ in range(50):
            with gateway.client() as client:
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                client.closed()
        wait_until(lambda: gateway.status()["stats"]["proxy_refused"] == len(table) + 50, "the count")
        self.assertLessEqual(gateway.errors().count("PROXY protocol:"), 20)

    def test_header_that_does_not_come(self):
        gateway = self.serve(extra='client = { header_timeout = "300ms"; };')
        for begin, says in ((b"", "no header came in time"), (b"PROXY TCP4 192.0", "end didn't come in time")):
            with gateway.client() as client:
                client.send(begin)
                self.assertEqual(client.closed(), b"")
            gateway.wait_error(says)
        with gateway.client() as client:
            client.send(b"PROXY TCP4")
        gateway.wait_error("ended within the header")
        self.assertEqual(gateway.status()["stats"]["proxy_refused"], 3)
        # Who only looks whether somebody listens did nothing wrong.
        for _ in range(3):
            gateway.client().close()
        with gateway.client() as client:
            client.send(v1("192.0.2.1"))
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(gateway.status()["stats"]["proxy_refused"], 3)

    def test_only_trusted_peers_bring_one(self):
        gateway = self.serve("trusted", extra='trusted_proxies = "127.0.0.9";')
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(self.client_seen(), ["127.0.0.1"])
        with gateway.client() as client:  # a client that says it is a proxy
            client.send(v1("192.0.2.1"))
            self.problem(client.request("GET", "/"), 501, "invalid HTTP method")
        with gateway.client() as client:
            client.send(v2("192.0.2.1"))
            self.problem(client.answer(), 400)
        self.assertEqual(gateway.status()["stats"]["proxy_refused"], 0)
        with gateway.client(source="127.0.0.9") as client:
            client.send(v1("192.0.2.1"))
            self.assertEqual(client.request("GET", "/", [("X-Forwarded-For", "1.2.3.4")]).status, 200)
        # The client is the header's, and nobody trusts that one.
        self.assertEqual(self.client_seen(), ["192.0.2.1"])
        with gateway.client(source="127.0.0.9") as client:
            client.send_head("GET", "/")
            self.assertEqual(client.closed(), b"")
        wait_until(lambda: gateway.status()["stats"]["proxy_refused"] == 1, "the count")

    def test_drained_while_the_header_is_awaited(self):
        gateway = self.serve()
        with gateway.client() as client, gateway.client() as silent:
            client.send(v1("192.0.2.1")[:20])
            silent.send(b"P")
            # Both were accepted: the worker has them.
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 2, "two connections")
            gateway.reload()
            wait_until(lambda: len(gateway.processes("worker", None)) == 1, "the old worker's end")
            client.send(v1("192.0.2.1")[20:])
            for _ in range(2):
                got = client.request("GET", "/")
                self.assertEqual((got.status, got.get("Connection")), (200, None))
                self.assertEqual(self.client_seen(), ["192.0.2.1"])
            silent.send(v1("192.0.2.2")[1:])
            self.assertEqual(silent.request("GET", "/").status, 200)
            self.assertEqual(self.client_seen(), ["192.0.2.2"])
        self.assertEqual(gateway.status()["stats"]["taken_over"], 2)

    def test_drained_by_a_stop_while_the_header_is_awaited(self):
        gateway = self.serve()
        with gateway.client() as client:
            client.send(v1("192.0.2.1")[:20])
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 1, "the connection")
            stop = threading.Thread(target=gateway.stop)
            stop.start()
            gateway.wait_error("stopping: ")
            client.send(v1("192.0.2.1")[20:])
            got = client.request("GET", "/")
            self.assertEqual((got.status, got.get("Connection")), (200, "close"))
            self.assertEqual(self.client_seen(), ["192.0.2.1"])
            self.assertEqual(client.closed(), b"")
        stop.join()

    def test_nginx_sends(self):
        gateway, port = self.serve(), free_port()
        self.run_nginx(port, f"""
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            events {{ }}
            stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{gateway.port}; proxy_protocol on; }} }}
            """)
        self.assertEqual(get(port, "/", source="127.0.0.7").status, 200)
        self.assertEqual(self.client_seen(), ["127.0.0.7"])

    def test_haproxy_sends(self):
        gateway = self.serve()
        sends = ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority",
                 "send-proxy-v2-ssl proxy-v2-options crc32c,ssl,cert-cn", "send-proxy-v2 check check-send-proxy inter 50")
        ports = [free_port() for _ in sends]
        haproxy(self, ports[-1], "\n".join(f"""
        listen sends{number}
            mode tcp
            unique-id-format %ci:%cp
            bind 127.0.0.1:{port}
            server gateway 127.0.0.1:{gateway.port} {send}""" for number, (port, send) in enumerate(zip(ports, sends))))
        for number, port in enumerate(ports):
            address = f"127.0.0.{number + 20}"
            self.assertEqual(get(port, "/", source=address).status, 200, sends[number])
            self.assertEqual(self.client_seen(), [address], sends[number])
        self.assertEqual(gateway.status()["stats"]["proxy_refused"], 0)


class Sending(Case):
    def headers(self, read):
        origin = Headers(read)
        self.addCleanup(origin.close)
        return origin

    def serve(self, version, text, **settings):
        return self.gateway(workers=1, apis=ALL, upstreams=f"""
            origin = {{ endpoints = ( "{text}" ); proxy_protocol = "{version}"; }};""", **settings)

    def test_line(self):
        origin = self.headers(lambda reader: reader.line())
        gateway = self.serve("v1", origin.text)
        with gateway.client() as client:
            port = client.sock.getsockname()[1]
            for _ in range(2):
                self.assertEqual(client.request("GET", "/").status, 200)
                self.assertEqual(client.request("POST", "/", body=b"x" * 100000).status, 200)
        # One connection for each request: they are not kept.
        self.assertEqual(origin.got, [f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {gateway.port}"] * 4)
        self.assertEqual(gateway.status()["stats"]["upstream_reused"], 0)

    def test_binary(self):
        origin = self.headers(read_v2)
        gateway = self.serve("v2", origin.text)
        with gateway.client(source="127.0.0.5") as client:
            self.assertEqual(client.request("GET", "/").status, 200)
            ports = (client.sock.getsockname()[1], gateway.port)
        self.assertEqual(origin.got, [(1, 0x11, "127.0.0.5", "127.0.0.1", ports)])

    def test_ipv6_and_unix_clients(self):
        path = os.path.join(self.folder, "listen.sock")
        port = free_port()
        for version, read, expected in (
                ("v1", lambda reader: reader.line(), ("PROXY TCP6 ::1 ::1", "PROXY TCP4 127.0.0.1 127.0.0.1", "PROXY UNKNOWN")),
                ("v2", read_v2, ((1, 0x21, "::1", "::1"), (1, 0x11, "127.0.0.1", "127.0.0.1"), (1, 0, None, None)))):
            origin = self.headers(read)
            gateway = self.serve(version, origin.text, listeners=f'"[::]:{port}", "unix:{path}"')
            for address in (("::1", port), ("127.0.0.1", port), path):
                self.assertEqual(get(address, "/").status, 200)
            for got, wanted in zip(origin.got, expected):
                self.assertEqual(got[:len(wanted)], wanted)
            self.assertEqual(len(origin.got), 3)
            gateway.stop()

    def test_passed_on(self):
        """What came in a header goes out in one, whatever the versions."""
        for version, read, expected in (
                ("v1", lambda reader: reader.line(), "PROXY TCP6 2001:db8::1 2001:db8::2 1234 80"),
                ("v2", read_v2, (1, 0x21, "2001:db8::1", "2001:db8::2", (1234, 80)))):
            origin = self.headers(read)
            gateway = self.serve(version, origin.text, listeners="")
            gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "on"; }}')
            for header in (v1("2001:db8::1", "2001:db8::2"), v2("2001:db8::1", "2001:db8::2")):
                with gateway.client() as client:
                    client.send(header)
                    self.assertEqual(client.request("GET", "/").status, 200)
                self.assertEqual(origin.got[-1], expected)
            gateway.stop()

    def test_client_behind_a_trusted_proxy(self):
        origin = self.headers(lambda reader: reader.line())
        gateway = self.serve("v1", origin.text, extra='trusted_proxies = "127.0.0.1";')
        gateway.get("/", fields=[("X-Forwarded-For", "192.0.2.77")])
        self.assertEqual(origin.got, [f"PROXY TCP4 192.0.2.77 127.0.0.1 0 {gateway.port}"])

    def test_copies_too(self):
        """A mirror's upstream is told of the client that the request was from, who has left by then."""
        origin, shadow = self.origin(), self.headers(read_v2)
        gateway = self.gateway(workers=1, apis="""{ name = "a"; routes = ( { match = { prefix = "/"; };
            proxy = { upstream = "origin"; }; mirror = "shadow"; } ); }""", upstreams=f"""
            origin = {{ endpoints = ( "{origin.text}" ); }};
            shadow = {{ endpoints = ( "{shadow.text}" ); proxy_protocol = "v2"; }};""")
        self.assertEqual(gateway.get("/", source="127.0.0.4").status, 200)
        got = wait_until(lambda: shadow.got, "the copy")[0]
        self.assertEqual(got[:4] + (got[4][1],), (1, 0x11, "127.0.0.4", "127.0.0.1", gateway.port))

    def test_haproxy_receives(self):
        port = free_port()
        haproxy(self, port, f"""
        frontend receives
            mode http
            bind 127.0.0.1:{port} accept-proxy
            http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
            """)
        for version in ("v1", "v2"):
            gateway = self.serve(version, f"127.0.0.1:{port}")
            with gateway.client(source="127.0.0.6") as client:
                expected = f"127.0.0.6 {client.sock.getsockname()[1]} 127.0.0.1 {gateway.port}"
                self.assertEqual(client.request("GET", "/").body.decode(), expected)
            gateway.stop()

    def test_nginx_receives(self):
        port = free_port()
        self.run_nginx(port, f"""
            events {{ }}
            http {{ {NGINX_HTTP}
                server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{
                    return 200 "$proxy_protocol_addr $proxy_protocol_server_port"; }} }} }}
            """)
        for version in ("v1", "v2"):
            gateway = self.serve(version, f"127.0.0.1:{port}")
            self.assertEqual(gateway.get("/", source="127.0.0.8").body.decode(), f"127.0.0.8 {gateway.port}")
            gateway.stop()
