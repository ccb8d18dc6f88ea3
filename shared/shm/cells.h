/* cells: a zone whose cells belong to names, over all generations.
 *
 * What the processes know of an upstream or an endpoint lives in a cell, and belongs to a name, never to an index of one
 * configuration: the next generation finds it again. Before the processes of a generation are forked the master finds or
 * takes a cell for each name that it wants (shared/conf/wants.h). A cell is given to another name only when every process
 * of every generation that used it is gone.
 *
 * The master alone writes the names; others may read them, for the status.
 */
#ifndef SHM_CELLS_H
#define SHM_CELLS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "shared/shm/segment.h"
#include "shared/shm/tally.h"

enum { CELL_TEXT = 112 };

struct cell_name {
    alignas(64) _Atomic uint64_t generation; /* the newest that uses the cell; 0: none ever did */
    uint64_t hash;
    char text[CELL_TEXT]; /* NUL-terminated; a longer name is cut */
};
_Static_assert(sizeof(struct cell_name) == 128, "a name is two cache lines");

/* The layout: this frozen page, the names, the cells, the tally of what is in progress. */
struct cells {
    uint32_t count;
    uint32_t cell_size;
    uint64_t cells_offset;
    struct tally in_flight;
    char frozen[SEGMENT_PAGE - 2 * sizeof(uint32_t) - sizeof(uint64_t) - sizeof(struct tally)];
    struct cell_name name[];
};
_Static_assert(offsetof(struct cells, name) == SEGMENT_PAGE, "the names begin behind the frozen page");

size_t cells_size(unsigned count, size_t cell_size, unsigned slots);
void cells_init(struct cells *cells, unsigned count, size_t cell_size, unsigned slots);
void cells_release(void *cells, unsigned slot); /* struct zone_kind's */

/* Defines the kind of a zone that is cells and nothing else: `zone` is its name, and the plan's of how many there are. */
#define CELLS_KIND(zone, version_, cell, release_)                                     \
    static size_t zone##_size(const struct segment_plan *plan)                         \
    {                                                                                  \
        return cells_size(plan->zone, sizeof(cell), plan->slots);                      \
    }                                                                                  \
    static void zone##_init(void *cells, size_t size, const struct segment_plan *plan) \
    {                                                                                  \
        (void)size;                                                                    \
        cells_init(cells, plan->zone, sizeof(cell), plan->slots);                      \
    }                                                                                  \
    const struct zone_kind zone##_kind = {                                             \
        .name = #zone,                                                                 \
        .version = version_,                                                           \
        .size = zone##_size,                                                           \
        .init = zone##_init,                                                           \
        .release = release_,                                                           \
        .use = cells_use,                                                              \
        .frozen = true,                                                                \
    }

static inline void *cells_at(struct cells *cells, unsigned index)
{
    return (char *)cells + cells->cells_offset + (size_t)index * cells->cell_size;
}

/* The cell of the name, from now on used by `generation`; -1: all are in use by `oldest` or younger ones. One that was
 * given to the name just now is zero. Master. */
int cells_take(struct cells *cells, const char *name, uint64_t generation, uint64_t oldest);

/* struct zone_kind's `use`: cells that have a name, those of generations that are gone too: they are given away last. */
struct zone_use cells_use(const void *zone);

/* The counters of a process, one a cell, of what it has in progress. Owner, once. */
_Atomic uint32_t *cells_join(struct cells *cells, unsigned slot);

/* What is in progress on the node. */
uint32_t cells_in_flight(const struct cells *cells, unsigned index);

#endif
