"""TLS's records on connections whose handshake is done: cut anywhere, changed, out of place, under new keys; with every
cipher suite; and what a connection costs while it is idle."""
import os
import random
import select
import ssl
import subprocess

from certificates import Authority, TlsByHand, TlsClient, s_client
from gatehouse import DEADLINE, Case, free_port, resident, slow
from peers import Client, answer

APIS = """{ name = "all"; routes = (
    { match = { path = "/hello"; }; respond = { status = 200; body = "hello ${query.n}."; }; },
    { match = { path = "/{rest*}"; }; proxy = { upstream = "origin"; }; } ); }"""
HELLO = b"GET /hello?n=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"


def listener(port, leaf):
    return f'{{ name = "main"; listen = "127.0.0.1:{port}"; tls = {{ certificates = ( {leaf.setting} ); }}; }}'


class Records(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        leaf = self.authority.issue("localhost")
        self.tls = TlsClient(self.authority, minimum="TLSv1_3")
        self.behind = self.origin()
        self.port = free_port()
        self.running = self.gateway(workers=1, apis=APIS, listeners=listener(self.port, leaf),
                                    upstreams=f'origin = {{ endpoints = ( "{self.behind.text}" ); }};')
        self.running.port = self.port

    def by_hand(self):
        client = Client(self.port)
        self.addCleanup(client.close)
        return TlsByHand(self.tls, client).handshake()

    def test_a_record_byte_by_byte(self):
        peer = self.by_hand()
        for number in range(3):
            for byte in peer.seal(HELLO % number):
                peer.client.send(bytes([byte]))
            peer.read_until(b"hello %d." % number)

    def test_records_cut_anywhere(self):
        peer, cuts = self.by_hand(), random.Random(8446)
        wire = b""
        for number in range(200):
            request, at = HELLO % number, 0
            while at < len(request):
                size = cuts.randrange(1, 60)
                wire += peer.seal(request[at:at + size])
                at += size
        at = 0
        while at < len(wire):
            size = cuts.choice((1, 4, 5, 6, 100, 3000))
            peer.client.send(wire[at:at + size])
            at += size
        got = peer.read_until(b"hello 199.")
        for number in range(199):
            self.assertIn(b"hello %d." % number, got)

    def test_much_in_the_piece_of_the_last_flight(self):
        """What comes with the end of the handshake is read by OpenSSL's session as far as that goes, and not further."""
        self.behind.serve = lambda request, sock: answer(request.body)
        for size in (10, 16384, 60000, 300000):
            with self.subTest(size=size), Client(self.port) as client:
                peer = TlsByHand(self.tls, client)
                last = peer.handshake(send_last=False)
                body = b"%08d" * (size // 8 + 1) % tuple(range(size // 8 + 1))
                client.send(last + peer.seal(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                                             % len(body) + body + HELLO % size))
                self.assertTrue(peer.read_until(b"hello %d." % size).partition(b"\r\n\r\n")[2].startswith(body))

    def test_a_second_hello(self):
        """The client guesses a curve that we don't take (HelloRetryRequest, RFC 8446, section 4.1.4)."""
        said = s_client(self.port, "-tls1_3", "-groups", "P-521:P-256", "-ign_eof", "-crlf",
                        data=b"GET /hello?n=4 HTTP/1.1\nHost: a\nConnection: close\n\n")
        self.assertIn("hello 4.", said)

    def test_what_is_no_record(self):
        record = self.by_hand().seal(HELLO % 1)  # of another connection
        for data, alert in (
                (record, "SSLV3_ALERT_BAD_RECORD_MAC"),
                (b"\x17\x03\x03\x00\x10" + bytes(16), "SSLV3_ALERT_BAD_RECORD_MAC"),
                (b"\x17\x03\x03\x00\x00", "SSLV3_ALERT_BAD_RECORD_MAC"),
                (b"\x17\x03\x03\x41\x01", "TLSV1_ALERT_RECORD_OVERFLOW"),
                (b"\x17\x03\x03\xff\xff", "TLSV1_ALERT_RECORD_OVERFLOW"),
                (b"\x14\x03\x03\x00\x01\x01", "SSLV3_ALERT_UNEXPECTED_MESSAGE"),
                (b"\x15\x03\x03\x00\x02\x01\x00", "SSLV3_ALERT_UNEXPECTED_MESSAGE"),
                (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "SSLV3_ALERT_UNEXPECTED_MESSAGE"),
                (b"GET / HTTP/1.1\r\n\r\n", "SSLV3_ALERT_UNEXPECTED_MESSAGE")):
            with self.subTest(data=data[:9]):
                peer = self.by_hand()
                peer.client.send(peer.seal(HELLO % 7))
                peer.read_until(b"hello 7.")
                peer.client.send(data)
                with self.assertRaises(ssl.SSLError) as raised:
                    peer.read()
                self.assertEqual(raised.exception.reason, alert)
                peer.client.closed()
        self.assertEqual(self.tls.get(self.port, "/hello?n=1").body, b"hello 1.")

    def test_what_comes_behind_the_alert_is_nothing(self):
        """A request that is good, a record that isn't, and another request, in one piece."""
        peer = self.by_hand()
        good = peer.seal(HELLO % 1)
        peer.client.send(good + b"\x17\x03\x03\x00\x20" + bytes(32) + peer.seal(HELLO % 2))
        with self.assertRaises(ssl.SSLError) as raised:
            while peer.read():
                pass
        self.assertEqual(raised.exception.reason, "SSLV3_ALERT_BAD_RECORD_MAC")
        self.assertNotIn("n=2", str(self.running.accesses()))

    def test_a_record_that_comes_twice(self):
        peer = self.by_hand()
        record = peer.seal(HELLO % 1)
        peer.client.send(record)
        peer.read_until(b"hello 1.")
        peer.client.send(record)
        with self.assertRaises(ssl.SSLError) as raised:
            peer.read()
        self.assertEqual(raised.exception.reason, "SSLV3_ALERT_BAD_RECORD_MAC")

    def test_every_suite(self):
        for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
            with self.subTest(suite=suite):
                said = s_client(self.port, "-tls1_3", "-ciphersuites", suite, "-ign_eof", "-crlf",
                                data=b"GET /hello?n=3 HTTP/1.1\nHost: a\nConnection: close\n\n")
                self.assertIn(suite, said)
                self.assertIn("hello 3.", said)

    def test_small_records_for_who_wants_them(self):
        """max_fragment_length (RFC 6066, section 4): OpenSSL's client fails on a record that is larger."""
        self.behind.serve = lambda request, sock: (b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
                                                   + b"0123456789" * 2000)
        said = s_client(self.port, "-tls1_3", "-maxfraglen", "512", "-ign_eof", "-crlf",
                        data=b"GET /large HTTP/1.1\nHost: a\nConnection: close\n\n")
        self.assertIn("0123456789" * 2000, said)

    def test_new_keys(self):
        """The client takes new keys, and asks us to, again and again; the connection goes on."""
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_3"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            said = b""

            def talk(line, words):
                nonlocal said
                process.stdin.write(line)
                process.stdin.flush()
                said = b""
                while words not in said:
                    self.assertTrue(select.select([process.stdout], [], [], DEADLINE)[0], said)
                    piece = os.read(process.stdout.fileno(), 65536)
                    self.assertTrue(piece, said)
                    said += piece

            for number in range(20):
                talk(b"K\n" if number % 2 else b"k\n", b"KEYUPDATE")
                talk(HELLO % number, b"hello %d." % number)
            process.stdin.close()
            process.wait(DEADLINE)

    def test_idle_connections_are_small(self):
        """What OpenSSL needs for a handshake isn't kept behind it."""
        if slow():
            self.skipTest("memory is another under sanitizers and valgrind")
        worker = self.running.wait_processes("worker", 1)[0]

        def open_some(count):
            for _ in range(count):
                client = self.tls.open(self.port)
                self.addCleanup(client.close)
                self.assertEqual(client.request("GET", "/hello?n=1").status, 200)

        open_some(20)
        before = resident(worker)
        open_some(80)
        self.assertLess((resident(worker) - before) / 80, 8192)


class Names(Case):
    def test_a_server_name_that_is_none(self):
        """What a client says is its server's name lands in no head, and in no log line, as anything but text."""
        leaf = Authority(self.folder).issue("localhost")
        origin, port = self.origin(), free_port()
        self.gateway(workers=1, listeners=listener(port, leaf),
                     upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};', apis="""
            { name = "all"; routes = ( { match = { path = "/{rest*}"; };
              headers = { request = { set = [ "X-Name: ${tls.sni}" ]; }; }; proxy = { upstream = "origin"; }; } ); }""")
        tls = TlsClient()
        for name in ("a\r\nX-Evil: 1\r\nb", "a\"b\\", "a b", "a\tb\x7f", "x" * 60 + ".y"):
            with self.subTest(name=name):
                try:
                    client = tls.open(port, name)
                except (ssl.SSLError, UnicodeError, ValueError):
                    continue  # refused, by either side
                with client:
                    client.request("GET", "/")
        for request in origin.requests:
            self.assertIsNone(request.get("X-Evil"), request)
        self.assertIn("a b", [request.get("X-Name") for request in origin.requests])
        self.assertEqual(tls.get(port, "/").status, 200)
