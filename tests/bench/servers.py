"""What is measured: the gateway, nginx and HAProxy with the same work, and the nginx behind them."""
import functools
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GATEHOUSE = os.environ.get("GATEHOUSE") or os.path.join(ROOT, "build", "normal", "gatehouse")
SIZES = {"small": 154, "16k": 16384, "100k": 102400}
START = 30  # seconds within which a server answers

CPUS = sorted(os.sched_getaffinity(0))
PROXY_CPUS = CPUS[:1]            # what is measured has a core to itself, if there are two
OTHER_CPUS = CPUS[1:] or CPUS


def on_cpus(cpus):
    """The words before a command that is to run there."""
    return ["taskset", "--cpu-list", ",".join(map(str, cpus))]


given_ports = set()


def free_port():
    """A port of 127.0.0.1 that nothing listens on now, and that was not given before."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


def connect(port, tls=False, protocol="http/1.1", patience=5):
    """A connection; by TLS 1.3 with that protocol agreed on."""
    sock = socket.create_connection(("127.0.0.1", port), patience)
    if not tls:
        return sock
    secured = tls_context(protocol).wrap_socket(sock, server_hostname="bench")
    if secured.selected_alpn_protocol() != protocol:
        secured.close()
        raise OSError(f"{protocol} was not agreed on")
    return secured


@functools.cache
def tls_context(protocol):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([protocol])
    return context


def fetch(port, target, host="bench", tls=False):
    """Status and length of the body of one answer; written for the answers that are measured here, which all have
    a Content-Length."""
    with connect(port, tls) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                break
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), len(body)


class Server:
    """A process, its port, and how it is started and stopped."""

    def __init__(self, name, folder, cpus=PROXY_CPUS):
        self.name, self.port, self.cpus = name, free_port(), cpus
        self.folder = os.path.join(folder, name.replace("/", "-"))
        os.makedirs(self.folder, exist_ok=True)
        self.process = None
        self.under = []

    def targets(self):
        """What of it is measured."""
        return [Target(self.name, self, self.port)]

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self, target="/small"):
        with open(os.path.join(self.folder, "output"), "ab") as output:
            self.process = subprocess.Popen([*on_cpus(self.cpus), *self.under, *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + START * (10 if self.under else 1)
        while True:
            if self.process.poll() is not None or time.monotonic() > end:
                with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"{self.name} did not start: {file.read()[-2000:]}")
            try:
                fetch(self.port, target)
                return self
            except (OSError, IndexError, ValueError):
                select.select([], [], [], 0.02)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(START)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Target:
    """Something that is measured: a port of a server, and the access log that it writes, if it does."""
    name: str
    server: Server
    port: int
    log: str = ""
    script: str = ""  # wrk's, for a load of its own
    body: str = ""    # a file with what is sent: h2load's, for gRPC


NGINX_HEAD = """
{user}
daemon off; worker_processes 1; pid nginx.pid; error_log error.log; worker_rlimit_nofile 16384; {single}
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; sendfile on; tcp_nopush on;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi; server_tokens off;
"""


def nginx_head(single=False):
    user = "user root;" if os.geteuid() == 0 else ""
    return NGINX_HEAD.format(user=user, single="master_process off;" if single else "")


CALL = "/bench.Echo/Unary"
MESSAGE = b"\0" + (100).to_bytes(4, "big") + b"x" * 100  # of gRPC, as it is sent and answered


class Backend(Server):
    """nginx that serves files from memory: behind everything that is measured. A call of gRPC gets one too, whatever it
    says."""

    def __init__(self, folder, cpus):
        super().__init__("backend", folder, cpus)
        self.grpc = free_port()

    def command(self):
        for name, size in SIZES.items():
            self.write(name, "x" * size)
        os.makedirs(os.path.dirname(self.folder + CALL), exist_ok=True)
        self.write(CALL[1:], MESSAGE.decode())
        config = self.write("nginx.conf", nginx_head() + f"""
            open_file_cache max=100; default_type text/plain;
            server {{ listen 127.0.0.1:{self.port} backlog=8192; root {self.folder}; }}
            server {{ listen 127.0.0.1:{self.grpc} http2 backlog=8192; root {self.folder};
                default_type application/grpc; error_page 405 =200 $uri; add_trailer grpc-status 0; }} }}""")
        return ["nginx", "-p", self.folder, "-c", config]


@functools.cache
def certificate(folder):
    """Makes one: the paths of the certificate, its key, and both in one file."""
    cert, key, both = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench", "-days", "30", "-keyout", key, "-out", cert],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    with open(both, "w", encoding="ascii") as file:
        for path in (cert, key):
            with open(path, encoding="ascii") as part:
                file.write(part.read())
    return cert, key, both


KEYS = 1000000  # different ones, each of which holds something for as long as the bench runs

BUFFERS = "proxy_buffer_size 16k; proxy_buffers 8 32k;"  # they hold the largest body

# On a port each: its name, the log (a file in the server's folder), what `listen` has besides, settings.
NGINX_VARIANTS = (
    ("nginx", "", "", ""),
    ("nginx, limited", "", "", "limit_req zone=one burst=100000 nodelay;"),
    ("nginx, keys", "", "", "limit_req zone=keys burst=1000 nodelay;"),
    ("nginx, large buffers", "", "", BUFFERS),
    ("nginx, log", "access.log", "", "access_log access.log combined;"),
    ("nginx, buffered log", "buffered.log", "", "access_log buffered.log combined buffer=64k flush=1s;"),
    ("nginx, TLS", "", "ssl http2", ""),
    ("nginx, TLS, large buffers", "", "ssl http2", BUFFERS),
)


class Nginx(Server):
    def __init__(self, folder, backend):
        super().__init__("nginx", folder)
        self.backend = backend
        self.ports = [self.port] + [free_port() for _ in NGINX_VARIANTS[1:]]
        self.grpc = free_port()
        self.cert, self.key, _ = certificate(folder)
        self.single = False
        self.zone = "256m"

    def targets(self):
        return [*(Target(name, self, port, log and os.path.join(self.folder, log))
                  for (name, log, _, _), port in zip(NGINX_VARIANTS, self.ports)), Target("nginx, gRPC", self, self.grpc)]

    def command(self):
        servers = "".join("""
            server { listen 127.0.0.1:%d %s backlog=8192; %s
                location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Request-Id $request_id; } }""" % (port, listen, settings)
                          for (_, _, listen, settings), port in zip(NGINX_VARIANTS, self.ports))
        kept = "keepalive 2048; keepalive_requests 1000000000; keepalive_timeout 1h;"
        config = self.write("nginx.conf", nginx_head(self.single) + f"""
            ssl_certificate {self.cert}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3; ssl_session_cache shared:tls:5m;
            limit_req_zone $binary_remote_addr zone=one:1m rate=1000000r/s;
            limit_req_zone $arg_key zone=keys:{self.zone} rate=1r/m;
            upstream backend {{ server 127.0.0.1:{self.backend.port}; {kept} }}
            upstream grpc {{ server 127.0.0.1:{self.backend.grpc}; {kept} }}
            {servers}
            server {{ listen 127.0.0.1:{self.grpc} http2 backlog=8192;
                location / {{ grpc_pass grpc://grpc; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    grpc_set_header X-Request-Id $request_id; }} }} }}""")
        return ["nginx", "-p", self.folder, "-c", config]


class Haproxy(Server):
    """It logs to its standard output: a file, written by itself, where others need a syslog daemon."""

    def __init__(self, folder, backend):
        super().__init__("haproxy", folder)
        self.backend, self.logged, self.limited, self.keyed = backend, free_port(), free_port(), free_port()
        self.tls, self.grpc = free_port(), free_port()
        _, _, self.both = certificate(folder)

    def targets(self):
        return [*super().targets(), Target("haproxy, log", self, self.logged, os.path.join(self.folder, "output")),
                Target("haproxy, limited", self, self.limited), Target("haproxy, keys", self, self.keyed),
                Target("haproxy, TLS", self, self.tls), Target("haproxy, gRPC", self, self.grpc)]

    def front(self, name, port, bind="", more="", back="back"):
        return f"""
            frontend {name}
                bind 127.0.0.1:{port} backlog 8192 {bind}
                option forwardfor
                unique-id-format %[uuid()]
                unique-id-header X-Request-Id
                default_backend {back}
                {more}"""

    def command(self):
        config = self.write("haproxy.cfg", f"""
            global
                nbthread 1
                maxconn 6000
                tune.pool-low-fd-ratio 80
                tune.pool-high-fd-ratio 90
                ssl-default-bind-options ssl-min-ver TLSv1.3
            defaults
                mode http
                timeout connect 5s
                timeout client 1h
                timeout server 1h
                option http-keep-alive
                http-reuse always
            backend back
                server one 127.0.0.1:{self.backend.port} pool-max-conn -1
            backend calls
                server one 127.0.0.1:{self.backend.grpc} proto h2 pool-max-conn -1
            {self.front("front", self.port)}
            {self.front("logged", self.logged, "", "log stdout format raw local0")}
                option httplog
            {self.front("limited", self.limited, "", "stick-table type ip size 1k expire 1h store http_req_rate(10s)")}
                http-request track-sc0 src
                http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000000 }}
            {self.front("keyed", self.keyed, "", "stick-table type string len 16 size 1100k expire 1h store http_req_rate(1h)")}
                http-request track-sc0 url_param(key)
                http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000 }}
            {self.front("secured", self.tls, f"ssl crt {self.both} alpn h2,http/1.1")}
            {self.front("grpc", self.grpc, "proto h2", "", "calls")}
            """.replace("\n            ", "\n"))
        return ["haproxy", "-db", "-f", config]


class Gatehouse(Server):
    def __init__(self, folder, backend, name="gatehouse", routes=None, log="", workers=1, upstream="",
                 policies="", tls=False):
        """`backend`: the port of what is behind it."""
        super().__init__(name, folder)
        self.backend, self.routes, self.log, self.workers = backend, routes, log, workers
        self.config, self.upstream, self.policies = "", upstream, policies
        self.secured = free_port() if tls else 0
        self.pair = certificate(folder)[:2] if tls else ()
        os.chmod(self.folder, 0o755)

    def targets(self):
        return [Target(self.name, self, self.secured or self.port, self.log and os.path.join(self.folder, self.log))]

    def listeners(self):
        yield f'{{ listen = "127.0.0.1:{self.port}"; backlog = 8192; }}'
        if self.secured:
            cert, key = self.pair
            yield f"""{{ listen = "127.0.0.1:{self.secured}"; backlog = 8192; tls = {{ min_version = "TLSv1.3";
                certificates = ( {{ cert = "{cert}"; key = "{key}"; }} ); }}; }}"""

    def command(self):
        if not os.access(GATEHOUSE, os.X_OK):
            raise RuntimeError(f"{GATEHOUSE} is not there: build it, or set GATEHOUSE")
        routes = self.routes or '{ match = { prefix = "/"; }; %s proxy = { upstream = "backend"; }; }' % self.policies
        access = f'access = {{ file = "{self.log}"; format = "json"; }};' if self.log else ""
        self.config = self.write("gatehouse.conf", f"""
            workers = {self.workers}; {'user = "nobody";' if os.geteuid() == 0 else ''}
            pidfile = "pid"; control = "control"; admin = {{ socket = "admin"; }};
            state = {{ size = "128M"; limits = "32M"; }};
            log = {{ error = "error.log"; {access} }};
            listeners = ( {", ".join(self.listeners())} );
            upstreams = {{ backend = {{ endpoints = ( "127.0.0.1:{self.backend}" );
                                       keepalive = {{ idle = 2048; idle_timeout = "1h"; }};
                                       {self.upstream} }}; }};
            apis = ( {{ name = "bench"; routes = ( {routes} ); }} );
            """)
        return [GATEHOUSE, "run", "-f", "-c", self.config]


# All that watches calls and may make another one.
GUARDS = """breaker = { errors = 5; ratio = 0.5; }; ejection = { ratio = 50.0; };
    retry = { attempts = 2; per_try = "5s"; };"""


def routes_of(count):
    """`count` routes, exact, template and prefix mixed; and a path that each matches."""
    kinds = (("path", "/exact/r{}/end", "/exact/r{}/end"), ("path", "/template/r{}/{{id}}/x", "/template/r{}/42/x"),
             ("prefix", "/prefix/r{}", "/prefix/r{}/a/b"))
    routes, paths = [], []
    for number in range(count):
        kind, pattern, path = kinds[number % 3]
        routes.append('{ match = { %s = "%s"; }; respond = { status = 200; body = "ok"; }; }'
                      % (kind, pattern.format(number)))
        paths.append(path.format(number))
    return ",\n".join(routes), paths


def work_folder():
    """Where the servers' files are: removed at the end."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="gatehouse-bench-", dir=base)
    os.chmod(folder, 0o755)
    return folder


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
