"""Endpoints that are names: looked up by the keeper, changed without a reload."""
import collections
import os
import signal
import threading
import time

import nameserver as dns
from gatehouse import Case, Gateway, answer, wait_until
from pair import ALL
from test_balance import Gate

QUICK = "min_ttl = \"50ms\"; timeout = \"200ms\"; attempts = 1;"


class Names(Case):
    def setUp(self):
        super().setUp()
        self.dns = dns.NameServer()
        self.addCleanup(self.dns.close)

    def start(self, endpoints, settings="", resolver="", quick=QUICK, **more):
        texts = ", ".join(endpoint if "{" in endpoint else f'"{endpoint}"' for endpoint in endpoints)
        more.setdefault("workers", 2)
        more["extra"] = f'resolver = {{ servers = "{self.dns.text}"; {quick} {resolver} }};' + more.get("extra", "")
        return self.gateway(apis=ALL, upstreams=f"origin = {{ endpoints = ( {texts} ); {settings} }};", **more)

    def origins(self, count):
        """Origins on 127.0.0.1, 127.0.0.2 … that answer with their number, all on one port: an A record each."""
        while True:
            made = []
            try:
                for number in range(count):
                    port = made[0].port if made else 0
                    made.append(self.origin(lambda request, sock, number=number: answer(b"%d" % number),
                                            (f"127.0.0.{number + 1}", port)))
                return made
            except OSError:
                continue

    def ask(self, gateway, count=40):
        """Who answered, of `count` requests on connections of their own."""
        return collections.Counter(gateway.get("/").body for _ in range(count))

    def wait_answers(self, gateway, *bodies):
        wait_until(lambda: set(self.ask(gateway)) == set(bodies), lambda: f"answers {bodies}{gateway.said()}")

    # Addresses

    def test_addresses_come_and_go_without_a_reload(self):
        origins = self.origins(3)
        port = origins[0].port
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.2")
        gateway = self.start([f"orders.internal:{port}"])
        pids = [process["pid"] for process in gateway.processes(states=None)]
        self.assertEqual(set(self.ask(gateway)), {b"0", b"1"}, "from the first request on")
        self.dns.set("orders.internal", dns.A, "127.0.0.2", "127.0.0.3")
        self.wait_answers(gateway, b"1", b"2")
        self.assertEqual(pids, [process["pid"] for process in gateway.processes(states=None)], "nobody was replaced")
        gateway.wait_error(rf"orders.internal:{port} is 127.0.0.[23]:{port}, 127.0.0.[23]:{port}")
        endpoints = {line["endpoint"] for line in gateway.wait_access(80)}
        self.assertLessEqual(endpoints, {f"127.0.0.{number}:{port}" for number in (1, 2, 3)})



    def test_a_connection_kept_to_an_address_that_is_gone_is_closed(self):
        origins = self.origins(2)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origins[0].port}"], workers=1)
        self.assertEqual(gateway.get("/").body, b"0")
        wait_until(lambda: len(origins[0].open) == 1, "a connection is kept")
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        wait_until(lambda: not origins[0].open, "it is closed")
        self.assertEqual(gateway.get("/").body, b"1")

    def test_a_call_in_progress_goes_on_to_its_end(self):
        """And no other address takes its place until then: with one place only, the new one has to wait."""
        gate = Gate()
        first, second = self.origins(2)
        first.serve = gate
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f'{{ address = "orders.internal:{first.port}"; max = 1; }}'], workers=1)
        with gateway.client() as client:
            client.send_head("GET", "/slow")
            first.wait(lambda origin: len(origin.requests) == 1)
            self.dns.set("orders.internal", dns.A, "127.0.0.2")
            gateway.wait_error(rf"orders.internal:{first.port} is 127.0.0.2:{first.port}")
            self.problem(wait_until(lambda: self.failed(gateway), "the place is vacant"), 503)
            gate.let()
            self.assertEqual(client.answer().body, b"/slow")
            self.wait_answers(gateway, b"1")
        wait_until(lambda: not first.open, "what it was sent over is not kept")
        line = [line for line in gateway.wait_access(3) if line["target"] == "/slow"][0]
        self.assertEqual(line["endpoint"], f"127.0.0.1:{first.port}")

    def failed(self, gateway):
        got = gateway.get("/")
        return got if got.status == 503 else None

    def test_both_families(self):
        v6 = self.origin6()
        v4 = self.origin(lambda request, sock: answer(b"4"), ("127.0.0.1", v6.port))
        self.dns.set("both.internal", dns.A, "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255")
        self.dns.set("both.internal", dns.AAAA, "::1", "ff02::1", "::", "::ffff:0.0.0.0", "fe80::1")
        endpoint = f"both.internal:{v4.port}"
        gateway = self.start([endpoint])
        self.assertEqual(set(self.ask(gateway)), {b"4", b"6"})
        gateway.stop()
        for family, body in (("ipv4", b"4"), ("ipv6", b"6")):
            gateway = self.start([endpoint], resolver=f'family = "{family}";')
            self.assertEqual(set(self.ask(gateway)), {body})
            gateway.stop()

    def test_a_family_that_fails_keeps_what_it_had(self):
        """While its answer isn't there yet, too."""
        v6 = self.origin6()
        self.origin(lambda request, sock: answer(b"4"), ("127.0.0.1", v6.port))
        self.origin(lambda request, sock: answer(b"other 4"), ("127.0.0.2", v6.port))
        self.dns.set("both.internal", dns.AAAA, "::1")
        for how in (dns.SERVFAIL, dns.SILENT):
            self.dns.refuse(("both.internal", dns.AAAA), None)
            self.dns.set("both.internal", dns.A, "127.0.0.1")
            gateway = self.start([f"both.internal:{v6.port}"])
            self.assertEqual(set(self.ask(gateway)), {b"4", b"6"})
            self.dns.refuse(("both.internal", dns.AAAA), how)
            self.dns.set("both.internal", dns.A, "127.0.0.2")
            self.wait_answers(gateway, b"other 4", b"6")
            gateway.stop()

    def origin6(self):
        """An origin on ::1 that answers 6, on a port that is free on 127.0.0.1 and 127.0.0.2 too."""
        try:
            return self.origin(lambda request, sock: answer(b"6"), ("::1", 0))
        except OSError as error:
            return self.forbidden(f"no IPv6: {error}")

    def test_an_alias_and_an_answer_that_is_too_long_for_udp(self):
        (origin,) = self.origins(1)
        self.dns.truncate = True
        self.dns.set("orders.internal", dns.CNAME, "real.internal")
        self.dns.set("real.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origin.port}"])
        self.assertEqual(gateway.get("/").body, b"0")

    def test_a_chain_of_aliases(self):
        (origin,) = self.origins(1)
        for number in range(12):
            self.dns.set(f"n{number}.internal", dns.CNAME, f"n{number + 1}.internal")
        self.dns.set("n12.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"n0.internal:{origin.port}"])
        self.assertEqual(gateway.get("/").body, b"0")

    def test_aliases_that_lead_nowhere(self):
        """To each other, to themselves, to a name that has no address: what was found before stays, it is told, and asked
        for again no more often than ever."""
        origins = self.origins(2)
        endpoint = f"orders.internal:{origins[0].port}"
        lines = 0
        for target in ("other.internal", "orders.internal", "empty.internal"):
            with self.dns.lock:
                self.dns.records = {("orders.internal", dns.A): ["127.0.0.1"]}
            gateway = self.start([endpoint])
            self.assertEqual(gateway.get("/").body, b"0")
            with self.dns.lock:
                self.dns.records = {("orders.internal", dns.CNAME): [target], ("other.internal", dns.CNAME): ["orders.internal"]}
            lines += 1
            wait_until(lambda: gateway.errors().count("what was found before stays") == lines, lambda: f"it is told{gateway.said()}")
            asked, since = self.dns.count("orders.internal", dns.A), time.monotonic()
            wait_until(lambda: self.dns.count("orders.internal", dns.A) >= asked + 3, "it goes on asking")
            self.assertGreaterEqual(time.monotonic() - since, 0.09, "no sooner than min_ttl each time")
            self.assertEqual(set(self.ask(gateway, 8)), {b"0"}, target)
            self.assertEqual(gateway.errors().count("what was found before stays"), lines, "it is told once")
            with self.dns.lock:
                self.dns.records = {("orders.internal", dns.CNAME): ["real.internal"], ("real.internal", dns.A): ["127.0.0.2"]}
            self.wait_answers(gateway, b"1")
            gateway.stop()
        self.assertEqual(gateway.errors().count("has no address that can be used; what was found"), lines, gateway.errors())

    def test_more_addresses_than_max(self):
        origins = self.origins(4)
        self.dns.set("many.internal", dns.A, *(f"127.0.0.{number}" for number in (1, 2, 3, 4)))
        gateway = self.start([f'{{ address = "many.internal:{origins[0].port}"; max = 2; }}'])
        self.assertEqual(set(self.ask(gateway)), {b"0", b"1"})
        gateway.wait_error("2 of its addresses are left out")
        self.dns.set("many.internal", dns.A, "127.0.0.2", "127.0.0.4")
        self.wait_answers(gateway, b"1", b"3")

    def test_names_and_addresses_together(self):
        first, second = self.origins(2)
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        gateway = self.start([f"127.0.0.1:{first.port}", f'{{ address = "orders.internal:{first.port}"; weight = 3; }}'],
                             workers=1)
        counts = self.ask(gateway, 40)
        self.assertAlmostEqual(counts[b"0"], 10, delta=1)
        self.dns.refuse("orders.internal", dns.SERVFAIL)

    def test_localhost_and_what_the_hosts_file_says(self):
        (origin,) = self.origins(1)
        self.dns.refuse("localhost", dns.SERVFAIL)
        gateway = self.start([f"localhost:{origin.port}"])
        self.assertEqual(gateway.get("/").body, b"0")

    # TTL

    def test_ttl_and_its_bounds(self):
        """What has a long TTL is not asked for again while what has a short one is."""
        (origin,) = self.origins(1)
        for name, ttl in (("long.internal", 3600), ("short.internal", 0), ("bounded.internal", 3600)):
            self.dns.set(name, dns.A, "127.0.0.1")
            self.dns.ttls[name] = ttl
        gateway = self.start([f"long.internal:{origin.port}", f"short.internal:{origin.port}"], resolver='max_ttl = "1d";')
        wait_until(lambda: self.dns.count("short.internal", dns.A) >= 10, "it is asked for again and again")
        self.assertEqual(self.dns.count("long.internal", dns.A), 1)
        gateway.stop()
        gateway = self.start([f"bounded.internal:{origin.port}"], resolver='max_ttl = "60ms";')
        wait_until(lambda: self.dns.count("bounded.internal", dns.A) >= 5, "max_ttl bounds it")

    # Services

    def test_srv_records(self):
        first, second = self.named(2)
        self.dns.set("a.internal", dns.A, "127.0.0.1")
        self.dns.set("_http._tcp.orders.internal", dns.SRV, (1, 30, first.port, "a.internal"), (1, 10, second.port, "a.internal"))
        gateway = self.start(["srv:_http._tcp.orders.internal"], workers=1)
        counts = self.ask(gateway, 40)
        self.assertAlmostEqual(counts[b"0"], 30, delta=1)
        self.assertAlmostEqual(counts[b"1"], 10, delta=1)
        self.dns.set("_http._tcp.orders.internal", dns.SRV, (1, 1, second.port, "a.internal"))
        self.wait_answers(gateway, b"1")

    def test_srv_priorities(self):
        """The second has nothing as long as the first can be reached."""
        first, second = self.named(2)
        self.dns.set("a.internal", dns.A, "127.0.0.1")
        self.dns.set("_http._tcp.orders.internal", dns.SRV, (20, 9, second.port, "a.internal"), (10, 1, first.port, "a.internal"))
        gateway = self.start(["srv:_http._tcp.orders.internal"])
        self.assertEqual(set(self.ask(gateway)), {b"0"})
        first.close()
        self.assertEqual(set(self.ask(gateway)), {b"1"})
        again = self.origin(lambda request, sock: answer(b"again"), ("127.0.0.1", first.port))
        self.wait_answers(gateway, b"again")
        self.assertTrue(again.requests)

    def test_the_host_that_a_service_is_asked_for(self):
        origin = self.origin()
        self.dns.set("a.internal", dns.A, "127.0.0.1")
        self.dns.set("_http._tcp.orders.internal", dns.SRV, (1, 1, origin.port, "a.internal"))
        apis = """{ name = "all"; routes = ( { match = { prefix = "/"; };
            proxy = { upstream = "origin"; host = "endpoint"; }; } ); }"""
        for endpoint, host in (("srv:_http._tcp.orders.internal", "orders.internal"),
                               (f"a.internal:{origin.port}", f"a.internal:{origin.port}")):
            gateway = self.gateway(workers=1, apis=apis, upstreams=f'origin = {{ endpoints = ( "{endpoint}" ); }};',
                                   extra=f'resolver = {{ servers = "{self.dns.text}"; {QUICK} }};')
            self.assertEqual(gateway.get("/").status, 200)
            self.assertEqual(origin.requests[-1].get("Host"), host)
            gateway.stop()

    def named(self, count):
        return [self.origin(lambda request, sock, number=number: answer(b"%d" % number)) for number in range(count)]

    # Failures

    def test_what_was_found_stays_when_look_ups_fail(self):
        origins = self.origins(2)
        endpoint = f"orders.internal:{origins[0].port}"
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([endpoint], resolver='max_ttl = "100ms";')
        for how, says in ((dns.SERVFAIL, "SERVFAIL"), (dns.SILENT, "no name server answered in time"),
                          (dns.NXDOMAIN, "doesn't exist"), (dns.REFUSED, "refuse"),
                          (dns.GARBAGE, "(answered in time|malformed)"), (dns.NOERROR, "no address")):
            asked = self.dns.count("orders.internal", dns.A)
            if how == dns.NOERROR:
                self.dns.set("orders.internal", dns.A)
            self.dns.refuse("orders.internal", how)
            gateway.wait_error(f"{endpoint} .*{says}.*; what was found before stays")
            wait_until(lambda: self.dns.count("orders.internal", dns.A) >= asked + 3, "it goes on asking")
            self.assertEqual(set(self.ask(gateway, 8)), {b"0"}, says)
        self.assertEqual(gateway.errors().count("what was found before stays"), 6, "each is told once")
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        self.dns.refuse("orders.internal", None)
        self.wait_answers(gateway, b"1")

    def test_a_start_waits_for_the_first_answer(self):
        """And nobody who comes first is told that there is none."""
        (origin,) = self.origins(1)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        self.dns.drop = 2
        gateway = self.start([f"orders.internal:{origin.port}"], quick='min_ttl = "50ms"; timeout = "200ms"; attempts = 4;')
        self.assertEqual(gateway.get("/").body, b"0")
        self.assertEqual(self.dns.drop, 0)

    def test_a_family_that_nobody_answers_for(self):
        """There are name servers that don't answer questions for AAAA records: the A records don't wait for those."""
        origins = self.origins(2)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        self.dns.refuse(("orders.internal", dns.AAAA), dns.SILENT)
        gateway = self.start([f"orders.internal:{origins[0].port}"],
                             quick='min_ttl = "50ms"; timeout = "60s"; attempts = 1; start = "10s";')
        self.assertEqual(gateway.get("/").body, b"0")
        gateway.replace(extra=gateway.settings["extra"].replace('"60s"', '"200ms"'))
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        self.wait_answers(gateway, b"1")

    def test_before_the_first_answer(self):
        """The start waits for it, but not for ever; then who asks is told, and as soon as it comes it is there."""
        (origin,) = self.origins(1)
        self.dns.refuse("orders.internal", dns.SILENT)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origin.port}"],
                             resolver='start = "20ms";')
        details = self.problem(gateway.get("/"), 503, "orders.internal")
        self.assertEqual(details["type"], "urn:gatehouse:problem:upstream-unavailable")
        gateway.wait_error("no name server answered in time")
        self.problem(gateway.get("/"), 503, "no name server answered in time")
        self.dns.refuse("orders.internal", None)
        wait_until(lambda: gateway.get("/").status == 200, "it is there")

    def test_a_name_server_that_nobody_is(self):
        (origin,) = self.origins(1)
        self.dns.close()
        gateway = self.start([f"orders.internal:{origin.port}"])
        gateway.wait_error("orders.internal.*can't be looked up")
        self.problem(gateway.get("/"), 503, "orders.internal")

    def test_the_second_name_server_when_the_first_is_silent(self):
        (origin,) = self.origins(1)
        other = dns.NameServer()
        self.addCleanup(other.close)
        other.refuse("orders.internal", dns.SILENT)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.gateway(apis=ALL, upstreams=f'origin = {{ endpoints = ( "orders.internal:{origin.port}" ); }};',
                               extra=f'resolver = {{ servers = [ "{other.text}", "{self.dns.text}" ]; {QUICK} }};')
        self.assertEqual(gateway.get("/").body, b"0")
        self.assertGreaterEqual(other.count("orders.internal", dns.A), 1)

    # Processes

    def test_a_reload_keeps_what_was_found_and_waits_for_what_is_new(self):
        origins = self.origins(2)
        port = origins[0].port
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        self.dns.set("users.internal", dns.A, "127.0.0.2")
        gateway = self.start([f"orders.internal:{port}"])
        self.assertEqual(gateway.get("/").body, b"0")
        self.dns.refuse("orders.internal", dns.SERVFAIL)
        gateway.replace(upstreams=f"""origin = {{ endpoints = ( "orders.internal:{port}", "users.internal:{port}" ); }};""")
        self.assertEqual(set(self.ask(gateway)), {b"0", b"1"})
        self.dns.set("users.internal", dns.A, "127.0.0.1")
        self.wait_answers(gateway, b"0")
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        self.dns.refuse("orders.internal", None)
        self.wait_answers(gateway, b"0", b"1")

    def test_a_keeper_that_dies(self):
        origins = self.origins(2)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origins[0].port}"])
        gateway.deaths_expected = True
        (keeper,) = gateway.wait_processes("keeper", 1)
        os.kill(keeper, signal.SIGKILL)
        self.assertEqual(set(self.ask(gateway)), {b"0"})
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        self.wait_answers(gateway, b"1")

    def test_an_upgrade_keeps_what_was_found(self):
        origins = self.origins(2)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origins[0].port}"])
        self.dns.refuse("orders.internal", dns.SERVFAIL)
        gateway.wait_error("what was found before stays")
        before = gateway.wait_processes("worker", 2)
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, done)
        gateway.wait_processes("worker", 2, before)
        self.assertEqual(set(self.ask(gateway)), {b"0"})
        self.dns.set("orders.internal", dns.A, "127.0.0.2")
        self.dns.refuse("orders.internal", None)
        self.wait_answers(gateway, b"1")

    def test_the_status_for_people(self):
        (origin,) = self.origins(1)
        self.dns.set("orders.internal", dns.A, "127.0.0.1")
        gateway = self.start([f"orders.internal:{origin.port}", "nowhere.internal:80"])
        told = gateway.run("status").out
        self.assertRegex(told, rf"origin +127.0.0.1:{origin.port} +1 +up")
        self.assertRegex(told, rf"origin +orders.internal:{origin.port} +1  was found")
        self.assertRegex(told, "origin +nowhere.internal:80 +0  doesn't exist")

    def test_workers_agree_on_the_hash(self):
        origins = self.origins(4)
        self.dns.set("orders.internal", dns.A, *(f"127.0.0.{number}" for number in (1, 2, 3)))
        gateway = self.start([f"orders.internal:{origins[0].port}"], 'balance = "hash"; hash = "${query.k}";', workers=3)

        def table():
            return {key: {gateway.get(f"/?k={key}").body for _ in range(12)} for key in range(8)}
        before = table()
        self.assertEqual({len(bodies) for bodies in before.values()}, {1}, before)
        self.assertGreater(len(set.union(*before.values())), 1)
        self.dns.set("orders.internal", dns.A, *(f"127.0.0.{number}" for number in (4, 3, 2, 1)))
        gateway.wait_error(r"127.0.0.4:\d+")
        wait_until(lambda: {len(bodies) for bodies in table().values()} == {1}, "all have the new one")
        after = table()
        self.assertEqual({key for key in before if after[key] != before[key]},
                         {key for key in after if after[key] == {b"3"}}, "only the new one's keys have moved")

    # Health

    def test_health_of_addresses_that_change(self):
        """Probes go where the name leads; what was known of one address is not held against the next in its place."""
        origins = self.origins(3)
        healthy = {number: True for number in range(3)}
        for number, origin in enumerate(origins):
            origin.serve = lambda request, sock, number=number: answer(
                b"%d" % number, "200 OK" if request.target != "/up" or healthy[number] else "500 Ill")
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.2")
        healthy[1] = False
        port = origins[0].port
        gateway = self.start([f'{{ address = "orders.internal:{port}"; max = 2; }}'],
                             'health = { path = "/up"; interval = "100ms"; fall = 1; rise = 3; };')
        gateway.wait_error(f"127.0.0.2:{port} is down: .*1 of 2 endpoints are left")
        self.assertEqual(set(self.ask(gateway)), {b"0"})
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.3")
        self.wait_answers(gateway, b"0", b"2")
        gateway.wait_error(f"127.0.0.3:{port} is up: 1 good probe in a row")  # and not 3, as of one that was down
        (upstream,) = gateway.status()["upstreams"]
        self.assertEqual({endpoint["address"] for endpoint in upstream["endpoints"]},
                         {f"127.0.0.1:{port}", f"127.0.0.3:{port}"})
        self.assertEqual(upstream["names"],
                         [{"name": f"orders.internal:{port}", "addresses": 2, "look_up": "was found"}])
        healthy[2] = False
        gateway.wait_error(f"127.0.0.3:{port} is down")
        self.wait_answers(gateway, b"0")

    def test_a_probe_of_an_address_that_is_gone_meanwhile(self):
        """What comes of it isn't said of the address that is in its place by then."""
        origins = self.origins(3)
        held = threading.Event()

        def serve(request, sock):
            if request.target == "/up":
                held.wait(10)
                return answer(b"", "500 Ill")
            return answer(b"1")
        origins[1].serve = serve
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.2")
        port = origins[0].port
        gateway = self.start([f'{{ address = "orders.internal:{port}"; max = 2; }}'],
                             'health = { path = "/up"; interval = "100ms"; timeout = "10s"; fall = 1; rise = 1; };')
        origins[1].wait(lambda origin: any(request.target == "/up" for request in origin.requests))
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.3")
        gateway.wait_error(f"orders.internal:{port} is 127.0.0.1:{port}, 127.0.0.3:{port}")
        held.set()
        origins[2].wait(lambda origin: sum(request.target == "/up" for request in origin.requests) >= 3)
        gateway.stop()
        self.assertNotIn("is down", gateway.errors())

    # Configuration

    def test_mistakes(self):
        for endpoint, says in (("orders.internal", "the port is missing"), ("orders.internal:0", "from 1 to 65535"),
                               ("10.0.0.256:80", "not an IP address"), ("a..b:80", "neither an address nor a name"),
                               ("-a.b:80", "neither an address nor a name"), ("a.b.1:80", "end in a number"),
                               ("srv:_http._tcp.a:80", "SRV records have the port"), ("büro.example:80", "xn--"),
                               ("srv:", "the name is missing"), ("a" * 64 + ".b:80", "1 to 63"),
                               (".".join(["abcdefgh"] * 29) + ":80", "253 bytes")):
            gateway = self.gateway_config([endpoint])
            done = gateway.run("check")
            self.assertEqual(done.status, 1, endpoint)
            self.assertIn(says, done.text, endpoint)
            self.assertRegex(done.text, r"gatehouse.conf:\d+: upstreams.origin.endpoints\[0\].address")
        twice = self.gateway_config(["orders.internal:80", "Orders.Internal:80"]).run("check")
        self.assertIn("is there twice", twice.text)
        many = self.gateway_config([f'{{ address = "n{i}.internal:80"; max = 128; }}' for i in range(9)]).run("check")
        self.assertIn("1024 are the most", many.text)
        for resolver, says in (('servers = "nobody";', "not an IP"), ('servers = "unix:/x";', "by UDP and TCP"),
                               ('min_ttl = "1h"; max_ttl = "1m";', "more than max_ttl")):
            done = self.gateway_config(["a.internal:80"], f"resolver = {{ {resolver} }};").run("check")
            self.assertEqual(done.status, 1)
            self.assertIn(says, done.text)

    def gateway_config(self, endpoints, extra=""):
        texts = ", ".join(endpoint if "{" in endpoint else f'"{endpoint}"' for endpoint in endpoints)
        return Gateway(self.folder, apis=ALL, upstreams=f"origin = {{ endpoints = ( {texts} ); }};", extra=extra)
