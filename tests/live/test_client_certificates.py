"""Certificates of clients: who is let in, what is told of them, and that no session and no connection is a way around."""
import json
import os
import ssl
import subprocess

from certificates import Authority, TlsClient
from gatehouse import Case, Gateway, free_port

NONE = {"verified": "", "subject": "", "name": "", "issuer": "", "names": "", "serial": "", "fingerprint": ""}


def says():
    """An API that tells what it knows of its client."""
    names = {"verified": "tls.client.verified", "subject": "tls.client.subject", "name": "tls.client.common_name",
             "issuer": "tls.client.issuer", "names": "tls.client.names", "serial": "tls.client.serial",
             "fingerprint": "tls.client.fingerprint", "version": "tls.version", "cipher": "tls.cipher",
             "sni": "tls.sni", "host": "host"}
    body = ",".join(rf'\"{word}\":\"${{{name}}}\"' for word, name in names.items())
    return ('{ name = "all"; routes = ( { match = { path = "/"; }; respond = { status = 200; '
            f'type = "application/json"; body = "{{{body}}}"; }}; }} ); }}')


class ClientCertificates(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.people = Authority(self.folder, "people")
        self.leaf = self.authority.issue("localhost")
        self.alice = self.people.issue("alice", ("alice.example", "spiffe://example/alice", "alice@example.org"),
                                       usage="client")

    def serve(self, clients="", certificates=None, **settings):
        port = free_port()
        gateway = self.gateway(apis=says(), listeners=self.listener(port, clients, certificates), **settings)
        gateway.port = port
        return gateway

    def listener(self, port, clients="", certificates=None):
        listed = certificates or self.leaf.setting
        asked = f"client_certificates = {{ {clients} }};" if clients else ""
        return (f'{{ name = "main"; listen = "127.0.0.1:{port}"; '
                f'tls = {{ certificates = ( {listed} ); {asked} }}; }}')

    def required(self, more=""):
        return f'mode = "required"; ca = "{self.people.path}"; {more}'

    def optional(self, more=""):
        return f'mode = "optional"; ca = "{self.people.path}"; {more}'

    def tls(self, leaf=None, **options):
        return TlsClient(self.authority, leaf=leaf, **options)

    def told(self, gateway, tls, name="localhost", session=None):
        """What the gateway knows of the client: on a connection of its own."""
        with tls.open(gateway.port, name, session=session) as client:
            answer = client.request("GET", "/", host=name)
            self.assertEqual(answer.status, 200, answer.body)
            return {**json.loads(answer.body), "reused": client.reused}

    def refused(self, gateway, tls, name="localhost"):
        """TLS 1.3 tells a client after its own side of the handshake."""
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError, AssertionError)):
            with tls.open(gateway.port, name) as client:
                client.request("GET", "/")

    def session(self, gateway, tls, name="localhost"):
        with tls.open(gateway.port, name) as client:
            self.assertEqual(client.request("GET", "/", host=name).status, 200)
            return client.session


