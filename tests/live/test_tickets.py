"""Sessions that are gone on with: on any worker, over a reload and an upgrade, for as long as the setting says."""
import os
import signal

from certificates import Authority, TlsClient
from gatehouse import Case, free_port

APIS = '{ name = "all"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "hello"; }; } ); }'
VERSIONS = ("TLSv1_2", "TLSv1_3")


class Tickets(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.leaf = self.authority.issue("localhost")

    def listener(self, port, more=""):
        return (f'{{ name = "main"; listen = "127.0.0.1:{port}"; '
                f'tls = {{ certificates = ( {self.leaf.setting} ); {more} }}; }}')

    def serve(self, more="", **settings):
        port = free_port()
        gateway = self.gateway(apis=APIS, listeners=self.listener(port, more), **settings)
        gateway.port = port
        return gateway

    def client(self, version):
        return TlsClient(self.authority, minimum=version, maximum=version)

    def visit(self, gateway, tls, session=None):
        """One request: whether the session was gone on with, and the one to come next with."""
        with tls.open(gateway.port, session=session) as client:
            self.assertEqual(client.request("GET", "/").status, 200)
            return client.reused, client.session

    def goes_on(self, gateway, tls, session):
        reused, session = self.visit(gateway, tls, session)
        self.assertTrue(reused)
        return session

    def test_on_every_worker(self):
        gateway = self.serve(workers=2)
        for version in VERSIONS:
            with self.subTest(version=version):
                tls = self.client(version)
                _, session = self.visit(gateway, tls)
                held = []
                try:
                    # A worker with more than its share leaves connections to the other one.
                    while not all(process["connections"] for process in gateway.processes("worker")):
                        self.assertLess(len(held), 200)
                        for _ in range(8):
                            held.append(tls.open(gateway.port, session=session))
                            self.assertTrue(held[-1].reused)
                            self.assertEqual(held[-1].request("GET", "/").status, 200)
                finally:
                    for client in held:
                        client.close()

    def test_a_chain_of_visits(self):
        """Each gives the ticket for the next one."""
        gateway = self.serve(workers=1)
        for version in VERSIONS:
            tls = self.client(version)
            _, session = self.visit(gateway, tls)
            for _ in range(4):
                session = self.goes_on(gateway, tls, session)

    def test_over_a_reload(self):
        gateway = self.serve(workers=1)
        for version in VERSIONS:
            with self.subTest(version=version):
                tls = self.client(version)
                _, session = self.visit(gateway, tls)
                gateway.replace()
                session = self.goes_on(gateway, tls, session)
                self.leaf = self.authority.issue("localhost")  # the client did verify the old one
                gateway.replace()
                self.goes_on(gateway, tls, session)

    def test_over_an_upgrade(self):
        gateway = self.serve(workers=1)
        sessions = []
        for version in VERSIONS:
            tls = self.client(version)
            sessions.append((tls, self.visit(gateway, tls)[1]))
        before = gateway.wait_processes("worker", 1)
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, done)
        gateway.wait_processes("worker", 1, before)
        for tls, session in sessions:
            self.goes_on(gateway, tls, session)

    def test_over_the_death_of_a_worker(self):
        gateway = self.serve(workers=1)
        tls = self.client("TLSv1_3")
        _, session = self.visit(gateway, tls)
        before = gateway.wait_processes("worker", 1)
        gateway.deaths_expected = True
        os.kill(before[0], signal.SIGKILL)
        gateway.wait_processes("worker", 1, before)
        self.goes_on(gateway, tls, session)

    def test_not_over_a_restart(self):
        """The keys were in memory only."""
        gateway = self.serve(workers=1)
        tls = self.client("TLSv1_3")
        _, session = self.visit(gateway, tls)
        gateway.stop()
        gateway.start()
        self.assertFalse(self.visit(gateway, tls, session)[0])

    def test_off(self):
        gateway = self.serve("tickets = false;", workers=1)
        for version in VERSIONS:
            with self.subTest(version=version):
                tls = self.client(version)
                with tls.open(gateway.port) as client:
                    self.assertEqual(client.request("GET", "/").status, 200)
                    self.assertFalse(client.session is not None and client.session.has_ticket)
                    session = client.session
                self.assertFalse(self.visit(gateway, tls, session)[0])

    def test_the_lifetime_that_clients_are_told(self):
        gateway = self.serve(workers=1, extra='tls = { ticket_lifetime = "2h"; };')
        for version in VERSIONS:
            _, session = self.visit(gateway, self.client(version))
            self.assertEqual(session.ticket_lifetime_hint, 7200)
        done = gateway.run("check")
        self.assertEqual(done.status, 0)
        gateway.write(extra='tls = { ticket_lifetime = "8d"; };')
        self.assertRegex(gateway.run("check").err, r"tls\.ticket_lifetime: .* is too l")

    def test_no_key_in_a_snapshot(self):
        state = os.path.join(self.folder, "state")
        os.mkdir(state, 0o777)
        os.chmod(state, 0o777)
        gateway = self.serve(workers=1, state=f'state = {{ size = "64M"; file = "{state}/snapshot"; }};')
        self.visit(gateway, self.client("TLSv1_3"))
        gateway.stop()
        with open(os.path.join(state, "snapshot"), "rb") as file:
            self.assertNotIn(b"tickets", file.read())
