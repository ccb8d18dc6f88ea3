"""gRPC through the gateway: a real client and real servers, all four kinds of calls, and what goes wrong."""
import concurrent.futures
import os
import queue
import subprocess
import threading

import grpc

from gatehouse import NGINX_HTTP, Case, limit, wait_until
from peers import free_port
from peers_grpc import SERVICE, GrpcClient, GrpcServer

PATIENCE = 30  # seconds, the deadline of calls that must be answered
Code = grpc.StatusCode


def ends(code):
    """What makes a server end each call with this status."""
    return lambda call, context: context.abort(code, f"the server says {code.name}")


def hangs(call, context):
    call.over.wait(PATIENCE)


class Stream:
    """A bidirectional call that the test feeds a message at a time."""

    def __init__(self, client, **options):
        self.messages = queue.Queue()
        self.answers = client.bidi(iter(self.messages.get, None), timeout=PATIENCE, **options)

    def ask(self, message):
        """Sends a message, and waits for its echo."""
        self.messages.put(message)
        return next(self.answers)

    def finish(self):
        """No more messages: what else came, and how the call ended."""
        self.messages.put(None)
        return list(self.answers), self.answers.code()


class GrpcCase(Case):
    def server(self, act=None, **options):
        server = GrpcServer(act, **options)
        self.addCleanup(server.close)
        return server

    def start(self, *servers, policy="grpc = true;", upstream="", route="", **settings):
        """A gateway before servers, or texts of endpoints."""
        endpoints = ", ".join(f'"{getattr(server, "text", server)}"' for server in servers)
        settings.setdefault("apis", f"""{{ name = "a"; routes = ( {{ name = "echo"; match = {{ prefix = "/{SERVICE}"; }};
            {policy} {route} proxy = {{ upstream = "origin"; }}; }} ); }}""")
        settings.setdefault("upstreams", f'origin = {{ endpoints = ( {endpoints} ); protocol = "h2c"; {upstream} }};')
        return self.gateway(**settings)

    def client(self, gateway, **options):
        client = GrpcClient(gateway.port, **options)
        self.addCleanup(client.channel.close)
        return client

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]


