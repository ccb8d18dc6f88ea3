"""Tunnels at a reload: both connections go on in the new worker with what is buffered between them; what can't move stays until
drain_timeout, and is told then."""
import asyncio
import hashlib
import os
import select
import socket
import threading

import websockets

from gatehouse import Case, alive, limit, slow, wait_until
from tunnels import CLOSE, Server, WebSocket, echo, receive_all, start_upgrade, upgraded

ROUTE = """{ name = "%s"; %s routes = ( { name = "all"; match = { prefix = "/"; }; websocket = %s; upgrade = "bytes";
    proxy = { upstream = "%s"; }; } ); }"""
MANY = 50 if slow() else 200


class Reload(Case):
    def settings(self, origin, api="a", policies="", websocket="true", upstream="origin", extra=""):
        return {"apis": ROUTE % (api, policies, websocket, upstream),
                "upstreams": f'{upstream} = {{ endpoints = ( "{origin.text}" ); }};', "extra": extra}

    def through(self, origin, workers=2, **settings):
        self.end = origin
        return self.gateway(workers=workers, **self.settings(origin, **settings))

    def websocket(self, gateway):
        websocket = WebSocket(gateway.port)
        self.addCleanup(websocket.close)
        return websocket

    def bytes_tunnel(self, gateway):
        client = gateway.client()
        self.addCleanup(client.close)
        self.assertEqual(start_upgrade(client, "bytes").status, 101)
        return client

    def gone(self, pids):
        wait_until(lambda: not any(map(alive, pids)), "the old workers' end")

    def move(self, gateway, **settings):
        """A reload after which the old workers are gone, and so hold nothing any more."""
        before = [process["pid"] for process in gateway.processes("worker")]
        gateway.reload(**settings)
        self.gone(before)

    def tunnels(self, gateway):
        return sum(process["tunnels"] for process in gateway.processes(states=None))


