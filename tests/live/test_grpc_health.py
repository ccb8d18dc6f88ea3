"""Probes by grpc.health.v1.Health/Check: who answers SERVING gets calls."""
import grpc

from gatehouse import NGINX_HTTP, wait_until
from peers import free_port
from peers_grpc import NOT_SERVING, SERVING
from test_grpc import PATIENCE, GrpcCase

Code = grpc.StatusCode
QUICK = 'interval = "100ms"; timeout = "5s"; rise = 1; fall = 1;'


class Health(GrpcCase):
    def test_serving_only(self):
        one, two = self.server(), self.server()
        two.health = NOT_SERVING
        gateway = self.start(one, two, upstream=f"health = {{ grpc = true; {QUICK} }};")
        gateway.wait_error(rf"upstream origin: {two.text} is down: .*: it is NOT_SERVING")
        client = self.client(gateway)
        for _ in range(10):
            client.unary(b"a", timeout=PATIENCE)
        self.assertEqual(two.calls, [])
        self.assertEqual(set(one.services), {b""})
        two.health = SERVING
        gateway.wait_error(rf"upstream origin: {two.text} is up")
        wait_until(lambda: client.unary(b"a", timeout=PATIENCE) and two.calls, "calls to the second server")

    def test_what_is_no_good_answer(self):
        server = self.server()
        gateway = self.start(server, upstream=f'health = {{ grpc = {{ service = "shop.Cart"; }}; {QUICK} }};')
        server.lock.acquire()
        server.lock.wait_for(lambda: server.services, PATIENCE)
        server.lock.release()
        self.assertEqual(server.services[0], b"\x0a\x09shop.Cart")
        for health, says in ((b"", "it is UNKNOWN"), (b"\x08\x03", "it is SERVICE_UNKNOWN"),
                             (b"\x08", "it is no HealthCheckResponse"),
                             (Code.NOT_FOUND, "it answered grpc-status 5, NOT_FOUND"),
                             (Code.UNIMPLEMENTED, "it answered grpc-status 12, UNIMPLEMENTED")):
            server.health = health
            gateway.wait_error(f"is down: .*: {says}")
            before = gateway.errors().count(" is up: ")
            server.health = SERVING
            wait_until(lambda: gateway.errors().count(" is up: ") > before, "it is up")

    def test_no_grpc_there(self):
        port = free_port()
        self.run_nginx(port, f"""events {{ }} http {{ {NGINX_HTTP} server {{ listen 127.0.0.1:{port} http2;
            location / {{ return 200 "hello"; }} }} }}""")
        gateway = self.start(f"127.0.0.1:{port}", upstream=f"health = {{ grpc = true; {QUICK} }};")
        gateway.wait_error("is down: .*: its answer is not gRPC, but text/plain")
