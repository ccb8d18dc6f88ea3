/* stats: the zone's layout, the counters' names, and their sums. */
#include "shared/shm/stats.h"

_Static_assert(offsetof(struct stats, row) == SEGMENT_PAGE, "the rows begin behind the frozen page");
_Static_assert(sizeof(struct stats_row) % 64 == 0, "two owners never share a cache line");

static size_t stats_size(const struct segment_plan *plan)
{
    return sizeof(struct stats) + plan->slots * sizeof(struct stats_row);
}

static void stats_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)size;
    struct stats *stats = zone;
    stats->slots = plan->slots;
}

/* Another set of counters is another layout. */
const struct zone_kind stats_kind = {
    .name = "stats",
    .version = 0x10000 + STAT_COUNT,
    .size = stats_size,
    .init = stats_init,
    .frozen = true,
};

const char *const stat_names[STAT_COUNT] = {
#define STAT(id, name, help) [STAT_##id] = name,
#include "shared/shm/stats.def"
#undef STAT
};

const char *const stat_help[STAT_COUNT] = {
#define STAT(id, name, help) [STAT_##id] = help,
#include "shared/shm/stats.def"
#undef STAT
};

uint64_t stats_sum(const struct stats *stats, enum stat_id id)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < stats->slots; i++)
        sum += atomic_load_explicit(&stats->row[i].value[id], memory_order_relaxed);
    return sum;
}
