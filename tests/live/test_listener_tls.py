"""TLS on a listener: handshakes good and bad, data both ways, ends, reloads with connections open."""
import socket
import ssl
import subprocess
import threading

from certificates import Authority, TlsClient, s_client
from gatehouse import Case, free_port, limit, resident, slow, wait_until
from peers import Client, answer

ECHO = """{ name = "all"; routes = (
    { match = { path = "/hello"; }; respond = { status = 200; body = "hello ${scheme}"; }; },
    { match = { path = "/{rest*}"; }; proxy = { upstream = "origin"; }; } ); }"""


def pattern(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Listener(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.leaf = self.authority.issue("localhost")
        self.tls = TlsClient(self.authority)

    def listener(self, port, more="", tls=""):
        return (f'{{ name = "main"; listen = "127.0.0.1:{port}"; {more} '
                f'tls = {{ certificates = ( {self.leaf.setting} ); {tls} }}; }}')

    def serve(self, serve=None, more="", tls="", **settings):
        self.behind = self.origin(serve)
        port = free_port()
        gateway = self.gateway(apis=ECHO, upstreams=f'origin = {{ endpoints = ( "{self.behind.text}" ); }};',
                               listeners=self.listener(port, more, tls), **settings)
        gateway.port = port
        return gateway


class Handshakes(Listener):
    def test_versions(self):
        gateway = self.serve()
        for version in ("TLSv1_2", "TLSv1_3"):
            client = TlsClient(self.authority, minimum=version, maximum=version)
            with self.subTest(version=version), client.open(gateway.port) as connection:
                self.assertEqual(connection.version, version.replace("_", "."))
                for _ in range(2):
                    self.assertEqual(connection.request("GET", "/hello").body, b"hello https")

    def test_application_protocol(self):
        gateway = self.serve()
        with TlsClient(self.authority, alpn=("spdy/1", "http/1.1")).open(gateway.port) as connection:
            self.assertEqual(connection.alpn, "http/1.1")
            self.assertEqual(connection.request("GET", "/hello").status, 200)

    def test_curl(self):
        gateway = self.serve()
        said = subprocess.run(["curl", "-sS", "--http1.1", "--cacert", self.authority.path,
                               f"https://localhost:{gateway.port}/hello", f"https://localhost:{gateway.port}/hello"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
        self.assertEqual(said.stdout, b"hello https" * 2)

    def test_plain_request(self):
        gateway = self.serve()
        for method in ("GET", "OPTIONS", "PROPFIND"):
            with Client(gateway.port) as client:
                self.problem(client.request(method, "/hello"), 400, "https://")
                self.assertEqual(client.closed(), b"")
        gateway.wait_error("listener main: 127.0.0.1:[0-9]+: TLS: a plain HTTP request came")
        self.assertEqual(gateway.status()["stats"]["tls_refused"], 3)

    def test_garbage(self):
        gateway = self.serve()
        for data in (b"\0" * 100, b"\x16\x03\x01\x40\x01", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x80\x2e\x01",
                     b"\x15\x03\x01\x00\x02\x02\x28", bytes(range(256)) * 300, b"\x16" * 70000):
            with self.subTest(data=data[:12]), Client(gateway.port) as client:
                client.send(data)
                try:
                    client.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it is closed already
                client.closed()
        gateway.wait_error("TLS: ")
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)

    def test_time_out(self):
        gateway = self.serve(tls='handshake_timeout = "300ms";')
        for data in (b"", b"\x16\x03\x01\x00\x80\x01"):
            with Client(gateway.port) as client:
                client.send(data)
                self.assertEqual(client.closed(), b"")
        gateway.wait_error("TLS: no handshake came in time")
        gateway.wait_error("TLS: the handshake took too long")

    def test_many_that_never_end(self):
        """Those whose handshake stays half cost the others nothing, and are gone in the end."""
        gateway = self.serve(tls='handshake_timeout = "2s";', workers=1)
        clients = [Client(gateway.port) for _ in range(200)]
        for number, client in enumerate(clients):
            client.send(b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"[:number % 12])
        for _ in range(5):
            self.assertEqual(self.tls.get(gateway.port, "/hello").body, b"hello https")
        for client in clients:
            client.closed()
            client.close()
        wait_until(lambda: gateway.processes("worker")[0]["connections"] == 0, "they are all gone")
        self.assertEqual(self.tls.get(gateway.port, "/hello").body, b"hello https")

    def test_a_hello_byte_by_byte(self):
        gateway = self.serve()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.tls.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with Client(gateway.port) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        client.send(bytes([byte]))
                    incoming.write(client.sock.recv(65536))
            # The request comes in the same piece as the end of the handshake.
            session.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.send(outgoing.read())
            got = b""
            while b"hello https" not in got:
                incoming.write(client.sock.recv(65536))
                try:
                    got += session.read()
                except ssl.SSLWantReadError:
                    pass

    def test_a_client_that_refuses(self):
        gateway = self.serve()
        with self.assertRaises(ssl.SSLCertVerificationError):
            TlsClient(Authority(self.folder, "other")).open(gateway.port)
        gateway.wait_error('TLS: it gave up with the alert "unknown CA"')

    def test_no_renegotiation(self):
        gateway = self.serve()
        said = s_client(gateway.port, "-tls1_2", data=b"R\n")
        self.assertIn("no renegotiation", said)
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)

    def test_behind_a_proxy_header(self):
        gateway = self.serve(more='proxy_protocol = "on";')
        before = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n"
        self.assertEqual(self.tls.get(gateway.port, "/hello", before=before).body, b"hello https")
        self.assertEqual(gateway.wait_access(1)[0]["client"], "192.0.2.7")
        with Client(gateway.port) as client:
            client.send(before + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.problem(client.answer(), 400, "TLS")

    def test_http2_is_agreed_on_or_not_spoken(self):
        """Over TLS there is no prior knowledge (RFC 9113, section 3.3): without ALPN a preface is a request that makes no sense."""
        gateway = self.serve()
        with self.tls.open(gateway.port) as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.problem(client.answer(), 501)

    def test_too_many_of_an_address(self):
        gateway = self.serve(workers=1, extra="client = { max_per_address = 2; };")
        with self.tls.open(gateway.port), self.tls.open(gateway.port) as second:
            with self.tls.open(gateway.port) as third:
                self.problem(third.answer(), 429)
            self.assertEqual(second.request("GET", "/hello").status, 200)

    def test_wrong_certificates(self):
        gateway = self.serve()
        other = self.authority.issue("other")
        said = gateway.config
        for cert, key, words in ((self.leaf.path, other.key_path, "key"), ("/nowhere.pem", other.key_path, "nowhere")):
            gateway.write(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; tls = {{ certificates = ( '
                                    f'{{ cert = "{cert}"; key = "{key}"; }} ); }}; }}')
            for command in ("check", "reload"):
                done = gateway.run(command)
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, f"{said}:[0-9]+: .*{words}")
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)


class Data(Listener):
    def test_large_bodies(self):
        gateway = self.serve(lambda request, sock: answer(request.body))
        for size in (1, 16383, 16384, 16385, 65536, 3000000):
            for version in ("TLSv1_2", "TLSv1_3"):
                with self.subTest(size=size, version=version), \
                        TlsClient(self.authority, maximum=version).open(gateway.port) as client:
                    body = pattern(size)
                    self.assertTrue(client.request("POST", "/", (), body).body == body)

    def test_a_client_that_reads_slowly(self):
        size = 32 << 20
        gateway = self.serve(lambda request, sock: answer(pattern(size)), workers=1)
        worker = gateway.wait_processes("worker", 1)[0]
        with self.tls.open(gateway.port) as client:
            self.assertEqual(client.request("GET", "/hello").status, 200)
            before = resident(worker)
            client.send_head("GET", "/")
            client.reader.head()
            # It takes what the kernel has for it, and then a little at a time.
            seen, grown = len(client.reader.held), 0
            while seen < size:
                data = client.sock.recv(1 << 16)
                seen += len(data)
                if seen % (1 << 22) < 1 << 16:
                    grown = max(grown, resident(worker) - before)
            self.assertLess(grown, 16 << 20 if slow() else 4 << 20)

    def test_a_large_upload(self):
        size = 24 << 20

        def serve(request, sock):
            return answer(b"%d" % len(request.body))

        gateway = self.serve(serve)
        with self.tls.open(gateway.port) as client:
            self.assertEqual(client.request("PUT", "/", (), pattern(size)).body, b"%d" % size)

    def test_pipelined(self):
        gateway = self.serve()
        with self.tls.open(gateway.port) as client:
            client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            for _ in range(50):
                self.assertEqual(client.answer().body, b"hello https")

    def test_a_key_update(self):
        gateway = self.serve()
        said = s_client(gateway.port, "-tls1_3", data=b"K\nGET /hello HTTP/1.1\nHost: a\nConnection: close\n\n")
        self.assertIn("KEYUPDATE", said)
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)


class Ends(Listener):
    def test_close_notify(self):
        gateway = self.serve()
        with self.tls.open(gateway.port) as client:
            client.request("GET", "/hello", [("Connection", "close")])
            self.assertEqual(client.sock.recv(10), b"")  # and no ssl.SSLError
        with self.tls.open(gateway.port) as client:
            client.request("GET", "/hello")
            self.assertTrue(client.sock.unwrap())  # which waits for the gateway's own

    def test_a_half_closed_client_gets_its_answer(self):
        gateway = self.serve(lambda request, sock: answer(request.body), extra="client = { half_close = true; };")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.tls.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with Client(gateway.port) as client:
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.send(outgoing.read())
                    incoming.write(client.sock.recv(65536))
            session.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
            try:
                session.unwrap()
            except ssl.SSLWantReadError:
                pass
            client.send(outgoing.read())
            client.sock.shutdown(socket.SHUT_WR)
            incoming.write(client.closed())
            got = session.read(65536)
            self.assertTrue(got.startswith(b"HTTP/1.1 200"), got)
            self.assertTrue(got.endswith(b"hello"), got)

    def test_a_client_that_is_cut(self):
        gateway = self.serve(lambda request, sock: answer(pattern(8 << 20)), workers=1)
        for how in range(3):
            client = self.tls.open(gateway.port)
            client.send_head("GET", "/")
            client.reader.head()
            if how == 1:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if how == 2:
                raw = socket.socket(fileno=client.sock.detach())
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
                raw.close()
            else:
                client.close()
        wait_until(lambda: gateway.status()["stats"]["aborted"] == 3, "three that left")
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)

    def test_a_forged_record(self):
        gateway = self.serve()
        for version in ("TLSv1_2", "TLSv1_3"):
            client = TlsClient(self.authority, maximum=version).open(gateway.port)
            client.request("GET", "/hello")
            with socket.socket(fileno=client.sock.detach()) as raw:
                raw.settimeout(10)
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
                alert = raw.recv(1000)
                self.assertEqual(alert[0], 0x15 if version == "TLSv1_2" else 0x17, alert)
                while raw.recv(1000):
                    pass
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)

    def test_an_answer_that_breaks_off(self):
        def serve(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
            raise ConnectionError

        gateway = self.serve(serve)
        with self.tls.open(gateway.port) as client:
            client.send_head("GET", "/")
            with self.assertRaises((ConnectionResetError, ssl.SSLError, EOFError)):
                client.answer()


class Reloads(Listener):
    def test_idle_connections_end_soon(self):
        """Old workers must not wait for what can't be handed over."""
        gateway = self.serve()
        clients = [self.tls.open(gateway.port) for _ in range(6)]
        for client in clients:
            client.request("GET", "/hello")
        old = gateway.wait_processes("worker", 2)
        gateway.replace()
        for client in clients:
            self.assertEqual(client.sock.recv(10), b"")  # with close_notify
            client.close()
        wait_until(lambda: not {process["pid"] for process in gateway.processes(states=None)} & set(old),
                   "the end of the old workers")
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)

    def test_the_next_answer_is_the_last(self):
        gateway = self.serve()
        with self.tls.open(gateway.port) as client:
            self.assertIsNone(client.request("GET", "/hello").get("Connection"))
            gateway.replace()
            last = client.request("GET", "/hello")
            self.assertEqual((last.status, last.get("Connection")), (200, "close"))
            self.assertEqual(client.sock.recv(10), b"")

    def test_a_request_goes_on(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def serve(request, sock):
            go.wait(20)
            return answer(b"late")

        gateway = self.serve(serve)
        with self.tls.open(gateway.port) as client:
            client.send_head("GET", "/")
            self.behind.wait(lambda origin: origin.requests)
            gateway.replace()
            go.set()
            last = client.answer()
            self.assertEqual((last.body, last.get("Connection")), (b"late", "close"))

    def test_a_handshake_goes_on(self):
        gateway = self.serve(workers=1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.tls.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with Client(gateway.port) as client:
            with self.assertRaises(ssl.SSLWantReadError):
                session.do_handshake()
            hello = outgoing.read()
            client.send(hello[:50])
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 1, "the connection")
            gateway.replace()
            client.send(hello[50:])
            while True:
                incoming.write(client.sock.recv(65536))
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.send(outgoing.read())
            session.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.send(outgoing.read())
            incoming.write(client.closed())
            got = session.read(65536)
            self.assertIn(b"Connection: close", got)
            self.assertTrue(got.endswith(b"hello https"), got)

    def test_a_proxy_header_in_two_generations(self):
        """Begun with the old worker, which hands it over, as there is no TLS yet."""
        gateway = self.serve(more='proxy_protocol = "on";', workers=1)
        header = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n"
        client = Client(gateway.port)
        client.send(header[:20])
        wait_until(lambda: gateway.processes("worker")[0]["connections"] == 1, "the connection")
        gateway.replace()
        wait_until(lambda: gateway.status()["stats"]["taken_over"] == 1, "the hand-off")
        client.send(header[20:])
        with self.tls.context.wrap_socket(client.sock, server_hostname="localhost") as secure:
            secure.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b""
            while not got.endswith(b"hello https"):
                got += secure.recv(4096)
            self.assertNotIn(b"Connection: close", got)

    def test_another_certificate(self):
        gateway = self.serve()
        with self.tls.open(gateway.port) as client:
            self.assertEqual(client.peer_fingerprint(), self.leaf.fingerprint())
            self.leaf = self.authority.issue("localhost", file="second")
            gateway.replace(listeners=self.listener(gateway.port))
            self.assertEqual(client.request("GET", "/hello").status, 200)
        with self.tls.open(gateway.port) as client:
            self.assertEqual(client.peer_fingerprint(), self.leaf.fingerprint())

    def test_plain_to_tls_and_back(self):
        gateway = self.serve()
        plain = f'{{ name = "main"; listen = "127.0.0.1:{gateway.port}"; }}'
        with self.tls.open(gateway.port) as secure:
            gateway.replace(listeners=plain)
            with Client(gateway.port) as client:
                self.assertEqual(client.request("GET", "/hello").body, b"hello http")
                self.assertEqual(secure.request("GET", "/hello").body, b"hello https")
                gateway.replace(listeners=self.listener(gateway.port))
                self.assertEqual(client.request("GET", "/hello").body, b"hello http")
        self.assertEqual(self.tls.get(gateway.port, "/hello").body, b"hello https")

    @limit(60)
    def test_reloads_under_load(self):
        gateway = self.serve()
        stop, errors, done = threading.Event(), [], [0]

        def run():
            try:
                while not stop.is_set():
                    with self.tls.open(gateway.port) as client:
                        for _ in range(200):
                            last = client.request("GET", "/hello")
                            assert last.status == 200, last
                            done[0] += 1
                            if last.get("Connection") == "close" or stop.is_set():
                                break
            except Exception as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            gateway.replace()
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(done[0], 100)

    def test_a_killed_worker(self):
        gateway = self.serve(workers=1)
        gateway.deaths_expected = True
        worker = gateway.wait_processes("worker", 1)[0]
        with self.tls.open(gateway.port) as client:
            client.request("GET", "/hello")
            subprocess.run(["kill", "-9", str(worker)], check=True)
            with self.assertRaises((ConnectionResetError, ssl.SSLError)):
                client.sock.recv(10)
        gateway.wait_processes("worker", 1, [worker])
        self.assertEqual(self.tls.get(gateway.port, "/hello").status, 200)
