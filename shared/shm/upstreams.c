/* upstreams: the zone. */
#include "shared/shm/upstreams.h"

/* Calls in progress, and the probes of breakers. */
static void release(void *zone, unsigned slot)
{
    struct cells *cells = zone;
    cells_release(cells, slot);
    for (unsigned i = 0; i < cells->count; i++)
        breaker_release(&upstreams_cell(cells, i)->breaker, slot);
}

CELLS_KIND(upstreams, 2, struct upstream_cell, release);