class Calls(GrpcCase):
    def test_four_kinds(self):
        server = self.server()
        client = self.client(self.start(server))
        self.assertEqual(client.unary(b"hello", timeout=PATIENCE), b"hello")
        self.assertEqual(client.unary(b"", timeout=PATIENCE), b"")
        self.assertEqual(list(client.server_stream(b"a", timeout=PATIENCE, metadata=[("x-count", "100")])), [b"a"] * 100)
        self.assertEqual(list(client.server_stream(b"a", timeout=PATIENCE, metadata=[("x-count", "0")])), [])
        self.assertEqual(client.client_stream(iter([b"a", b"b", b"c"]), timeout=PATIENCE), b"abc")
        self.assertEqual(client.client_stream(iter([]), timeout=PATIENCE), b"")
        self.assertEqual(list(client.bidi(iter([b"1", b"2"]), timeout=PATIENCE)), [b"1", b"2"])
        self.assertEqual([call.method for call in server.calls],
                         ["Unary", "Unary", "ServerStream", "ServerStream", "ClientStream", "ClientStream", "Bidi"])

    def test_nothing_is_held_back(self):
        server = self.server()
        stream = Stream(self.client(self.start(server)))
        for i in range(50):  # each message waits for the answer to the one before
            self.assertEqual(stream.ask(b"%d" % i), b"%d" % i)
        self.assertEqual(stream.finish(), ([], Code.OK))

    def test_latency(self):
        """The time until an answer's head came, also when more of the request follows it."""
        gateway = self.start(self.server())
        stream = Stream(self.client(gateway))
        for number in range(10):
            stream.ask(b"%d" % number)
        self.assertEqual(stream.finish(), ([], Code.OK))
        latency = gateway.status()["upstreams"][0]["endpoints"][0]["latency_us"]
        self.assertTrue(0 < latency < PATIENCE * 1000000, latency)

    def test_silence(self):
        server = self.server()
        gateway = self.start(server, upstream='timeout = { idle = "500ms"; };',
                             extra='client = { body_timeout = "500ms"; least_rate = "1M"; least_rate_window = "500ms"; };')
        stream = Stream(self.client(gateway))
        for _ in range(2):
            self.assertEqual(stream.ask(b"a"), b"a")
            self.assertFalse(server.calls[0].over.wait(1.5))
        self.assertEqual(stream.finish(), ([], Code.OK))

    def test_metadata(self):
        binary = bytes(range(256))

        def act(call, context):
            context.send_initial_metadata([("x-begin", "first"), ("x-begin-bin", binary)])
            context.set_trailing_metadata([("x-end", "last"), ("x-end-bin", binary)])

        server = self.server(act)
        client = self.client(self.start(server))
        sent = [("x-text", "a, b"), ("x-twice", "1"), ("x-twice", "2"), ("x-raw-bin", binary)]
        answer, call = client.unary.with_call(b"m", timeout=PATIENCE, metadata=sent)
        self.assertEqual(answer, b"m")
        for pair in sent:
            self.assertIn(pair, server.calls[0].metadata)
        begin, end = list(call.initial_metadata()), list(call.trailing_metadata())
        self.assertIn(("x-begin", "first"), begin)
        self.assertIn(("x-begin-bin", binary), begin)
        self.assertIn("x-request-id", dict(begin))
        self.assertIn(("x-end", "last"), end)
        self.assertIn(("x-end-bin", binary), end)

    @limit(120)
    def test_large_messages(self):
        server = self.server()
        client = self.client(self.start(server))
        large = bytes(range(256)) * (4 << 12)  # 4 MB
        self.assertEqual(client.unary(large, timeout=PATIENCE), large)
        self.assertEqual(list(client.bidi(iter([large] * 3), timeout=PATIENCE)), [large] * 3)
        for message in client.server_stream(large, timeout=PATIENCE):
            self.assertEqual(message, large)

    @limit(120)
    def test_many_at_a_time(self):
        server = self.server(workers=250)
        gateway = self.start(server)
        client = self.client(gateway)
        streams = [Stream(client) for _ in range(50)]
        for i, stream in enumerate(streams):
            self.assertEqual(stream.ask(b"%d" % i), b"%d" % i)
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda i: client.unary(b"%d" % i * 100, timeout=PATIENCE), range(1000)))
        self.assertEqual(answers, [b"%d" % i * 100 for i in range(1000)])
        for stream in streams:
            self.assertEqual(stream.finish(), ([], Code.OK))

    def test_cancellation(self):
        server = self.server()
        client = self.client(self.start(server))
        stream = Stream(client)
        self.assertEqual(stream.ask(b"a"), b"a")
        self.assertFalse(server.calls[0].over.is_set())
        stream.answers.cancel()
        self.assertTrue(server.calls[0].over.wait(PATIENCE), "the server was not told")
        server.act = hangs
        call = client.unary.future(b"b", timeout=PATIENCE)
        server.wait(lambda calls: len(calls) == 2)
        call.cancel()
        self.assertTrue(server.calls[1].over.wait(PATIENCE))
        server.act = lambda call, context: None
        self.assertEqual(client.unary(b"c", timeout=PATIENCE), b"c")  # on the same connection
        stream.messages.put(None)

    @limit(120)
    def test_reload(self):
        server = self.server()
        gateway = self.start(server)
        client = self.client(gateway)
        streams = [Stream(client) for _ in range(50)]
        for stream in streams:
            self.assertEqual(stream.ask(b"before"), b"before")
        for i in range(3):
            gateway.replace()
            for stream in streams:
                self.assertEqual(stream.ask(b"%d" % i), b"%d" % i)
            self.assertEqual(client.unary(b"new", timeout=PATIENCE), b"new")
        for stream in streams:
            self.assertEqual(stream.finish(), ([], Code.OK))


