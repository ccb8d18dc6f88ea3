"""Adding a policy is one file and one line: the page that says so is taken at its word."""
import os
import re
import signal
import subprocess

from gatehouse import PROGRAM, Case, answer, command, limit, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HOLD = r'''
#include "shared/base/log.h"
#include "worker/request/request.h"

struct hold_settings {
    struct origin origin;
    int64_t time;
    bool fail;
};

static const struct row rows[] = {
    ROW_(ROW_DURATION, struct hold_settings, time, .fallback = "1ms", .help = "how long"),
    ROW_(ROW_FLAG, struct hold_settings, fail, .fallback = "false", .help = "and then fail"),
    ROW_END,
};
static const struct section section = {"hold", sizeof(struct hold_settings), rows, .shorthand = "time"};

static void resume(struct request *request)
{
    request_add_field(request, STR("X-Held"), request->wait.timed_out ? STR("deadline") : STR("woken"));
    request_resume(request, VERDICT_NEXT);
}

static void resume_failing(struct request *request)
{
    request_resume(request, request_fail(request, PROBLEM_INTERNAL, "held, and failed"));
}

static void cancel(struct request *request)
{
    log_notice("hold %.*s was cancelled", STR_ARG(request->path));
}

static enum verdict on_request(struct request *request, const void *conf)
{
    const struct hold_settings *settings = conf;
    request_wait(request, "hold", (uint64_t)settings->time, settings->fail ? resume_failing : resume, cancel);
    if (settings->time == 0)
        request_wake(request);
    return VERDICT_WAIT;
}

const struct policy policy_hold = {
    .name = "hold", .stage = STAGE_ADMIT, .section = &section, .on_request = on_request};
'''

# Takes every lock of the zones that count requests, and lets them go: as a process that is stopped within a change. Where the
# locks lie is said in shared/shm/pairs.c and concurrency.c.
GRAB = r'''
#include <stdlib.h>

#include "worker/request/request.h"

struct grab_settings {
    struct origin origin;
    bool on;
};

static const struct row rows[] = {
    ROW_(ROW_FLAG, struct grab_settings, on, .fallback = "true", .help = "take them, or let them go"),
    ROW_END,
};
static const struct section section = {"grab", sizeof(struct grab_settings), rows, .shorthand = "on"};

static void grab(struct worker *worker, void *zone, unsigned count, bool on)
{
    struct lock *locks = (struct lock *)((char *)zone + SEGMENT_PAGE + 64);
    for (unsigned i = 0; i < count; i++)
        if (!on)
            lock_drop(&locks[i]);
        else if (!lock_take(&locks[i], &worker->caller, 1))
            abort();
}

static enum verdict on_request(struct request *request, const void *conf)
{
    const struct grab_settings *settings = conf;
    struct shared *shared = request->worker->shared;
    grab(request->worker, shared->limits, ((uint32_t *)shared->limits)[1], settings->on);
    grab(request->worker, shared->quotas, ((uint32_t *)shared->quotas)[1], settings->on);
    grab(request->worker, shared->concurrency, ((uint32_t *)shared->concurrency)[0], settings->on);
    return VERDICT_NEXT;
}

const struct policy policy_grab = {
    .name = "grab", .stage = STAGE_SHAPE, .section = &section, .on_request = on_request};
'''


def read(*words):
    with open(os.path.join(ROOT, *words), encoding="utf-8") as file:
        return file.read()