class Verdicts(ClientCertificates):
    def test_nobody_is_asked(self):
        gateway = self.serve()
        told = self.told(gateway, self.tls(self.alice))
        self.assertEqual({word: told[word] for word in NONE}, NONE)
        self.assertEqual(told["version"], "TLSv1.3")
        self.assertEqual(told["cipher"], "TLS_AES_128_GCM_SHA256")
        self.assertEqual(told["sni"], "localhost")

    def test_a_plain_listener_knows_nothing(self):
        gateway = self.gateway(apis=says())
        told = json.loads(gateway.get("/").body)
        self.assertEqual({told[word] for word in (*NONE, "version", "cipher", "sni")}, {""})

    def test_required(self):
        gateway = self.serve(self.required())
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version=version):
                told = self.told(gateway, self.tls(self.alice, maximum=version))
                self.assertEqual(told["verified"], "yes")
                self.assertEqual(told["subject"], "CN=alice,O=Gatehouse tests")
                self.assertEqual(told["name"], "alice")
                self.assertEqual(told["issuer"], "CN=people,O=Gatehouse tests")
                self.assertEqual(told["names"], "DNS:alice.example, URI:spiffe://example/alice, "
                                                "email:alice@example.org")
                self.assertEqual(told["fingerprint"], self.alice.fingerprint())
                self.assertEqual(int(told["serial"], 16), self.alice.certificate.serial_number)
                self.refused(gateway, self.tls(maximum=version))
                self.refused(gateway, self.tls(self.authority.issue("mallory", usage="client"), maximum=version))
                self.refused(gateway, self.tls(self.people.issue("old", days=-1, usage="client"), maximum=version))
                self.refused(gateway, self.tls(self.people.issue("server", usage="server"), maximum=version))
        gateway.wait_error("listener main: 127.0.0.1:[0-9]+: TLS: .*certificate")

    def test_optional(self):
        gateway = self.serve(self.optional())
        self.assertEqual(self.told(gateway, self.tls())["verified"], "")
        self.assertEqual(self.told(gateway, self.tls(self.alice))["subject"], "CN=alice,O=Gatehouse tests")
        for leaf, why in ((self.people.issue("old", days=-1, usage="client"), "expired"),
                          (self.authority.issue("mallory", usage="client"), "self-signed certificate in certificate chain"),
                          (self.people.issue("server", usage="server"), "purpose")):
            told = self.told(gateway, self.tls(leaf))
            self.assertIn(why, told["verified"])
            # Nothing that anybody could write into a certificate goes on as a name.
            self.assertEqual({word: told[word] for word in NONE if word != "verified"},
                             {word: "" for word in NONE if word != "verified"})

    def test_depth(self):
        between = self.people.intermediate("between")
        below = between.intermediate("below")
        leaf = below.issue("carol", usage="client")
        gateway = self.serve(self.required("depth = 2;"))
        self.assertEqual(self.told(gateway, self.tls(leaf))["name"], "carol")
        gateway.replace(listeners=self.listener(gateway.port, self.required("depth = 1;")))
        self.refused(gateway, self.tls(leaf))
        self.assertEqual(self.told(gateway, self.tls(between.issue("dave", usage="client")))["name"], "dave")

    def test_revoked(self):
        bob = self.people.issue("bob", usage="client")
        gateway = self.serve(self.required(f'crl = "{self.people.crl()}";'))
        self.assertEqual(self.told(gateway, self.tls(bob))["name"], "bob")
        self.people.revoke(bob)
        self.people.crl()
        gateway.replace()
        self.refused(gateway, self.tls(bob))
        self.assertEqual(self.told(gateway, self.tls(self.alice))["name"], "alice")
        self.people.crl(days=-1)  # out of date: nobody knows who was revoked since
        done = gateway.run("reload")
        self.assertEqual(done.status, 0)
        self.assertIn("is out of date", done.out + done.err)
        self.refused(gateway, self.tls(bob))

    def test_an_authority_between_is_enough(self):
        between = self.people.intermediate("between")
        gateway = self.serve(f'mode = "required"; ca = "{between.path}";')
        self.assertEqual(self.told(gateway, self.tls(between.issue("carol", usage="client")))["name"], "carol")
        self.refused(gateway, self.tls(self.alice))


