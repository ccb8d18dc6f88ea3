/* cells: a zone whose cells belong to names. Called by the zones' kinds, by the master (cells_take) and by processes. */
#include "shared/shm/cells.h"

#include <string.h>

#include "shared/base/hash.h"

size_t cells_size(unsigned count, size_t cell_size, unsigned slots)
{
    return sizeof(struct cells) + count * (sizeof(struct cell_name) + cell_size) + tally_size(slots, count);
}

void cells_init(struct cells *cells, unsigned count, size_t cell_size, unsigned slots)
{
    cells->count = count;
    cells->cell_size = (uint32_t)cell_size;
    cells->cells_offset = sizeof *cells + count * sizeof(struct cell_name);
    tally_init(&cells->in_flight, cells->cells_offset + count * cell_size, slots, count);
}

void cells_release(void *zone, unsigned slot)
{
    struct cells *cells = zone;
    tally_release(cells, &cells->in_flight, slot);
}

_Atomic uint32_t *cells_join(struct cells *cells, unsigned slot)
{
    return tally_join(cells, &cells->in_flight, slot);
}

uint32_t cells_in_flight(const struct cells *cells, unsigned index)
{
    return tally_sum(cells, &cells->in_flight, index);
}

static bool is_of(const struct cell_name *cell, uint64_t hash, const char *name)
{
    return cell->hash == hash && strncmp(cell->text, name, CELL_TEXT - 1) == 0;
}

static uint64_t generation_of(const struct cell_name *cell)
{
    return atomic_load_explicit(&cell->generation, memory_order_relaxed);
}

/* The one that has the name, or one that could get it; -1: none. One that never was used is given away before one
 * whose name may come back. */
static int find(const struct cells *cells, uint64_t hash, const char *name, uint64_t oldest, bool *found)
{
    int free = -1;
    for (unsigned i = 0; i < cells->count; i++) {
        uint64_t used = generation_of(&cells->name[i]);
        *found = used && is_of(&cells->name[i], hash, name);
        if (*found)
            return (int)i;
        bool better = used ? free < 0 : free < 0 || generation_of(&cells->name[free]);
        if (used < oldest && better)
            free = (int)i;
    }
    return free;
}

int cells_take(struct cells *cells, const char *name, uint64_t generation, uint64_t oldest)
{
    uint64_t hash = hash_name(str_of(name));
    bool found = false;
    int index = find(cells, hash, name, oldest, &found);
    if (index < 0)
        return -1;
    struct cell_name *cell = &cells->name[index];
    if (!found) {
        cell->hash = hash;
        memset(cell->text, 0, sizeof cell->text);
        memcpy(cell->text, name, strnlen(name, CELL_TEXT - 1));
        memset(cells_at(cells, (unsigned)index), 0, cells->cell_size);
    }
    if (!found || generation_of(cell) < generation)
        atomic_store_explicit(&cell->generation, generation, memory_order_release);
    return index;
}

struct zone_use cells_use(const void *zone)
{
    const struct cells *cells = zone;
    struct zone_use use = {.room = cells->count, .of = "names"};
    for (unsigned i = 0; i < cells->count; i++)
        use.used += generation_of(&cells->name[i]) != 0;
    return use;
}