class Moved(Reload):
    @limit(180)
    def test_many_websockets_talk_through_reloads(self):
        async def say_again(websocket):
            async for message in websocket:
                await websocket.send(message)

        server = Server(say_again)
        self.addCleanup(server.close)
        gateway = self.through(server)
        ready, over = threading.Semaphore(0), threading.Event()
        result, failed = [], []

        async def talk(number):
            try:
                return await converse(number)
            except Exception as error:
                failed.append((number, error))
                raise

        async def converse(number):
            async with websockets.connect(f"ws://localhost:{gateway.port}/{number}", ping_interval=None, open_timeout=None) as websocket:
                ready.release()
                said = 0
                while not over.is_set() or said < 5:
                    message = f"{number} says {said} " + "x" * (said * 7919 % 5000)
                    await websocket.send(message)
                    if await websocket.recv() != message:
                        raise AssertionError(f"{number} heard something else than {said}")
                    said += 1
                    await asyncio.sleep(0.02)
                return said

        async def crowd():
            return await asyncio.gather(*(talk(number) for number in range(MANY)), return_exceptions=True)

        thread = threading.Thread(target=lambda: result.extend(asyncio.run(crowd())))
        thread.start()
        try:
            for number in range(MANY):
                self.assertTrue(ready.acquire(timeout=60), f"{number} are open: {failed[:3]}")
            for _ in range(5):
                self.move(gateway)
                wait_until(lambda: self.tunnels(gateway) == MANY, f"{MANY} tunnels")
        finally:
            over.set()
            thread.join(60)
        self.assertEqual([one for one in result if not isinstance(one, int)], [])
        self.assertEqual(len(result), MANY)
        lines = gateway.wait_access(MANY)
        self.assertEqual(len(lines), MANY, "a line for each, once")
        self.assertEqual({(line["status"], line["api"], line["route"], line["upstream"], line["aborted"]) for line in lines},
                         {(101, "a", "all", "origin", "")})
        self.assertEqual(sorted(int(line["target"][1:]) for line in lines), list(range(MANY)))
        self.assertEqual({line["endpoint"] for line in lines}, {server.text})
        stats = gateway.status()["stats"]
        self.assertEqual((stats["tunnels"], stats["cut_requests"], stats["tunnels_cut"], stats["tunnels_stayed"]), (MANY, 0, 0, 0))
        self.assertEqual(stats["taken_over"], 5 * MANY)
        self.assertTrue(all(line["duration"] > 0.1 and line["bytes_in"] > 100 and line["bytes_out"] > 100 for line in lines))

    @limit(120)
    def test_no_byte_is_lost_between_two_streams(self):
        """Both directions are full of bytes, and each end takes them slowly, while the tunnel moves again and again."""
        count = 8 << 20 if slow() else 24 << 20
        down, up = os.urandom(1 << 20) * (count >> 20), os.urandom(1 << 20) * (count >> 20)
        heard = {}

        def listen(sock, name):
            before = client.reader.held if name == "down" else b""  # came with the head
            digest, total = hashlib.sha256(before), len(before)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            while True:
                data = sock.recv(20000)
                if not data:
                    break
                digest.update(data)
                total += len(data)
                if name == "up" or total < count // 2:
                    gate.wait(0.0005)
            heard[name] = (total, digest.digest())

        def both(sock, data, name):
            reader = threading.Thread(target=listen, args=(sock, name))
            reader.start()
            sock.settimeout(60)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            reader.join()

        gate = threading.Event()
        gateway = self.through(self.origin(upgraded(lambda sock: both(sock, down, "up"))))
        client = self.bytes_tunnel(gateway)
        client.sock.settimeout(60)
        ours = threading.Thread(target=both, args=(client.sock, up, "down"))
        ours.start()
        for _ in range(6):
            gateway.reload()
        gate.set()
        ours.join(100)
        wait_until(lambda: len(heard) == 2, "both streams end", 60)
        self.assertEqual(heard["up"], (count, hashlib.sha256(up).digest()))
        self.assertEqual(heard["down"], (count, hashlib.sha256(down).digest()))
        line = gateway.wait_access(1)[0]
        self.assertEqual((line["aborted"], line["status"]), ("", 101))
        self.assertGreater(line["bytes_in"], count)
        self.assertGreater(line["bytes_out"], count)

    def test_what_is_held_up_moves_too(self):
        """Bytes that one end doesn't take yet are the new worker's to deliver."""
        go = threading.Event()
        self.addCleanup(go.set)
        heard = []

        def talk(sock):
            go.wait()  # for as long as it takes: what moves only when it is let go is held up for ever here
            heard.append(receive_all(sock))

        gateway = self.through(self.origin(upgraded(talk)))
        client = self.bytes_tunnel(gateway)
        client.sock.setblocking(False)
        said = b""
        while True:
            piece = os.urandom(65536)
            try:
                said += piece[:client.sock.send(piece)]
            except BlockingIOError:
                if not select.select([], [client.sock], [], 0.5)[1]:
                    break
        self.move(gateway)
        self.move(gateway)
        self.assertEqual(gateway.status()["stats"]["taken_over"], 2)
        go.set()
        client.sock.setblocking(True)
        client.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: heard, "the origin has heard all")
        self.assertTrue(heard[0] == said, (len(heard[0]), len(said)))

    def test_one_direction_that_has_ended(self):
        def talk(sock):
            sock.sendall(b"first" + receive_all(sock))
            go.wait(20)
            sock.sendall(b"last")

        go = threading.Event()
        self.addCleanup(go.set)
        gateway = self.through(self.origin(upgraded(talk)))
        client = self.bytes_tunnel(gateway)
        client.send(b"said")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.reader.take(9), b"firstsaid")
        self.move(gateway)
        go.set()
        self.assertEqual(client.reader.to_end(), b"last")

        back = []
        gateway.finish()

        def other(sock):
            sock.shutdown(socket.SHUT_WR)
            back.append(receive_all(sock))

        gateway = self.through(self.origin(upgraded(other)))
        client = self.bytes_tunnel(gateway)
        self.assertEqual(client.reader.to_end(), b"")
        self.move(gateway)
        client.send(b"after all")
        client.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: back == [b"after all"], "the origin hears it")

    def test_other_kinds_of_addresses(self):
        """An endpoint that is a UNIX socket, and one that is a name."""
        path = os.path.join(self.folder, "origin.sock")
        origin = self.origin(echo, path)
        os.chmod(path, 0o777)
        gateway = self.through(origin)
        websocket = self.websocket(gateway)
        self.move(gateway)
        websocket.echo(b"moved")
        self.assertEqual(gateway.status()["stats"]["taken_over"], 1)
        websocket.close()

        origin = self.origin(echo)
        settings = self.settings(origin)
        settings["upstreams"] = f'origin = {{ endpoints = ( "localhost:{origin.port}" ); }};'
        self.move(gateway, **settings)
        websocket = self.websocket(gateway)
        self.move(gateway)
        websocket.echo(b"moved")

    def test_silence_is_counted_on(self):
        gateway = self.through(self.origin(echo), websocket='{ idle_timeout = "2s"; }')
        websocket = self.websocket(gateway)
        websocket.echo(b"x")
        self.move(gateway)
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe9"))
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "idle_timeout")

    def test_concurrency_goes_with_it(self):
        gateway = self.through(self.origin(echo), policies="concurrency = 1;")
        websocket = self.websocket(gateway)
        settings = self.settings(self.end, policies="concurrency = 1;")
        self.move(gateway, **settings)
        self.problem(gateway.get("/", fields=[]), 429)
        websocket.echo(b"still here")
        websocket.close()
        wait_until(lambda: not self.tunnels(gateway), "its end")
        self.assertNotEqual(gateway.get("/").status, 429)

    def test_a_worker_that_dies_takes_what_was_given_to_it(self):
        gateway = self.through(self.origin(echo), workers=1)
        gateway.deaths_expected = True
        websocket = self.websocket(gateway)
        self.move(gateway)
        websocket.echo(b"x")
        os.kill(gateway.wait_processes("worker", 1)[0], 9)
        self.assertEqual(websocket.closed(), b"")

    def test_over_an_upgrade(self):
        gateway = self.through(self.origin(echo))
        crowd = [self.websocket(gateway) for _ in range(8)]
        old = gateway.wait_processes("worker", 2)
        done = gateway.run("upgrade")
        self.assertEqual(done.status, 0, done)
        self.gone(old)
        for websocket in crowd:
            websocket.echo(b"after it")


