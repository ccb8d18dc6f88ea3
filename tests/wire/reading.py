"""How the bytes of a client are to be read: the one reading of RFC 9112, for comparison with the gateway's.

It takes at most what the rules allow, and stops at the first byte that breaks one. It leaves to the gateway what has
nothing to do with where a request ends: whether the path, the host, the method are to its liking.
"""
import re

from strict import NO_TRAILER, TOKEN, Ambiguous, Cut, lines_of, take

LINE = re.compile(rb"([A-Z-]+) ([!-~]+) HTTP/1\.([01])")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)[ \t]*")
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]{0,256})?")


class Reading:
    def __init__(self, method, target, body, last):
        self.method, self.target, self.body, self.last = method, target, body, last

    def __repr__(self):
        return f"<{self.method} {self.target} {self.body!r}>"


def fields_of(lines):
    fields = {}
    for line in lines:
        match = FIELD.fullmatch(line)
        if not match:
            raise Ambiguous(line)
        if b"_" not in match[1]:
            fields.setdefault(match[1].lower(), []).append(match[2])
    return fields


def chunks_of(data, at):
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            raise Cut
        match = SIZE.fullmatch(data[at:end])
        if not match:
            raise Ambiguous(data[at:end])
        at = end + 2
        size = int(match[1], 16)
        if size == 0:
            break
        piece, at = take(data, at, size)
        body += piece
        end, at = take(data, at, 2)
        if end != b"\r\n":
            raise Ambiguous(end)
    if data[at:at + 2] == b"\r\n":
        return body, at + 2
    lines, length = lines_of(data[at:])
    if set(fields_of(lines)) & NO_TRAILER:
        raise Ambiguous(lines)
    return body, at + length


def body_of(fields, version, data, at):
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if codings:
        if lengths or version == b"0" or [coding.lower() for coding in codings] != [b"chunked"]:
            raise Ambiguous("framing")
        return chunks_of(data, at)
    if not lengths:
        return b"", at
    if len(lengths) != 1 or not re.fullmatch(rb"[0-9]+", lengths[0]):
        raise Ambiguous("framing")
    return take(data, at, int(lengths[0]))


def read_one(data):
    """(the request at the front of `data`, what is behind it)"""
    lines, at = lines_of(data)
    match = LINE.fullmatch(lines[0])
    if not match:
        raise Ambiguous(lines[0])
    method, target, version = match.groups()
    fields = fields_of(lines[1:])
    hosts = len(fields.get(b"host", []))
    if hosts > 1 or (hosts == 0 and version == b"1"):
        raise Ambiguous("Host")
    body, at = body_of(fields, version, data, at)
    connection = [word.strip(b" \t").lower() for value in fields.get(b"connection", []) for word in value.split(b",")]
    last = b"close" in connection or (version == b"0" and b"keep-alive" not in connection)
    return Reading(method, target, body, last), data[at:]


def readings(data):
    """The requests that a client's bytes are, up to the first that is none, or the one that asks to close."""
    found = []
    while True:
        while data.startswith(b"\r\n"):
            data = data[2:]
        try:
            request, data = read_one(data)
        except (Ambiguous, Cut):
            return found
        found.append(request)
        if request.last:
            return found
