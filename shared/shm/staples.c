/* staples: the zone. Written by worker/service/stapler.c, read by worker/net/tls_server.c. */
#include "shared/shm/staples.h"

static size_t size(const struct segment_plan *plan)
{
    return cells_size(plan->staples, sizeof(struct staple_cell), plan->slots);
}

static void init(void *zone, size_t size_, const struct segment_plan *plan)
{
    (void)size_;
    cells_init(zone, plan->staples, sizeof(struct staple_cell), plan->slots);
}

const struct zone_kind staples_kind = {
    .name = "staples",
    .version = 1,
    .size = size,
    .init = init,
    .release = cells_release,
    .use = cells_use,
    .frozen = true,
};

bool staple_read(const struct staple_cell *cell, struct staple *staple, uint64_t *seen)
{
    struct staple copy;
    if (!twin_read(&cell->twin, cell->words, &copy, STAPLE_WORDS, seen) || copy.length > STAPLE_BYTES)
        return false;
    *staple = copy;
    return true;
}
