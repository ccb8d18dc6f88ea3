"""The keys of issuers, which the keeper fetches: by URL and by discovery, from issuers that rotate keys, go down, are slow and answer
garbage."""
import os
import signal

from certificates import Authority
from gatehouse import Case, Gateway, wait_until
from issuer import KEYS, METADATA, Issuer

APIS = '{ name = "all"; routes = ( { match = { path = "/"; }; respond = { status = 200; }; } ); }'
OFTEN = 'refresh = "1s"; min_refresh = "1s";'


class KeySets(Case):
    def issuer(self, **options):
        issuer = Issuer(**options)
        self.addCleanup(issuer.close)
        return issuer

    def serve(self, said, **settings):
        return self.gateway(apis=APIS, workers=1, extra=f"key_sets = {{ corp = {{ {said} }}; }};", **settings)

    def state(self, gateway):
        return gateway.status()["key_sets"][0]

    def wait_state(self, gateway, **wanted):
        def has():
            state = self.state(gateway)
            return state if all(state[name] == value for name, value in wanted.items()) else None
        return wait_until(has, lambda: f"{wanted}, not {self.state(gateway)}{gateway.said()}")

    def url(self, issuer, more=""):
        return f'url = "{issuer.url}{KEYS}"; {more}'

    def test_fetched(self):
        issuer = self.issuer()
        gateway = self.serve(self.url(issuer))
        state = self.wait_state(gateway, state="fresh", keys=1)
        self.assertIsNone(state["error"])
        self.assertEqual(state["from"], issuer.url + KEYS)
        path, fields = issuer.asked[0]
        self.assertEqual(path, KEYS)
        self.assertEqual(fields["Host"], f"127.0.0.1:{issuer.port}")
        self.assertIn("application/jwk-set+json", fields["Accept"])
        self.assertRegex(gateway.run("status").out, r"corp +1 +\d+ s  fresh")
        gateway.wait_error("key_set corp: 1 key from " + issuer.url)

    def test_rotation(self):
        """And a set that is as it was is found so by its ETag."""
        issuer = self.issuer()
        gateway = self.serve(self.url(issuer, OFTEN))
        self.wait_state(gateway, keys=1)
        issuer.rotate("first", "second")
        self.wait_state(gateway, keys=2)
        wait_until(lambda: issuer.count() > 3, "further fetches")
        self.assertIn("If-None-Match", issuer.asked[-1][1])
        self.assertIsNone(self.state(gateway)["error"])

    def test_cache_control(self):
        """What the issuer says of the time holds, within bounds."""
        issuer = self.issuer()
        issuer.fields = {"Cache-Control": "public, max-age=1"}
        gateway = self.serve(self.url(issuer, 'min_refresh = "1s"; refresh = "1h";'))
        wait_until(lambda: issuer.count() > 2, "further fetches" + gateway.said())

    def test_discovery(self):
        issuer = self.issuer()
        gateway = self.serve(f'issuer = "{issuer.url}"; {OFTEN}')
        self.wait_state(gateway, state="fresh", keys=1)
        self.assertEqual([path for path, _ in issuer.asked[:2]], [METADATA, KEYS])
        issuer.rotate("second", "third")
        self.wait_state(gateway, keys=2)

    def test_discovery_of_somebody_else(self):
        issuer = self.issuer()
        issuer.claims = "https://other.example"
        gateway = self.serve(f'issuer = "{issuer.url}";')
        gateway.wait_error(f"key_set corp: no keys from {issuer.url}: its metadata is of another issuer "
                           r"\(there are none yet; asked again within \d+ s\)")
        self.assertEqual(issuer.count(), 0)
        self.assertEqual(self.state(gateway)["state"], "none")

    def test_tls(self):
        authority = Authority(self.folder)
        issuer = self.issuer(leaf=authority.issue("issuer"))
        gateway = self.serve(self.url(issuer, f'tls = {{ ca = "{authority.path}"; }};'))
        self.wait_state(gateway, keys=1)

    def test_tls_of_nobody_known(self):
        issuer = self.issuer(leaf=Authority(self.folder).issue("issuer"))
        gateway = self.serve(self.url(issuer))
        gateway.wait_error(f"key_set corp: no keys from {issuer.url}/jwks.json: .*certificate")
        self.assertEqual(self.state(gateway)["keys"], 0)
        self.assertEqual(issuer.count(), 0)

    def outage(self, break_, mend, words):
        """What was there stays, and what comes after is taken."""
        issuer = self.issuer()
        gateway = self.serve(self.url(issuer, OFTEN + ' timeout = "300ms";'))
        self.wait_state(gateway, keys=1)
        break_(issuer)
        gateway.wait_error(f"key_set corp: no keys from {issuer.url}/jwks.json: {words} \\(those that are there stay; asked")
        state = self.state(gateway)
        self.assertEqual(state["keys"], 1)
        self.assertRegex(state["error"], words)
        self.assertGreaterEqual(gateway.status()["stats"]["key_sets_failed"], 1)
        issuer.rotate("first", "second", "third")
        mend(issuer)
        self.assertIsNone(self.wait_state(gateway, keys=3)["error"])

    def test_down(self):
        self.outage(lambda issuer: issuer.down(), lambda issuer: issuer.up(), "can't connect: Connection refused")

    def test_slow(self):
        self.outage(lambda issuer: issuer.go.clear(), lambda issuer: issuer.go.set(), "it took too long|.* in time.*")

    def test_garbage(self):
        issuer = self.issuer()
        gateway = self.serve(self.url(issuer, OFTEN))
        self.wait_state(gateway, keys=1)
        for status, body, words in ((200, b"<html>down for maintenance</html>", "it isn't JSON"),
                                    (200, b'{"keys":[]}', "it has no key"),
                                    (200, b'{"keys":[{"kid":"a"}]}', 'one of its keys has no "kty"'),
                                    (500, b"{}", "it answered 500"),
                                    (302, b"", "it answered 302"),
                                    (200, b" " * 100000, "its answer is longer than 65376 bytes")):
            with self.subTest(words=words):
                issuer.says[KEYS] = status, body
                self.assertEqual(self.wait_state(gateway, error=words)["keys"], 1)
                gateway.wait_error(f"key_set corp: no keys from {issuer.url}/jwks.json: {words} "
                                   r"\(those that are there stay; asked again within \d+ s\)")
                issuer.says.clear()
                self.wait_state(gateway, error=None)

    def test_reload(self):
        """What was fetched stays, and isn't fetched again; a set that moves begins anew."""
        issuer, other = self.issuer(), self.issuer()
        gateway = self.serve(self.url(issuer))
        self.wait_state(gateway, keys=1)
        gateway.replace()
        self.wait_state(gateway, keys=1, state="fresh")
        self.assertEqual(issuer.count(), 1)
        other.rotate("a", "b")
        gateway.replace(extra=f"key_sets = {{ corp = {{ {self.url(other)} }}; }};")
        self.wait_state(gateway, keys=2)

    def test_reload_while_it_is_fetched(self):
        issuer = self.issuer()
        issuer.go.clear()
        gateway = self.serve(self.url(issuer))
        wait_until(lambda: issuer.count() == 1, "a fetch")
        gateway.replace()
        wait_until(lambda: issuer.count() == 2, "the next keeper's fetch")
        issuer.go.set()
        self.wait_state(gateway, keys=1)

    def test_keeper_killed(self):
        issuer = self.issuer()
        gateway = self.serve(self.url(issuer))
        self.wait_state(gateway, keys=1)
        gateway.deaths_expected = True
        (keeper,) = [process["pid"] for process in gateway.processes("keeper")]
        os.kill(keeper, signal.SIGKILL)
        gateway.wait_processes("keeper", 1, [keeper])
        self.wait_state(gateway, keys=1, state="fresh")
        self.assertEqual(issuer.count(), 1)

    def test_wrong_settings(self):
        gateway = Gateway(self.folder, apis=APIS)
        for said, words in (("", "says not where its keys are"),
                            ('url = "https://a/"; issuer = "https://a";', r"key_sets\.corp\.url: is what the issuer's"),
                            ('url = "id.example.com/keys";', r'key_sets\.corp\.url: "id.example.com/keys" can\'t be fetched: '
                                                             "it doesn't begin with https://"),
                            ('issuer = "https://a?b";', r"key_sets\.corp\.issuer: .* an issuer has no query"),
                            ('url = "https://a/"; tls = { ca = "none.pem"; };', r"tls\.ca: "),
                            ('url = "https://a/"; min_refresh = "2h";', "min_refresh: is more than max_refresh")):
            with self.subTest(said=said):
                gateway.write(extra=f"key_sets = {{ corp = {{ {said} }}; }};")
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, gateway.config + r":[0-9]+: .*" + words)
