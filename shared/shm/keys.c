/* keys: the zone. Written by worker/service/jwks.c. */
#include "shared/shm/keys.h"

CELLS_KIND(keys, 1, struct keys_cell, cells_release);

bool keys_read(const struct keys_cell *cell, struct keys *keys, uint64_t *seen)
{
    if (!twin_read(&cell->twin, cell->words, keys, KEYS_WORDS, seen) || keys->length > KEYS_BYTES)
        return false;
    keys->tag[KEYS_TAG_BYTES - 1] = '\0';
    return true;
}
