/* ticket_keys: makes the keys of session tickets and replaces them in time. The master's alone; workers take them from the
 * zone `tickets`.
 *
 * A key seals for tls.ticket_lifetime and opens for as long again, so that every ticket can be used for its whole life.
 * They survive reloads since the zone does, and an upgrade hands them over with the segment.
 */
#ifndef MASTER_TICKET_KEYS_H
#define MASTER_TICKET_KEYS_H

#include "shared/shm/tickets.h"

/* What the keys should be at `now` (seconds of the wall clock), from what they are: a new one in front when the newest is
 * as old as `lifetime` (seconds), those dropped that can't open a living ticket. Whether anything changed. */
bool ticket_keys_advance(struct ticket_keys *keys, uint64_t now, uint64_t lifetime);

/* Publishes what is due. Called each turn of the master, and before the first worker is forked. */
void ticket_keys_turn(struct tickets *tickets, uint64_t lifetime_ms);

#endif
