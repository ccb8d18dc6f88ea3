/* limits: how fast each key may go, over all processes: the generic cell rate algorithm (GCRA) on a table of pairs.
 *
 * A pair's word is the theoretical arrival time (TAT) of its key, in ns of the monotonic clock: the moment at which all that
 * the key was charged is paid off. What is behind it is the debt; a key whose TAT has passed holds nothing. A request of
 * `cost` is admitted if it leaves a debt of at most `capacity`, and adds cost × interval to it. So over any span Δt between
 * the first and the last admission all processes together admit burst + ⌊Δt / interval⌋ at most: TAT grows by an interval
 * with each, begins at the first one's time or later, and ends within `capacity` of the last one's.
 *
 * The debt is time. When a limit's terms change, its keys keep the time that they still have to wait, but never more than
 * the new bucket holds.
 */
#ifndef SHM_LIMITS_H
#define SHM_LIMITS_H

#include "shared/base/clock.h"
#include "shared/shm/count.h"
#include "shared/shm/pairs.h"

extern const struct zone_kind limits_kind;

#define LIMITS_FASTEST \
    1000000 /* calls a second: an interval is whole ns, and what it is rounded by 0.1 % of it at most */

#define LIMITS_LONGEST (10 * 366 * 86400 * NS_PER_SECOND) /* what a bucket may take to be paid off */

/* What a limit allows. */
struct limit_terms {
    uint64_t burst;         /* calls or bytes: the bucket's size */
    uint64_t interval;      /* of calls: ns each pays, rounded up */
    uint64_t capacity;      /* ns: the debt that may be there */
    uint64_t delay;         /* ns that a call may wait for its turn */
    bool bytes;             /* charged when they are known, by limits_debit() */
    uint64_t count, period; /* of bytes: so many in so many ns */
};

/* `count` in `period` ns. */
struct limit_terms limit_terms_of(uint64_t count, uint64_t period, uint64_t burst, bool bytes);

/* What came of it, and how the key stands. */
struct limits_outcome {
    enum count_verdict verdict;
    uint64_t now;       /* when it was decided, ns of the monotonic clock */
    uint64_t arrival;   /* the key's TAT after it */
    uint64_t charged;   /* ns; what limits_refund() may give back */
    uint64_t wait;      /* ns: REFUSED: until it would be admitted; ADMITTED: until it may go on */
    uint64_t remaining; /* calls or bytes that would be admitted now */
};

/* Admits a call of `cost`, and charges it. 0 costs nothing, and is admitted. */
struct limits_outcome limits_charge(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                                    const struct limit_terms *terms, uint64_t cost);

/* Of bytes: admits while the key's bucket isn't overdrawn. */
struct limits_outcome limits_look(const struct pairs *limits, uint64_t key, const struct limit_terms *terms);

/* Bytes that have gone over; the key may be overdrawn by them. False: they could not be charged (no room). */
bool limits_debit(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                  const struct limit_terms *terms, uint64_t bytes);

/* Gives back what a call was charged, as far as it wasn't paid off since. */
void limits_refund(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                   const struct limits_outcome *charge);

#endif
