"""TLS to upstreams: whom endpoints must be, who we are to them, sessions, and what goes wrong."""
import os
import socket
import ssl
import subprocess
import threading

from certificates import Authority
from gatehouse import NGINX_HTTP, Case, free_port, wait_until
from pair import ALL
from peers import Client, Origin, answer


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += sock.recv(1)
    return line


class TlsOrigin(Origin):
    """An Origin over TLS. `seen`: of each handshake (version, ALPN, SNI, whether it was resumed); `fronts`: the line
    that came in front of each, with `fronted`."""

    def __init__(self, context, serve=None, fronted=False):
        self.context, self.fronted, self.seen, self.fronts = context, fronted, [], []
        self.names = threading.local()
        context.sni_callback = self.named
        super().__init__(serve)

    def named(self, sock, name, _):
        self.names.last = name

    def converse(self, sock):
        raw = sock
        self.names.last = None
        try:
            if self.fronted:
                self.fronts.append(read_line(sock))
            sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
        except OSError:
            sock.close()
            return
        self.open.discard(raw)
        self.open.add(sock)
        self.seen.append((sock.version(), sock.selected_alpn_protocol(), self.names.last, sock.session_reused))
        super().converse(sock)


class Upstream(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.leaf = self.authority.issue("localhost")

    def context(self, leaf=None, clients=None, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = leaf or self.leaf
        context.load_cert_chain(leaf.path, leaf.key_path)
        context.set_alpn_protocols(["http/1.1"])
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.path)
        if version:
            context.maximum_version = getattr(ssl.TLSVersion, version)
        return context

    def secure(self, serve=None, fronted=False, **context):
        origin = TlsOrigin(self.context(**context), serve, fronted)
        self.addCleanup(self.close_origin, origin)
        return origin

    def upstream(self, endpoints, tls="", more=""):
        """`endpoints`: texts. `tls`: settings beside the authority."""
        listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
        ca = "" if "verify" in tls or "ca =" in tls else f'ca = "{self.authority.path}";'
        return f"origin = {{ endpoints = ( {listed} ); tls = {{ {ca} {tls} }}; {more} }};"

    def serve(self, endpoints, tls="", more="", **settings):
        return self.gateway(apis=ALL, upstreams=self.upstream(endpoints, tls, more), workers=1, **settings)

    def refused(self, gateway, words):
        """What comes of a handshake that fails: a 502, and a line that says which endpoint, and why."""
        self.problem(gateway.get("/"), 502)
        gateway.wait_error(f"upstream origin: [^ ]+: can't connect: .*{words}")


class Handshakes(Upstream):
    def test_names_and_addresses(self):
        origin = self.secure()
        gateway = self.serve([f"localhost:{origin.port}"])
        self.assertEqual(gateway.get("/").body, b"hello from the origin")
        self.assertEqual(origin.seen[-1][:3], ("TLSv1.3", "http/1.1", "localhost"))
        gateway.replace(upstreams=self.upstream([origin.text]))
        self.assertEqual(gateway.get("/").status, 200)
        self.assertIsNone(origin.seen[-1][2])  # an address is no SNI, but the certificate is for it
        gateway.replace(upstreams=self.upstream([origin.text], 'name = "localhost";'))
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(origin.seen[-1][2], "localhost")

    def test_versions(self):
        origin = self.secure(version="TLSv1_2")
        gateway = self.serve([origin.text])
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(origin.seen[-1][0], "TLSv1.2")
        gateway.replace(upstreams=self.upstream([origin.text], 'min_version = "TLSv1.3";'))
        self.refused(gateway, "protocol version")

    def test_nginx(self):
        port = free_port()
        self.run_nginx(port, f"""events {{ }} http {{ {NGINX_HTTP}
            server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {self.leaf.path};
                ssl_certificate_key {self.leaf.key_path}; location / {{ return 200 "$ssl_protocol $ssl_session_reused"; }} }} }}""")
        gateway = self.serve([f"127.0.0.1:{port}"], more="keepalive = { idle = 0; };")
        self.assertEqual(gateway.get("/").body, b"TLSv1.3 .")
        self.assertEqual(gateway.get("/").body, b"TLSv1.3 r")

    def test_s_server(self):
        port = free_port()
        process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.leaf.path, "-key",
                                    self.leaf.key_path, "-www", "-quiet"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def listens():
            try:
                Client(port).close()
                return True
            except OSError:
                return False

        wait_until(listens, "s_server listens")
        gateway = self.serve([f"127.0.0.1:{port}"])
        self.assertIn(b"Ciphers supported in s_server", gateway.get("/").body)

    def test_bad_certificates(self):
        other = Authority(self.folder, "other")
        for leaf, words in ((other.issue("localhost", file="unknown"), "authority that is not (known|trusted)"),
                            (self.authority.issue("localhost", file="expired", days=-1), "has expired"),
                            (self.authority.issue("elsewhere", ("elsewhere",)), "not for its address"),
                            (self.authority.issue("localhost", file="client", usage="client"), "not for this purpose")):
            with self.subTest(words=words):
                origin = self.secure(leaf=leaf)
                gateway = self.serve([origin.text], name=f"gatehouse-{origin.port}")
                self.refused(gateway, words)
                self.assertEqual(origin.requests, [])
                gateway.replace(upstreams=self.upstream([origin.text], "verify = false;"))
                self.assertEqual(gateway.get("/").status, 200)

    def test_who_is_trusted(self):
        """The root, an authority below it, or the endpoint's own certificate."""
        between = self.authority.intermediate()
        leaf = between.issue("localhost", file="below")
        origin = self.secure(leaf=leaf)
        gateway = self.serve([origin.text])
        for trusted in (self.authority.path, between.path, leaf.path):
            with self.subTest(trusted=trusted):
                gateway.replace(upstreams=self.upstream([origin.text], f'ca = "{trusted}";'))
                self.assertEqual(gateway.get("/").status, 200)
        gateway.replace(upstreams=self.upstream([origin.text], f'ca = "{self.leaf.path}";'))
        self.refused(gateway, "authority that is not (known|trusted)")

    def test_another_name(self):
        origin = self.secure()
        gateway = self.serve([origin.text], 'name = "elsewhere.example";')
        self.refused(gateway, "for another name")
        self.assertEqual(origin.requests, [])

    def test_the_system_trusts(self):
        """Without `ca` the system's authorities count, of which ours is none."""
        origin = self.secure()
        gateway = self.gateway(apis=ALL, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); tls = true; }};')
        self.refused(gateway, "authority that is not (known|trusted)")

    def test_our_certificate(self):
        clients = Authority(self.folder, "clients")
        me = clients.issue("gateway", (), usage="client")
        origin = self.secure(clients=clients)
        gateway = self.serve([origin.text], f'cert = "{me.path}"; key = "{me.key_path}";')
        self.assertEqual(gateway.get("/").status, 200)
        # With TLS 1.3 the endpoint says no behind a handshake that was good to us: the answer is what fails.
        gateway.replace(upstreams=self.upstream([origin.text]))
        self.problem(gateway.get("/"), 502)
        gateway.replace(upstreams=self.upstream([origin.text], 'max_version = "TLSv1.2";'))
        self.refused(gateway, 'gave up with the alert "handshake failure"')

    def test_what_answers_isn_t_tls(self):
        def run(listener):
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.recv(100)
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.close()

        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=run, args=(listener,), daemon=True).start()
        self.addCleanup(listener.close)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        gateway = self.serve([f"127.0.0.1:{listener.getsockname()[1]}"])
        self.refused(gateway, "is not TLS")

    def test_time_out(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        gateway = self.serve([f"127.0.0.1:{listener.getsockname()[1]}"], more='timeout = { connect = "300ms"; };')
        self.assertIn(gateway.get("/").status, (502, 504))
        gateway.wait_error("its TLS handshake wasn't done within the connect time-out")

    def test_another_endpoint_is_tried(self):
        bad, good = self.secure(leaf=Authority(self.folder, "other").issue("localhost", file="unknown")), self.secure()
        gateway = self.serve([bad.text, good.text], more="retry = { connect = 2; };")
        for _ in range(4):
            self.assertEqual(gateway.get("/").status, 200)

    def test_a_handshake_that_is_cut(self):
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.recv(3000)
                sock.close()

        threading.Thread(target=run, daemon=True).start()
        self.addCleanup(listener.close)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        gateway = self.serve([f"127.0.0.1:{listener.getsockname()[1]}"])
        self.refused(gateway, "closed within the handshake")


class Sessions(Upstream):
    def test_resumption(self):
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version=version):
                origin = self.secure(version=version)
                gateway = self.serve([origin.text], more="keepalive = { idle = 0; };", name=version)
                for _ in range(4):
                    self.assertEqual(gateway.get("/").status, 200)
                self.assertEqual([seen[3] for seen in origin.seen], [False, True, True, True])
                gateway.replace(upstreams=self.upstream([origin.text], "resume = false;", "keepalive = { idle = 0; };"))
                for _ in range(2):
                    gateway.get("/")
                self.assertEqual([seen[3] for seen in origin.seen[4:]], [False, False])

    def test_connections_are_kept(self):
        origin = self.secure()
        gateway = self.serve([origin.text])
        for _ in range(5):
            self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(len(origin.seen), 1)


class Data(Upstream):
    def test_large_bodies(self):
        origin = self.secure(lambda request, sock: answer(request.body))
        gateway = self.serve([origin.text])
        for size in (0, 1, 16384, 100000, 5000000):
            body = os.urandom(size)
            with self.subTest(size=size), gateway.client() as client:
                self.assertTrue(client.request("POST", "/", (), body).body == body)

    def test_an_answer_without_a_length(self):
        """Its end is TLS's close_notify: where that lacks, an attacker may have cut it."""
        def serve(request, sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nthe whole answer")
            if request.target == "/good":
                sock.unwrap()
            else:
                raw = socket.socket(fileno=sock.detach())
                raw.close()

        origin = self.secure(serve)
        gateway = self.serve([origin.text])
        with gateway.client() as client:
            self.assertEqual(client.request("GET", "/good").body, b"the whole answer")
        with gateway.client() as client:
            client.send_head("GET", "/cut")
            with self.assertRaises((EOFError, ConnectionResetError)):
                client.answer()
        gateway.wait_error("close_notify")
        origin.errors.clear()

    def test_a_proxy_header_comes_before(self):
        header = b"PROXY TCP4 127.0.0.1 127.0.0.1 "
        origin = self.secure(fronted=True)
        gateway = self.serve([origin.text], more='proxy_protocol = "v1";')
        for _ in range(2):
            self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual([front[:len(header)] for front in origin.fronts], [header] * 2)


class Probes(Upstream):
    def test_probes(self):
        origin = self.secure()
        gateway = self.serve([origin.text], more='health = { path = "/health"; interval = "100ms"; };')
        origin.wait(lambda origin: any(request.target == "/health" for request in origin.requests))
        wait_until(lambda: gateway.status()["stats"]["probes"] > 1, "good probes")
        self.assertEqual(gateway.status()["stats"]["probes_failed"], 0)

    def test_a_probe_that_fails(self):
        origin = self.secure(leaf=self.authority.issue("localhost", file="expired", days=-1))
        gateway = self.serve([origin.text], more='health = { path = "/health"; interval = "100ms"; fall = 1; };')
        gateway.wait_error("certificate.* has expired")
        wait_until(lambda: gateway.status()["stats"]["endpoints_down"] == 1, "the endpoint is down")


class Configuration(Upstream):
    def test_what_is_wrong(self):
        gateway = self.gateway(apis=ALL, upstreams='origin = { endpoints = ( "127.0.0.1:1" ); };')
        me = self.authority.issue("me", (), usage="client")
        for endpoint, tls, words in (
                ("127.0.0.1:1", 'ca = "/nowhere.pem";', "tls.ca: can't open /nowhere.pem"),
                ("127.0.0.1:1", f'ca = "{self.leaf.key_path}";', "tls.ca: .*key"),
                ("127.0.0.1:1", f'cert = "{self.leaf.path}";', "tls.key: is missing"),
                ("127.0.0.1:1", f'key = "{self.leaf.key_path}";', "tls.cert: is missing"),
                ("127.0.0.1:1", f'cert = "{me.path}"; key = "{self.leaf.key_path}";', "tls.(cert|key): .*key"),
                ("127.0.0.1:1", f'cert = "{self.leaf.path}"; key = "{self.leaf.key_path}";', "lacks clientAuth"),
                ("127.0.0.1:1", 'min_version = "TLSv1.3"; max_version = "TLSv1.2";', "above max_version"),
                ("127.0.0.1:1", 'ciphers = [ "NONSENSE" ];', 'tls.ciphers: there is no cipher of TLS 1.2 "NONSENSE"'),
                ("127.0.0.1:1", 'name = "a b";', "tls.name: "),
                ("127.0.0.1:1", f'verify = false; ca = "{self.authority.path}";', "tls.ca: has no effect"),
                ("unix:/tmp/s", "", "add tls.name"),
                ("srv:_https._tcp.example", "", "add tls.name")):
            with self.subTest(tls=tls, endpoint=endpoint):
                gateway.write(upstreams=f'origin = {{ endpoints = ( "{endpoint}" ); tls = {{ {tls} }}; }};')
                done = gateway.run("check")
                self.assertEqual(done.status, 1, done)
                self.assertRegex(done.err, f"{gateway.config}:[0-9]+: upstreams.origin.*{words}")
        for tls in ("true", "false", "{ }", f'{{ ca = "{self.authority.path}"; name = "2001:db8::1"; }}'):
            gateway.write(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); tls = {tls}; }};')
            self.assertEqual(gateway.run("check").status, 0)

    def test_our_certificate_ends_soon(self):
        me = self.authority.issue("me", (), usage="client", days=10)
        gateway = self.gateway(apis=ALL, upstreams=self.upstream(["127.0.0.1:1"], f'cert = "{me.path}"; '
                                                                                  f'key = "{me.key_path}";'))
        done = gateway.run("check")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.err, "warning: upstreams.origin.tls.cert: .*me")


