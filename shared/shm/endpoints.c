/* endpoints: the zone. */
#include "shared/shm/endpoints.h"

/* A cell that nobody used yet is zero too. Others may be writing it: word by word. */
void endpoints_forget(struct cells *endpoints, unsigned index)
{
    _Atomic uint64_t *words = cells_at(endpoints, index);
    for (size_t i = 0; i < sizeof(struct endpoint_cell) / sizeof *words; i++)
        atomic_store_explicit(&words[i], 0, memory_order_relaxed);
}

CELLS_KIND(endpoints, 1, struct endpoint_cell, cells_release);
