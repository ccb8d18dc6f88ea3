"""Settings that are changed while the gateway runs: gatehouse set, unset."""
import os
import signal

from gatehouse import Case, wait_until

RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'


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
