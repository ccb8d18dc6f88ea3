"""OCSP responses that are sent with certificates: from a file, looked over when it is loaded."""
import os

from certificates import Authority, s_client
from gatehouse import Case, Gateway, free_port

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
