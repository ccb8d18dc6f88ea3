/* endpoints: what the node knows of the addresses of upstreams: a cell each, by the name "upstream/address".
 *
 * Times are the monotonic clock's. A cell lives on over reloads, and what it says may come from settings that are no more:
 * whoever reads a word asks its own settings first whether it holds. Nothing in it has an owner: what one process begins
 * and doesn't end, as it died, runs out by a time that stands in the word.
 */
#ifndef SHM_ENDPOINTS_H
#define SHM_ENDPOINTS_H

#include "shared/shm/cells.h"

enum { ENDPOINT_BUCKETS = 8 };

/* What came of the calls of a part of the window: see worker/upstream/window.c. */
struct endpoint_bucket {
    _Atomic uint64_t calls;
    _Atomic uint64_t time;
};

struct endpoint_cell {
    /* Looked at for each call, written when something changes. */
    alignas(64) _Atomic uint64_t refused_until; /* ms: it refused a connection; others are preferred */
    _Atomic uint64_t down_until; /* ms: probes failed; no call goes there, if they don't say so sooner */
    _Atomic uint64_t ejection;   /* a word of worker/upstream/eject.c */
    _Atomic uint64_t up_since;   /* ms: when it came up after it was down; 0: it never did */
    /* The keeper's. */
    _Atomic uint64_t health;     /* a word of worker/upstream/health.c */
    _Atomic uint64_t changed_at; /* ms: when it came up, or went down */
    /* Written for each answer. */
    alignas(64) _Atomic uint64_t latency; /* p2c: ns, the moving average, a double's bits; 0: none yet */
    _Atomic uint64_t observed_at;         /* p2c: ns, when it was that */
    _Atomic uint64_t usual;               /* ns: how long answers take, for who asks; 0: none came yet */
    _Atomic uint32_t failures;            /* p2c: in a row */
    _Atomic uint32_t errors;              /* in a row, as ejection counts them */
    _Atomic uint32_t broken_off;          /* answers in a row that had no end */
    alignas(64) struct endpoint_bucket window[ENDPOINT_BUCKETS];
};
_Static_assert(sizeof(struct endpoint_cell) % 64 == 0, "two cells never share a cache line");

extern const struct zone_kind endpoints_kind; /* a struct cells */

static inline struct endpoint_cell *endpoints_cell(struct cells *endpoints, unsigned index)
{
    return cells_at(endpoints, index);
}

/* What is known of the endpoint is forgotten: it is another address from now on. */
void endpoints_forget(struct cells *endpoints, unsigned index);

#endif
