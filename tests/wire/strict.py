"""What HTTP/1.1 looks like when no two parsers can read it in two ways; the model that the wire tests judge by.

Written apart from the program: whatever it sends to an origin (requests) or to a client (answers) must be of these
forms, byte for byte. `Ambiguous` tells what isn't. A message that is cut off is no fault of its own: it is given back
as the rest, and whoever asks knows whether it may be there.
"""
import re


class Ambiguous(ValueError):
    """The bytes are not in the one form."""


class Cut(Exception):
    """The bytes end within a message."""


class Message:
    """A request or an answer: first line, fields in order, body without its framing, trailers; `length`: its bytes."""

    def __init__(self, first, fields):
        self.first, self.fields, self.trailers, self.body, self.length = first, fields, [], b"", 0

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    @property
    def method(self):
        return self.first.split(b" ")[0]

    @property
    def target(self):
        return self.first.split(b" ")[1]

    @property
    def status(self):
        return int(self.first.split(b" ")[1])

    def __repr__(self):
        return f"<{self.first!r} {self.fields} {self.body[:80]!r}>"[:1000]


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD = re.compile(rb"(" + TOKEN + rb"): ?((?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?)")
REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]*) (\S+) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t !-~\x80-\xff]*)")
ESCAPE = rb"%[0-9A-Fa-f]{2}"
PCHAR = rb"[A-Za-z0-9\-._~!$&'()*+,;=:@]"
TARGET = re.compile(rb"(/(?:" + PCHAR + rb"|/|" + ESCAPE + rb")*)(\?(?:" + PCHAR + rb"|[/?]|%)*)?")
HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]|" + ESCAPE + rb")+(?::[0-9]{0,5})?"
                  rb"|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9\-._~]+)?\](?::[0-9]{0,5})?")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
SIZE = re.compile(rb"[1-9A-Fa-f][0-9A-Fa-f]{0,15}")

# Never to an origin: what means something between two neighbours only (RFC 9110, section 7.6.1), or makes it change
# the protocol.
HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings", b"expect",
       b"proxy-authenticate"}
# The one exception: trailers are welcome.
TRAILERS = {b"te": b"trailers", b"connection": b"TE"}
# Once at most: two of them are two readings.
ONE = {b"host", b"content-length", b"transfer-encoding", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto",
       b"x-forwarded-host", b"date", b"connection", b"te"}
# Not behind a body: framing, routing, authority (RFC 9110, section 6.5.1).
NO_TRAILER = HOP | {
    b"age", b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-location", b"content-range", b"content-type",
    b"cookie", b"date", b"expires", b"forwarded", b"host", b"if-match", b"if-modified-since", b"if-none-match", b"if-range",
    b"if-unmodified-since", b"location", b"max-forwards", b"pragma", b"proxy-authorization", b"range", b"retry-after", b"set-cookie",
    b"trailer", b"transfer-encoding", b"vary", b"via", b"warning", b"www-authenticate", b"x-forwarded-for", b"x-forwarded-host",
    b"x-forwarded-proto", b"x-real-ip", b"x-request-id"}


def check_path(path):
    """The normal form that routes are matched on: nothing in it is decoded, merged or resolved any more."""
    for escape in re.findall(rb"%(..)", path):
        value = int(escape, 16)
        if value in (0, 0x2F, 0x5C):
            raise Ambiguous(f"an encoded slash, backslash or NUL in {path!r}")
        if re.match(rb"[A-Za-z0-9\-._~]", bytes([value])):
            raise Ambiguous(f"{path!r} has %{escape.decode()}, which means the same raw")
    segments = path.split(b"/")[1:]
    if b"." in segments or b".." in segments:
        raise Ambiguous(f"a dot segment in {path!r}")
    if any(re.match(rb"\.\.?;", segment) for segment in segments):
        raise Ambiguous(f"a dot segment with a parameter in {path!r}")
    if b"" in segments[:-1]:
        raise Ambiguous(f"an empty segment in {path!r}")


def lines_of(data):
    """The lines of a head and what lies behind its empty line. CR and LF stand only as line ends."""
    end = data.find(b"\r\n\r\n")
    whole = end >= 0
    head = data[:end] if whole else data
    if not whole and head.endswith(b"\r"):
        head = head[:-1]
    lines = head.split(b"\r\n")
    for line in lines:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise Ambiguous(f"a bare CR or LF, or a NUL, in {line!r}")
    if not whole:
        raise Cut
    return lines, end + 4


def fields_of(lines, request=True):
    fields = []
    for line in lines:
        match = FIELD.fullmatch(line)
        if not match:
            raise Ambiguous(f"a field that is not `name: value`: {line!r}")
        if request and b"_" in match[1]:
            raise Ambiguous(f"a field name that some read as another: {line!r}")
        fields.append((match[1], match[2]))
    return fields


def check_once(message):
    names = [name.lower() for name, _ in message.fields]
    for name in ONE:
        if names.count(name) > 1:
            raise Ambiguous(f"{name!r} stands {names.count(name)} times in {message!r}")


def take(data, at, count):
    if len(data) - at < count:
        raise Cut
    return data[at:at + count], at + count


