"""Reload is a transaction: a new generation takes over with no request lost, or nothing changes."""
import os
import select
import signal
import socket
import threading
import time

from gatehouse import (DEADLINE, UNDER, Case, Client, Load, Traced, alive, answer, children, descriptors, free_port, get,
                       limit, resident, slow, wait_until)

PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = { upstream = "origin"; }; } ); }'


def respond(body):
    return ('{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "%s"; }; } ); }'
            % body)


def pace(seconds):
    """The time between two reloads that the test is about; nothing waits for it."""
    select.select([], [], [], seconds)


class Reload(Case):
    def generation(self, gateway):
        return max(process["generation"] for process in gateway.processes("worker"))

    def snapshot(self, gateway):
        """What a failed reload must leave alone."""
        return gateway.wait_processes("worker", gateway.settings["workers"]), self.generation(gateway)

    def unchanged(self, gateway, before, *patterns):
        """A reload that must fail: the reason is printed, nothing else is different afterwards."""
        done = gateway.run("reload")
        self.assertEqual(done.status, 1, done)
        for pattern in patterns:
            self.assertRegex(done.text, pattern)
        self.assertEqual(self.snapshot(gateway), before)
        self.assertEqual(gateway.get("/").body, b"one")
        wait_until(lambda: len(children(gateway.pid)) == 2 + len(before[0]), "no process more than before")
        return done

    def test_new_configuration_serves(self):
        gateway = self.gateway(apis=respond("one"))
        before = gateway.wait_processes("worker", 2)
        self.assertEqual(gateway.get("/").body, b"one")
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")
        gateway.wait_processes("worker", 2, besides=before)
        for _ in range(50):
            self.assertEqual(gateway.get("/").body, b"two")
        wait_until(lambda: not any(map(alive, before)), "the old workers' end")

    def test_by_signal(self):
        gateway = self.gateway(apis=respond("one"))
        gateway.write(apis=respond("two"))
        gateway.told = b""
        gateway.signal(signal.SIGHUP)
        gateway.wait_told(b"RELOADING=1")
        gateway.wait_told(b"READY=1")
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def test_signals_during_a_reload_make_one_more(self):
        gateway = self.gateway(apis=respond("one"))
        before = self.generation(gateway)
        for _ in range(20):
            gateway.signal(signal.SIGHUP)
        wait_until(lambda: gateway.processes("worker") and self.generation(gateway) > before, "a new generation")
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def load_while_reloading(self, seconds, **options):
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "127.0.0.1:{self.nginx()}" ); }};')
        load = Load(gateway.port, seconds=seconds, **options)
        count = 0
        while load.running():
            gateway.reload()
            count += 1
            pace(1)
        result = load.finish()
        self.assertGreater(count, seconds / 4)
        self.assertGreater(result["requests"], 100)
        self.assertEqual(result["errors"], 0, f"{count} reloads: {result['text']}{gateway.said()}")

    @limit(120)
    def test_each_second_under_load(self):
        self.load_while_reloading(20)

    @limit(120)
    def test_each_second_under_load_of_new_connections(self):
        self.load_while_reloading(20, fields=[("Connection", "close")])

    @limit(600)
    def test_a_thousand(self):
        """Memory and descriptors of what lasts stay flat; no zombie."""
        total, warm = (60, 20) if UNDER else (300, 100) if slow() else (1000, 200)
        gateway = self.gateway(apis=respond("one"), workers=1, extra='drain_timeout = "2s";')
        logger = gateway.wait_processes("logger", 1)[0]
        for _ in range(warm):
            gateway.reload()
        keeper = gateway.wait_processes("keeper", 1)[0]
        before = [(resident(pid), descriptors(pid)) for pid in (gateway.pid, logger, keeper)]
        for _ in range(total - warm):
            gateway.reload()
        self.assertEqual(gateway.wait_processes("logger", 1), [logger])
        keeper = gateway.wait_processes("keeper", 1)[0]
        wait_until(lambda: len(children(gateway.pid)) == 3, "the end of all old processes")
        after = [(resident(pid), descriptors(pid)) for pid in (gateway.pid, logger, keeper)]
        for role, old, new in zip(("master", "logger", "keeper"), before, after):
            self.assertLessEqual(new[1], old[1], f"descriptors of the {role}")
            if not slow():
                self.assertLess(new[0] - old[0], 300_000, f"bytes that the {role} grew")
        self.assertNotIn("Z", children(gateway.pid).values())

    def test_to_a_broken_configuration(self):
        gateway = self.gateway(apis=respond("one"))
        before = self.snapshot(gateway)
        gateway.by_control = True
        gateway.write(apis='{ name = "a";\nroutes = ( { match = { path = "/"; };\nporxy = { upstream = "u"; }; } ); }')
        self.unchanged(gateway, before, r"gatehouse\.conf:\d+: .*porxy.*proxy")
        gateway.write(apis='{ name = ; }')
        self.unchanged(gateway, before, r"gatehouse\.conf:\d+")
        os.rename(gateway.config, gateway.config + ".away")
        self.unchanged(gateway, before, r"gatehouse\.conf")
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def test_to_a_port_that_is_taken(self):
        gateway = self.gateway(apis=respond("one"))
        before = self.snapshot(gateway)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            gateway.write(listeners=f'{{ listen = "127.0.0.1:{gateway.port}"; }}, {{ listen = "127.0.0.1:{port}"; }}')
            self.unchanged(gateway, before, rf"127\.0\.0\.1:{port}")
        gateway.reload()
        wait_until(lambda: get(port, "/").body == b"one", "the answer on the new port")

    def test_workers_that_fail_before_ready(self):
        gateway = self.gateway(apis=respond("one"))
        gateway.deaths_expected = True  # the siblings of the one that fails are killed
        before = self.snapshot(gateway)
        with Traced(gateway.pid, "epoll_create1:error=EMFILE"):
            self.unchanged(gateway, before, "worker|keeper|process")
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def test_workers_that_die_before_ready(self):
        gateway = self.gateway(apis=respond("one"))
        gateway.deaths_expected = True
        before = self.snapshot(gateway)
        with Traced(gateway.pid, "epoll_create1:signal=SIGKILL"):
            self.unchanged(gateway, before, "worker|keeper|process")
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")

    def test_workers_that_never_get_ready(self):
        gateway = self.gateway(apis=respond("one"), extra='start_timeout = "1s";')
        gateway.deaths_expected = True
        before = self.snapshot(gateway)
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            self.unchanged(gateway, before, "worker|keeper|process|time")

    def test_settings_that_need_a_restart(self):
        gateway = self.gateway(apis=respond("one"))
        before = self.snapshot(gateway)
        for change, name in (({"state": 'state = { size = "32M"; };'}, "state"), ({"user": "daemon"}, "user")):
            if name == "user" and os.geteuid() != 0:
                continue
            saved = dict(gateway.settings)
            gateway.write(**change)
            self.unchanged(gateway, before, name + ".*restart|restart.*" + name)
            gateway.settings = saved
        gateway.by_control = True
        for name in ("pidfile", "control"):
            saved = getattr(gateway, name)
            setattr(gateway, name, saved + ".other")
            gateway.write()
            setattr(gateway, name, saved)
            done = gateway.run("reload")
            self.assertEqual(done.status, 1, done)
            self.assertRegex(done.text, name)
            self.assertEqual(self.snapshot_by_file(gateway), before[0])

    def snapshot_by_file(self, gateway):
        """The workers, whatever the file says now."""
        gateway.write()
        return gateway.wait_processes("worker", gateway.settings["workers"])

    def test_listeners_come_and_go(self):
        gateway = self.gateway(apis=respond("one"))
        first, second = gateway.port, free_port()
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{first}"; }}, {{ listen = "127.0.0.1:{second}"; }}')
        wait_until(lambda: get(second, "/").body == b"one", "the second listener")
        gateway.reload(listeners=f'{{ listen = "127.0.0.1:{second}"; }}')

        def refused():
            try:
                return get(first, "/") is None
            except OSError:
                return True

        wait_until(refused, "the first listener's end")
        self.assertEqual(get(second, "/").body, b"one")

    def test_requests_in_progress_are_answered(self):
        gate = threading.Event()

        def serve(request, sock):
            gate.wait(DEADLINE)
            return answer(b"late")

        origin = self.origin(serve)
        gateway = self.gateway(apis=PROXY, upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};')
        clients = [gateway.client() for _ in range(8)]
        for client in clients:
            client.send_head("GET", "/slow")
        origin.wait(lambda o: len(o.requests) == 8)
        gateway.reload(apis=respond("two"))
        wait_until(lambda: gateway.get("/").body == b"two", "the new answer")
        gate.set()
        for client in clients:
            got = client.answer()
            self.assertEqual((got.status, got.body), (200, b"late"))
            client.close()

    def test_drain_timeout_cuts_and_counts(self):
        origin = self.origin(lambda request, sock: None)
        gateway = self.gateway(apis=PROXY, upstreams=f"""origin = {{ endpoints = ( "{origin.text}" );
            timeout = {{ response = "1h"; }}; }};""", extra='drain_timeout = "300ms";')
        before = gateway.wait_processes("worker", 2)
        with gateway.client() as client:
            client.send_head("GET", "/never")
            origin.wait(lambda o: len(o.requests) == 1)
            gateway.reload()
            client.closed()
        wait_until(lambda: not any(map(alive, before)), "the old workers' end")
        gateway.wait_error(r"1 requests? .*cut|cut.* 1 request|requests?: 1|cut 1")

    def test_max_generations(self):
        """Beyond the limit the oldest generation ends first."""
        origin = self.origin(lambda request, sock: None)
        gateway = self.gateway(workers=1, apis=PROXY, upstreams=f"""origin = {{ endpoints = ( "{origin.text}" );
            timeout = {{ response = "1h"; }}; }};""", extra="max_generations = 3; drain_timeout = \"1h\";")
        clients, pids = [], []
        for number in range(5):
            pids.append(gateway.wait_processes("worker", 1, besides=pids)[0])
            clients.append(gateway.client())
            clients[-1].send_head("GET", "/never")
            origin.wait(lambda o, wanted=number + 1: len(o.requests) == wanted)
            gateway.reload()
        wait_until(lambda: not alive(pids[0]) and not alive(pids[1]), "the end of the oldest")
        wait_until(lambda: len({process["generation"] for process in gateway.processes("worker", None)}) <= 3,
                   "at most three generations")
        self.assertTrue(alive(pids[4]))
        for client in clients:
            client.close()

    def test_an_idle_kept_connection_goes_on(self):
        """The old worker answers on it until the new one does."""
        gateway = self.gateway(apis=respond("one"))
        with Client(gateway.port) as client:
            self.assertEqual(client.request("GET", "/").body, b"one")
            gateway.reload(apis=respond("two"))
            wait_until(lambda: client.request("GET", "/").body == b"two", "the new answer, on the same connection")

    def test_stop_during_a_reload_aborts_it(self):
        # A process that is traced can't look for its own leaks.
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        gateway = self.gateway(apis=respond("one"), extra='start_timeout = "10m";')
        gateway.deaths_expected = True
        with Traced(gateway.pid, "epoll_create1:signal=SIGSTOP"):
            reload = threading.Thread(target=gateway.run, args=("reload",))
            began = time.monotonic()
            reload.start()
            wait_until(lambda: len(children(gateway.pid)) > 4, "the new processes")
            gateway.signal(signal.SIGTERM)
            self.assertEqual(gateway.ended(), 0)
            reload.join(DEADLINE)
        self.assertLess(time.monotonic() - began, DEADLINE)
