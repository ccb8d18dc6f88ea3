"""An issuer of tokens: an OpenID provider as far as its metadata and its key set go, whose answers a test changes while it runs."""
import http.server
import json
import ssl
import threading

from peers import free_port

METADATA, KEYS = "/.well-known/openid-configuration", "/jwks.json"


class Issuer:
    """Answers as `keys` (JWKs), `fields` and `says` tell: `says` is None, or {path: (status, bytes)} instead of what is right.
    `held`: answers wait until it is set. `asked`: (path, fields) of every request. `leaf`: a certificate, for https."""

    def __init__(self, leaf=None, host="127.0.0.1"):
        self.port, self.leaf = free_port(), leaf
        self.url = f"http{'s' if leaf else ''}://{host}:{self.port}"
        self.keys, self.fields, self.says, self.asked = [], {}, {}, []
        self.claims = self.url  # whom the metadata says that it is of
        self.go = threading.Event()
        self.go.set()
        self.server = None
        self.rotate("first")
        self.up()

    def rotate(self, *kids):
        """Keys of these names take the place of the others."""
        self.keys = [{"kty": "oct", "kid": kid, "alg": "HS256", "k": "c2VjcmV0"} for kid in kids]

    def count(self, path=KEYS):
        return sum(asked == path for asked, _ in self.asked)

    def up(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.issuer = self
        if self.leaf:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.leaf.path, self.leaf.key_path)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self):
        """Nobody is there any more, until up()."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def close(self):
        self.go.set()
        self.down()

    def answer(self, path):
        """Status and body."""
        if path in self.says:
            return self.says[path]
        if path == METADATA:
            return 200, json.dumps({"issuer": self.claims, "jwks_uri": self.url + KEYS}).encode()
        return (200, json.dumps({"keys": self.keys}).encode()) if path == KEYS else (404, b"")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        issuer = self.server.issuer
        issuer.asked.append((self.path, dict(self.headers)))
        issuer.go.wait()
        status, body = issuer.answer(self.path)
        tag = f'"{hash(body)}"'
        if status == 200 and self.headers.get("If-None-Match") == tag:
            status, body = 304, b""
        try:
            self.send_response(status)
            self.send_header("ETag", tag)
            for name, value in issuer.fields.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # who asked is gone

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass
