"""The configuration as its writer meets it: what is wrong is told, all of it, with file and line."""
import os
import re
import resource
import subprocess
import time

from gatehouse import PROGRAM, UNDER, Case, Gateway, alone, command, sanitized

RESPOND = '{{ name = "a"; routes = ( {{ match = {{ path = "{}"; }}; respond = {{ status = 200; body = "x"; }}; }} ); }}'


class Config(Case):
    def file(self, text, name="test.conf"):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def check(self, text):
        return command("check", "-c", self.file(text))

    def wrong(self, text, *patterns):
        """`check` fails, and each pattern is in a line of what it says."""
        done = self.check(text)
        self.assertEqual(done.status, 1, done)
        for pattern in patterns:
            self.assertRegex(done.text, pattern)
        return done

    def valid(self, **settings):
        return Gateway(self.folder, apis=RESPOND.format("/ping"), **settings)

    def test_valid(self):
        done = command("check", "-c", self.valid().config)
        self.assertEqual(done.status, 0, done)

    def test_all_errors_with_file_and_line(self):
        self.wrong(
            "\n".join((
                'workers = "many";',
                'listeners = ( { listen = "nonsense::address::"; } );',
                'drain_timeout = "60 parsecs";',
                'start_timeout = "-1s";',
                'upstreams = { u = { endpoints = ( "127.0.0.1:1" ); balance = "best"; }; };',
            )),
            r"(?m)test\.conf:1: workers:", r"(?m)test\.conf:2: .*listen", r"(?m)test\.conf:3: drain_timeout:",
            r"(?m)test\.conf:4: start_timeout:", r"(?m)test\.conf:5: .*balance.*(round-robin|least)")

    def test_unknown_setting_gets_a_suggestion(self):
        self.wrong("wrokers = 2;\n", r"test\.conf:1: wrokers: .*workers")
        self.wrong('upstreams = {\n u = { endpoints = ( "127.0.0.1:1" ); balanse = "least"; }; };\n',
                   r"test\.conf:2: .*balanse.*balance")
        self.wrong('apis = ( { name = "a"; routes = (\n{ match = { path = "/"; }; porxy = { upstream = "u"; }; } ); } );',
                   r"test\.conf:2: .*porxy.*proxy")

    def test_bad_syntax(self):
        self.wrong("workers = ;\n", r"test\.conf:1")
        self.wrong('workers = 2;\nlog = { error = "x"\n', r"test\.conf:[23]")

    def test_out_of_range(self):
        self.wrong("max_generations = 0;\n", r"test\.conf:1: max_generations")
        self.wrong("workers = 5000000000;\n", r"test\.conf:1: workers")
        self.wrong('upstreams = { u = { endpoints = ( { address = "127.0.0.1:1"; weight = -3; } ); }; };',
                   r"test\.conf:1: .*weight")

    def test_names_that_lead_nowhere(self):
        text = ('apis = ( { name = "a"; listeners = [ "nowhere" ]; routes = (\n'
                '{ match = { path = "/{id}"; }; proxy = { upstream = "nobody"; path = "/x/{other}"; }; } ); } );')
        self.wrong(text, "nowhere", r"test\.conf:2: .*nobody", r"other")

    def test_routes_that_cannot_be_told_apart(self):
        routes = ",\n".join('{ match = { path = "/%s"; }; respond = { status = 200; body = "x"; }; }' % path
                            for path in ("a/{x}", "b", "a/{y}"))
        done = self.wrong('apis = ( { name = "a"; routes = (\n' + routes + " ); } );", r"test\.conf:[24]")
        self.assertRegex(done.text, r"/a/\{[xy]\}")

    def test_files_that_are_none(self):
        for path in (os.path.join(self.folder, "missing.conf"), self.folder):
            done = command("check", "-c", path)
            self.assertEqual(done.status, 1, done)
            self.assertIn(path, done.text)

    def test_include(self):
        self.file('u1 = { endpoints = ( "127.0.0.1:1" ); };\n', "conf.d/1.conf")
        self.file('u2 = { endpoints = ( "127.0.0.1:2" ); };\n', "conf.d/2.conf")
        main = 'upstreams = {\n@include "conf.d/*.conf"\n};\n@include "none.d/*.conf"\n'
        done = command("config", "--dump", "-c", self.file(main))
        self.assertEqual(done.status, 0, done)
        self.assertIn("u1", done.out)
        self.assertIn("u2", done.out)
        self.file('\n\nu2 = { endpionts = ( "127.0.0.1:2" ); };\n', "conf.d/2.conf")
        self.wrong(main, r"conf\.d/2\.conf:3: .*endpionts.*endpoints")
        self.wrong('@include "missing.conf"\n', r"test\.conf:1.*missing\.conf")

    def test_include_from_another_folder(self):
        self.file("workers = 3;\n", "part.conf")
        done = command("config", "--dump", "-c", os.path.relpath(self.file('@include "part.conf"\n'), "/"), cwd="/")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.out, r"workers = 3")

    def test_dump_reads_back_the_same(self):
        first = command("config", "--dump", "-c", self.valid(workers=3, upstreams="""
            u = { endpoints = ( "127.0.0.1:1", { address = "[::1]:2"; weight = 7; } ); timeout = { connect = "7s"; };
                  breaker = { fallback = { upstream = "v"; }; }; };
            v = { endpoints = ( "127.0.0.1:3" ); };
            """).config)
        self.assertEqual(first.status, 0, first)
        self.assertRegex(first.out, r"workers = 3")
        second = command("config", "--dump", "-c", self.file(first.out, "dump.conf"))
        self.assertEqual(second.status, 0, second)
        self.assertEqual(first.out, second.out)

    def test_reference_names_every_setting(self):
        reference = command("config", "--reference")
        self.assertEqual(reference.status, 0, reference)
        for name in ("workers", "drain_timeout", "listeners", "endpoints", "weight", "proxy", "respond", "redirect",
                     "max_generations", "trusted_proxies", "header_timeout"):
            self.assertIn(name, reference.out)
        for name in ("${client}", "${peer}", "${upstream}", "${header.NAME}", "${params.NAME}"):
            self.assertIn("\n" + name + "\n", reference.out)
        roff = command("config", "--reference", "--roff")
        self.assertEqual(roff.status, 0, roff)
        page = self.file('.TH x 5\n.SH X\n' + roff.out, "reference.5")
        judged = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""}, check=False)
        self.assertEqual((judged.returncode, judged.stderr), (0, ""))

    @alone
    def test_ten_thousand_routes_load_fast(self):
        kinds = ('path = "/exact/%d/end"', 'path = "/template/%d/{id}/x"', 'prefix = "/prefix/%d"')
        routes = ",\n".join('{ match = { %s; }; respond = { status = 200; body = "x"; }; }' % (kinds[i % 3] % i)
                            for i in range(10000))
        path = self.file('apis = ( { name = "a"; routes = (\n' + routes + "\n); } );")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = command("check", "-c", path, timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assertEqual(done.status, 0, done)
        if not UNDER and not sanitized():
            self.assertLess(spent, 0.5, "seconds of CPU")

    def test_unknown_command_and_usage(self):
        done = command("relaod")
        self.assertEqual(done.status, 2, done)
        self.assertIn("reload", done.text)
        self.assertEqual(command("--help").status, 0)
        self.assertRegex(command("--version").out, r"\d+\.\d+\.\d+")

    def test_commands_without_a_gateway(self):
        config = self.valid().config
        for name in ("reload", "stop", "reopen", "status"):
            done = command(name, "-c", config)
            self.assertEqual(done.status, 1, done)
            self.assertTrue(done.err.strip(), name)

    def test_start_refuses_a_broken_configuration(self):
        began = time.monotonic()
        done = command("run", "-f", "-c", self.file("wrokers = 2;\n"))
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r"test\.conf:1: wrokers")
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(re.search("gatehouse", os.path.basename(PROGRAM)))
