/* network_set: see network_set.h. Ranges are kept in order and apart, IPv4 as v4-mapped IPv6; one is found by halving. */
#include "shared/base/network_set.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES = 16, MAPPED = 12 }; /* of an address; of them before an IPv4 address */

struct range {
    unsigned char first[BYTES], last[BYTES];
};

struct network_set {
    struct range *ranges;
    unsigned count;
    bool local; /* UNIX sockets are in it */
};

/* False: it is that of a UNIX socket. `*before`: bits of `bytes` that aren't the address's own. */
static bool bytes_of(const struct address *address, unsigned char bytes[BYTES], unsigned *before)
{
    static const unsigned char mapped[MAPPED] = {[10] = 0xff, [11] = 0xff};
    *before = 0;
    if (address->any.sa_family == AF_INET) {
        memcpy(bytes, mapped, MAPPED);
        memcpy(bytes + MAPPED, &address->in.sin_addr, BYTES - MAPPED);
        *before = 8 * MAPPED;
        return true;
    }
    if (address->any.sa_family != AF_INET6)
        return false;
    memcpy(bytes, &address->in6.sin6_addr, BYTES);
    return true;
}

static int by_first(const void *a, const void *b)
{
    return memcmp(((const struct range *)a)->first, ((const struct range *)b)->first, BYTES);
}

static struct range range_of(const unsigned char bytes[BYTES], unsigned bits)
{
    struct range range;
    for (unsigned i = 0; i < BYTES; i++) {
        unsigned own = bits > 8 * i ? bits - 8 * i : 0;
        unsigned char mask = own >= 8 ? 0xff : (unsigned char)(0xff00 >> own);
        range.first[i] = bytes[i] & mask;
        range.last[i] = bytes[i] | (unsigned char)~mask;
    }
    return range;
}

const struct network_set *network_set_new(struct arena *arena, const struct network *networks, unsigned count)
{
    struct network_set *set = arena_zalloc(arena, sizeof *set);
    struct range *ranges = arena_array(arena, count, sizeof *ranges);
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned char bytes[BYTES];
        unsigned before;
        if (bytes_of(&networks[i].address, bytes, &before))
            ranges[used++] = range_of(bytes, before + networks[i].bits);
        else
            set->local = true;
    }
    qsort(ranges, used, sizeof *ranges, by_first);
    for (unsigned i = 0; i < used; i++) {
        struct range *top = set->count ? &ranges[set->count - 1] : NULL;
        if (!top || memcmp(ranges[i].first, top->last, BYTES) > 0)
            ranges[set->count++] = ranges[i];
        else if (memcmp(ranges[i].last, top->last, BYTES) > 0)
            memcpy(top->last, ranges[i].last, BYTES);
    }
    set->ranges = ranges;
    return set;
}

bool network_set_has(const struct network_set *set, const struct address *address)
{
    unsigned char bytes[BYTES];
    unsigned before, low = 0, high = set->count;
    if (!bytes_of(address, bytes, &before))
        return set->local;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (memcmp(set->ranges[middle].last, bytes, BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && memcmp(set->ranges[low].first, bytes, BYTES) <= 0;
}
