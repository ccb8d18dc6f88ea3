"""Requests to services are signed: what a service gets verifies by an implementation of its own."""
import os
import time

from gatehouse import Case, Gateway
from h2peer import H2Client
from peers import answer
from signatures import Key, content_digest, verify

ALGORITHMS = ("hmac-sha256", "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256")


class Sign(Case):
    def key_file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self, keys, more="", **settings):
        origin = self.origin(lambda request, sock: answer(b"ok"))
        routes = [f'{{ match = {{ path = "/{key.algorithm}/{{rest*}}"; }}; sign = {{ '
                  f'key = "file:{self.key_file(key.algorithm, key.private_pem())}"; algorithm = "{key.algorithm}"; '
                  f'keyid = "gw-1"; {more} }}; proxy = {{ upstream = "origin"; {settings.pop("proxy", "")} }}; }}'
                  for key in keys]
        gateway = self.gateway(apis=f'{{ name = "a"; routes = ( {", ".join(routes)} ); }}',
                               upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};', **settings)
        return gateway, origin

    def test_algorithms(self):
        keys = [Key(algorithm) for algorithm in ALGORITHMS]
        gateway, origin = self.start(keys)
        for key in keys:
            for target in ("/x", "/x?a=b&c=%20"):
                target = f"/{key.algorithm}{target}"
                with self.subTest(target=target), H2Client(gateway.port) as client:
                    self.assertEqual(gateway.get(target, host="Shop.example:80").status, 200)
                    self.assertEqual(client.request("GET", target, host="shop.example").status, 200)
                    for request in origin.requests[-2:]:
                        components, said = verify(key, request, "gatehouse", "shop.example")
                        self.assertEqual(components, ["@method", "@authority", "@path", "@query"])
                        self.assertEqual((said["keyid"], said["alg"]), ('"gw-1"', f'"{key.algorithm}"'))
                        self.assertLess(abs(int(said["created"]) - time.time()), 60)
                        self.assertEqual(int(said["expires"]) - int(said["created"]), 300)
                        self.assertIsNone(verify(Key(key.algorithm), request, "gatehouse", "shop.example")
                                          if key.private else None)
                        request.first = "PUT" + request.first[request.first.index(" "):]
                        self.assertIsNone(verify(key, request, "gatehouse", "shop.example"))

    def test_what_is_signed(self):
        """What is sent: the target and Host that the route makes, fields that the gateway writes, a client's that are there."""
        key = Key("ed25519")
        gateway, origin = self.start(
            [key], 'components = [ "@request-target", "host", "content-type", "content-length", "content-digest", '
                   '"x-request-id", "x-list", "x-none" ]; nonce = true; expires = "0"; label = "gw"; tag = "test";',
            proxy='path = "/inside/{rest}"; host = "inside.example";')
        body = b'{"hello": "world"}'
        fields = [("Content-Type", "application/json"), ("Content-Digest", content_digest(body)), ("X-List", "a"),
                  ("X-List", " b ")]
        nonces = set()
        for _ in range(2):
            with gateway.client() as client:
                self.assertEqual(client.request("POST", "/ed25519/x?q=1", fields, body).status, 200)
            request = origin.requests[-1]
            components, said = verify(key, request, "gw", "inside.example")
            self.assertEqual(components, ["@request-target", "host", "content-type", "content-length", "content-digest",
                                          "x-request-id", "x-list"])
            self.assertEqual((request.target, said["tag"]), ("/inside/x", '"test"'))
            self.assertNotIn("expires", said)
            nonces.add(said["nonce"])
        self.assertEqual(len(nonces), 2)

    def test_beside_the_clients(self):
        """A client's own signature goes on, unless it has taken our label."""
        key = Key("hmac-sha256")
        gateway, origin = self.start([key])
        theirs = [("Signature-Input", 'sig=("@method");created=1'), ("Signature", "sig=:AAAA:")]
        self.assertEqual(gateway.get("/hmac-sha256/a", fields=theirs).status, 200)
        request = origin.requests[-1]
        self.assertEqual(len(request.all("Signature")), 2)
        self.assertEqual(request.get("Signature"), "sig=:AAAA:")
        for fields in ([("Signature-Input", 'gatehouse=("@method");created=1'), ("Signature", "gatehouse=:AAAA:")],
                       [("Signature-Input", 'sig=("@method'), ("Signature", "sig=:AAAA:")],
                       [("Signature", "gatehouse=:AAAA:")]):
            self.assertEqual(gateway.get("/hmac-sha256/a", fields=fields).status, 200)
            request = origin.requests[-1]
            self.assertEqual((len(request.all("Signature")), len(request.all("Signature-Input"))), (1, 1))
            self.assertTrue(verify(key, request, "gatehouse", "localhost"))

    def test_wrong(self):
        gateway = Gateway(self.folder)
        public = self.key_file("public", Key("ed25519").public_pem())
        private = self.key_file("private", Key("ed25519").private_pem())
        good = f'key = "file:{private}"; algorithm = "ed25519"; keyid = "k"; '
        for setting, words in ((f'key = "file:{public}"; algorithm = "ed25519"; keyid = "k";', "sign.key: is not a private"),
                               (f'key = "file:{private}"; algorithm = "rsa-pss-sha512"; keyid = "k";',
                                "sign.key: is not what rsa-pss-sha512 needs: an RSA key"),
                               (f'key = "file:{private}"; algorithm = "rs256"; keyid = "k";', "sign.algorithm"),
                               (f'key = "file:{private}"; algorithm = "ed25519";', "sign.keyid"),
                               (good + 'label = "A b";', "sign.label"),
                               (good + 'tag = "a\\"b";', "sign.tag"),
                               (good + 'components = [ "@status" ];', "sign.components: .*@status"),
                               (good + 'components = [ "Date" ];', "sign.components: .*Date"),
                               (good + 'components = [ "date", "date" ];', "sign.components: .*twice")):
            with self.subTest(setting=setting):
                gateway.write(extra=f"defaults = {{ sign = {{ {setting} }}; }};")
                done = gateway.run("check")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"gatehouse\.conf:\d+: .*" + words)
