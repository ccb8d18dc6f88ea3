/* concurrency: how many requests of each key are in flight, over all processes.
 *
 * A cell is a key and a count for each slot, which that slot's process alone writes. What is compared with a limit is their
 * sum, under the bucket's lock (lock.h), so that two can't take the last place. Who leaves needs no lock: while he holds
 * the cell it stays the key's. What a dead process held, the master takes back: concurrency_kind.release.
 */
#ifndef SHM_CONCURRENCY_H
#define SHM_CONCURRENCY_H

#include "shared/shm/count.h"
#include "shared/shm/lock.h"

struct concurrency; /* the zone */
extern const struct zone_kind concurrency_kind;

struct concurrency_outcome {
    enum count_verdict verdict;
    uint32_t cell;      /* ADMITTED: for concurrency_leave() */
    uint64_t in_flight; /* this one included, if it was admitted */
};

uint64_t concurrency_key(const void *zone, const void *data, size_t length);

struct concurrency_outcome concurrency_enter(struct concurrency *concurrency,
                                             const struct lock_caller *caller, uint64_t key, uint64_t most);

/* Once for each that was admitted. */
void concurrency_leave(struct concurrency *concurrency, const struct lock_caller *caller, uint32_t cell);

#endif
