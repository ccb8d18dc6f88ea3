/* proxy_protocol: the header by which a proxy says whose connection it passes on (HAProxy's "The PROXY protocol",
 * versions 1 and 2): reading it, and writing it. Pure.
 *
 * Refused: what begins otherwise; version 1: a line over 107 bytes, a bare CR or LF, a leading zero, an address that
 * isn't of the family, anything beside the single spaces; version 2: a header over PROXY_PROTOCOL_MAX, an unknown
 * version, command, family or transport, addresses that don't fit, TLVs that don't end where the header ends, a
 * checksum (CRC32c) that isn't right. TLVs are otherwise left alone. v4-mapped addresses become IPv4.
 */
#ifndef CODEC_PROXY_PROTOCOL_H
#define CODEC_PROXY_PROTOCOL_H

#include "shared/base/address.h"
#include "shared/base/buf.h"

enum { PROXY_PROTOCOL_MAX = 4096, PROXY_PROTOCOL_WRITTEN_MAX = 107 };

enum proxy_protocol { PROXY_PROTOCOL_V1 = 1, PROXY_PROTOCOL_V2 };

enum proxy_result {
    PROXY_MORE,  /* all of it belongs to the header, and its end didn't come */
    PROXY_WHOLE, /* `header` is filled */
    PROXY_MALFORMED,
};

struct proxy_header {
    size_t length; /* bytes of the header; what follows is the client's */
    bool
        known; /* the addresses were given (TCP over IPv4 or IPv6, a UNIX stream); else those of the connection hold */
    struct address source, destination;
};

/* Looks at the first bytes of a connection, all that came. `*why` says in words what is malformed. */
enum proxy_result proxy_protocol_read(const char *data, size_t length, struct proxy_header *header,
                                      const char **why);

/* Appends a header, PROXY_PROTOCOL_WRITTEN_MAX bytes at most. `source` NULL: the connection is our own, for nobody. What
 * has no IP address (a UNIX socket) is told as unknown. */
void proxy_protocol_write(enum proxy_protocol version, const struct address *source,
                          const struct address *destination, struct buf *out);

#endif
