/* endpoints: the zone. */
#include "shared/shm/endpoints.h"

static size_t size(const struct segment_plan *plan)
{
    return cells_size(plan->endpoints, sizeof(struct endpoint_cell), plan->slots);
}

static void init(void *zone, size_t size_, const struct segment_plan *plan)
{
    (void)size_;
    cells_init(zone, plan->endpoints, sizeof(struct endpoint_cell), plan->slots);
}

const struct zone_kind endpoints_kind = {"endpoints", 1, size, init, cells_release, NULL, NULL, true};
