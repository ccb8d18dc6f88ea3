/* staples: the zone. Written by worker/service/stapler.c, read by worker/net/tls_server.c. */
#include "shared/shm/staples.h"

CELLS_KIND(staples, 1, struct staple_cell, cells_release);

bool staple_read(const struct staple_cell *cell, struct staple *staple, uint64_t *seen)
{
    struct staple copy;
    if (!twin_read(&cell->twin, cell->words, &copy, STAPLE_WORDS, seen) || copy.length > STAPLE_BYTES)
        return false;
    *staple = copy;
    return true;
}
