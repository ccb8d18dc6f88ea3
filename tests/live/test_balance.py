"""Which endpoint gets a request, how many connections each has, and who waits."""
import collections
import os
import re
import signal
import socket
import threading

from gatehouse import Case, Load, answer, free_port, get, no_more_descriptors, read_stat, wait_until
from pair import ALL


class Gate:
    """Serves requests that are held until they are let go, one at a time; notes the order in which they came."""

    def __init__(self):
        self.order, self.slots = [], threading.Semaphore(0)

    def __call__(self, request, sock):
        self.order.append(request.target)
        if not self.slots.acquire(timeout=30):
            raise ConnectionError
        return answer(request.target.encode())

    def let(self, count=1):
        for _ in range(count):
            self.slots.release()


class Balance(Case):
    def start(self, endpoints, settings="", **more):
        texts = ", ".join(endpoint if "{" in endpoint else f'"{endpoint}"' for endpoint in endpoints)
        more.setdefault("workers", 1)
        self.upstreams = f"origin = {{ endpoints = ( {texts} ); {settings} }};"
        return self.gateway(apis=ALL, upstreams=self.upstreams, **more)

    def named(self, count):
        """Origins that answer with their number."""
        return [self.origin(lambda request, sock, number=number: answer(b"%d" % number)) for number in range(count)]

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def ask(self, gateway, *targets):
        """Sends a request for each target, each on a connection of its own, in this order; the clients."""
        clients = []
        for target in targets:
            client = gateway.client()
            self.addCleanup(client.close)
            client.send_head("GET", target)
            clients.append(client)
        return clients

    def ask_queued(self, gateway, *targets):
        """The same, for requests that must wait: each is in the queue before the next is sent."""
        clients = []
        for target in targets:
            before = self.stat(gateway, "upstream_queued")
            clients += self.ask(gateway, target)
            wait_until(lambda: self.stat(gateway, "upstream_queued") == before + 1, target + " in the queue")
        return clients

    # Which endpoint

    def test_weights(self):
        origins = self.named(3)
        endpoints = [f'{{ address = "{origin.text}"; weight = {weight}; }}' for origin, weight in zip(origins, (1, 2, 5))]
        for balance, within in (("round-robin", 1), ("random", 60)):
            gateway = self.start(endpoints, f'balance = "{balance}";')
            with gateway.client() as client:
                counts = collections.Counter(client.request("GET", "/").body for _ in range(400))
            for number, expected in enumerate((50, 100, 250)):
                self.assertAlmostEqual(counts[b"%d" % number], expected, delta=within, msg=balance)
            gateway.stop()

    def test_p2c_avoids_what_fails_or_refuses(self):
        """One endpoint answers errors at once, one refuses; the one that works slowly gets the requests."""
        failing = self.origin(lambda request, sock: answer(b"no", "500 Internal Server Error"))

        def slowly(request, sock):
            threading.Event().wait(0.005)
            return answer(b"yes")
        gateway = self.start([failing.text, f"unix:{self.folder}/nothing", self.origin(slowly).text], 'balance = "p2c";')
        with gateway.client() as client:
            bodies = [client.request("GET", "/").body for _ in range(200)]
        self.assertLess(bodies.count(b"no"), 20)
        self.assertEqual(bodies.count(b"no") + bodies.count(b"yes"), 200)

    def test_p2c_blames_no_endpoint_for_a_slow_client(self):
        """Who stalls or leaves while it sends its body has kept the endpoint waiting, and not the other way round."""
        def slowly(request, sock):
            threading.Event().wait(0.3)
            return answer(b"slow")
        def half(client):
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        fast, slow = self.origin(lambda request, sock: answer(b"fast")), self.origin(slowly)
        for settings, status in (("", 408), ('timeout = { total = "900ms"; };', 504)):
            slow.requests.clear()
            gateway = self.start([fast.text, slow.text], 'balance = "p2c";' + settings,
                                 extra='client = { body_timeout = "1s"; };')
            for _ in range(1000):  # it must have been there once to be known as slow
                if slow.requests:
                    break
                gateway.get("/")
            self.assertEqual(gateway.get("/").body, b"fast")
            with gateway.client() as stalls:
                half(stalls)
                self.problem(stalls.answer(), status)
            self.assertEqual({gateway.get("/").body for _ in range(10)}, {b"fast"}, status)
            with gateway.client() as leaves:
                half(leaves)
                self.assertTrue(leaves.quiet(0.7))
            wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")
            self.assertEqual({gateway.get("/").body for _ in range(10)}, {b"fast"}, "left")
            gateway.stop()

    def test_p2c_sees_who_is_waited_for_in_vain(self):
        """A client that leaves before the answer says how slow the endpoint is at least."""
        gate = Gate()

        def slowly(request, sock):
            threading.Event().wait(0.1)
            return answer(b"slow")
        stalls = self.origin(lambda request, sock: gate(request, sock) if request.target == "/stall" else answer(b"stalls"))
        slow = self.origin(slowly)
        gateway = self.start([stalls.text, slow.text], 'balance = "p2c";')
        for _ in range(1000):
            if slow.requests:
                break
            gateway.get("/")
        self.assertEqual(gateway.get("/").body, b"stalls")
        with self.ask(gateway, "/stall")[0] as leaves:
            wait_until(lambda: gate.order, "the request at its endpoint")
            self.assertTrue(leaves.quiet(1))
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")
        self.assertEqual(gateway.get("/").body, b"slow")
        gate.let()

    def test_p2c_when_all_fail(self):
        """By an error, by no answer, by no connection: each client is told, and when they work again they get requests."""
        broken = threading.Event()
        broken.set()

        def fails(request, sock):
            if not broken.is_set():
                return answer(b"yes")
            if request.target == "/close":
                raise ConnectionError
            return answer(b"no", "500 Internal Server Error")
        origins = [self.origin(fails) for _ in range(3)]
        dead = [f"unix:{self.folder}/dead{number}" for number in range(2)]
        gateway = self.start([origin.text for origin in origins] + dead, 'balance = "p2c";')
        for number in range(100):
            if number % 2:
                self.assertEqual(gateway.get("/").status, 500)
            else:
                self.problem(gateway.get("/close"), 502)
        self.assertTrue(all(len(origin.requests) > 10 for origin in origins))
        broken.clear()
        self.assertEqual({gateway.get("/").body for _ in range(20)}, {b"yes"})
        gateway.stop()
        gateway = self.start(dead, 'balance = "p2c";')
        for _ in range(5):
            self.problem(gateway.get("/"), 502)

    def test_hash_by_anything(self):
        origins = self.named(8)
        for by, fields, target in (("${header.x-user}", [("X-User", "%d")], "/"), ("${cookie.u}", [("Cookie", "a=b; u=%d")], "/"),
                                   ("${query.u}", [], "/?u=%d"), ("${host}-${query.u}", [], "/?u=%d")):
            gateway = self.start([origin.text for origin in origins], f'balance = "hash"; hash = "{by}";', workers=2)

            def owners():
                found = {}
                for number in range(30):
                    said = [(name, value.replace("%d", str(number))) for name, value in fields]
                    bodies = {gateway.get(target.replace("%d", str(number)), fields=said).body for _ in range(3)}
                    self.assertEqual(len(bodies), 1, by)
                    found[number] = bodies.pop()
                return found
            before = owners()
            self.assertGreater(len(set(before.values())), 4)
            # In another order, after a reload: the same.
            texts = ", ".join(f'"{origin.text}"' for origin in reversed(origins))
            gateway.reload(upstreams=f'origin = {{ endpoints = ( {texts} ); balance = "hash"; hash = "{by}"; }};')
            self.assertEqual(owners(), before)
            # Without a key they go anywhere.
            if "host" not in by:
                self.assertGreater(len({gateway.get("/").body for _ in range(60)}), 4)
            gateway.stop()

    def test_hash_by_client(self):
        origins = self.named(8)
        gateway = self.start([origin.text for origin in origins], 'balance = "hash"; hash = "${client}";')
        self.assertEqual(len({gateway.get(f"/{number}").body for number in range(30)}), 1)

    def test_hash_leaves_a_dead_endpoint_and_bounds_the_load(self):
        gates = [Gate(), Gate(), Gate()]
        origins = [self.origin(gate) for gate in gates]
        gateway = self.start([origin.text for origin in origins], 'balance = "hash"; hash = { by = "${host}"; load = 1.5; };')
        clients = []
        for number in range(6):  # one key: 1.5 times a third of six is 3
            clients += self.ask(gateway, f"/{number}")
            wait_until(lambda: sum(len(gate.order) for gate in gates) == number + 1, "the request at an origin")
        self.assertEqual(max(len(gate.order) for gate in gates), 3)
        for gate in gates:
            gate.let(6)
        for client in clients:
            self.assertEqual(client.answer().status, 200)
        owner = max(range(3), key=lambda number: len(gates[number].order))
        origins[owner].close()
        for gate in gates:
            gate.let(100)
        bodies = [gateway.get("/again") for _ in range(10)]
        self.assertEqual({body.status for body in bodies}, {200})

    def test_errors_in_the_configuration(self):
        gateway = self.start(["127.0.0.1:1"])
        for settings, says in (('balance = "hash";', r":\d+: upstreams.origin.balance: .*needs to know what decides"),
                               ('balance = "hash"; hash = "x";', r":\d+: upstreams.origin.hash.by: .*same for all"),
                               ('balance = "hash"; hash = "${headr.x}";', r":\d+: upstreams.origin.hash.by: .*did you mean"),
                               ("queue = { size = 1; };", r":\d+: upstreams.origin.queue: .*max_connections"),
                               ('balance = "p3c";', r":\d+: upstreams.origin.balance: .*p2c")):
            gateway.write(upstreams=f'origin = {{ endpoints = ( "127.0.0.1:1" ); {settings} }};')
            done = gateway.run("check")
            self.assertEqual(done.status, 1, settings)
            self.assertRegex(done.text, says)

    # Caps and the queue

    def test_cap_and_order_of_the_queue(self):
        gate = Gate()
        origin = self.origin(gate)
        gateway = self.start([origin.text], 'max_connections = 2; queue = { timeout = "30s"; };')
        first = self.ask(gateway, "/a", "/b")
        wait_until(lambda: len(gate.order) == 2, "two at the origin")
        names = [f"/{number}" for number in range(6)]
        waiting = self.ask_queued(gateway, *names)
        for number, client in enumerate(waiting):
            self.assertEqual(len(gate.order), 2 + number)
            gate.let()
            wait_until(lambda: len(gate.order) == 3 + number, "the next at the origin")
        self.assertEqual(gate.order[2:], names)
        gate.let(2)
        for name, client in zip(["/a", "/b", *names], first + waiting):
            self.assertEqual(client.answer().body, name.encode())
        self.assertEqual(origin.connections, 2)

    def test_one_who_comes_later_does_not_overtake(self):
        """The answer that frees the connection and another request are seen in the same turn: who waited is first."""
        order, go, sent = [], threading.Event(), threading.Event()

        def serve(request, sock):
            order.append(request.target)
            if request.target == "/1":
                go.wait(30)
            sock.sendall(answer(request.target.encode()))
            sent.set()
        gateway = self.start([self.origin(serve).text], 'max_connections = 1; queue = { timeout = "30s"; };')
        with gateway.client() as later:
            self.assertEqual(later.request("GET", "/0").status, 200)
            sent.clear()
            first = self.ask(gateway, "/1")[0]
            wait_until(lambda: order[-1] == "/1", "the first")
            second = self.ask_queued(gateway, "/2")[0]
            pid = gateway.wait_processes("worker", 1)[0]
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(lambda: read_stat(pid)[0] == "T", "the worker stands still")
                go.set()
                self.assertTrue(sent.wait(10))
                later.send_head("GET", "/3")
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual([client.answer().body for client in (first, second, later)], [b"/1", b"/2", b"/3"])
        self.assertEqual(order, ["/0", "/1", "/2", "/3"])

    def test_queue_that_is_full_or_too_slow(self):
        gate = Gate()
        gateway = self.start([self.origin(gate).text], 'max_connections = 1; queue = { size = 2; timeout = "300ms"; };')
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        waiting = self.ask_queued(gateway, "/1", "/2")
        refused = gateway.get("/3")
        details = self.problem(refused, 503, "queue is full")
        self.assertEqual(details["type"], "urn:gatehouse:problem:upstream-busy")
        self.assertEqual(refused.get("Retry-After"), "1")
        for client in waiting:
            details = self.problem(client.answer(), 503, "time-out")
            self.assertEqual(details["type"], "urn:gatehouse:problem:upstream-busy")
        self.assertEqual(gate.order, ["/held"])
        gate.let(2)
        self.assertEqual(held[0].answer().status, 200)
        self.assertEqual(gateway.get("/4").status, 200)
        self.assertEqual(self.stat(gateway, "upstream_busy"), 3)
        self.assertEqual(self.stat(gateway, "upstream_queued"), 2)

    def test_no_queue(self):
        gate = Gate()
        gateway = self.start([self.origin(gate).text], "max_connections = 1; queue = 0;")
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        self.problem(gateway.get("/1"), 503, "all its connections are in use")
        gate.let()
        self.assertEqual(held[0].answer().status, 200)

    def test_client_that_leaves_the_queue(self):
        gate = Gate()
        gateway = self.start([self.origin(gate).text], 'max_connections = 1; queue = { size = 2; timeout = "30s"; };')
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        leaving, staying = self.ask_queued(gateway, "/leaving", "/staying")
        leaving.close()
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")
        last = self.ask_queued(gateway, "/last")[0]  # there is room for it again
        gate.let(3)
        self.assertEqual(held[0].answer().status, 200)
        self.assertEqual([staying.answer().body, last.answer().body], [b"/staying", b"/last"])
        self.assertEqual(gate.order, ["/held", "/staying", "/last"])

    def test_client_that_leaves_while_it_is_connected(self):
        """Its connection, which isn't one yet, counts no more."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        for _ in range(3):  # the kernel answers no more of them
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        gateway = self.start(["127.0.0.1:%d" % listener.getsockname()[1]],
                             'max_connections = 1; queue = 0; timeout = { connect = "60s"; };')
        for number in range(1, 3):
            leaving = self.ask(gateway, "/leaving")[0]
            wait_until(lambda: self.stat(gateway, "upstream_connections") == number, "it is connecting")
            self.problem(gateway.get("/other"), 503, "in use")
            leaving.close()
            wait_until(lambda: self.stat(gateway, "aborted") == number, "the gateway knows")

    def test_total_time_out_ends_the_wait(self):
        gate = Gate()
        gateway = self.start([self.origin(gate).text], """max_connections = 1; queue = { timeout = "30s"; };
                             timeout = { total = "400ms"; };""")
        with self.ask(gateway, "/held")[0]:
            wait_until(lambda: gate.order, "the held one")
            self.problem(self.ask_queued(gateway, "/1")[0].answer(), 504, "total time-out")
        gate.let(2)

    def test_body_waits_with_its_request(self):
        gate = Gate()
        origin = self.origin(gate)
        gateway = self.start([origin.text], 'max_connections = 1; queue = { timeout = "30s"; };')
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        body = b"0123456789" * 100000
        with gateway.client() as client:
            threading.Thread(target=client.send_head, args=("POST", "/body", (), body), daemon=True).start()
            wait_until(lambda: self.stat(gateway, "upstream_queued") == 1, "the request in the queue")
            gate.let(2)
            self.assertEqual(client.answer("POST").status, 200)
        self.assertEqual(held[0].answer().status, 200)
        self.assertEqual(origin.requests[1].body, body)

    def test_reload_and_stop_while_queued(self):
        gate = Gate()
        origin = self.origin(gate)
        gateway = self.start([origin.text], 'max_connections = 1; queue = { timeout = "30s"; };')
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        waiting = self.ask_queued(gateway, "/1", "/2")
        gateway.replace(upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        new = self.ask(gateway, "/new")
        wait_until(lambda: gate.order == ["/held", "/new"], "the new worker has caps of its own")
        gate.let(4)
        for client, name in zip([*held, *new, *waiting], (b"/held", b"/new", b"/1", b"/2")):
            self.assertEqual(client.answer().body, name)
        self.assertEqual(gate.order[2:], ["/1", "/2"])

    def test_queue_of_a_worker_that_drains(self):
        """It is full, too slow, left and served as before; then the worker ends."""
        gate = Gate()
        origin = self.origin(gate)
        gateway = self.start([origin.text], 'max_connections = 1; queue = { size = 3; timeout = "3s"; };')
        before = gateway.wait_processes("worker", 1)
        late = [gateway.client() for _ in range(2)]
        for client in late:  # the old worker's, as they were there before
            self.addCleanup(client.close)
            gate.let()
            self.assertEqual(client.request("GET", "/early").status, 200)
        held = self.ask(gateway, "/held")[0]
        wait_until(lambda: gate.order[2:] == ["/held"], "the held one")
        slow, leaving = self.ask_queued(gateway, "/slow", "/leaving")
        # Where the next generation has another listener, connections stay where they are.
        port = free_port()
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{port}"; }}')
        late[0].send_head("GET", "/late")
        wait_until(lambda: self.stat(gateway, "upstream_queued") == 3, "it waits in the old worker")
        self.problem(late[1].request("GET", "/full"), 503, "queue is full")
        leaving.close()
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "the gateway knows")
        self.problem(slow.answer(), 503, "time-out")
        self.problem(late[0].answer(), 503, "time-out")
        self.assertEqual(gate.order[2:], ["/held"])
        gate.let()
        self.assertEqual(held.answer().body, b"/held")
        for client in (held, slow, *late):
            client.close()
        wait_until(lambda: not any(process["pid"] in before for process in gateway.processes(states=None)),
                   "the old worker to end")
        gate.let()
        self.assertEqual(get(port, "/new").body, b"/new")

    def test_stop_cuts_who_waits(self):
        gate = Gate()
        gateway = self.start([self.origin(gate).text], 'max_connections = 1; queue = { timeout = "30s"; };',
                             extra='drain_timeout = "200ms";')
        held = self.ask(gateway, "/held")
        wait_until(lambda: gate.order, "the held one")
        waiting = self.ask_queued(gateway, "/1", "/2")
        self.assertEqual(gateway.stop(), 0)
        for client in held + waiting:
            self.assertEqual(client.closed(), b"")
        gate.let(3)

    def test_queue_with_several_endpoints(self):
        """All at their caps; whichever is free takes the first. With every balancer."""
        for balance in ("round-robin", "least", "p2c", "random", "hash"):
            gates = [Gate(), Gate(), Gate()]
            origins = [self.origin(gate) for gate in gates]
            settings = 'hash = "${host}";' if balance == "hash" else ""
            gateway = self.start([origin.text for origin in origins],
                                 f'balance = "{balance}"; {settings} max_connections = 2; queue = {{ timeout = "30s"; }};')
            first = self.ask(gateway, *[f"/first{number}" for number in range(6)])
            wait_until(lambda: [len(gate.order) for gate in gates] == [2, 2, 2], f"{balance}: two at each")
            waiting = self.ask_queued(gateway, "/1", "/2", "/3")
            for name, gate in (("/1", gates[2]), ("/2", gates[0]), ("/3", gates[1])):
                gate.let()
                wait_until(lambda: gate.order[2:] == [name], f"{balance}: {name}")
            for gate in gates:
                gate.let(2)
            for client in first + waiting:
                self.assertEqual(client.answer().status, 200)
                client.close()  # else the stop waits for it
            self.assertEqual([origin.connections for origin in origins], [2, 2, 2])
            gateway.stop()

    def test_caps_under_load(self):
        """64 clients share 6 connections to real servers: every request is answered, over these."""
        ports = [self.nginx(), self.nginx(name="other")]
        for balance in ("round-robin", "p2c", "hash"):
            settings = 'hash = { by = "${id}"; };' if balance == "hash" else ""
            gateway = self.start([f"127.0.0.1:{port}" for port in ports], f"""balance = "{balance}"; {settings}
                                 max_connections = 3; queue = {{ size = 64; timeout = "30s"; }};""")
            result = Load(gateway.port, seconds=1).finish()
            self.assertEqual(result["errors"], 0, result["text"])
            self.assertGreater(self.stat(gateway, "upstream_queued"), 0)
            # When the clients leave, a call that they leave takes its connection with it.
            self.assertLessEqual(self.stat(gateway, "upstream_connections"), 6 + self.stat(gateway, "aborted"))
            gateway.stop()

    def test_waiter_gets_an_endpoint_that_is_up_again(self):
        """One endpoint is busy for long, the other refused a moment ago: it is tried again, though nobody else is done."""
        gate = Gate()
        path = os.path.join(self.folder, "late.sock")
        gateway = self.start([self.origin(gate).text, "unix:" + path], 'max_connections = 1; queue = { timeout = "30s"; };')
        held = self.ask(gateway, "/held")  # at once, or after the other has refused
        wait_until(lambda: gate.order, "the held one")
        tried = self.ask(gateway, "/tried")  # refused there, now or before: waits for the first
        wait_until(lambda: self.stat(gateway, "upstream_queued") == 1, "it waits")
        late = self.origin(lambda request, sock: answer(b"late"), address=path)
        os.chmod(path, 0o666)
        self.assertEqual(self.ask(gateway, "/new")[0].answer().body, b"late")
        self.assertTrue(late.requests)
        gate.let(2)
        self.assertEqual(held[0].answer().body, b"/held")
        self.assertIn(tried[0].answer().body, (b"/tried", b"late"))

    # Kept connections

    def test_requests_a_connection(self):
        origin = self.origin()
        gateway = self.start([origin.text], "keepalive = { requests = 3; };")
        with gateway.client() as client:
            for _ in range(10):
                self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(origin.connections, 4)

    def test_age_of_a_connection(self):
        """An old one is closed, in use or idle; a young one isn't."""
        closed = threading.Event()
        gate = Gate()
        origin = self.origin(gate)
        converse = origin.converse
        origin.converse = lambda sock: (converse(sock), closed.set())
        gateway = self.start([origin.text], 'keepalive = { max_age = "300ms"; };')
        with gateway.client() as client:
            client.send_head("GET", "/1")
            wait_until(lambda: gate.order, "the request")
            self.assertFalse(closed.wait(0.5))  # it is in use
            gate.let()
            self.assertEqual(client.answer().status, 200)
            self.assertTrue(closed.wait(10))
            closed.clear()
            gate.let(2)
            client.request("GET", "/2")
            client.request("GET", "/3")
            self.assertEqual(origin.connections, 2)
            self.assertTrue(closed.wait(10))  # it was idle

    # What fails

    def test_tries(self):
        dead = [f"unix:{self.folder}/dead{number}" for number in range(20)]
        for settings, expected in (("", 8), ("retry = { connect = 1; };", 1), ("retry = { connect = 16; };", 16)):
            gateway = self.start(dead, settings)
            self.problem(gateway.get("/"), 502)
            gateway.stop()
            refused = re.findall(r"(\S+): can't connect", gateway.errors())
            self.assertEqual((len(refused), len(set(refused))), (expected, expected))
            os.unlink(gateway.error_log)
            os.unlink(gateway.access_log)

    def full_backlog(self, path):
        """A listening UNIX socket that takes no more, and what fills it."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(0)
        filling = []
        while True:
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.setblocking(False)
            try:
                sock.connect(path)
                filling.append(sock)
            except BlockingIOError:
                return listener, filling

    def test_full_backlog_of_a_unix_socket(self):
        path = os.path.join(self.folder, "full.sock")
        listener, filling = self.full_backlog(path)
        gateway = self.start(["unix:" + path], 'timeout = { connect = "20s"; };')
        clients = self.ask(gateway, "/1", "/2")
        with self.ask(gateway, "/leaves")[0]:
            self.assertTrue(clients[0].quiet(0.2))
        wait_until(lambda: self.stat(gateway, "aborted") == 1, "one left")
        for _ in filling:
            listener.accept()[0].close()

        def serve():
            for _ in range(2):
                sock, _ = listener.accept()
                sock.recv(65536)
                sock.sendall(answer(b"at last", close=True))
                sock.close()
        threading.Thread(target=serve, daemon=True).start()
        for client in clients:
            self.assertEqual(client.answer().body, b"at last")

    def test_backlog_that_stays_full(self):
        path = os.path.join(self.folder, "full.sock")
        self.full_backlog(path)
        gateway = self.start(["unix:" + path], 'timeout = { connect = "200ms"; };')
        self.problem(gateway.get("/"), 504, "backlog")
        gateway.stop()
        origin = self.origin(lambda request, sock: answer(b"the other"))
        gateway = self.start(["unix:" + path, origin.text], 'timeout = { connect = "200ms"; };')
        self.assertEqual({gateway.get("/").body for _ in range(3)}, {b"the other"})

    def test_idle_connections_make_room_for_others(self):
        """More endpoints than the process may have descriptors, each of which would keep a connection."""
        origin = self.origin(address=("0.0.0.0", 0))
        count = 400
        endpoints = [f"127.0.1.{number}:{origin.port}" for number in range(1, 201)]
        endpoints += [f"127.0.2.{number}:{origin.port}" for number in range(1, 201)]
        gateway = self.start(endpoints, extra="max_connections = 16;")
        pid = gateway.wait_processes("worker", 1)[0]
        with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
            self.assertLess(int(re.search(r"Max open files +(\d+)", file.read()).group(1)), count)
        with gateway.client() as client:
            for _ in range(2 * count):
                self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(self.stat(gateway, "upstream_errors"), 0)
        self.assertGreater(origin.connections, count)

    def test_no_descriptor_left(self):
        gate = Gate()
        origin = self.origin(gate)
        gateway = self.start([origin.text])
        first, second = gateway.client(), gateway.client()
        with first, second:
            first.send_head("GET", "/held")
            wait_until(lambda: gate.order, "the held one")
            wait_until(lambda: gateway.processes("worker")[0]["connections"] == 2, "both clients are accepted")
            no_more_descriptors(gateway.wait_processes("worker", 1)[0])
            details = self.problem(second.request("GET", "/2"), 503, "no file descriptor")
            self.assertEqual(details["type"], "urn:gatehouse:problem:out-of-resources")
            gate.let(2)
            self.assertEqual(first.answer().status, 200)
            self.assertEqual(second.request("GET", "/3").body, b"/3")  # over the connection of the first
        gateway.wait_error("can't connect: Too many open files")
