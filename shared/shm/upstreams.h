/* upstreams: what the node knows of upstreams, and of routes with a breaker of their own: a cell each, by name. */
#ifndef SHM_UPSTREAMS_H
#define SHM_UPSTREAMS_H

#include "shared/shm/cells.h"

struct upstream_cell {
    alignas(
        64) _Atomic uint64_t usual; /* p2c: ns, how long answers take, a double's bits; 0: none came yet */
};

extern const struct zone_kind upstreams_kind; /* a struct cells */

static inline struct upstream_cell *upstreams_cell(struct cells *upstreams, unsigned index)
{
    return cells_at(upstreams, index);
}

#endif
