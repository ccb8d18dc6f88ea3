"""The policy `limit`: who is let through how fast, over all workers, and what is answered to the others."""
import json
import re
import threading
import time

from gatehouse import Case, answer, get, limit, wait_until
from pair import Pair


def route(limits, more='respond = { status = 200; body = "pong"; };', path="/{rest*}"):
    return '{ match = { path = "%s"; }; %s %s }' % (path, limits, more)


def api(*routes, more="", name="a"):
    return '{ name = "%s"; %s routes = ( %s ); }' % (name, more, ", ".join(routes))


class Rate(Pair):
    def serve(self, limits, workers=1, **settings):
        return self.gateway(workers=workers, apis=api(route(limits)), **settings)

    def statuses(self, gateway, count, target="/", fields=(), source=None):
        with gateway.client(source=source) as client:
            return [client.request("GET", target, fields).status for _ in range(count)]

    def test_a_burst_passes_and_the_next_is_told_when(self):
        gateway = self.serve('limit = { rate = "1/m"; burst = 3; };')
        self.assertEqual(self.statuses(gateway, 3), [200] * 3)
        refused = gateway.get("/")
        self.assertEqual(refused.status, 429)
        self.assertTrue(0 < int(refused.get("Retry-After")) <= 60)
        problem = json.loads(refused.body)
        self.assertEqual(problem["type"], "urn:gatehouse:problem:rate-limited")
        self.assertEqual(problem["status"], 429)
        self.assertEqual(problem["detail"], "limit of a//{rest*} allows 1/m, and 3 at once")
        self.assertEqual(problem["instance"], refused.get("X-Request-Id"))
        self.assertIsNone(refused.get("RateLimit"))
        wait_until(lambda: gateway.status()["stats"]["limited"] == 1, "the count of the refused")
