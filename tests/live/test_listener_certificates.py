"""Whom a listener is: certificates by name and by kind of key, versions and ciphers, files that are wrong, their end."""
import os
import ssl
import subprocess

from certificates import Authority, TlsClient, s_client
from gatehouse import Case, Gateway, free_port

APIS = '{ name = "all"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "${tls.version} ' \
       '${tls.cipher} ${tls.sni}"; }; } ); }'


class Certificates(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)

    def listener(self, port, *certificates, more=""):
        listed = ", ".join(getattr(each, "setting", each) for each in certificates)
        return f'{{ name = "main"; listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {listed} ); {more} }}; }}'

    def serve(self, *certificates, more="", **settings):
        port = free_port()
        gateway = self.gateway(apis=APIS, listeners=self.listener(port, *certificates, more=more), **settings)
        gateway.port = port
        return gateway

    def shown(self, gateway, name, **options):
        """The fingerprint of the certificate that a client is shown; `name` None: it asks for none."""
        with TlsClient(None, **options).open(gateway.port, name) as client:
            self.assertEqual(client.request("GET", "/").status, 200)
            return client.peer_fingerprint()

    def checked(self, gateway, *certificates, more=""):
        gateway.write(listeners=self.listener(gateway.port, *certificates, more=more))
        return gateway.run("check")

    def wrong(self, gateway, words, *certificates, more=""):
        """`check` and nothing else says so, at a place in the file."""
        done = self.checked(gateway, *certificates, more=more)
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, rf"{gateway.config}:[0-9]+: listeners\[0\]\.tls\.{words}")


