"""Endpoints that are names: looked up by the keeper, changed without a reload."""
import collections
import os
import socket

import nameserver as dns
from gatehouse import Case, answer, command, wait_until
from pair import ALL

QUICK = "min_ttl = \"50ms\"; timeout = \"200ms\"; attempts = 1;"


class Names(Case):
    def setUp(self):
        super().setUp()
        self.dns = dns.NameServer()
        self.addCleanup(self.dns.close)

    def start(self, endpoints, settings="", resolver="", **more):
        texts = ", ".join(endpoint if "{" in endpoint else f'"{endpoint}"' for endpoint in endpoints)
        more.setdefault("workers", 2)
        more["extra"] = f'resolver = {{ servers = "{self.dns.text}"; {QUICK} {resolver} }};' + more.get("extra", "")
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
        wait_until(lambda: set(self.ask(gateway)) == set(bodies), f"answers {bodies}{gateway.said()}")

    # Addresses

    def test_addresses_come_and_go_without_a_reload(self):
        origins = self.origins(3)
        port = origins[0].port
        self.dns.set("orders.internal", dns.A, "127.0.0.1", "127.0.0.2")
        gateway = self.start([f"orders.internal:{port}"])
        pids = [process["pid"] for process in gateway.processes()]
        self.assertEqual(set(self.ask(gateway)), {b"0", b"1"}, "from the first request on")
        self.dns.set("orders.internal", dns.A, "127.0.0.2", "127.0.0.3")
        self.wait_answers(gateway, b"1", b"2")
        self.assertEqual(pids, [process["pid"] for process in gateway.processes()], "nobody was replaced")
        gateway.wait_error(rf"orders.internal:{port} is 127.0.0.[23]:{port}, 127.0.0.[23]:{port}")
        endpoints = {line["endpoint"] for line in gateway.wait_access(80)}
        self.assertLessEqual(endpoints, {f"127.0.0.{number}:{port}" for number in (1, 2, 3)})


