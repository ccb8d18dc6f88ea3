"""Faults that are asked for, to test clients."""
import time

from gatehouse import Case, wait_until


class Fault(Case):
    def start(self, fault, **more):
        self.asked = self.origin()
        return self.gateway(workers=1, apis=f"""{{ name = "a"; routes = (
            {{ match = {{ prefix = "/"; }}; fault = {{ {fault} }}; proxy = {{ upstream = "origin"; }}; }},
            {{ match = {{ path = "/fine"; }}; respond = {{ status = 200; body = "fine"; }}; }} ); }}""",
                            upstreams=f'origin = {{ endpoints = ( "{self.asked.text}" ); }};', **more)

    def stat(self, gateway, name):
        return gateway.status()["stats"][name]

    def test_abort(self):
        gateway = self.start("abort = 418;")
        details = self.problem(gateway.get("/"), 418)
        self.assertEqual(details["type"], "urn:gatehouse:problem:fault-injected")
        self.assertEqual(gateway.get("/fine").status, 200, "the route without it")
        self.assertEqual(self.asked.requests, [])
        first, second = gateway.wait_access(2)
        self.assertEqual((first["fault"], first["problem"]), ("abort", "fault-injected"))
        self.assertNotIn("fault", second)
        self.assertEqual(self.stat(gateway, "fault_aborts"), 1)

    def test_delay(self):
        gateway = self.start('delay = { time = "150ms"; most = "200ms"; };')
        began = time.monotonic()
        self.assertEqual(gateway.get("/").status, 200)
        self.assertGreaterEqual(time.monotonic() - began, 0.15)
        (line,) = gateway.wait_access(1)
        self.assertEqual(line["fault"], "delay")
        self.assertGreaterEqual(line["duration"], 0.15)
        self.assertEqual(self.stat(gateway, "fault_delays"), 1)

    def test_delay_and_then_abort(self):
        gateway = self.start('delay = "100ms"; abort = 500;')
        began = time.monotonic()
        self.problem(gateway.get("/"), 500)
        self.assertGreaterEqual(time.monotonic() - began, 0.1)
        self.assertEqual(gateway.wait_access(1)[0]["fault"], "delay,abort")

    def test_a_client_that_leaves_while_it_is_held_up(self):
        gateway = self.start('delay = "30s";')
        with gateway.client() as client:
            client.send_head("GET", "/")
            wait_until(lambda: self.stat(gateway, "fault_delays") == 1, "it is held up")
        (line,) = gateway.wait_access(1)
        self.assertEqual((line["status"], line["fault"], line["aborted"]), (499, "delay", "client"))
        self.assertEqual(self.asked.requests, [])

    def test_a_part_of_the_requests(self):
        """A quarter of 400: beyond 65 and 140 only once in some hundred thousand runs."""
        gateway = self.start("abort = { percent = 25; };")
        with gateway.client() as client:
            count = sum(client.request("GET", "/").status == 503 for _ in range(400))
        self.assertTrue(65 <= count <= 140, count)
        gateway.reload(apis=gateway.settings["apis"].replace("percent = 25", "percent = 0"))
        self.assertEqual({gateway.get("/").status for _ in range(20)}, {200})

    def test_only_requests_with_a_field(self):
        gateway = self.start('abort = 503; headers = ( "X-Fault", { name = "X-Env"; regex = "test|dev"; } );')
        self.assertEqual(gateway.get("/").status, 200)
        self.assertEqual(gateway.get("/", fields=[("X-Fault", "1")]).status, 200)
        self.problem(gateway.get("/", fields=[("X-Fault", "1"), ("X-Env", "dev")]), 503)

    def test_the_log_by_a_template(self):
        gateway = self.start("abort = 503;", log_extra="")
        gateway.replace(log=f'log = {{ error = "{gateway.error_log}"; access = {{ file = "{gateway.access_log}"; '
                        'format = "template"; template = "<${fault}>"; }; };')
        gateway.get("/")
        gateway.get("/fine")
        wait_until(lambda: self.lines(gateway) == ["<abort>", "<->"], "both lines")

    def lines(self, gateway):
        with open(gateway.access_log, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_mistakes(self):
        gateway = self.start("abort = 503;")
        for fault, says in (("", "does nothing"), ("abort = 200;", "400 to 599"), ("delay = { percent = 10; };", "time"),
                            ('delay = { time = "2s"; most = "1s"; };', "is less than time"),
                            ('abort = { percent = 101; };', "0 to 100"),
                            ('abort = 503; headers = ( "A", "a" );', "there twice"),
                            ('abort = 503; headers = ( { name = "A"; regex = "("; } );', "not a pattern")):
            gateway.write(apis=gateway.settings["apis"].replace("abort = 503;", fault, 1))
            done = gateway.run("check")
            self.assertEqual(done.status, 1, fault)
            self.assertIn(says, done.text)
            self.assertRegex(done.text, r"gatehouse.conf:\d+: ")
            gateway.write(apis=gateway.settings["apis"].replace("fault = { " + fault, "fault = { abort = 503;", 1))
