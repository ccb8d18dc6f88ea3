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

/* A cell that nobody used yet is zero too. Others may be writing it: word by word. */
void endpoints_forget(struct cells *endpoints, unsigned index)
{
    _Atomic uint64_t *words = cells_at(endpoints, index);
    for (size_t i = 0; i < sizeof(struct endpoint_cell) / sizeof *words; i++)
        atomic_store_explicit(&words[i], 0, memory_order_relaxed);
}

const struct zone_kind endpoints_kind = {
    .name = "endpoints",
    .version = 1,
    .size = size,
    .init = init,
    .release = cells_release,
    .use = cells_use,
    .frozen = true,
};
