"""At a reload the clients' idle connections go on in the new workers: none is closed, none is served by two."""
import contextlib
import os
import random
import select
import signal
import threading

from gatehouse import DEADLINE, UNDER, Case, Load, Traced, alive, answer, free_port, limit, no_more_descriptors, slow, wait_until
from pair import Headers

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'
PATIENT = 'client = { keepalive_timeout = "1h"; header_timeout = "10m"; }; drain_timeout = "0";'
MANY = 16 if UNDER else 64


def respond(body):
    return ('{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "%s"; }; } ); }'
            % body)


def echo(request, sock):
    return answer(request.target.encode())


class Handoff(Case):
    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def clients(self, gateway, count, **options):
        """Connections that have had an answer each."""
        clients = [gateway.client(**options) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
            self.kept(client, b"one")
        return clients

    def kept(self, client, body, target="/", fields=()):
        """A request on this connection, which goes on."""
        got = client.request("GET", target, fields)
        self.assertIsNotNone(got, "the connection was closed")
        self.assertEqual((got.status, got.body, got.get("Connection")), (200, body, None), got)

    def last(self, client, body, target="/"):
        """A request on this connection whose answer says that it is the last."""
        got = client.request("GET", target)
        self.assertIsNotNone(got, "the connection was closed without a word")
        self.assertEqual((got.status, got.body, got.get("Connection")), (200, body, "close"), got)
        self.assertIsNone(client.answer())

    def gone(self, pids):
        wait_until(lambda: not any(map(alive, pids)), "the old workers' end")

    def test_idle_connections_go_on(self):
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        old = gateway.wait_processes("worker", 2)
        clients = self.clients(gateway, MANY)
        before = gateway.status()["stats"]["connections"]
        gateway.reload(apis=respond("two"))
        self.gone(old)
        self.assertEqual(self.stat(gateway, "taken_over"), MANY)
        for client in clients:
            self.kept(client, b"two")
        now = gateway.status()["stats"]
        self.assertEqual(now["connections"] - before, 2, "connections more than those that ask for the status")
        self.assertEqual(now["stayed"], 0)

    def test_they_are_spread_evenly(self):
        gateway = self.gateway(apis=respond("one"), workers=4, extra=PATIENT)
        gateway.replace(workers=1)
        old = gateway.wait_processes("worker", 1)
        self.clients(gateway, MANY)
        gateway.reload(workers=4)
        self.gone(old)
        held = wait_until(lambda: (lambda counts: sum(counts) == MANY and counts)(
            [process["connections"] for process in gateway.processes("worker")]), "all of them")
        self.assertEqual(len(held), 4)
        self.assertLessEqual(max(held), MANY / 4 + 2, held)

    def accepted_during(self, gateway, seconds, meanwhile):
        """How many connections a run of wrk makes, and what it says."""
        before = self.stat(gateway, "connections")
        load = Load(gateway.port, seconds=seconds)
        meanwhile(load)
        result = load.finish()
        return self.stat(gateway, "connections") - before, result

    @limit(120)
    def test_a_reload_each_200_ms_under_load(self):
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        usual, _ = self.accepted_during(gateway, 1, lambda load: None)
        count = 0

        def reload(load):
            nonlocal count
            while load.running():
                gateway.reload()
                count += 1
                select.select([], [], [], 0.2)

        accepted, result = self.accepted_during(gateway, 5 if slow() else 10, reload)
        self.assertGreater(count, 3)
        self.assertGreater(result["requests"], 100)
        self.assertEqual(result["errors"], 0, f"{count} reloads: {result['text']}{gateway.said()}")
        self.assertEqual(accepted, usual, f"connections that were accepted in {count} reloads")

    @limit(120)
    def test_clients_of_all_kinds_over_many_reloads(self):
        """Heads in pieces, several requests at once, bodies, pauses: each connection lasts, each answer is that of its request."""
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{self.origin(echo).text}" ); }};')
        over, wrong, counts = threading.Event(), [], []

        def converse(number):
            dice, count = random.Random(number), 0
            with gateway.client() as client:
                while not over.is_set() and not wrong:
                    targets = [f"/{number}/{count + i}" for i in range(dice.choice((1, 1, 1, 3)))]
                    body = b"x" * dice.choice((0, 0, 10, 30000))
                    data = b"".join(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
                                    % (target.encode(), len(body), body) for target in targets)
                    cuts = sorted(dice.randrange(len(data)) for _ in range(dice.choice((0, 0, 1, 3))))
                    for begin, end in zip([0, *cuts], [*cuts, len(data)]):
                        client.send(data[begin:end])
                        if dice.random() < 0.3:
                            select.select([], [], [], 0.01)
                    for target in targets:
                        got = client.answer()
                        if got is None or (got.status, got.body, got.get("Connection")) != (200, target.encode(), None):
                            wrong.append((target, got))
                    count += len(targets)
            counts.append(count)

        def guarded(number):
            try:
                converse(number)
            except (OSError, EOFError) as error:
                wrong.append((number, repr(error)))

        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(32)]
        before = self.stat(gateway, "connections")
        for thread in threads:
            thread.start()
        for _ in range(20):
            gateway.reload()
            select.select([], [], [], 0.1)
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual(wrong, [], gateway.said())
        self.assertGreater(min(counts), 0)
        self.assertEqual(self.stat(gateway, "connections") - before, len(threads) + 1)
        self.assertGreater(self.stat(gateway, "taken_over"), len(threads))

    def test_a_half_head(self):
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        old = gateway.wait_processes("worker", 2)
        client, fresh = self.clients(gateway, 1)[0], gateway.client()
        for each in (client, fresh):
            each.send("GET / HTTP/1.1\r\nHost: loc")
        gateway.reload(apis=respond("two"))
        self.gone(old)
        for each in (client, fresh):
            each.send("alhost\r\n\r\n")
            got = each.answer()
            self.assertEqual((got.status, got.body, got.get("Connection")), (200, b"two", None))
            self.kept(each, b"two")
        fresh.close()

    def test_what_follows_a_request_in_progress(self):
        """It is answered where it began; what was sent behind it is, in the new workers."""
        gate = threading.Event()

        def serve(request, sock):
            gate.wait(DEADLINE)
            return answer(request.target.encode())

        origin = self.origin(serve)
        upstreams = f'origin = {{ endpoints = ( "{origin.text}" ); }};'
        gateway = self.gateway(apis=PROXY, upstreams=upstreams, extra=PATIENT)
        old = gateway.wait_processes("worker", 2)
        with gateway.client() as client:
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
            origin.wait(lambda o: len(o.requests) == 1)
            gateway.replace(apis=respond("two"))
            gate.set()
            got = client.answer()
            self.assertEqual((got.body, got.get("Connection")), (b"/1", None))
            got = client.answer()
            self.assertEqual((got.body, got.get("Connection")), (b"two", None))
            self.gone(old)
            client.send("TP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.answer().body, b"two")
            self.assertEqual(self.stat(gateway, "taken_over"), 1)

    def test_over_several_generations(self):
        """Who was busy for long goes to the newest."""
        gate = threading.Event()

        def serve(request, sock):
            gate.wait(DEADLINE)
            return answer(b"late")

        origin = self.origin(serve)
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};',
                               workers=1, extra=PATIENT)
        old = gateway.wait_processes("worker", 1)
        clients = []
        for number in range(3):
            clients.append(gateway.client())
            clients[-1].send_head("GET", "/")
            origin.wait(lambda o, wanted=number + 1: len(o.requests) == wanted)
            gateway.replace()
            old += gateway.wait_processes("worker", 1)
        gateway.replace(apis=respond("two"))
        gate.set()
        for client in clients:
            got = client.answer()
            self.assertEqual((got.body, got.get("Connection")), (b"late", None))
            self.kept(client, b"two")
            client.close()
        self.gone(old)

    def test_a_listener_that_is_gone(self):
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        second = free_port()
        both = f'{{ listen = "127.0.0.1:{gateway.port}"; }}, {{ listen = "127.0.0.1:{second}"; }}'
        gateway.replace(listeners=both)
        old = gateway.wait_processes("worker", 2)
        kept, lost = self.clients(gateway, 4), self.clients(gateway, 4, port=second)
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; }}', apis=respond("two"))
        wait_until(lambda: self.stat(gateway, "stayed") == 4, "that they stay")
        for client in lost:
            self.last(client, b"one")
        for client in kept:
            self.kept(client, b"two")
        self.gone(old)

    def test_a_listener_that_changed(self):
        """One that is to begin with a PROXY header now can't go on without one."""
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        client, = self.clients(gateway, 1)
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "on"; }}')
        wait_until(lambda: self.stat(gateway, "stayed") == 1, "that it stays")
        self.last(client, b"one")

    def test_who_stayed_goes_when_the_listener_is_back(self):
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        client, = self.clients(gateway, 1)
        with gateway.client() as busy:
            busy.send("GET / HTTP/1.1\r\nHost: loc")  # not idle for long
            gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "on"; }}')
            wait_until(lambda: self.stat(gateway, "stayed") == 2, "that they stay")
            gateway.reload(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; }}', apis=respond("two"))
            wait_until(lambda: self.stat(gateway, "taken_over") >= 1, "that they go")
            busy.send("alhost\r\n\r\n")
            self.assertEqual(busy.answer().body, b"two")
        self.kept(client, b"two")

    def test_no_room(self):
        """A listener's limit holds for what is taken over too; who finds no place ends with the next answer."""
        def listener(most):
            return f'{{ listen = "127.0.0.1:{gateway.port}"; max_connections = {most}; }}'

        gateway = self.gateway(apis=respond("one"), workers=1, extra=PATIENT)
        gateway.replace(listeners=listener(8))
        clients = self.clients(gateway, 8)
        gateway.reload(listeners=listener(3), workers=2, apis=respond("two"))
        wait_until(lambda: self.stat(gateway, "stayed") == 2, "that two stay")
        ends = [client.request("GET", "/").get("Connection") for client in clients]
        self.assertEqual((ends.count(None), ends.count("close")), (6, 2), ends)

    def test_no_room_at_all(self):
        gateway = self.gateway(apis=respond("one"), workers=1, extra=PATIENT)
        old = gateway.wait_processes("worker", 1)
        clients = self.clients(gateway, 20)
        gateway.reload(apis=respond("two"), extra=PATIENT + " max_connections = 16;")
        wait_until(lambda: self.stat(gateway, "taken_over") == 16, "that they go")
        gateway.wait_error("4 connections can't be handed over")
        ends = [client.request("GET", "/").get("Connection") for client in clients]
        self.assertEqual((ends.count(None), ends.count("close")), (16, 4), ends)
        self.gone(old)

    def test_no_descriptors(self):
        """The kernel cuts what it can't give a descriptor to: those connections go on where they were, told at their next
        answer; no matter whether that is some of a batch, or the way to the old worker itself."""
        for room in (4, 0):
            gateway = self.gateway(apis=respond("one"), workers=1, extra=PATIENT)
            (old,) = gateway.wait_processes("worker", 1)
            clients = self.clients(gateway, 8)
            with self.held(gateway, old) as new:
                no_more_descriptors(new, room)
            taken = max(0, room - 1)
            gateway.wait_error(f"{8 - taken} connections can't be handed over")
            self.ends(gateway, old, clients, taken)
            gateway.finish()

    @contextlib.contextmanager
    def held(self, gateway, old):
        """A reload whose new worker waits for the old one, which stands still meanwhile: that of the new one."""
        os.kill(old, signal.SIGSTOP)
        try:
            gateway.reload(apis=respond("two"))
            (new,) = set(gateway.wait_processes("worker", 2)) - {old}
            yield new
        finally:
            os.kill(old, signal.SIGCONT)

    def ends(self, gateway, old, clients, taken):
        """So many were taken over and go on; the others had their answer of the old worker, which told them, and is gone."""
        answers = [client.request("GET", "/") for client in clients]
        self.assertNotIn(None, answers)
        self.assertEqual(sorted((got.body, got.get("Connection")) for got in answers),
                         [(b"one", "close")] * (len(clients) - taken) + [(b"two", None)] * taken)
        self.gone([old])
        self.assertEqual(self.stat(gateway, "taken_over"), taken)
        self.assertEqual([process["connections"] for process in gateway.processes("worker")], [taken], "each is there once")

    # Who meets it, what, how many of eight connections go over in the end, and what is told.
    FAULTS = (("new", "epoll_ctl:error=ENOMEM:when=1", 8, "can't be watched: Cannot allocate"),  # the old one, which offers again
              ("new", "epoll_ctl:error=ENOSPC:when=3", 7, ""),  # one of the clients
              ("new", "epoll_ctl:error=ENOSPC:when=2+", 0, ""),
              ("new", "sendmsg:error=ENOBUFS:when=1", 8, "is no hand-off"),  # the welcome
              ("new", "sendmsg:error=ENOBUFS:when=2", 8, "can't be taken over: No buffer space"),  # what it took
              ("new", "recvmsg:error=ENOMEM:when=1..3", 8, ""),
              ("old", "socketpair:error=EMFILE:when=1..2", 8, ""),
              ("old", "sendmsg:error=ENOBUFS:when=1..4", 8, ""),
              ("old", "recvmsg:error=ENOMEM:when=1..4", 8, ""))

    @limit(180)
    def test_calls_of_the_kernel_that_fail(self):
        """On the way from one worker to another: each connection has one owner, whatever fails, and is answered."""
        for who, fault, taken, told in self.FAULTS:
            with self.subTest(f"{who} {fault}"):
                gateway = self.gateway(apis=respond("one"), workers=1, extra=PATIENT)
                (old,) = gateway.wait_processes("worker", 1)
                clients = self.clients(gateway, 8)
                with contextlib.ExitStack() as stack:
                    with self.held(gateway, old) as new:
                        stack.enter_context(Traced(new if who == "new" else old, fault))
                    if taken == 8:
                        self.gone([old])
                    else:
                        gateway.wait_error(f"{8 - taken} connections can't be handed over")
                self.ends(gateway, old, clients, taken)
                gateway.wait_error(told)
                gateway.finish()

    def test_what_a_proxy_header_said(self):
        origin = Headers(lambda reader: reader.line())
        self.addCleanup(origin.close)
        gateway = self.gateway(apis=PROXY, upstreams=f"""origin = {{ endpoints = ( "{origin.text}" );
            proxy_protocol = "v1"; }};""", extra=PATIENT)
        gateway.replace(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; proxy_protocol = "on"; }}')
        old = gateway.wait_processes("worker", 2)
        with gateway.client() as client:
            said = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 80"
            client.send(said + "\r\n")
            self.assertEqual(client.request("GET", "/").status, 200)
            gateway.reload()
            self.gone(old)
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(origin.got, [said] * 2)

    def test_requests_are_counted_on(self):
        most = PATIENT.replace("{", "{ max_requests = 3;", 1)
        gateway = self.gateway(apis=respond("one"), extra=most)
        old = gateway.wait_processes("worker", 2)
        client, = self.clients(gateway, 1)
        gateway.reload(apis=respond("two"))
        self.gone(old)
        self.kept(client, b"two")
        self.last(client, b"two")

    def test_a_head_has_no_more_time_than_before(self):
        """However often it is handed over; where its time runs out, it is told."""
        gateway = self.gateway(apis=respond("one"), extra='client = { header_timeout = "2s"; }; drain_timeout = "0";')
        client, = self.clients(gateway, 1)
        client.send("GET / HT")
        wait_until(lambda: gateway.reload() and select.select([client.sock], [], [], 0.1)[0], "an answer")
        self.assertEqual(client.answer().status, 408)
        self.assertGreater(self.stat(gateway, "taken_over"), 1)

    def test_unix_sockets(self):
        path = os.path.join(self.folder, "listener")
        listener = '{ listen = "unix:%s"; mode = "%s"; }'
        gateway = self.gateway(apis=respond("one"), listeners=listener % (path, "0666"), extra=PATIENT)
        old = gateway.wait_processes("worker", 2)
        client, = self.clients(gateway, 1, port=path)
        gateway.reload(apis=respond("two"))
        self.gone(old)
        self.kept(client, b"two")
        gateway.reload(listeners=listener % (path, "0600"), apis=respond("three"))
        wait_until(lambda: self.stat(gateway, "stayed") == 1, "that it stays where others might connect")
        self.last(client, b"two")

    def test_a_new_worker_that_is_killed_meanwhile(self):
        """What it hadn't said it took is the old one's still, which gives it to the next."""
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        gateway.deaths_expected = True
        gateway.replace(workers=1)
        old = gateway.wait_processes("worker", 1)
        clients = self.clients(gateway, MANY)
        # Each of these calls of a new worker watches one descriptor more: the fifth an old worker, the later ones clients.
        with Traced(gateway.pid, "epoll_ctl:signal=SIGKILL:when=12"):
            gateway.reload(apis=respond("two"), workers=2)
            gateway.wait_error(r"worker \d \(pid \d+\) was killed by signal 9")
        self.gone(old)
        for client in clients:
            self.kept(client, b"two")

    def test_new_workers_that_always_die(self):
        """Then the old ones tell their clients, and end."""
        gateway = self.gateway(apis=respond("one"), workers=1, extra=PATIENT)
        gateway.deaths_expected = True
        old = gateway.wait_processes("worker", 1)
        clients = self.clients(gateway, 4)
        with Traced(gateway.pid, "epoll_ctl:signal=SIGKILL:when=7"):
            gateway.reload(apis=respond("two"))
            gateway.wait_error(r"connections can't be handed over")
            self.assertRegex(gateway.errors(), r"(?s)(was killed by signal 9.*){2}")
            self.assertTrue(alive(old[0]))
            ends = [client.request("GET", "/") for client in clients]
            self.assertEqual({(end.body, end.get("Connection")) for end in ends}, {(b"one", "close")})
            self.gone(old)

    def test_stop(self):
        """Without successors it is as ever: the next answer is the last one."""
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        client, = self.clients(gateway, 1)
        stop = threading.Thread(target=gateway.stop)
        stop.start()
        gateway.wait_error("stopping: ")
        self.last(client, b"one")
        stop.join(DEADLINE)
        self.assertFalse(alive(gateway.pid))

    def test_stop_while_an_older_one_drains(self):
        gate = threading.Event()

        def serve(request, sock):
            gate.wait(DEADLINE)
            return answer(b"late")

        origin = self.origin(serve)
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};', extra=PATIENT)
        with gateway.client() as client:
            client.send_head("GET", "/")
            origin.wait(lambda o: len(o.requests) == 1)
            gateway.replace()
            stop = threading.Thread(target=gateway.stop)
            stop.start()
            gateway.wait_error("stopping: ")
            wait_until(lambda: gateway.processes("worker") == [], "that none serves")
            gate.set()
            got = client.answer()
            self.assertEqual((got.body, got.get("Connection")), (b"late", "close"))
        stop.join(DEADLINE)
        self.assertFalse(alive(gateway.pid))

    def test_over_an_upgrade(self):
        """From the workers of one program to those of the next, which hand them on at a reload."""
        gateway = self.gateway(apis=respond("one"), extra=PATIENT)
        old = gateway.wait_processes("worker", 2)
        clients = self.clients(gateway, 8)
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, f"{done}{gateway.said()}")
        self.gone(old)
        old = gateway.wait_processes("worker", 2)
        for client in clients:
            self.kept(client, b"one")
        gateway.reload(apis=respond("two"))
        self.gone(old)
        for client in clients:
            self.kept(client, b"two")
        self.assertEqual(self.stat(gateway, "taken_over"), 16)
