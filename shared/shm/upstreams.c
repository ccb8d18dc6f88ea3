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

const struct zone_kind upstreams_kind = {"upstreams", 1, size, init, cells_release, NULL, NULL, true};
