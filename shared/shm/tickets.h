/* tickets: the keys that session tickets are sealed with (RFC 5077, RFC 8446, section 4.6.1), the same for all workers of
 * all generations, so that a session goes on wherever its client comes next.
 *
 * The master alone writes it (master/ticket_keys.c); workers read. It is never a part of a snapshot: a key that is on a
 * disk opens what was recorded.
 */
#ifndef SHM_TICKETS_H
#define SHM_TICKETS_H

#include "shared/shm/segment.h"
#include "shared/shm/twin.h"

/* The one that seals, the one before it, and the one before that when the time was made shorter. */
enum { TICKET_KEYS = 3, TICKET_NAME = 16, TICKET_CIPHER = 32, TICKET_DIGEST = 32 };

struct ticket_key {
    uint8_t name[TICKET_NAME];     /* stands in the ticket in clear */
    uint8_t cipher[TICKET_CIPHER]; /* AES-256-CBC */
    uint8_t digest[TICKET_DIGEST]; /* HMAC-SHA-256 */
    uint64_t made;                 /* seconds of the wall clock */
};

struct ticket_keys {
    uint64_t count;                     /* 0: there are none */
    struct ticket_key key[TICKET_KEYS]; /* the newest first */
};

struct tickets; /* the zone */
extern const struct zone_kind tickets_kind;

/* Master: these from now on. What was there before is nowhere in the zone any more. */
void tickets_publish(struct tickets *tickets, const struct ticket_keys *keys);

/* Whether there are others than those that were read as `seen` (0: none were). */
bool tickets_changed(const struct tickets *tickets, uint64_t seen);

/* True: `keys` is whole, with a count within bounds, and `*seen` is what tickets_changed() wants. False: there are none, or
 * they changed meanwhile; `keys` and `*seen` are as they were. */
bool tickets_read(const struct tickets *tickets, struct ticket_keys *keys, uint64_t *seen);

#endif
