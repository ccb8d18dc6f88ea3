"""A gateway of one worker between scripted peers: every path goes to one upstream."""
import os
import socket
import struct
import threading

from gatehouse import Case
from peers import Origin, Reader, answer

ALL = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'


class RawOrigin:
    """Gives every connection to `serve(sock)` on a thread of its own, and closes it then."""

    def __init__(self, serve, path=None, backlog=64):
        self.sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.sock.bind(path or ("127.0.0.1", 0))
        self.sock.listen(backlog)
        self.text = "unix:" + path if path else "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        with sock:
            try:
                self.serve(sock)
            except (OSError, EOFError):
                pass

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Headers(RawOrigin):
    """An origin that wants a header of the PROXY protocol on each connection; `got`: what `read(reader)` made of them."""

    def __init__(self, read):
        self.read, self.got = read, []
        super().__init__(self.greeted)

    def greeted(self, sock):
        reader = Reader(sock)
        self.got.append(self.read(reader))
        while reader.message(True) is not None:
            sock.sendall(answer(b"hello"))


class Recorder(Reader):
    """A reader that keeps every byte in `seen`."""

    seen = b""

    def more(self):
        before = len(self.held)
        came = super().more()
        self.seen += self.held[before:]
        return came


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Pair(Case):
    def raw(self, serve, path=None):
        origin = RawOrigin(serve, path)
        self.addCleanup(origin.close)
        if path:
            os.chmod(path, 0o666)
        return origin

    def proxy(self, text, apis=ALL, upstream="", **settings):
        """A gateway in front of the endpoint `text`; `upstream`: further settings of it."""
        return self.gateway(workers=1, apis=apis, **settings,
                            upstreams=f'origin = {{ endpoints = ( "{text}" ); {upstream} }};')

    def pair(self, serve=None, **settings):
        """A gateway and an origin that understands what it is sent."""
        origin = Origin(serve)
        self.addCleanup(self.close_origin, origin)
        return self.proxy(origin.text, **settings), origin

    def scripted(self, *script, **settings):
        """A gateway and the list of what its origin was sent, raw, a request an item: request N of all gets answer N of
        the script, the last one again and again. An item of the script is bytes, or (bytes, "close" or "reset")."""
        seen = []

        def serve(sock):
            reader = Recorder(sock)
            while reader.message(True):
                said = script[min(len(seen), len(script) - 1)]
                said, end = said if isinstance(said, tuple) else (said, None)
                seen.append(reader.seen)
                reader.seen = b""
                sock.sendall(said)
                if end:
                    return reset(sock) if end == "reset" else None
        return self.proxy(self.raw(serve).text, **settings), seen

    def exchange(self, gateway, data):
        """All that the gateway answers to these bytes, until it closes; the client stays to the end."""
        with gateway.client() as client:
            client.send(data)
            return client.reader.to_end()
