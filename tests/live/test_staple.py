"""OCSP responses that are sent with certificates: from a file, looked over when it is loaded, or fetched."""
import http.server
import os
import threading

from cryptography.x509 import ocsp

from certificates import Authority, s_client
from gatehouse import Case, Gateway, free_port, wait_until

APIS = '{ name = "all"; routes = ( { match = { path = "/"; }; respond = { status = 200; }; } ); }'


class Files(Case):
    def setUp(self):
        super().setUp()
        self.between = Authority(self.folder).intermediate()
        self.leaf = self.between.issue("leaf", ("leaf.example",))

    def listener(self, port, staple, leaf=None, more=""):
        leaf = leaf or self.leaf
        return (f'{{ name = "main"; listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {{ cert = "{leaf.path}"; '
                f'key = "{leaf.key_path}"; staple = "{staple}"; }} {more} ); }}; }}')

    def serve(self, *words, **options):
        port = free_port()
        gateway = self.gateway(apis=APIS, listeners=self.listener(port, *words, **options))
        gateway.port = port
        return gateway

    def test_sent(self):
        rsa = self.between.issue("rsa", ("leaf.example",), kind="rsa")
        gateway = self.serve(self.between.ocsp(self.leaf), more=f", {rsa.setting}")
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version=version):
                said = s_client(gateway.port, "-status", version, "-sigalgs", "ecdsa_secp256r1_sha256")
                self.assertIn("OCSP Response Status: successful", said)
                self.assertIn("Cert Status: good", said)
                self.assertIn("OCSP response: no response sent",
                              s_client(gateway.port, "-status", version, "-sigalgs", "rsa_pss_rsae_sha256"))
                self.assertNotIn("OCSP", s_client(gateway.port, version))  # it wasn't asked for
        told = gateway.status()["certificates"]
        self.assertTrue(told[0]["staple"]["sent"])
        self.assertIsNone(told[1]["staple"])
        self.assertIn("valid, stapled", gateway.run("status").out)

    def test_a_reload_takes_a_new_one(self):
        path = self.between.ocsp(self.leaf, days=-1, file="staple")
        gateway = self.serve(path)
        self.assertIn("OCSP response: no response sent", s_client(gateway.port, "-status"))
        self.between.ocsp(self.leaf, file="staple")
        gateway.replace()
        self.assertIn("Cert Status: good", s_client(gateway.port, "-status"))

    def test_wrong(self):
        other = self.between.issue("other", ("other.example",))
        revoked = self.between.issue("revoked", ("revoked.example",))
        self.between.revoke(revoked)
        alone = Authority(self.folder, "alone").issue("single", ("single.example",))
        forged = Authority(self.folder, "forger")
        nonsense = os.path.join(self.folder, "nonsense")
        with open(nonsense, "wb") as file:
            file.write(b"\x30\x03\x0a\x01\x00" * 3)
        gateway = Gateway(self.folder, apis=APIS)
        for staple, leaf, words in ((self.between.ocsp(other), self.leaf, "it is about another certificate"),
                                    (self.between.ocsp(revoked), revoked, "the certificate is revoked"),
                                    (forged.ocsp(self.leaf, file="forged"), self.leaf, "it is about another certificate"),
                                    (nonsense, self.leaf, "it is "),
                                    (self.leaf.path, self.leaf, "it is no OCSP response"),
                                    ("none.ocsp", self.leaf, "can't open .*/none.ocsp"),
                                    (nonsense, alone, "add that to the file of `cert`")):
            with self.subTest(words=words):
                gateway.write(listeners=self.listener(free_port(), staple, leaf))
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, gateway.config + r":[0-9]+: listeners\[0\]\.tls\.certificates\[0\]\.staple: .*"
                                 + words)
        gateway.write(listeners=self.listener(free_port(), self.between.ocsp(self.leaf, days=-1)))
        done = gateway.run("check")
        self.assertEqual(done.status, 0)
        self.assertRegex(done.err, r"warning: listeners\[0\]\.tls\.certificates\[0\]\.staple: .*it is out of date, and not "
                                   "sent")