class NamesOfTheirOwn(ClientCertificates):
    """Names of one listener with other rules."""

    def setUp(self):
        super().setUp()
        self.open = self.authority.issue("open", ("open.example", "*.open.example"))
        self.closed = self.authority.issue("closed", ("closed.example",))
        self.certificates = (self.open.setting + f', {{ cert = "{self.closed.path}"; key = "{self.closed.key_path}"; '
                             f"client_certificates = {{ {self.required()} }}; }}")

    def test_each_name_by_its_rules(self):
        gateway = self.serve(certificates=self.certificates)
        self.assertEqual(self.told(gateway, self.tls(), "open.example")["verified"], "")
        self.assertEqual(self.told(gateway, self.tls(self.alice), "closed.example")["name"], "alice")
        self.refused(gateway, self.tls(), "closed.example")

    def test_a_request_for_another_name_is_misdirected(self):
        gateway = self.serve(certificates=self.certificates)
        with self.tls().open(gateway.port, "open.example") as client:
            for host in ("closed.example", "CLOSED.example:443", "closed.example."):
                answer = client.request("GET", "/", host=host)
                self.problem(answer, 421, "closed.example" if "CLOSED" not in host else "CLOSED")
                self.assertEqual(json.loads(answer.body)["type"], "urn:gatehouse:problem:misdirected")
            for host in ("open.example", "a.open.example", "unknown.example", "[::1]:80"):
                self.assertEqual(client.request("GET", "/", host=host).status, 200, host)
        with self.tls(self.alice).open(gateway.port, "closed.example") as client:
            self.problem(client.request("GET", "/", host="open.example"), 421)
            self.assertEqual(client.request("GET", "/", host="closed.example").status, 200)

    def test_streams_of_one_connection(self):
        """HTTP/2 clients like to ask for several names on one connection."""
        gateway = self.serve(certificates=self.certificates)
        for host, status in (("open.example", b"2 200"), ("closed.example", b"2 421")):
            said = subprocess.run(["curl", "-sS", "-o", os.devnull, "-w", "%{http_version} %{http_code}", "--cacert",
                                   self.authority.path, "--resolve", f"open.example:{gateway.port}:127.0.0.1", "-H",
                                   f"Host: {host}", f"https://open.example:{gateway.port}/"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
            self.assertEqual(said.stdout, status)

    def test_a_session_of_another_name_is_no_way_in(self):
        gateway = self.serve(certificates=self.certificates, workers=1)
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version=version):
                tls = self.tls(minimum=version, maximum=version)
                tls.context.check_hostname = False  # the client is not a good one
                session = self.session(gateway, tls, "open.example")
                self.assertTrue(self.told(gateway, tls, "open.example", session)["reused"])
                with self.assertRaises((ssl.SSLError, ConnectionError, EOFError, AssertionError)):
                    with tls.open(gateway.port, "closed.example", session=session) as client:
                        client.request("GET", "/", host="closed.example")

    def test_two_certificates_of_a_name_ask_the_same(self):
        rsa = self.authority.issue("closed-rsa", ("closed.example",), kind="rsa")
        port = free_port()
        gateway = Gateway(self.folder, apis=says(), listeners=self.listener(
            port, certificates=self.certificates + ", " + rsa.setting))
        done = gateway.run("check")
        self.assertEqual(done.status, 1)
        self.assertRegex(done.err, gateway.config + r':[0-9]+: .*"closed.example" has another certificate \(.*\) with '
                                                    "other client_certificates")


class Sessions(ClientCertificates):
    """A session that is gone on with tells of its client what the first one told, while that holds."""

    def test_the_client_is_known_again(self):
        gateway = self.serve(self.required())
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version=version):
                tls = self.tls(self.alice, minimum=version, maximum=version)
                told = self.told(gateway, tls, session=self.session(gateway, tls))
                self.assertTrue(told["reused"])
                self.assertEqual(told["subject"], "CN=alice,O=Gatehouse tests")

    def test_whoever_was_revoked_is_not(self):
        gateway = self.serve(self.required(f'crl = "{self.people.crl()}";'))
        tls = self.tls(self.alice, maximum="TLSv1_2")
        session = self.session(gateway, tls)
        self.assertTrue(self.told(gateway, tls, session=session)["reused"])
        self.people.revoke(self.alice)
        self.people.crl()
        gateway.replace()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            tls.open(gateway.port, session=session).close()

    def test_other_rules_end_sessions(self):
        gateway = self.serve(self.optional())
        tls = self.tls(self.alice)
        session = self.session(gateway, tls)
        self.assertTrue(self.told(gateway, tls, session=session)["reused"])
        gateway.replace(listeners=self.listener(gateway.port, self.optional("depth = 3;")))
        told = self.told(gateway, tls, session=self.session(gateway, tls))
        self.assertEqual(told["name"], "alice")
        self.assertFalse(self.told(gateway, tls, session=session)["reused"])

    def test_a_certificate_that_is_not_good_is_shown_each_time(self):
        gateway = self.serve(self.optional())
        tls = self.tls(self.authority.issue("mallory", usage="client"))
        told = self.told(gateway, tls, session=self.session(gateway, tls))
        self.assertFalse(told["reused"])
        self.assertIn("self-signed certificate in certificate chain", told["verified"])


class Settings(ClientCertificates):
    def test_wrong(self):
        gateway = Gateway(self.folder, apis=says())
        for clients, words in (('mode = "required";', "client_certificates.ca: is missing"),
                               (f'ca = "{self.people.path}";', "client_certificates.ca: has no effect"),
                               ('mode = "reqired"; ca = "x";', 'did you mean "required"'),
                               ('mode = "required"; ca = "none.pem";', r"client_certificates.ca: can't open .*none.pem"),
                               (self.required(f'crl = "{self.people.path}";'),
                                r"client_certificates.crl: .* has no revocation list: it has certificates"),
                               (self.required('depth = 17;'), "depth: 17 is too large")):
            with self.subTest(clients=clients):
                gateway.write(listeners=self.listener(free_port(), clients))
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, gateway.config + r":[0-9]+: listeners\[0\]\.tls\.")
                self.assertRegex(done.err, words)