class Names(Certificates):
    def test_exact_wildcard_and_default(self):
        first = self.authority.issue("first", ("first.example",))
        second = self.authority.issue("second", ("second.example", "*.wild.example"))
        third = self.authority.issue("third", ("one.wild.example", "127.0.0.1"))
        gateway = self.serve(first, second, third)
        for name, leaf in (("first.example", first), ("second.example", second), ("SECOND.Example", second),
                           ("two.wild.example", second), ("one.wild.example", third), ("wild.example", first),
                           ("a.b.wild.example", first), ("unknown.example", first), (None, first)):
            for version in ("TLSv1_2", "TLSv1_3"):
                with self.subTest(name=name, version=version):
                    self.assertEqual(self.shown(gateway, name, maximum=version), leaf.fingerprint())

    def test_curl(self):
        first = self.authority.issue("first", ("first.example",))
        second = self.authority.intermediate().issue("second", ("second.example",))
        gateway = self.serve(first, second)
        for name in ("first.example", "second.example"):
            said = subprocess.run(["curl", "-sS", "--cacert", self.authority.path, "--resolve",
                                   f"{name}:{gateway.port}:127.0.0.1", f"https://{name}:{gateway.port}/"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
            self.assertEqual(said.stdout, b"TLSv1.3 TLS_AES_128_GCM_SHA256 " + name.encode())

    def test_kinds_of_keys_side_by_side(self):
        rsa = self.authority.issue("rsa", ("both.example",), kind="rsa")
        ecdsa = self.authority.issue("ecdsa", ("both.example", "other.example"))
        gateway = self.serve(rsa, ecdsa)
        for name in ("both.example", None):  # the first certificate's name is also the default's
            for ciphers, leaf in (("ECDHE-RSA-AES128-GCM-SHA256", rsa), ("ECDHE-ECDSA-AES128-GCM-SHA256", ecdsa)):
                with self.subTest(name=name, ciphers=ciphers):
                    self.assertEqual(self.shown(gateway, name, maximum="TLSv1_2", ciphers=ciphers), leaf.fingerprint())
        with self.assertRaises(ssl.SSLError):  # nobody has an RSA certificate for it
            self.shown(gateway, "other.example", maximum="TLSv1_2", ciphers="ECDHE-RSA-AES128-GCM-SHA256")
        for algorithms, kind in (("rsa_pss_rsae_sha256", "rsaEncryption"), ("ecdsa_secp256r1_sha256", "id-ecPublicKey")):
            said = s_client(gateway.port, "-servername", "both.example", "-tls1_3", "-sigalgs", algorithms)
            self.assertRegex(said, "a:PKEY: " + kind)

    def test_names_of_the_setting(self):
        leaf = self.authority.issue("leaf", ("*.example",))
        other = self.authority.issue("other", ("*.example",), file="other")
        gateway = self.serve(leaf, f'{{ cert = "{other.path}"; key = "{other.key_path}"; names = "b.example"; }}')
        self.assertEqual(self.shown(gateway, "a.example"), leaf.fingerprint())
        self.assertEqual(self.shown(gateway, "b.example"), other.fingerprint())

    def test_ed25519_and_a_key_of_the_environment(self):
        leaf = self.authority.issue("leaf", ("leaf.example",), kind="ed25519")
        with open(leaf.key_path, encoding="ascii") as file:
            os.environ["TEST_LISTENER_KEY"] = file.read()
        self.addCleanup(os.environ.pop, "TEST_LISTENER_KEY")
        os.unlink(leaf.key_path)
        gateway = self.serve(f'{{ cert = "{leaf.path}"; key = "env:TEST_LISTENER_KEY"; }}')
        self.assertEqual(self.shown(gateway, "leaf.example"), leaf.fingerprint())

    def test_a_reload_takes_new_ones(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        gateway = self.serve(leaf, workers=1)
        with TlsClient(self.authority).open(gateway.port, "leaf.example") as client:
            self.assertEqual(client.request("GET", "/").status, 200)
            newer = self.authority.issue("leaf", ("leaf.example",))  # in the same files
            gateway.replace()
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(self.shown(gateway, "leaf.example"), newer.fingerprint())
        with open(newer.path, "w", encoding="ascii") as file:
            file.write("nonsense")
        self.assertEqual(gateway.run("reload").status, 1)
        self.assertEqual(self.shown(gateway, "leaf.example"), newer.fingerprint())

    def test_only_the_master_reads_keys(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        os.chmod(leaf.key_path, 0o400)
        gateway = self.serve(leaf, workers=2)
        pids = gateway.wait_processes("worker", 2)
        os.rename(leaf.key_path, leaf.key_path + ".away")
        gateway.deaths_expected = True
        os.kill(pids[0], 9)
        gateway.wait_processes("worker", 2, pids[:1])
        self.assertEqual(self.shown(gateway, "leaf.example"), leaf.fingerprint())
        os.rename(leaf.key_path + ".away", leaf.key_path)

    def test_no_key_in_processes_that_serve_nobody(self):
        if os.geteuid() != 0:
            self.skipTest("reads the memory of others")
        leaf = self.authority.issue("leaf", ("leaf.example",), kind="rsa")
        gateway = self.serve(leaf, workers=1)
        self.shown(gateway, "leaf.example")
        numbers = leaf.key.private_numbers()
        halves = [number.to_bytes(128, order) for number in (numbers.p, numbers.q) for order in ("little", "big")]
        holds = {role: any(half in memory(process["pid"]) for half in halves)
                 for role in ("worker", "keeper", "logger") for process in gateway.processes(role)}
        self.assertEqual(holds, {"worker": True, "keeper": False, "logger": False})


def memory(pid):
    """All that a process can write to."""
    held = b""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(word, 16) for word in span.split("-"))
            if rights.startswith("rw") and end - start < 64 << 20:
                mem.seek(start)
                try:
                    held += mem.read(end - start)
                except OSError:
                    pass  # a page that isn't there
    return held


class Choices(Certificates):
    def test_versions(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        gateway = self.serve(leaf, more='min_version = "TLSv1.3";')
        with self.assertRaises(ssl.SSLError):
            self.shown(gateway, "leaf.example", maximum="TLSv1_2")
        self.shown(gateway, "leaf.example")
        gateway.replace(listeners=self.listener(gateway.port, leaf, more='max_version = "TLSv1.2";'))
        with TlsClient(self.authority).open(gateway.port, "leaf.example") as client:
            self.assertEqual(client.version, "TLSv1.2")
        for version in ("-tls1", "-tls1_1"):
            self.assertNotIn("Cipher is ECDHE", s_client(gateway.port, version, "-cipher", "ALL:@SECLEVEL=0"))

    def test_ciphers(self):
        leaf = self.authority.issue("leaf", ("leaf.example",), kind="rsa")
        gateway = self.serve(leaf, more='ciphers = [ "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256" ]; '
                                        'ciphersuites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"; '
                                        'curves = [ "P-384" ];')
        tls = TlsClient(self.authority, maximum="TLSv1_2",
                        ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
        with tls.open(gateway.port, "leaf.example") as client:
            self.assertEqual(client.cipher, "ECDHE-RSA-AES256-GCM-SHA384")  # the server's order
        with self.assertRaises(ssl.SSLError):
            self.shown(gateway, "leaf.example", maximum="TLSv1_2", ciphers="ECDHE-RSA-CHACHA20-POLY1305")
        with TlsClient(self.authority).open(gateway.port, "leaf.example") as client:
            self.assertEqual(client.cipher, "TLS_CHACHA20_POLY1305_SHA256")
        self.assertRegex(s_client(gateway.port, "-tls1_3"), "Server Temp Key: ECDH, (P-384|secp384r1)")
        self.assertIn("no peer certificate", s_client(gateway.port, "-tls1_3", "-curves", "X25519"))

    def test_protocols(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        gateway = self.serve(leaf)
        for more, offered, chosen in (("", ("http/1.1", "h2"), "h2"), ("", ("http/1.1",), "http/1.1"), ("", ("x",), None),
                                      ('alpn = "http/1.1";', ("h2", "http/1.1"), "http/1.1"),
                                      ('alpn = "http/1.1";', ("h2",), None),
                                      ('alpn = [ "http/1.1", "h2" ];', ("h2", "http/1.1"), "http/1.1")):
            if more:
                gateway.replace(listeners=self.listener(gateway.port, leaf, more=more))
            with TlsClient(self.authority, alpn=offered).open(gateway.port, "leaf.example") as client:
                self.assertEqual(client.alpn, chosen, (more, offered))
                if chosen != "h2":
                    self.assertEqual(client.request("GET", "/").status, 200)

    def test_the_usual_ones(self):
        gateway = self.serve(self.authority.issue("leaf", ("leaf.example",), kind="rsa"))
        for ciphers in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "aNULL", "eNULL"):
            with self.subTest(ciphers=ciphers), self.assertRaises(ssl.SSLError):
                self.shown(gateway, None, maximum="TLSv1_2", ciphers=ciphers + ":@SECLEVEL=0")
        said = s_client(gateway.port, "-tls1_3", "-ign_eof", data=b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn("Server Temp Key: X25519", said)
        self.assertIn("Max Early Data: 0", said)  # in the ticket

    def test_wrong(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        gateway = Gateway(self.folder, apis=APIS)
        for more, words in (
                ('ciphers = "ECDHE-RSA-AES128-GCM-SHA265";',
                 r'ciphers: there is no cipher of TLS 1.2 "ECDHE-RSA-AES128-GCM-SHA265" \(did you mean '
                 '"ECDHE-RSA-AES128-GCM-SHA256"'),
                ('ciphers = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";',
                 'ciphers: .*OpenSSL calls it "ECDHE-RSA-AES128-GCM-SHA256"'),
                ('ciphers = "TLS_AES_128_GCM_SHA256";', "ciphers: .*it belongs to `ciphersuites`"),
                ('ciphersuites = "ECDHE-RSA-AES128-GCM-SHA256";', "ciphersuites: .*it belongs to `ciphers`"),
                ('ciphers = "HIGH:!aNULL";', 'ciphers: there is no cipher of TLS 1.2 "HIGH"'),
                ('curves = "P256";', 'curves: there is no curve "P256" .did you mean "P-256"'),
                ('min_version = "TLSv1.3"; max_version = "TLSv1.2";', r"min_version: is above max_version \(TLSv1.2\)"),
                ('alpn = "http/2";', 'alpn: "http/2" is not spoken here'),
                ('min_version = "TLSv1.1";', "min_version: .*TLSv1.2")):
            with self.subTest(more=more):
                self.wrong(gateway, words, leaf, more=more)


class Files(Certificates):
    def test_wrong(self):
        leaf = self.authority.issue("leaf", ("leaf.example",))
        other = self.authority.issue("other", ("other.example",))
        below = self.authority.intermediate().issue("below", ("below.example",))
        gateway = Gateway(self.folder, apis=APIS)
        swapped = os.path.join(self.folder, "swapped.pem")
        with open(below.path, encoding="ascii") as file, open(swapped, "w", encoding="ascii") as out:
            first, second = file.read().split("-----END CERTIFICATE-----\n")[:2]
            out.write(second + "-----END CERTIFICATE-----\n" + first + "-----END CERTIFICATE-----\n")
        for cert, key, words in (
                (leaf.path, other.key_path, r"certificates\[0\]\.key: .*other.key is not the key of .*leaf.pem"),
                ("none.pem", leaf.key_path, r"certificates\[0\]\.cert: can't open .*/none.pem: No such file"),
                (leaf.path, "none.key", r"certificates\[0\]\.key: can't open .*/none.key: No such file"),
                (leaf.key_path, leaf.key_path, r"certificates\[0\]\.cert: .* it has a private key"),
                (leaf.path, leaf.path, r"certificates\[0\]\.key: .* it has certificates"),
                (leaf.path, "env:NOBODY_SETS_THIS", r"certificates\[0\]\.key: the variable NOBODY_SETS_THIS"),
                (leaf.path, "file:", r"certificates\[0\]\.key: names no file"),
                (swapped, below.key_path, r"certificates\[0\]\.cert: .*is number 2 in the file; it must be the first"),
                (self.authority.issue("weak", kind="rsa1024").path, os.path.join(self.folder, "weak.key"),
                 r"certificates\[0\]\.cert: .*an RSA key of 1024 bits is too weak"),
                (self.authority.issue("client", usage="client").path, os.path.join(self.folder, "client.key"),
                 r"certificates\[0\]\.cert: .*is not for servers")):
            with self.subTest(cert=cert, key=key):
                self.wrong(gateway, words, f'{{ cert = "{cert}"; key = "{key}"; }}')
        done = self.checked(gateway, leaf, below)
        self.assertEqual((done.status, done.err), (0, ""))

    def test_ends(self):
        """Told at `check`, at a start, and in the status; whoever connects decides for himself."""
        soon = self.authority.issue("soon", ("soon.example",), days=12)
        gone = self.authority.issue("gone", ("gone.example",), days=-3)
        later = self.authority.issue("later", ("later.example",), days=80)
        gateway = self.serve(later, soon, gone)
        for words in ("cert: .*soon.pem: CN=soon,.* expires on .*, in 1[12] days", "cert: .*gone.pem: CN=gone,.* has expired on"):
            self.assertRegex(gateway.run("check").err, rf"{gateway.config}:[0-9]+: warning: .*{words}")
        self.assertNotIn("later", gateway.run("check").err)
        self.assertEqual(self.shown(gateway, "gone.example"), gone.fingerprint())
        told = gateway.status()["certificates"]
        self.assertEqual([(each["listener"], each["names"], each["key"], each["state"]) for each in told],
                         [("main", ["later.example"], "ECDSA", "valid"), ("main", ["soon.example"], "ECDSA", "expires soon"),
                          ("main", ["gone.example"], "ECDSA", "expired")])
        self.assertIn(told[0]["days"], (79, 80))
        self.assertIn(told[1]["days"], (11, 12))
        self.assertIn(told[2]["days"], (-4, -3))
        self.assertRegex(gateway.run("status").out, r"main +soon\.example +ECDSA +20\S+ +1[12]  expires soon")
        with self.assertRaises(ssl.SSLError):
            TlsClient(self.authority).open(gateway.port, "gone.example")