class Responder(http.server.ThreadingHTTPServer):
    """Answers every question with what `answer` returns: a status and a body."""

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked = answer, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, host="127.0.0.1"):
        return f"http://{host}:{self.server_address[1]}/ocsp/1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), ocsp.load_der_ocsp_request(body)))
        status, said = self.server.answer()
        self.send_response(status)
        self.send_header("Content-Type", "application/ocsp-response")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Fetched(Case):
    def setUp(self):
        super().setUp()
        self.between = Authority(self.folder).intermediate()
        self.says = lambda: (200, self.response())
        self.responder = Responder(lambda: self.says())  # pylint: disable=unnecessary-lambda
        self.addCleanup(self.responder.server_close)
        self.addCleanup(self.responder.shutdown)

    def response(self, **options):
        with open(self.between.ocsp(self.leaf, **options), "rb") as file:
            return file.read()

    def serve(self, host="127.0.0.1", **settings):
        self.leaf = self.between.issue("leaf", ("leaf.example",), responder=self.responder.url(host))
        port = free_port()
        gateway = self.gateway(
            apis=APIS, listeners=f'{{ name = "main"; listen = "127.0.0.1:{port}"; tls = {{ stapling = true; '
                                 f"certificates = ( {self.leaf.setting} ); }}; }}", **settings)
        gateway.port = port
        return gateway

    def wait_fetched(self, gateway):
        wait_until(lambda: gateway.status()["stats"]["staples"], "a response" + gateway.said())

    def test_sent(self):
        gateway = self.serve()
        self.wait_fetched(gateway)
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("Cert Status: good", s_client(gateway.port, "-status", version))
        path, fields, question = self.responder.asked[0]
        self.assertEqual(path, "/ocsp/1")
        self.assertEqual(fields["Host"], f"127.0.0.1:{self.responder.server_address[1]}")
        self.assertEqual(fields["Content-Type"], "application/ocsp-request")
        self.assertEqual(question.serial_number, self.leaf.certificate.serial_number)
        self.assertTrue(gateway.status()["certificates"][0]["staple"]["sent"])

    def test_by_name(self):
        gateway = self.serve("localhost")
        self.wait_fetched(gateway)
        self.assertIn("Cert Status: good", s_client(gateway.port, "-status"))

    def test_it_outlives_a_reload(self):
        """And isn't asked for again."""
        gateway = self.serve(workers=1)
        self.wait_fetched(gateway)
        self.says = lambda: (503, b"")
        gateway.replace()
        self.assertIn("Cert Status: good", s_client(gateway.port, "-status"))
        self.assertEqual(len(self.responder.asked), 1)

    def failing(self, says, words):
        self.says = says
        gateway = self.serve()
        url = self.responder.url().replace(".", r"\.")
        gateway.wait_error(f"certificate .*leaf.pem: no OCSP response from {url}: {words}.* \\(none is sent; asked again "
                           r"within \d+ s\)")
        self.assertIn("OCSP response: no response sent", s_client(gateway.port, "-status"))
        self.assertGreaterEqual(gateway.status()["stats"]["staples_failed"], 1)

    def test_an_error(self):
        self.failing(lambda: (500, b"x"), "it answered 500")

    def test_nothing(self):
        self.failing(lambda: (200, b""), "it answered 200 with nothing")

    def test_nonsense(self):
        self.failing(lambda: (200, b"nonsense"), "it is no OCSP response")

    def test_too_much(self):
        self.failing(lambda: (200, b"x" * 100000), "its answer is longer than 4080 bytes")

    def test_out_of_date(self):
        self.failing(lambda: (200, self.response(days=-1)), "it is out of date")

    def test_forged(self):
        def forge():
            good = self.response()  # its signature is at the end
            return 200, good[:-1] + bytes([good[-1] ^ 1])
        self.failing(forge, "it isn't signed by the certificate's issuer")

    def test_nobody_there(self):
        self.responder.shutdown()
        self.responder.server_close()
        gateway = self.serve()
        gateway.wait_error("no OCSP response from .*: can't connect: Connection refused")
        self.assertIn("OCSP response: no response sent", s_client(gateway.port, "-status"))

    def test_a_name_that_nobody_has(self):
        gateway = self.serve("nobody.invalid", extra='resolver = { servers = "127.0.0.1:9"; timeout = "200ms"; '
                                                     "attempts = 1; };")
        gateway.wait_error("no OCSP response from http://nobody.invalid:.*: its name ")

    def test_nothing_to_ask(self):
        leaf = self.between.issue("mute", ("leaf.example",))
        gateway = Gateway(self.folder, apis=APIS)
        gateway.write(listeners=f'{{ listen = "127.0.0.1:{free_port()}"; tls = {{ stapling = true; '
                                f"certificates = ( {leaf.setting} ); }}; }}")
        done = gateway.run("check")
        self.assertEqual(done.status, 0)
        self.assertRegex(done.err, r"warning: listeners\[0\]\.tls\.stapling: .*mute.pem: nothing is fetched: it names no OCSP")
