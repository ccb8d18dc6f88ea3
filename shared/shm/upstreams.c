/* upstreams: the zone. */
#include "shared/shm/upstreams.h"

static size_t size(const struct segment_plan *plan)
{
    return cells_size(plan->upstreams, sizeof(struct upstream_cell), plan->slots);
}

static void init(void *zone, size_t size_, const struct segment_plan *plan)
{
    (void)size_;
    cells_init(zone, plan->upstreams, sizeof(struct upstream_cell), plan->slots);
}

/* Calls in progress, and the probes of breakers. */
static void release(void *zone, unsigned slot)
{
    struct cells *cells = zone;
    cells_release(cells, slot);
    for (unsigned i = 0; i < cells->count; i++)
        breaker_release(&upstreams_cell(cells, i)->breaker, slot);
}

const struct zone_kind upstreams_kind = {
    .name = "upstreams",
    .version = 2,
    .size = size,
    .init = init,
    .release = release,
    .use = cells_use,
    .frozen = true,
};
