/* upstreams: what the node knows of upstreams, and of routes with a breaker of their own: a cell each, by name. */
#ifndef SHM_UPSTREAMS_H
#define SHM_UPSTREAMS_H

#include "shared/shm/breaker.h"
#include "shared/shm/cells.h"
#include "shared/shm/gradient.h"

/* A route's has a breaker only. */
struct upstream_cell {
    struct breaker_cell breaker;
    struct gradient_cell gradient;
    alignas(64) _Atomic uint64_t budget; /* budget.h */
    _Atomic uint64_t latency;            /* quantile.h: how long answers take, for hedging */
    _Atomic uint64_t usual; /* p2c: ns, how long answers take, a double's bits; 0: none came yet */
};
_Static_assert(sizeof(struct upstream_cell) == 256, "cells follow on each other by cache lines");

extern const struct zone_kind upstreams_kind; /* a struct cells */

static inline struct upstream_cell *upstreams_cell(struct cells *upstreams, unsigned index)
{
    return cells_at(upstreams, index);
}

#endif
