/* endpoints: what the node knows of the addresses of upstreams: a cell each, by the name "upstream/address". */
#ifndef SHM_ENDPOINTS_H
#define SHM_ENDPOINTS_H

#include "shared/shm/cells.h"

struct endpoint_cell {
    alignas(64) _Atomic uint64_t reserved;
};

extern const struct zone_kind endpoints_kind; /* a struct cells */

static inline struct endpoint_cell *endpoints_cell(struct cells *endpoints, unsigned index)
{
    return cells_at(endpoints, index);
}

#endif
