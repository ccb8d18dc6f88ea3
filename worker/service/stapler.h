/* stapler: fetches the OCSP responses of the certificates whose listeners have `stapling`, verifies them, and publishes them
 * in the zone `staples`, long before the one that is there ends. The keeper's: one process of the node does it.
 */
#ifndef SERVICE_STAPLER_H
#define SERVICE_STAPLER_H

#include "worker/request/worker.h"

struct stapler;

/* Milliseconds until a response is asked for that follows one that is good until `until` (seconds, like `now`): when half of
 * the time is over, half a day at most. Pure. */
uint64_t stapler_next(int64_t now, int64_t until);

/* The same after so many failures in a row, before chance makes it a little less: from a minute to an hour. Pure. */
uint64_t stapler_again(unsigned failures);

/* Begins, when no other keeper is at it. NULL: there is nothing to fetch. Memory is the worker's for its life. */
struct stapler *stapler_start(struct worker *worker, struct arena *arena);

/* Ends what is under way. NULL is fine. */
void stapler_close(struct stapler *stapler);

#endif
