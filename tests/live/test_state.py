"""The snapshot of the shared memory (state.file), and what `check` says of the shared memory."""
import datetime
import os
import pwd
import signal
import stat

from gatehouse import Case, Gateway, Traced, alive, bound, children, command, small_disk, wait_until

RESPOND = '{ name = "a"; routes = ( { match = { path = "/"; }; respond = { status = 200; body = "one"; }; } ); }'


class Snapshot(Case):
    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.folder, "state")
        os.mkdir(self.state)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.state, nobody.pw_uid, nobody.pw_gid)
        self.file = os.path.join(self.state, "snapshot")

    def settings(self, interval="1h"):
        return f'state = {{ size = "64M"; file = "{self.file}"; interval = "{interval}"; }};'

    def test_it_is_written_at_an_orderly_stop_and_read_at_the_start(self):
        gateway = self.gateway(apis=RESPOND, state=self.settings())
        self.assertFalse(os.path.exists(self.file))
        gateway.stop()
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual(os.listdir(self.state), ["snapshot"])
        gateway.start()
        self.assertEqual(gateway.get("/").body, b"one")
        self.assertNotIn("can't be used", gateway.said())
        self.assertEqual(os.listdir(self.state), ["snapshot"])

    def test_it_is_written_each_interval(self):
        gateway = self.gateway(apis=RESPOND, state=self.settings("1s"))
        wait_until(lambda: os.path.exists(self.file), "the first snapshot")
        first = os.stat(self.file).st_ino
        wait_until(lambda: os.stat(self.file).st_ino != first, "the next one")
        gateway.reload(state=self.settings("1h"))  # the next keeper does it in its own time

    def test_a_killed_gateway_leaves_the_last_one(self):
        gateway = self.gateway(apis=RESPOND, state=self.settings("1s"))
        wait_until(lambda: os.path.exists(self.file), "a snapshot")
        for process in gateway.processes():
            if process["role"] != "master":
                gateway.deaths_expected = True
                os.kill(process["pid"], signal.SIGKILL)
        gateway.wait_processes("worker", 2)
        gateway.stop()
        self.assertEqual(gateway.start(), None)
        self.assertNotIn("can't be used", gateway.said())

    LIMITED = """{ name = "a"; routes = (
        { match = { path = "/rate"; }; limit = { rate = "1/h"; burst = 2; }; respond = { status = 200; body = "one"; }; },
        { match = { path = "/month"; }; quota = "2/month"; respond = { status = 200; body = "one"; }; } ); }"""

    def left(self, gateway, target):
        """How often a request passes before it is refused."""
        count = 0
        while gateway.get(target).status == 200:
            count += 1
        return count

    def test_limits_and_quotas_go_on_after_a_restart(self):
        gateway = self.gateway(apis=self.LIMITED, state=self.settings(), workers=4)
        self.assertEqual(gateway.get("/rate").status, 200)
        self.assertEqual(self.left(gateway, "/month"), 2)
        gateway.stop()
        gateway.start()
        self.assertRegex(gateway.said(), r"state\.file: .*snapshot was loaded, \d+ s old")
        self.assertEqual(self.left(gateway, "/rate"), 1)
        self.assertEqual(self.left(gateway, "/month"), 0)
        gateway.stop()
        gateway.write(state=self.settings().replace('interval', 'limits = "64K"; interval'))
        gateway.start()  # with another size of the zone
        self.assertEqual(self.left(gateway, "/rate"), 0)
        gateway.stop()
        os.unlink(self.file)
        gateway.start()
        self.assertEqual(self.left(gateway, "/rate"), 2)

    def test_after_an_unclean_end_the_last_snapshot_counts(self):
        gateway = self.gateway(apis=self.LIMITED, state=self.settings("1s"))
        gateway.deaths_expected = True
        self.assertEqual(self.left(gateway, "/rate"), 2)
        wait_until(lambda: os.path.exists(self.file), "a snapshot")
        first = os.stat(self.file).st_ino  # begun before the last request perhaps; the next one isn't
        second = wait_until(lambda: os.stat(self.file).st_ino != first and os.stat(self.file).st_ino, "the next one")
        wait_until(lambda: os.stat(self.file).st_ino != second, "one more")
        pids = [gateway.pid, *(process["pid"] for process in gateway.processes(states=None))]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        gateway.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in pids), "the end of all")
        gateway.start()
        self.assertEqual(self.left(gateway, "/rate"), 0)

    def test_one_that_is_torn_or_foreign_is_kept_aside(self):
        for content in (b"", b"gatehouse", bytes(4096), os.urandom(4096)):
            with open(self.file, "wb") as file:
                file.write(content)
            gateway = Gateway(self.folder, apis=RESPOND, state=self.settings())
            gateway.start()
            try:
                self.assertEqual(gateway.get("/").body, b"one")
                gateway.wait_error(r"state\.file: .*snapshot can't be used: .*; limits start cold, and it is "
                                                 r"kept as the same with \.bad behind")
                with open(self.file + ".bad", "rb") as file:
                    self.assertEqual(file.read(), content)
                self.assertFalse(os.path.exists(self.file))
            finally:
                gateway.finish()

    def test_a_folder_that_can_not_be_written_to_is_said_before_anything_serves(self):
        if os.geteuid() != 0:
            self.forbidden("only root starts children as somebody else")
        os.chown(self.state, 0, 0)
        gateway = Gateway(self.folder, apis=RESPOND, state=self.settings())
        done = command("-f", "-c", gateway.config)
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r'state\.file: the folder of .*: Permission denied \(make it, and give it to the user '
                                   r'"nobody": chown\)')

    def test_a_disk_that_fails_is_told_once_and_when_it_is_well_again(self):
        gateway = self.gateway(apis=RESPOND, state=self.settings("1s"))
        wait_until(lambda: os.path.exists(self.file), "a snapshot")
        os.mkdir(self.file + ".new")
        gateway.wait_error(r"state\.file: .* can't be written: ")
        os.rmdir(self.file + ".new")
        gateway.wait_error(r"state\.file: .* is written again")
        self.assertEqual(gateway.errors().count("can't be written"), 1)


    def keyed(self, count, **more):
        """A gateway whose snapshot holds so many keys, some dozens of bytes each: all in the first one."""
        apis = """{ name = "a"; routes = ( { match = { path = "/"; }; limit = { rate = "1/h"; burst = 2; by = "query.k"; };
            respond = { status = 200; body = "one"; }; } ); }"""
        gateway = self.gateway(apis=apis, state=self.settings(), **more)
        with gateway.client() as client:
            for key in range(count):
                self.assertEqual(client.request("GET", f"/?k={key}").status, 200)
        gateway.replace(state=self.settings("1s"))
        wait_until(lambda: os.path.exists(self.file), "the first snapshot")
        return gateway

    def stays(self, gateway, error):
        """Writing fails with this error: what was written before stays, and nothing else lies there. Before is when we
        looked, or a writer who was at work then; writers are a second apart."""
        with open(self.file, "rb") as file:
            before = file.read()
        told = gateway.wait_error(rf"(\S+)Z .*state\.file: .* can't be written: {error}; tried again in 1 s")
        failed = datetime.datetime.fromisoformat(told[1] + "+00:00").timestamp()
        wait_until(lambda: "snapshot.new" not in os.listdir(self.state), "what was begun is gone")
        with open(self.file, "rb") as file:
            whole = file.read() == before or os.fstat(file.fileno()).st_mtime < failed - 0.5
        self.assertTrue(whole or "is written again" in gateway.errors()[told.end():], gateway.said())

    def well_again(self, gateway):
        gateway.wait_error(r"state\.file: .* is written again")
        self.assertEqual(gateway.errors().count("can't be written"), 1)
        self.assertEqual(gateway.get("/?k=7").status, 200)
        self.assertEqual(gateway.get("/?k=7").status, 429)
        gateway.stop()
        gateway.start()
        self.assertNotIn("can't be used", gateway.said())
        self.assertEqual([gateway.get("/?k=7").status, gateway.get("/?k=8").status, gateway.get("/?k=8").status], [429, 200, 429])

    def test_a_full_disk(self):
        """There is room for a part of the next one only; with more room it goes on."""
        if not small_disk(self.state, 256 << 10):
            self.forbidden("file systems can't be mounted here")
        gateway = self.keyed(500)
        pages = -(-os.stat(self.file).st_size // 4096)
        self.assertGreater(pages, 1)
        ballast = os.path.join(self.state, "ballast")
        with open(ballast, "wb") as file:  # all but the room for two snapshots, less a page
            file.write(bytes((256 << 10) - (2 * pages - 1) * 4096))
        self.stays(gateway, "No space left on device")
        os.unlink(ballast)
        self.well_again(gateway)

    def test_files_that_may_not_grow(self):
        """What a limit of the process forbids (ulimit -f) is an error like others, not the end of the keeper."""
        gateway = self.keyed(500)
        (keeper,) = gateway.wait_processes("keeper", 1)
        bound(keeper, "--fsize=4096:unlimited")
        self.stays(gateway, "File too large")
        bound(keeper, "--fsize=unlimited:unlimited")
        self.well_again(gateway)


    def test_calls_of_the_kernel_that_fail(self):
        """In the keeper, or in the process that writes: the last snapshot stays, and the next is written in its time."""
        gateway = self.keyed(1)
        (keeper,) = gateway.wait_processes("keeper", 1)
        for count, (fault, error) in enumerate((("clone:error=EAGAIN:when=1", "Resource temporarily unavailable"),
                                                ("pidfd_open:error=EMFILE:when=1", "Too many open files"),
                                                ("fsync:error=EIO:when=1", "Input/output error")), 1):
            with Traced(keeper, fault):
                self.stays(gateway, error)
            wait_until(lambda: gateway.errors().count("is written again") == count, lambda: f"it is well again{gateway.said()}")
        self.assertEqual(gateway.wait_processes("keeper", 1), [keeper])
        wait_until(lambda: not children(keeper), "no writer is left")


class Check(Case):
    def check(self, state):
        gateway = Gateway(self.folder, upstreams='u = { endpoints = ( "127.0.0.1:1", "127.0.0.1:2" ); };',
                          apis='{ name = "a"; routes = ( { match = { path = "/"; }; proxy = "u"; } ); }', state=state)
        return command("check", "-c", gateway.config)

    def test_the_zones_are_told(self):
        done = self.check('state = { size = "64M"; };')
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.out, r"shared memory: \S+ of at most 64M \(slots \d+K, .*endpoints \d+K")

    def test_what_does_not_fit_is_refused(self):
        done = self.check('state = { size = "8M"; endpoints = 100000; };')
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r"gatehouse\.conf:\d+: state\.size: \S+ is too little: the shared memory needs \d+M")

    def test_too_few_cells_are_refused(self):
        done = self.check('state = { size = "64M"; endpoints = 1; };')
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r"gatehouse\.conf:\d+: state\.endpoints: 1 is too little: this configuration needs 2")

    def test_too_few_for_a_reload_are_warned_of(self):
        done = self.check('state = { size = "64M"; endpoints = 3; };')
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.err, r"warning: state\.endpoints: 3 leaves no room for a reload that renames all 2 "
                                   r"\(set it to 4 or more\)")


