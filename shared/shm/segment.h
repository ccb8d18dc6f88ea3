/* segment: the memory that all processes share, one memfd with a directory of named zones.
 *
 * Made by the master before any fork; every child has it mapped at the same place by inheritance, but no pointer is
 * ever stored in it: offsets and indexes only.
 */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/error.h"

enum { SEGMENT_ZONES = 32, SEGMENT_NAME = 24, SEGMENT_PAGE = 4096 };

/* What the sizes of the zones follow from. */
struct segment_plan {
    unsigned slots;      /* processes at most, the dead that are not drained yet included */
    size_t log_ring;     /* bytes of a slot's log ring; a power of two */
    size_t size_at_most; /* state.size */
    unsigned upstreams;  /* cells of that zone: state.upstreams */
    unsigned endpoints;  /* state.endpoints */
};

struct zone_kind {
    const char *name;
    uint32_t version; /* raised when the layout changes */
    size_t (*size)(const struct segment_plan *plan);
    void (*init)(void *zone, size_t size, const struct segment_plan *plan);
    /* A process is dead: what it held is let go. Master; it takes no lock. NULL: a process holds nothing in it. */
    void (*release)(void *zone, unsigned slot);
};

struct segment {
    int fd;
    char *base;
    size_t size;
};

/* Reserves all of it (no sparse page). 0, or -1 and `*why` in words, in `arena`. `kinds` is ended by NULL. */
int segment_create(struct segment *segment, const struct zone_kind *const *kinds,
                   const struct segment_plan *plan, struct arena *arena, const char **why);

/* The zone, or NULL if there is none of that name and version. `size` may be NULL. */
void *segment_zone(const struct segment *segment, const struct zone_kind *kind, size_t *size);

/* The key of hash_keyed() that all processes share: two words. */
const uint64_t *segment_seed(const struct segment *segment);

/* For a zone's init: its first page holds what never changes (counts, sizes) and can only be read from now on, so
 * that a process gone wild can't lead the others out of bounds. */
void segment_freeze(void *page);

void segment_destroy(struct segment *segment);

#endif
