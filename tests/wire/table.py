"""How the rows of the tables of requests are written."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"


class Row:
    """Bytes of a client, and what must come of them.

    statuses: of the answers in order; a tuple where more than one is right
    origin:   what reaches the origin: [Expect …]
    cut:      the origin may get the beginning of one more request, which is broken off
    closes:   the last answer says `Connection: close`, and nothing behind it is read; None: either way
    methods:  of the requests, where one of them is HEAD
    """

    def __init__(self, name, data, statuses, origin=(), cut=False, closes=None, methods=()):
        self.name, self.data, self.origin, self.cut = name, data, list(origin), cut
        self.statuses = statuses if isinstance(statuses, list) else [statuses]
        self.closes, self.methods = closes, methods


class Expect:
    """A request as it must reach the origin. `has` and `lacks`: fields and names of fields."""

    def __init__(self, method=b"GET", target=b"/", host=b"a", body=b"", has=(), lacks=(), trailers=None):
        self.method, self.target, self.host, self.body = method, target, host, body
        self.has, self.lacks, self.trailers = list(has), list(lacks), trailers

    def differs(self, request):
        """In words, how a request of the origin isn't this one; None: it is."""
        for what, wanted, got in (("method", self.method, request.method), ("target", self.target, request.target),
                                  ("Host", self.host, request.get(b"Host")), ("body", self.body, request.body)):
            if wanted is not None and wanted != got:
                return f"its {what} is {got[:200]!r} instead of {wanted[:200]!r}"
        for name, value in self.has:
            if value not in request.all(name):
                return f"{name.decode()} is {request.all(name)} and not {value!r}"
        for name in self.lacks:
            if request.all(name):
                return f"{name.decode()} is there: {request.all(name)}"
        if self.trailers is not None and request.trailers != self.trailers:
            return f"its trailers are {request.trailers} instead of {self.trailers}"
        return None


def refused(name, data, status=400, cut=False):
    """Nothing that follows on the connection can be understood: an answer, and its end."""
    return Row(name, data, status, cut=cut, closes=True)


def answered(name, data, status):
    """The gateway's own answer to a request whose end is clear: the connection may go on."""
    return Row(name, data, status)


def passes(name, data, *origin, status=200, closes=None, methods=()):
    """All of it is understood: as many answers as requests, and these requests at the origin."""
    return Row(name, data, [status] * len(origin), origin, closes=closes, methods=methods)


def lines(*parts, body=b""):
    return b"\r\n".join(parts) + b"\r\n\r\n" + body


def get(target=b"/", *fields, method=b"GET", version=b"HTTP/1.1", host=b"a", body=b""):
    named = [b"Host: " + host] if host is not None else []
    return lines(method + b" " + target + b" " + version, *named, *fields, body=body)


def post(*fields, body=b"", target=b"/"):
    return get(target, *fields, method=b"POST", body=body)


def chunked(body, *fields):
    return post(*fields, b"Transfer-Encoding: chunked", body=body)


def show(data):
    return repr(data)[2:-1][:60]