class Errors(GrpcCase):
    """What the gateway says itself, in terms of gRPC."""

    def test_unknown_route(self):
        client = self.client(self.gateway())
        code, text, metadata = client.fails(timeout=PATIENCE)
        self.assertEqual(code, Code.UNIMPLEMENTED)
        self.assertIn(f"no route for /{SERVICE}/Unary", text)
        self.assertIn("x-request-id", metadata)

    def test_upstream_down(self):
        gateway = self.start(f"127.0.0.1:{free_port()}")
        code, text, _ = self.client(gateway).fails(timeout=PATIENCE)
        self.assertEqual(code, Code.UNAVAILABLE)
        self.assertIn("upstream origin: ", text)
        log = gateway.wait_access(1)[0]
        self.assertEqual((log["status"], log["grpc_status"], log["problem"]), (200, "14", "upstream-unreachable"))

    def test_limit(self):
        server = self.server()
        gateway = self.start(server, route='limit = { rate = "1/h"; by = "api"; };')
        client = self.client(gateway)
        self.assertEqual(client.unary(b"a", timeout=PATIENCE), b"a")
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.RESOURCE_EXHAUSTED)

    def test_statuses_of_the_server(self):
        server = self.server()
        gateway = self.start(server)
        client = self.client(gateway)
        for code in Code:
            if code == Code.OK:
                continue
            server.act = lambda call, context: context.abort(code, "bad: 100% \u00e9\n")
            self.assertEqual(client.fails(timeout=PATIENCE)[:2], (code, "bad: 100% \u00e9\n"))
        logs = gateway.wait_access(16)
        self.assertEqual([int(log["grpc_status"]) for log in logs], [code.value[0] for code in Code if code != Code.OK])

    def test_other_answers(self):
        port = free_port()
        self.run_nginx(port, f"""events {{ }} http {{ {NGINX_HTTP} server {{ listen 127.0.0.1:{port} http2;
            location / {{ return 503 "down"; }}
            location = /{SERVICE}/Unary {{ return 404; }} }} }}""")
        client = self.client(self.start(f"127.0.0.1:{port}"))
        code, text, _ = client.fails(timeout=PATIENCE)
        self.assertEqual(code, Code.UNIMPLEMENTED)
        self.assertIn("upstream origin: it answered 404, text/html", text)
        with self.assertRaises(grpc.RpcError) as caught:
            list(client.server_stream(b"a", timeout=PATIENCE))
        self.assertEqual(caught.exception.code(), Code.UNAVAILABLE)

    def test_a_server_that_dies(self):
        server = self.server()
        gateway = self.start(server)
        stream = Stream(self.client(gateway))
        self.assertEqual(stream.ask(b"a"), b"a")
        threading.Thread(target=server.close, daemon=True).start()
        with self.assertRaises(grpc.RpcError) as caught:
            while True:
                stream.ask(b"b")
        self.assertIn(caught.exception.code(), (Code.UNAVAILABLE, Code.CANCELLED))
        stream.messages.put(None)

    def test_without_the_policy(self):
        server = self.server()
        gateway = self.start(server, policy="")
        client = self.client(gateway)
        self.assertEqual(list(client.bidi(iter([b"1", b"2"]), timeout=PATIENCE)), [b"1", b"2"])
        server.act = ends(Code.ABORTED)
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.ABORTED)
        server.close()
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.UNAVAILABLE)


