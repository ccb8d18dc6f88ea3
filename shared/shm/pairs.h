/* pairs: a table of pairs, for the zones of limits and quotas: a key's 64-bit hash and its word.
 *
 * A bucket is a cache line of four pairs. A key has two buckets that it may be in, one of them at a time. A word is
 * changed by one compare-and-swap. A key without a pair gets one under a lock, so that it can't get two: the place of a
 * pair that holds nothing any more. The lock is taken from the dead, who leave nothing half done (pair.h).
 */
#ifndef SHM_PAIRS_H
#define SHM_PAIRS_H

#include "shared/shm/lock.h"
#include "shared/shm/pair.h"

struct pairs; /* the zone */

size_t pairs_size(size_t wanted);
void pairs_init(void *zone, size_t size);

/* How many pairs it has room for. */
uint64_t pairs_room(const struct pairs *pairs);

/* The key of what is counted: a keyed hash, never 0. The secret is the zone's own: it goes with a snapshot. */
uint64_t pairs_key(const void *zone, const void *data, size_t length);

/* What is to be done with a word. 0 stands for a key that has no pair: it holds nothing. */
struct pairs_rule {
    /* The word that takes its place; false: it is to stay. Called again when somebody else was faster. */
    bool (*next)(void *context, uint64_t word, uint64_t *next);
    /* Whether a pair, of any key, holds nothing any more. */
    bool (*is_idle)(const void *context, uint64_t word);
    /* Reads the clock that is_idle() and next() go by. Called when all that others did to this key lies before. */
    void (*renew)(void *context);
};

enum pairs_result {
    PAIRS_DONE,
    PAIRS_KEPT, /* next() said so */
    PAIRS_FULL, /* no pair, and every place that it could have is in use */
    PAIRS_BUSY, /* no pair, and who has the lock was not done in `tries` looks: try again later */
};

enum pairs_result pairs_update(struct pairs *pairs, const struct lock_caller *caller, uint64_t key,
                               const struct pairs_rule *rule, void *context, unsigned tries);

/* The key's word; 0: it has none. */
uint64_t pairs_word(const struct pairs *pairs, uint64_t key);

/* A word of the zone's own, for who keeps the table. */
_Atomic uint64_t *pairs_own(struct pairs *pairs);

/* How many pairs hold something: `holds` says it of a word. */
struct zone_use pairs_use(const struct pairs *pairs, bool (*holds)(uint64_t word, uint64_t at), uint64_t now);

/* --- for snapshots --- */

/* struct zone_kind's `save`: the secret, without which keys mean nothing, the own word, and every pair. */
size_t pairs_save(const void *zone, void *out, size_t size);

/* The same into a fresh zone, before the first fork. `word` says what a pair's word is to be by now; 0: it holds nothing any
 * more. False: it makes no sense, or there is no room for a pair; what there was room for is there. */
bool pairs_load(struct pairs *pairs, const void *data, size_t size,
                uint64_t (*word)(uint64_t saved, const struct zone_time *then), const struct zone_time *time);

#endif
