"""testssl.sh on a listener as it is without settings of its own: versions, ciphers, their order, and the known
vulnerabilities. It takes most of a minute, nearly all of it waiting."""
import json
import os
import subprocess

from certificates import Authority
from gatehouse import Case, free_port, limit

SECTIONS = ("--protocols", "--std", "--pfs", "--server-preference", "--vulnerable")
FINE = ("OK", "INFO", "LOW")
# What must have been looked at: a scan that was cut short finds nothing either.
LOOKED_AT = ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "ALPN", "cipherlist_NULL", "cipherlist_aNULL",
             "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE",
             "cipherlist_STRONG", "PFS", "cipher_order", "heartbleed", "CCS", "ticketbleed", "ROBOT",
             "secure_renego", "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "fallback_SCSV", "SWEET32",
             "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4")
APIS = """{ name = "ping"; routes = ( { match = { path = "/{rest*}"; }; respond = { status = 200; body = "pong"; }; } ); }"""


class Testssl(Case):
    @limit(300)
    def test_nothing_above_low(self):
        authority = Authority(self.folder)
        issuer = authority.intermediate()
        pairs = [issuer.issue("localhost", kind=kind, file=kind).setting for kind in ("rsa", "ecdsa")]
        port = free_port()
        self.gateway(apis=APIS, listeners=f"""{{ name = "main"; listen = "127.0.0.1:{port}";
                                                 tls = {{ certificates = ( {", ".join(pairs)} ); }}; }}""")
        report = os.path.join(self.folder, "report.json")
        done = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none",
                               "--add-ca", authority.path, "--jsonfile", report, *SECTIONS,
                               f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=280, check=False, cwd=self.folder)
        with open(report, encoding="utf-8") as file:
            findings = json.load(file)
        bad = [finding for finding in findings if finding["severity"] not in FINE]
        self.assertEqual(bad, [], done.stdout)
        missing = set(LOOKED_AT) - {finding["id"] for finding in findings}
        self.assertEqual(missing, set(), done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