def read_chunks(message, data, at):
    """The body in chunks, as small as it can be written: no extension, no leading zero."""
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        line = data[at:end] if end >= 0 else data[at:].removesuffix(b"\r")
        if line not in (b"0", b"") and not SIZE.fullmatch(line) or (end >= 0 and not line):
            raise Ambiguous(f"a chunk's size is written {line[:40]!r}")
        if end < 0:
            raise Cut
        at = end + 2
        if line == b"0":
            break
        piece, at = take(data, at, int(line, 16))
        body += piece
        end, at = take(data, at, 2)
        if end != b"\r\n":
            raise Ambiguous(f"behind a chunk stands {end!r}")
    message.body = body
    if data[at:at + 2] == b"\r\n":
        return at + 2
    if len(data) - at < 2:
        raise Cut
    lines, length = lines_of(data[at:])
    message.trailers = fields_of(lines)
    for name, _ in message.trailers:
        if name.lower() in NO_TRAILER:
            raise Ambiguous(f"{name!r} among the trailers")
    return at + length


def framing_of(message):
    """None, a length, or "chunked": told by at most one field, in its one form."""
    lengths, codings = message.all(b"Content-Length"), message.all(b"Transfer-Encoding")
    if lengths and codings:
        raise Ambiguous(f"both Content-Length and Transfer-Encoding in {message!r}")
    if codings:
        if codings != [b"chunked"]:
            raise Ambiguous(f"Transfer-Encoding is {codings}")
        return "chunked"
    if lengths:
        if not LENGTH.fullmatch(lengths[0]) or int(lengths[0]) >= 2**63:
            raise Ambiguous(f"Content-Length is {lengths[0]!r}")
        return int(lengths[0])
    return None


def read_framed(message, data, at, framing):
    if framing == "chunked":
        return read_chunks(message, data, at)
    if framing:
        message.body, at = take(data, at, framing)
    return at


def check_request_head(message):
    match = REQUEST_LINE.fullmatch(message.first)
    if not match:
        raise Ambiguous(f"the request line is {message.first!r}")
    method, target = match[1], match[2]
    if target == b"*":
        if method != b"OPTIONS":
            raise Ambiguous(f"{method!r} asks for *")
    else:
        parts = TARGET.fullmatch(target)
        if not parts:
            raise Ambiguous(f"the target is {target!r}")
        check_path(parts[1])
    if method == b"CONNECT":
        raise Ambiguous("CONNECT")
    hosts = message.all(b"Host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Ambiguous(f"Host is {hosts}")
    trailers = bool(message.all(b"TE")) == bool(message.all(b"Connection"))
    for name, value in message.fields:
        if name.lower() in HOP and not (trailers and TRAILERS.get(name.lower()) == value):
            raise Ambiguous(f"a field for the next hop only: {name!r}: {value!r}")
    check_once(message)
    if method == b"TRACE" and framing_of(message) is not None:
        raise Ambiguous("TRACE with a body")


def read_request(data):
    """The request that `data` begins with."""
    if not data:
        raise Cut
    lines, at = lines_of(data)
    message = Message(lines[0], fields_of(lines[1:]))
    check_request_head(message)
    message.length = read_framed(message, data, at, framing_of(message))
    return message


def read_requests(data):
    """(requests, rest): all whole requests of a connection, and the bytes of one that is cut off."""
    found = []
    while data:
        try:
            request = read_request(data)
        except Cut:
            break
        found.append(request)
        data = data[request.length:]
    return found, data


def assert_unambiguous(data):
    """The requests that `data` consists of; raises Ambiguous when a byte of it could be read otherwise."""
    requests, rest = read_requests(bytes(data))
    if rest:
        raise Ambiguous(f"behind the last request stand {len(rest)} bytes: {rest[:200]!r}")
    return requests


def read_answer(data, method, ended):
    """The answer that `data` begins with; `ended`: no byte comes after these."""
    if not data:
        raise Cut
    lines, at = lines_of(data)
    message = Message(lines[0], fields_of(lines[1:], False))
    match = STATUS_LINE.fullmatch(lines[0])
    if not match:
        raise Ambiguous(f"the status line is {lines[0]!r}")
    check_once(message)
    framing = framing_of(message)
    status = message.status
    if status < 200 or status == 204:
        if framing is not None:
            raise Ambiguous(f"framing in a {status}: {message!r}")
    elif method == b"HEAD" or status == 304:
        pass
    elif framing is None:
        if message.get(b"Connection") != b"close":
            raise Ambiguous(f"the end of the answer's body is nowhere told: {message!r}")
        if not ended:
            raise Cut
        message.body, at = data[at:], len(data)
    else:
        at = read_framed(message, data, at, framing)
    message.length = at
    return message


def read_answers(data, methods, ended=True):
    """(answers, rest) of a connection. `methods`: of the requests, in order (those that are missing: GET), or a function
    that says it, given the answer's number and the bytes from it on. An interim answer takes none. Behind an answer
    that closes the connection there must be nothing."""
    found, finals, closing = [], 0, False
    data = bytes(data)
    if not callable(methods):
        given = list(methods)

        def methods(number, _):
            return given[number] if number < len(given) else b"GET"
    while data:
        if closing:
            raise Ambiguous(f"bytes behind the last answer: {data[:200]!r}")
        try:
            answer = read_answer(data, methods(finals, data), ended)
        except Cut:
            break
        found.append(answer)
        finals += answer.status >= 200
        closing = answer.status >= 200 and answer.get(b"Connection", b"").lower() == b"close"
        data = data[answer.length:]
    return found, data