class Stays(Reload):
    """What can't move goes on in its old worker."""

    def stays(self, gateway, websocket, **settings):
        old = [process["pid"] for process in gateway.processes("worker")]
        gateway.reload(**settings)
        gateway.wait_processes("worker", 2, old)
        wait_until(lambda: gateway.status()["stats"]["tunnels_stayed"] == 1, "it stays")
        websocket.echo(b"still here")
        self.assertEqual(self.tunnels(gateway), 1)
        return old

    def test_without_its_route_or_endpoint(self):
        other = self.origin(echo)
        for change in ({"api": "b"}, {"upstream": "elsewhere"}, {"websocket": "false"}, {"origin": other}):
            gateway = self.through(self.origin(echo))
            websocket = self.websocket(gateway)
            old = self.stays(gateway, websocket, **self.settings(**{"origin": self.end, **change}))
            websocket.say(b"\x03\xe8", CLOSE)
            self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xe8"))
            websocket.close()
            self.gone(old)
            self.assertEqual(gateway.wait_access(1)[0]["aborted"], "")
            gateway.finish()

    def test_it_moves_when_it_can_again(self):
        gateway = self.through(self.origin(echo))
        websocket = self.websocket(gateway)
        old = self.stays(gateway, websocket, **self.settings(self.end, api="b"))
        gateway.reload(**self.settings(self.end))
        self.gone(old)
        websocket.echo(b"moved")

    def test_drain_timeout_ends_it(self):
        """With a close frame 1012 where one can stand, else with FIN."""
        gateway = self.through(self.origin(echo), extra='drain_timeout = "1s";')
        websocket = self.websocket(gateway)
        websocket.echo(b"x")
        old = self.stays(gateway, websocket, **self.settings(self.end, api="b", extra='drain_timeout = "1s";'))
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xf4"))
        self.assertEqual(websocket.closed(), b"")
        self.gone(old)
        wait_until(lambda: not self.end.open, "the origin's connection is closed")
        self.assertEqual(gateway.wait_access(1)[0]["aborted"], "drain")
        stats = gateway.status()["stats"]
        self.assertEqual((stats["tunnels_cut"], stats["cut_requests"]), (1, 0))
        self.assertRegex(gateway.errors(), "cut 1 tunnels")

    def test_a_stop_ends_it(self):
        gateway = self.through(self.origin(echo), extra='drain_timeout = "500ms";')
        websocket = self.websocket(gateway)
        websocket.echo(b"x")
        websocket.sock.settimeout(20)
        gateway.stop()
        self.assertEqual(websocket.hear(), (CLOSE, b"\x03\xf4"))

    def test_in_the_middle_of_a_frame(self):
        """Then there is no place for a close frame."""

        def talk(sock):
            sock.sendall(b"\x81\x10half")
            receive_all(sock)

        gateway = self.through(self.origin(upgraded(talk)), extra='drain_timeout = "500ms";')
        websocket = self.websocket(gateway)
        self.assertEqual(websocket.reader.take(6), b"\x81\x10half")
        websocket.sock.settimeout(20)
        gateway.stop()
        self.assertEqual(websocket.closed(), b"")
