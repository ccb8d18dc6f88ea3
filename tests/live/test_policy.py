"""Adding a policy is one file and one line: the page that says so is taken at its word."""
import os
import re
import subprocess

from gatehouse import PROGRAM, Case, command

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Policy(Case):
    def build(self):
        """The program with the policy of doc/policies.md: its path."""
        with open(os.path.join(ROOT, "doc", "policies.md"), encoding="utf-8") as file:
            page = file.read()
        name = re.search(r"`worker/policy/(\w+)\.c`", page).group(1)
        code = re.search(r"^```c\n(.*?)^```", page, re.M | re.S).group(1)
        line = re.search(r"^ +(POLICY\(\w+\))$", page, re.M).group(1)
        self.assertLessEqual(sum(1 for text in code.split("\n") if text.strip()), 30)
        folder = os.path.join(self.folder, "worker", "policy")
        os.makedirs(folder)
        with open(os.path.join(ROOT, "worker/policy/policies.def"), encoding="utf-8") as file:
            known = file.read()
        with open(os.path.join(folder, "policies.def"), "w", encoding="utf-8") as file:
            file.write(known + line + "\n")
        with open(os.path.join(folder, name + ".c"), "w", encoding="utf-8") as file:
            file.write(code)
        # table.c is compiled too, from a copy beside the longer list: it is what reads the list.
        with open(os.path.join(ROOT, "worker/policy/table.c"), encoding="utf-8") as source:
            with open(os.path.join(folder, "table.c"), "w", encoding="utf-8") as file:
                file.write(source.read())
        return self.compile([os.path.join(folder, name + ".c"), os.path.join(folder, "table.c")])

    def compile(self, sources):
        build = os.path.dirname(PROGRAM)
        with open(os.path.join(build, "Makefile"), encoding="utf-8") as file:
            made = dict(re.findall(r"^(\w+) = *(.*)$", file.read(), re.M))
        flags = {name: made.get(name, "").split() for name in (
            "CC", "GATE_CPPFLAGS", "GATE_CFLAGS", "CFLAGS", "GATE_LDFLAGS", "LDFLAGS", "HTTP_PARSER_LIBS",
            "LIBCONFIG_LIBS", "JANSSON_LIBS", "PCRE2_LIBS", "OPENSSL_LIBS")}
        program = os.path.join(self.folder, "gatehouse")
        words = [*flags["CC"], "-D_GNU_SOURCE", "-I" + self.folder, "-I" + ROOT, "-I" + build, "-Werror"]
        for name in ("GATE_CPPFLAGS", "GATE_CFLAGS", "CFLAGS"):
            words += flags[name]
        words += ["-o", program, *sources, os.path.join(ROOT, "master/main.c")]
        words.append(os.path.join(build, "libgatehouse.a"))
        for name in ("GATE_LDFLAGS", "LDFLAGS", "HTTP_PARSER_LIBS", "LIBCONFIG_LIBS", "JANSSON_LIBS", "PCRE2_LIBS",
                     "OPENSSL_LIBS"):
            words += flags[name]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return program

    def test_of_the_manual(self):
        program = self.build()
        reference = command("config", "--reference", program=program)
        self.assertIn("stamp.text = ", reference.out)
        gateway = self.gateway(program=program, apis="""
            { name = "a"; stamp = "here"; routes = (
                { match = { path = "/ping"; }; respond = { status = 200; body = "pong"; }; },
                { match = { path = "/plain"; }; stamp = false; respond = { status = 200; body = "plain"; }; }
            ); }""")
        self.assertEqual(gateway.get("/ping").get("X-Stamp"), "here")
        self.assertIsNone(gateway.get("/plain").get("X-Stamp"))
        gateway.write(apis="""{ name = "a"; routes = (
            { match = { path = "/ping"; }; stamp = { txet = "x"; }; respond = { status = 200; }; } ); }""")
        done = gateway.run("reload")
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.text, r"gatehouse\.conf:\d+: .*txet.*text")
