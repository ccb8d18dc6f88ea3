"""gRPC for the tests: a server of all four kinds of calls and a client, by python3-grpcio without generated code: a message
is bytes."""
import concurrent.futures
import threading

import grpc

from peers import free_port

SERVICE = "test.Echo"
HEALTH = "grpc.health.v1.Health"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
UNBOUND = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Call:
    """What the server saw of a call."""

    def __init__(self, method, context):
        self.method = method
        self.metadata = [(key, value) for key, value in context.invocation_metadata()]
        self.remaining = context.time_remaining()
        self.peer = context.peer()
        self.got = []  # the messages so far
        self.over = threading.Event()  # set when the call is over, however
        self.cancelled = False
        if not context.add_callback(self.over.set):
            self.over.set()

    def get(self, name):
        return dict(self.metadata).get(name)


class GrpcServer:
    """Serves SERVICE: Unary, ServerStream, ClientStream and Bidi, which echo; and HEALTH.

    `act(call, context)` is run for each call before anything else: it may abort, wait, or set metadata. `health` is what
    Health/Check answers: a message, or a status of grpc. ServerStream answers the request as often as the metadata
    `x-count` says, and runs `between(call)` after each.
    """

    def __init__(self, act=None, port=None, workers=100):
        self.act = act or (lambda call, context: None)
        self.between = lambda call: None
        self.health, self.services = SERVING, []
        self.calls = []
        self.lock = threading.Condition()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(workers),
                                  options=UNBOUND + [("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler(SERVICE, {
                "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
                "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
                "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
            }),
            grpc.method_handlers_generic_handler(HEALTH, {"Check": grpc.unary_unary_rpc_method_handler(self.check)}),
        ))
        self.port = port or free_port()
        self.text = f"127.0.0.1:{self.port}"
        if self.server.add_insecure_port(self.text) != self.port:
            raise OSError("the port is taken")
        self.server.start()

    def close(self, grace=None):
        self.server.stop(grace).wait()

    def begin(self, method, context):
        call = Call(method, context)
        with self.lock:
            self.calls.append(call)
            self.lock.notify_all()
        self.act(call, context)
        return call

    def wait(self, condition, seconds=20):
        """Until `condition(self.calls)` holds."""
        with self.lock:
            if not self.lock.wait_for(lambda: condition(self.calls), seconds):
                raise AssertionError(f"the gRPC server waited in vain: {len(self.calls)} calls")
        return self.calls

    def note(self, call, message):
        with self.lock:
            call.got.append(message)
            self.lock.notify_all()

    def unary(self, request, context):
        self.note(self.begin("Unary", context), request)
        return request

    def server_stream(self, request, context):
        call = self.begin("ServerStream", context)
        self.note(call, request)
        for _ in range(int(call.get("x-count") or 3)):
            yield request
            self.between(call)

    def client_stream(self, requests, context):
        call = self.begin("ClientStream", context)
        for request in requests:
            self.note(call, request)
        return b"".join(call.got)

    def bidi(self, requests, context):
        call = self.begin("Bidi", context)
        for request in requests:
            self.note(call, request)
            yield request

    def check(self, request, context):
        with self.lock:
            self.services.append(request)
            self.lock.notify_all()
        if isinstance(self.health, grpc.StatusCode):
            context.abort(self.health, "as the test wants")
        return self.health


class GrpcClient:
    """A channel of its own to the port, and the four kinds of calls on it."""

    def __init__(self, port, credentials=None, options=()):
        options = [*UNBOUND, ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1),
                   ("grpc.enable_retries", 0), *options]
        target = f"127.0.0.1:{port}"
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials
                        else grpc.insecure_channel(target, options))
        self.unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        self.server_stream = self.channel.unary_stream(f"/{SERVICE}/ServerStream")
        self.client_stream = self.channel.stream_unary(f"/{SERVICE}/ClientStream")
        self.bidi = self.channel.stream_stream(f"/{SERVICE}/Bidi")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def fails(self, **options):
        """How a unary call ends: (status, message, trailing metadata) of the error; it must be one."""
        try:
            self.unary(b"x", **options)
        except grpc.RpcError as error:
            return error.code(), error.details(), dict(error.trailing_metadata())
        raise AssertionError("the call was answered")