class Protocols(Upstream):
    """protocol = "auto" (ALPN) with nginx; see test_protocol_auto too."""

    def http2_nginx(self):
        port = free_port()
        self.run_nginx(port, f"""events {{ }} http {{ {NGINX_HTTP}
            server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {self.leaf.path};
                ssl_certificate_key {self.leaf.key_path};
                location / {{ return 200 "$server_protocol $connection"; }} }} }}""", "http2")
        return f"127.0.0.1:{port}"

    def test_each_chooses(self):
        one = self.secure(lambda request, sock: answer(b"HTTP/1.1"))
        gateway = self.serve([one.text, self.http2_nginx()], more='protocol = "auto";')
        for _ in range(2):  # a request whose endpoint turns out to speak the other version may go to the other one
            gateway.get("/")
        seen = [gateway.get("/").body.split()[0] for _ in range(8)]
        self.assertEqual(sorted(set(seen)), [b"HTTP/1.1", b"HTTP/2.0"])
        self.assertEqual(seen.count(b"HTTP/1.1"), 4)
        self.assertLessEqual(len(one.seen), 2)  # whose connection is kept, once its choice is known

    def test_connections_are_shared(self):
        gateway = self.serve([self.http2_nginx()], more='protocol = "auto";')
        first = gateway.get("/").body
        self.assertEqual([gateway.get("/").body for _ in range(5)], [first] * 5)

    def test_many_at_once(self):
        gateway = self.serve([self.http2_nginx()], more='protocol = "auto";')
        answers = []

        def ask():
            with gateway.client() as client:
                for _ in range(20):
                    answers.append(client.request("GET", "/").body.split()[0])

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [b"HTTP/2.0"] * 320)

    def test_probes(self):
        gateway = self.serve([self.http2_nginx()], more='protocol = "auto"; health = { path = "/"; interval = "100ms"; };')
        wait_until(lambda: gateway.status()["stats"]["probes"] > 2, "good probes")
        self.assertEqual(gateway.status()["stats"]["probes_failed"], 0)
