/* addresses: how many connections each client address has in this process. An address is an IPv4 address, or the /64
 * of an IPv6 address (what one customer gets); link-local ones count by themselves, UNIX sockets not at all.
 *
 * The table has a cell for each connection that the process may hold, so that it is never full.
 */
#ifndef NET_ADDRESSES_H
#define NET_ADDRESSES_H

#include "shared/base/address.h"

struct addresses;

/* Room for `most` connections; aborts without memory. `key`: secret, since clients choose what is hashed. */
struct addresses *addresses_new(unsigned most, const uint64_t key[2]);
void addresses_free(struct addresses **addresses);

/* Counts one more connection of the address, unless it has `limit`: false then, and nothing is counted. `*cell` is to be
 * given back by addresses_leave(); 0: not counted. */
bool addresses_enter(struct addresses *addresses, const struct address *address, unsigned limit,
                     uint32_t *cell);
void addresses_leave(struct addresses *addresses, uint32_t cell);

#endif
