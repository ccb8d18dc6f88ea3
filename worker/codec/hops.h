/* hops: what proxies say of the hops before them: X-Forwarded-For, Forwarded (RFC 7239), Via (RFC 9110, section 7.6.3).
 *
 * The newest hop stands last, and only it is known to be of who sent the list: lists are taken apart from their end, so
 * that nothing that stands before can change how an element is read. Pure.
 */
#ifndef CODEC_HOPS_H
#define CODEC_HOPS_H

#include "shared/base/address.h"
#include "shared/base/buf.h"

/* One hop, and what it said of the request. */
struct hop {
    struct address address; /* port 0: none was given */
    struct str proto, host; /* of Forwarded; empty: not said */
};

/* Cuts the last element off a list; empty ones are passed over. False: there is none left. `quoted`: the list may have
 * quoted strings, in which a comma doesn't count. */
bool hops_last(struct str *list, bool quoted, struct str *element);

/* An element of X-Forwarded-For: an address, in brackets or not, with a port or not, or "unix:". False: malformed. */
bool hop_parse(struct str element, struct hop *hop);

/* An element of Forwarded. False: malformed, or its `for` is missing or no address. */
bool hop_parse_forwarded(struct str element, struct hop *hop);

/* Appends an element of Forwarded; `host` empty: not said. */
void hop_write_forwarded(struct buf *out, const struct address *address, struct str host, struct str proto);

/* How many elements of a line of Via are of `name`. */
unsigned hops_via_count(struct str line, struct str name);

#endif
