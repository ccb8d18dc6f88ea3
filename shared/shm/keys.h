/* keys: the key sets of issuers (JWKS, RFC 7517), a cell each, by the name of the set and where it is fetched. The keeper
 * publishes what it has looked over; what is there stays over reloads, and while the issuer is down.
 */
#ifndef SHM_KEYS_H
#define SHM_KEYS_H

#include "shared/shm/cells.h"
#include "shared/shm/twin.h"

enum { KEYS_TAG_BYTES = 128, KEYS_BYTES = 65536 - 4 * 8 - KEYS_TAG_BYTES };

struct keys {
    int64_t fetched;          /* or found unchanged: seconds of the wall clock */
    int64_t fresh;            /* for so long since then, ms */
    uint64_t count;           /* of keys */
    uint64_t length;          /* of json */
    char tag[KEYS_TAG_BYTES]; /* the ETag, ended by NUL; empty: none */
    char json[KEYS_BYTES];
};

enum { KEYS_WORDS = sizeof(struct keys) / sizeof(uint64_t) };
_Static_assert(sizeof(struct keys) == 65536, "whole words");

struct keys_cell {
    alignas(64) struct twin twin;
    alignas(64) _Atomic uint64_t words[2 * KEYS_WORDS];
};

extern const struct zone_kind keys_kind; /* a struct cells */

static inline struct keys_cell *keys_cell(struct cells *keys, unsigned index)
{
    return cells_at(keys, index);
}

static inline void keys_publish(struct keys_cell *cell, const struct keys *keys)
{
    twin_write(&cell->twin, cell->words, keys, KEYS_WORDS);
}

/* As twin_read(): false leaves `keys` torn. Length and tag are within bounds. */
bool keys_read(const struct keys_cell *cell, struct keys *keys, uint64_t *seen);

#endif