class Status(Case):
    def test_zones_and_their_use(self):
        gateway = self.gateway(
            upstreams='u = { endpoints = ( "127.0.0.1:1", "127.0.0.1:2" ); };',
            apis="""{ name = "a"; routes = (
                { match = { path = "/p"; }; proxy = "u"; },
                { match = { path = "/"; }; limit = { rate = "1/h"; burst = 5; by = "query.k"; }; quota = { limit = "9/day"; by = "query.k"; };
                  respond = { status = 200; body = "one"; }; } ); }""",
            state='state = { size = "64M"; upstreams = 1; endpoints = 20; };')
        for key in range(7):
            self.assertEqual(gateway.get(f"/?k={key}").status, 200)
        zones = {zone["name"]: zone for zone in gateway.status()["zones"]}
        for name, used, room in (("limits", 7, None), ("quotas", 7, None), ("endpoints", 2, 20), ("upstreams", 1, 1),
                                 ("concurrency", 0, None), ("overrides", 0, 256)):
            self.assertEqual(zones[name]["used"], used, zones)
            if room:
                self.assertEqual(zones[name]["room"], room)
        self.assertNotIn("room", zones["logs"])
        self.assertEqual(zones["limits"]["size"], 16 << 20)
        said = gateway.run("status").out
        self.assertRegex(said, r"(?m)^upstreams +\d+ +1 +1 names: nearly full$")
        self.assertRegex(said, r"(?m)^endpoints +\d+ +2 +20 names$")


class Reload(Case):
    def test_cells_of_drained_generations_are_free_again(self):
        """Two cells for one endpoint whose address changes with each reload."""
        origin = self.origin()
        gateway = self.gateway(
            upstreams=f'u = {{ endpoints = ( "127.0.0.1:{origin.port}" ); }};',
            apis='{ name = "a"; routes = ( { match = { path = "/"; }; proxy = "u"; } ); }',
            state='state = { size = "64M"; upstreams = 1; endpoints = 2; };')
        for number in range(4):
            other = self.origin()
            gateway.replace(upstreams=f'u = {{ endpoints = ( "127.0.0.1:{other.port}" ); }};')
            wait_until(lambda: not gateway.processes("worker", ("draining",)), "the end of the old workers")
            self.assertEqual(gateway.get("/").status, 200, number)
        gateway.write(upstreams='u = { endpoints = ( "127.0.0.1:1", "127.0.0.1:2" ); };')
        done = gateway.run("reload")
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err + done.out, r"state\.endpoints: 2 is too little: this configuration needs 2, beside")
