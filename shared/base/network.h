/* network: a range of addresses, from text. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include "shared/base/address.h"

struct network {
    struct address address;
    unsigned bits; /* that count */
};

/* "10.0.0.0/8", "::1", or "unix:" for all UNIX sockets; a v4-mapped one is the IPv4 network that it is. */
bool network_parse(struct str text, struct network *network);

/* Whether an address is of it. Ports don't matter. */
bool network_has(const struct network *network, const struct address *address);

#endif
