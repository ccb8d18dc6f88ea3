/* staples: OCSP responses that were fetched, a cell each, by the fingerprint of the certificate. The keeper publishes, once
 * it has verified them; workers send them, after a reload too.
 */
#ifndef SHM_STAPLES_H
#define SHM_STAPLES_H

#include "shared/shm/cells.h"
#include "shared/shm/twin.h"

enum { STAPLE_BYTES = 4080 };

struct staple {
    int64_t until; /* it may be sent, seconds of the wall clock; 0: there is none */
    uint64_t length;
    uint8_t der[STAPLE_BYTES];
};

enum { STAPLE_WORDS = sizeof(struct staple) / sizeof(uint64_t) };
_Static_assert(sizeof(struct staple) % sizeof(uint64_t) == 0, "whole words");

struct staple_cell {
    alignas(64) struct twin twin;
    alignas(64) _Atomic uint64_t words[2 * STAPLE_WORDS];
};

extern const struct zone_kind staples_kind; /* a struct cells */

static inline struct staple_cell *staples_cell(struct cells *staples, unsigned index)
{
    return cells_at(staples, index);
}

static inline void staple_publish(struct staple_cell *cell, const struct staple *staple)
{
    twin_write(&cell->twin, cell->words, staple, STAPLE_WORDS);
}

/* As twin_read(), but what is there stays when that is false; the length is within bounds. */
bool staple_read(const struct staple_cell *cell, struct staple *staple, uint64_t *seen);

#endif
