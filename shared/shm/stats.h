/* stats: counters, an array a slot: written by its owner with plain adds, summed by who reads, never zeroed.
 * A counter is a line of stats.def. */
#ifndef SHM_STATS_H
#define SHM_STATS_H

#include <stdalign.h>
#include <stdatomic.h>

#include "shared/shm/segment.h"

enum stat_id { /* not "stat": sys/stat.h has that one */
#define STAT(id, name, help) STAT_##id,
#include "shared/shm/stats.def"
#undef STAT
               STAT_COUNT
};

struct stats_row {
    alignas(64) _Atomic uint64_t value[STAT_COUNT];
};

struct stats {
    uint32_t slots;
    uint32_t reserved[SEGMENT_PAGE / sizeof(uint32_t) - 1]; /* the frozen page */
    struct stats_row row[];
};

extern const struct zone_kind stats_kind;
extern const char *const stat_names[STAT_COUNT]; /* as in `status` */
extern const char *const stat_help[STAT_COUNT];

/* Owner only: one writer, so that no locked instruction is needed. */
static inline void stat_add(struct stats_row *row, enum stat_id id, uint64_t by)
{
    atomic_store_explicit(&row->value[id], atomic_load_explicit(&row->value[id], memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* Over all slots. */
uint64_t stats_sum(const struct stats *stats, enum stat_id id);

#endif
