/* quotas: how much each key may have in a window of the calendar, over all processes, on a table of pairs.
 *
 * Windows are those of the wall clock in UTC: minute, hour, day, week (from Monday), month. A pair's word is the end of the
 * key's window, in minutes, and what it has used in it. The time never moves back: while the wall clock is up to an hour
 * behind what it was, it counts as standing still; beyond that it was wrong before, and windows that lie in the future
 * by it begin anew.
 */
#ifndef SHM_QUOTAS_H
#define SHM_QUOTAS_H

#include "shared/shm/count.h"
#include "shared/shm/pairs.h"

extern const struct zone_kind quotas_kind;

enum quota_window { QUOTA_MINUTE, QUOTA_HOUR, QUOTA_DAY, QUOTA_WEEK, QUOTA_MONTH };

#define QUOTAS_MOST ((1ull << 40) - 1) /* that a word can count */

struct quota_terms {
    uint64_t limit; /* calls or bytes, QUOTAS_MOST at most */
    enum quota_window window;
};

struct quotas_outcome {
    enum count_verdict verdict;
    bool reset;         /* the key's window lay in the future, and was begun anew */
    uint64_t charged;   /* what quotas_refund() gives back */
    uint64_t remaining; /* of the quota */
    uint64_t end;       /* of the window, minutes of the wall clock */
    uint64_t left;      /* seconds until then, 1 at least */
};

/* Admits what costs `cost`, and charges it; 0 costs nothing, and is admitted. */
struct quotas_outcome quotas_charge(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                                    const struct quota_terms *terms, uint64_t cost);

/* Of bytes: admits while something of the quota is left. */
struct quotas_outcome quotas_look(struct pairs *quotas, uint64_t key, const struct quota_terms *terms);

/* Bytes that have gone over: the quota may be overdrawn by them. False: they could not be charged (no room). */
bool quotas_debit(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                  const struct quota_terms *terms, uint64_t bytes);

/* Gives back what was charged, while that window lasts. */
void quotas_refund(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                   const struct quota_terms *terms, const struct quotas_outcome *charge);

/* The end of the window that a minute of the wall clock lies in, in minutes. */
uint64_t quota_window_end(enum quota_window window, uint64_t minute);

#endif