class Deadlines(GrpcCase):
    def test_forwarded(self):
        server = self.server()
        gateway = self.start(server)
        client = self.client(gateway)
        client.unary(b"a", timeout=1000)
        client.unary(b"a")
        first, second = (call.remaining for call in server.calls)
        self.assertTrue(900 < first <= 1020, first)  # the client itself rounds up, by a percent
        self.assertGreater(second, 1e9)  # none
        gateway.replace(apis=gateway.settings["apis"].replace(
            "grpc = true;", 'grpc = { timeout = "50s"; max_timeout = "100s"; };'))
        client.unary(b"a")
        client.unary(b"a", timeout=1000)
        client.unary(b"a", timeout=90)
        for call, most in zip(server.calls[2:], (50, 100, 90)):
            self.assertTrue(most - 20 < call.remaining <= 1.02 * most, (call.remaining, most))

    def test_less_what_was_spent(self):
        server = self.server()
        gateway = self.start(server, route='fault = { delay = "500ms"; };')
        self.assertIn("grpc-status: 0", self.ask(gateway, "100S"))
        self.assertLess(server.calls[0].remaining, 99.6)

    def test_enforced(self):
        server = self.server(hangs)
        gateway = self.start(server, policy='grpc = { timeout = "300ms"; };')
        client = self.client(gateway)
        code, text, _ = client.fails()
        self.assertEqual(code, Code.DEADLINE_EXCEEDED)
        self.assertTrue(server.calls[0].over.wait(PATIENCE))  # by the gateway's reset, or its own deadline

    def test_a_stream_that_has_begun(self):
        server = self.server()
        gateway = self.start(server, policy='grpc = { max_timeout = "1s"; };')
        stream = Stream(self.client(gateway))
        self.assertEqual(stream.ask(b"a"), b"a")
        with self.assertRaises(grpc.RpcError) as caught:
            next(stream.answers)
        self.assertEqual(caught.exception.code(), Code.DEADLINE_EXCEEDED)
        self.assertLess(server.calls[0].remaining, 1.1)
        self.assertEqual(gateway.wait_access(1)[0]["grpc_status"], "4")
        stream.messages.put(None)

    def test_over_before_it_was_asked(self):
        server = self.server()
        gateway = self.start(server, policy='grpc = { timeout = "50ms"; };', route='fault = { delay = "200ms"; };')
        code, text, _ = self.client(gateway).fails()
        self.assertEqual(code, Code.DEADLINE_EXCEEDED)
        self.assertIn("before upstream origin was asked", text)
        self.assertEqual(server.calls, [])

    def ask(self, gateway, timeout):
        """What nghttp says of a call with an empty message and this grpc-timeout."""
        message = os.path.join(self.folder, "message")
        with open(message, "wb") as file:
            file.write(b"\0" * 5)
        done = subprocess.run(
            ["nghttp", "-v", "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", f"grpc-timeout: {timeout}",
             "-d", message, f"http://127.0.0.1:{gateway.port}/{SERVICE}/Unary"],
            stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
        return done.stdout.decode()

    def test_malformed(self):
        server = self.server()
        gateway = self.start(server)
        for value in ("1s", "S", "123456789m", "-1S"):
            done = self.ask(gateway, value)
            self.assertIn("grpc-status: 13", done)
            self.assertIn("grpc-timeout is not", done)
        self.assertEqual(server.calls, [])


class Failures(GrpcCase):
    """Retries, breakers and ejection by grpc-status."""

    RETRY = 'retry = { attempts = 3; grpc = [ "unavailable", "RESOURCE_EXHAUSTED" ]; backoff = { base = "0"; }; };'

    def counted(self, code, failures):
        """A server that fails so often, and then answers."""
        left = iter(range(failures))

        def act(call, context):
            if next(left, None) is not None:
                context.abort(code, "not now")

        return self.server(act)

    def test_retry(self):
        server = self.counted(Code.UNAVAILABLE, 2)
        gateway = self.start(server, upstream=self.RETRY)
        client = self.client(gateway)
        self.assertEqual(client.unary(b"hello", timeout=PATIENCE), b"hello")
        self.assertEqual([call.method for call in server.calls], ["Unary"] * 3)
        self.assertEqual(self.stat(gateway, "retries"), 2)
        server.act = ends(Code.RESOURCE_EXHAUSTED)
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.RESOURCE_EXHAUSTED)
        self.assertEqual(len(server.calls), 6)
        server.act = ends(Code.INTERNAL)  # not one of the list
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.INTERNAL)
        self.assertEqual(len(server.calls), 7)

    def test_no_retry_of_what_has_begun(self):
        def act(call, context):
            context.send_initial_metadata([("x-begun", "1")])  # with none it might go with the status
            context.abort(Code.UNAVAILABLE, "too late")

        server = self.server(act)
        client = self.client(self.start(server, upstream=self.RETRY))
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.UNAVAILABLE)
        self.assertEqual(len(server.calls), 1)

    def test_pushback(self):
        def act(call, context):
            context.set_trailing_metadata([("grpc-retry-pushback-ms", "-1")])
            context.abort(Code.UNAVAILABLE, "go away")

        server = self.server(act)
        client = self.client(self.start(server, upstream=self.RETRY))
        self.assertEqual(client.fails(timeout=PATIENCE)[0], Code.UNAVAILABLE)
        self.assertEqual(len(server.calls), 1)

    def test_breaker(self):
        for begun in (False, True):
            def act(call, context):
                if begun:
                    context.send_initial_metadata([("x-begun", "1")])  # with none it might go with the status
                context.abort(server.code, "as the test wants")

            server = self.server(act)
            gateway = self.start(server, workers=1, upstream='breaker = { errors = 3; open = "1h"; max_open = "1h"; };')
            client = self.client(gateway)
            server.code = Code.NOT_FOUND  # the caller's mistake
            for _ in range(5):
                client.fails(timeout=PATIENCE)
            server.code = Code.UNAVAILABLE
            for _ in range(3):
                client.fails(timeout=PATIENCE)
            wait_until(lambda: "breaker is open" in client.fails(timeout=PATIENCE)[1], "an open breaker")
            gateway.wait_error(r"the breaker opened .*: UNAVAILABLE\)")
            gateway.stop()

    def test_a_breaker_and_short_deadlines(self):
        server = self.server(hangs)
        gateway = self.start(server, workers=1, upstream='breaker = { errors = 2; open = "1h"; max_open = "1h"; };')
        client = self.client(gateway)
        for _ in range(4):  # those who don't wait say nothing of the server
            self.assertEqual(client.fails(timeout=0.2)[0], Code.DEADLINE_EXCEEDED)

        def first(call, context):
            """The server is the one who sees the time pass."""
            call.over.wait(max(0, context.time_remaining() - 0.05))
            context.abort(Code.DEADLINE_EXCEEDED, "it was too short")

        server.act = first
        for _ in range(4):
            self.assertEqual(client.fails(timeout=0.5)[0], Code.DEADLINE_EXCEEDED)
        server.act = lambda call, context: None
        self.assertEqual(client.unary(b"a", timeout=PATIENCE), b"a")

    def test_ejection(self):
        good, bad = self.server(), self.server(ends(Code.UNAVAILABLE))
        gateway = self.start(good, bad, workers=1,
                             upstream='ejection = { consecutive = 3; time = "1h"; max_time = "1h"; max_percent = 50.0; };')
        client = self.client(gateway)
        for _ in range(20):
            client.unary.future(b"a", timeout=PATIENCE).exception()
        gateway.wait_error(f"{bad.text} is ejected")
        seen = len(bad.calls)
        for _ in range(10):
            self.assertEqual(client.unary(b"a", timeout=PATIENCE), b"a")
        self.assertEqual(len(bad.calls), seen)


class Settings(GrpcCase):
    def test_check(self):
        rows = (
            ('protocol = "h2c"; retry = { grpc = [ "sometimes" ]; };', "grpc = true;", 'retry.grpc[0]: "sometimes"'),
            ('protocol = "h2c"; retry = { grpc = [ "ok" ]; };', "grpc = true;", 'retry.grpc[0]: "ok"'),
            ('protocol = "h2c";', 'grpc = { timeout = "2s"; max_timeout = "1s"; };', "timeout: is more than max_timeout"),
            ("", "grpc = true;", "gRPC wants HTTP/2"),
        )
        gateway = self.start("127.0.0.1:1")
        for upstream, policy, says in rows:
            gateway.write(
                upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); {upstream} }};',
                apis=f'{{ name = "a"; routes = ( {{ match = {{ prefix = "/"; }}; {policy} proxy = "origin"; }} ); }}')
            done = gateway.run("check")
            self.assertEqual(done.status, 1, done)
            self.assertIn(says, done.text)
