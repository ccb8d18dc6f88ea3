"""What balancers know is the node's: a worker goes by what the others have in progress, and by how they were answered."""
import threading

from gatehouse import Case, answer, wait_until
from pair import ALL
from test_balance import Gate


class Node(Case):
    def start(self, origins, balance):
        texts = ", ".join(f'"{origin.text}"' for origin in origins)
        return self.gateway(apis=ALL, upstreams=f'origin = {{ endpoints = ( {texts} ); balance = "{balance}"; }};', workers=4)

    def over_all_workers(self, gateway):
        """Clients, so many that every worker has some."""
        clients = []

        def more():
            clients.extend(gateway.client() for _ in range(50))
            return all(process["connections"] for process in gateway.processes("worker"))
        wait_until(more, "connections at every worker")
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def test_least_counts_what_all_workers_have(self):
        """An endpoint that one worker keeps busy gets nothing from the others while another one is idle."""
        gate = Gate()
        busy = self.origin(gate)
        idle = self.origin(lambda request, sock: answer(b"idle"))
        gateway = self.start([busy, idle], "least")
        clients = self.over_all_workers(gateway)
        self.addCleanup(gate.let, 100)
        held = None
        for _ in range(10):  # whose turn is first is chance
            held = gateway.client()
            self.addCleanup(held.close)
            held.send_head("GET", "/held")
            wait_until(lambda: gate.order or not held.quiet(0), "the request at an endpoint")
            if gate.order:
                break
        self.assertEqual(gate.order, ["/held"])
        self.assertEqual({client.request("GET", "/").body for client in clients}, {b"idle"})
        gate.let()
        self.assertEqual(held.answer().body, b"/held")

    def test_p2c_learns_from_all_workers(self):
        """What one worker found slow no other one has to find out."""
        def slowly(request, sock):
            threading.Event().wait(0.3)
            return answer(b"slow")
        slow = self.origin(slowly)
        fast = self.origin(lambda request, sock: answer(b"fast"))
        gateway = self.start([slow, fast], "p2c")
        for client in self.over_all_workers(gateway):
            client.request("GET", "/")
        self.assertLessEqual(len(slow.requests), 1)