class Policy(Case):
    def of_the_page(self):
        """(name, code) of the policy of doc/policies.md."""
        page = read("doc", "policies.md")
        name = re.search(r"`worker/policy/(\w+)\.c`", page).group(1)
        code = re.search(r"^```c\n(.*?)^```", page, re.M | re.S).group(1)
        self.assertEqual(re.search(r"^ +(POLICY\(\w+\))$", page, re.M).group(1), f"POLICY({name})")
        self.assertLessEqual(sum(1 for text in code.split("\n") if text.strip()), 30)
        return name, code

    def build(self, name, code):
        """The program with one policy more: its path."""
        folder = os.path.join(self.folder, "worker", "policy")
        os.makedirs(folder)
        # table.c is compiled too, from a copy beside the longer list: it is what reads the list.
        files = {name + ".c": code, "table.c": read("worker/policy/table.c"),
                 "policies.def": read("worker/policy/policies.def") + f"POLICY({name})\n"}
        for file_name, text in files.items():
            with open(os.path.join(folder, file_name), "w", encoding="utf-8") as file:
                file.write(text)
        return self.compile([os.path.join(folder, name + ".c"), os.path.join(folder, "table.c")])

    def compile(self, sources):
        build = os.path.dirname(PROGRAM)
        with open(os.path.join(build, "Makefile"), encoding="utf-8") as file:
            made = dict(re.findall(r"^(\w+) = *(.*)$", file.read(), re.M))
        flags = {name: made.get(name, "").split() for name in (
            "CC", "GATE_CPPFLAGS", "GATE_CFLAGS", "CFLAGS", "GATE_LDFLAGS", "LDFLAGS", "HTTP_PARSER_LIBS",
            "LIBCONFIG_LIBS", "JANSSON_LIBS", "PCRE2_LIBS", "CARES_LIBS", "NGHTTP2_LIBS", "OPENSSL_LIBS", "LIBS")}
        program = os.path.join(self.folder, "gatehouse")
        words = [*flags["CC"], "-D_GNU_SOURCE", "-I" + self.folder, "-I" + ROOT, "-I" + build, "-Werror"]
        for name in ("GATE_CPPFLAGS", "GATE_CFLAGS", "CFLAGS"):
            words += flags[name]
        words += ["-o", program, *sources, os.path.join(ROOT, "master/main.c")]
        words.append(os.path.join(build, "libgatehouse.a"))
        for name in ("GATE_LDFLAGS", "LDFLAGS", "HTTP_PARSER_LIBS", "LIBCONFIG_LIBS", "JANSSON_LIBS", "PCRE2_LIBS", "CARES_LIBS",
                     "NGHTTP2_LIBS", "OPENSSL_LIBS", "LIBS"):
            words += flags[name]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return program

    def test_of_the_manual(self):
        program = self.build(*self.of_the_page())
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

    def test_that_waits(self):
        """A wait ends by a wake-up, by its deadline, or because the client left; the body waits too."""
        program = self.build("hold", HOLD)
        origin = self.origin(lambda request, sock: answer(request.body))
        gateway = self.gateway(program=program, workers=1,
                               upstreams=f'origin = {{ endpoints = ( "{origin.text}" ); }};', apis="""
            { name = "a"; routes = (
                { match = { path = "/deadline"; }; hold = "5ms"; respond = { status = 200; body = "late"; }; },
                { match = { path = "/woken"; }; hold = "0"; respond = { status = 200; body = "soon"; }; },
                { match = { path = "/fails"; }; hold = { time = "5ms"; fail = true; }; respond = { status = 200; }; },
                { match = { path = "/long"; }; hold = "1h"; respond = { status = 200; }; },
                { match = { path = "/body"; }; hold = "5ms"; proxy = { upstream = "origin"; }; }
            ); }""")
        with gateway.client() as client:
            self.assertEqual(client.request("GET", "/deadline").get("X-Held"), "deadline")
            self.assertEqual(client.request("GET", "/woken").get("X-Held"), "woken")
            body = b"x" * 200000
            self.assertEqual(client.request("POST", "/body", body=body).body, body)
        self.problem(gateway.get("/fails"), 500)
        with gateway.client() as client:
            client.send_head("GET", "/long")
            wait_until(lambda: gateway.processes("worker")[0]["requests"] == 1, "the request to wait")
        gateway.wait_error("hold /long was cancelled")

    @limit(120)
    def test_locks_that_somebody_has(self):
        """A request that has to be counted waits for a lock, without its worker waiting; who holds it for long is not waited
        for, and who dies with it is robbed."""
        respond = 'respond = { status = 200; body = "pong"; };'
        policies = {"limit": 'limit = { rate = "1/h"; burst = 100; by = "header.k"; %s };',
                    "quota": 'quota = { limit = "100/month"; by = "header.k"; %s };',
                    "concurrency": 'concurrency = { max = 100; by = "header.k"; %s };'}
        routes = [f'{{ match = {{ path = "/grab"; }}; grab = true; {respond} }}',
                  f'{{ match = {{ path = "/drop"; }}; grab = {{ on = false; }}; {respond} }}',
                  f'{{ match = {{ path = "/free"; }}; {respond} }}']
        for name, text in policies.items():
            for path, full in ((name, "admit"), (name + "/strict", "reject")):
                policy = text % f'when_full = "{full}";'
                routes.append(f'{{ match = {{ path = "/{path}"; }}; {policy} {respond} }}')
        gateway = self.gateway(program=self.build("grab", GRAB), workers=1,
                               apis='{ name = "a"; routes = (%s); }' % ", ".join(routes))
        gateway.deaths_expected = True
        for name in policies:
            with self.subTest(policy=name), gateway.client() as client:
                known = [("k", "known")]
                self.assertEqual(gateway.get(f"/{name}", fields=known).status, 200)
                self.assertEqual(gateway.get("/grab").status, 200)
                client.send_head("GET", f"/{name}", [("k", "new")])
                self.assertTrue(client.quiet(0.1))
                self.assertEqual(gateway.get("/free").status, 200)  # the worker goes on
                if name != "concurrency":  # who has a pair needs no lock
                    self.assertEqual(gateway.get(f"/{name}", fields=known).status, 200)
                self.assertEqual(gateway.get("/drop").status, 200)
                self.assertEqual(client.answer().status, 200)
                # At last it is as if there were no room.
                self.assertEqual(gateway.get("/grab").status, 200)
                self.problem(gateway.get(f"/{name}/strict", fields=[("k", "other")]), 503)
                self.assertEqual(gateway.get(f"/{name}", fields=[("k", "another")]).status, 200)
                client.send_head("GET", f"/{name}", [("k", "gone")])
                self.assertTrue(client.quiet(0.1))
                workers = gateway.wait_processes("worker", 1)
                os.kill(workers[0], signal.SIGKILL)
                gateway.wait_processes("worker", 1, workers)
                self.assertEqual(gateway.get(f"/{name}/strict", fields=[("k", "heir")]).status, 200)
        self.assertEqual(gateway.status()["stats"]["uncounted"], 6)
