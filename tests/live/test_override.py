"""Settings that are changed while the gateway runs: gatehouse set, unset."""
import os
import signal

from gatehouse import Case, answer, wait_until

RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'
PROXY = '{ name = "a"; routes = ( { match = { prefix = "/"; }; proxy = "u"; } ); }'


class Override(Case):
    def log(self, level):
        return f'level = "{level}";'

    def run_ok(self, gateway, *words):
        done = gateway.run(*words)
        self.assertEqual(done.status, 0, done)
        return done.out.strip()

    def overrides(self, gateway):
        return {item["name"]: (item["value"], item["configured"]) for item in gateway.status()["overrides"]}

    def test_the_log_level_of_all_workers(self):
        gateway = self.gateway(apis=RESPOND, workers=3)
        self.assertEqual(self.run_ok(gateway, "set", "log.level", "debug"), "log.level = debug")
        self.assertEqual(self.overrides(gateway), {"log.level": ("debug", "info")})
        gateway.wait_error(r"log\.level is set to debug \(the configuration has info\)")
        self.assertIn("SET (gatehouse set)", gateway.run("status").out)
        self.assertEqual(self.run_ok(gateway, "unset", "log.level"), "log.level = info")
        self.assertEqual(self.overrides(gateway), {})

    def test_it_outlives_reloads_and_deaths(self):
        gateway = self.gateway(apis=RESPOND)
        gateway.deaths_expected = True
        self.run_ok(gateway, "set", "log.level", "debug")
        gateway.replace(apis=RESPOND.replace("one", "two"))
        self.assertEqual(self.overrides(gateway), {"log.level": ("debug", "info")})
        keeper = gateway.processes("keeper")[0]["pid"]
        os.kill(keeper, signal.SIGKILL)
        gateway.wait_processes("keeper", 1, [keeper])
        self.assertEqual(self.overrides(gateway), {"log.level": ("debug", "info")})

    def test_it_ends_when_the_configuration_says_something_else(self):
        gateway = self.gateway(apis=RESPOND)
        self.run_ok(gateway, "set", "log.level", "debug")
        text = gateway.text().replace('level = "info"', 'level = "notice"')
        with open(gateway.config, "w", encoding="utf-8") as file:
            file.write(text)
        self.assertEqual(gateway.run("reload").status, 0)
        gateway.wait_error(r"log\.level was set to debug: that ends, as the configuration says something else now")
        wait_until(lambda: self.overrides(gateway) == {}, "the end of it")

    def test_what_can_not_be_is_said(self):
        gateway = self.gateway(apis=RESPOND)
        for words, says in ((("set", "log.level", "loud"), 'log.level: "loud" is none of error, warning, notice'),
                            (("set", "workers", "3"), "workers can't be set while the gateway runs"),
                            (("set", "log.level", "x" * 100), "a name and a value are wanted"),
                            (("unset", "a b&c=d%"), "a b&c=d% can't be set while the gateway runs")):
            done = gateway.run(*words)
            self.assertEqual(done.status, 1, done)
            self.assertIn(says, done.err)
        self.assertEqual(gateway.run("set", "log.level").status, 2)
        self.assertEqual(gateway.run("unset").status, 2)
        self.assertEqual(self.overrides(gateway), {})

    def test_an_endpoint_is_drained_and_comes_back(self):
        origins = [self.origin(lambda request, sock, name=name: answer(name)) for name in (b"a", b"b", b"c")]
        texts = [origin.text for origin in origins]
        for balance in ("round-robin", "least", "random", "p2c", 'hash"; hash = "${query.k}'):
            with self.subTest(balance):
                listed = ", ".join(f'"{text}"' for text in texts)
                gateway = self.gateway(apis=PROXY, upstreams=f'u = {{ endpoints = ( {listed} ); balance = "{balance}"; }};')
                ask = lambda: {gateway.get(f"/?k={number}").body for number in range(60)}
                self.assertLessEqual(ask(), {b"a", b"b", b"c"})
                self.run_ok(gateway, "set", f"upstreams.u.endpoints.{texts[1]}.weight", "0")
                wait_until(lambda: b"b" not in ask(), "no request goes there")
                states = {item["address"]: item["state"] for item in gateway.status()["upstreams"][0]["endpoints"]}
                self.assertEqual(states[texts[1]], "drained")
                gateway.replace(extra="max_connections = 1000;")
                self.assertNotIn(b"b", ask())
                for text in (texts[0], texts[2]):
                    self.run_ok(gateway, "set", f"upstreams.u.endpoints.{text}.weight", "0")
                wait_until(lambda: gateway.get("/").status == 503, "none is left")
                self.problem(gateway.get("/"), 503, "drained")
                for text in texts:
                    self.run_ok(gateway, "unset", f"upstreams.u.endpoints.{text}.weight")
                wait_until(lambda: b"b" in ask(), "it takes part again")
                gateway.finish()

    def test_the_only_endpoint(self):
        origin = self.origin(lambda request, sock: answer(b"a"))
        gateway = self.gateway(apis=PROXY, upstreams=f'u = {{ endpoints = ( "{origin.text}" ); }};')
        name = f"upstreams.u.endpoints.{origin.text}.weight"
        self.run_ok(gateway, "set", name, "0")
        wait_until(lambda: gateway.get("/").status == 503, "it is drained")
        self.assertEqual(gateway.run("set", name, "1001").status, 1)
        self.run_ok(gateway, "set", name, "7")
        wait_until(lambda: gateway.get("/").status == 200, "it is back")
