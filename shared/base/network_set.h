/* network_set: many ranges of addresses, asked for one: the cost grows with the logarithm of their number. */
#ifndef BASE_NETWORK_SET_H
#define BASE_NETWORK_SET_H

#include "shared/base/arena.h"
#include "shared/base/network.h"

struct network_set;

/* Ranges may overlap. In `arena`. */
const struct network_set *network_set_new(struct arena *arena, const struct network *networks,
                                          unsigned count);

/* Ports don't matter; a v4-mapped address is the IPv4 address that it is. */
bool network_set_has(const struct network_set *set, const struct address *address);

#endif
