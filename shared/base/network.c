/* network: ranges of addresses. Read when a configuration is, and asked for requests and connections. */
#include "shared/base/network.h"

enum { IN_BITS = 32, IN6_BITS = 128, MAPPED_BITS = IN6_BITS - IN_BITS /* in front of a v4-mapped address */ };

bool network_parse(struct str text, struct network *network)
{
    struct str bits = text, host = str_cut(&bits, '/');
    struct address *address = &network->address;
    uint64_t most = IN_BITS;
    memset(network, 0, sizeof *network);
    if (str_eq(text, STR("unix:"))) {
        address->un.sun_family = AF_UNIX;
        return true;
    }
    if (!address_parse_ip(host, AF_INET, address)) {
        most = IN6_BITS;
        if (!address_parse_ip(host, AF_INET6, address))
            return false;
    }
    uint64_t count = most;
    if (bits.data && !str_to_u64(bits, most, &count))
        return false;
    /* Clients' addresses are unmapped: they would never be of it. */
    if (most == IN6_BITS && count >= MAPPED_BITS) {
        address_unmap(address);
        if (address->any.sa_family == AF_INET)
            count -= MAPPED_BITS;
    }
    network->bits = (unsigned)count;
    return true;
}

bool network_has(const struct network *network, const struct address *address)
{
    const unsigned char *a, *b;
    if (network->address.any.sa_family != address->any.sa_family)
        return false;
    if (address->any.sa_family == AF_INET) {
        a = (const unsigned char *)&network->address.in.sin_addr;
        b = (const unsigned char *)&address->in.sin_addr;
    } else if (address->any.sa_family == AF_INET6) {
        a = (const unsigned char *)&network->address.in6.sin6_addr;
        b = (const unsigned char *)&address->in6.sin6_addr;
    } else {
        return true;
    }
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}
