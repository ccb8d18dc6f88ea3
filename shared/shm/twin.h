/* twin: two buffers of which one is current, for what one process publishes and many read.
 *
 * The writer fills the other one and then swaps them by one store. A reader copies the current one and looks again whether
 * it still was current at the end; else it had bad luck, and keeps what it copied last. Nobody waits, and a writer that
 * dies at any instruction leaves the current buffer whole.
 */
#ifndef SHM_TWIN_H
#define SHM_TWIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct twin {
    _Atomic uint64_t published; /* serial × 2 + which buffer; 0: nothing yet */
};

/* Whether something else is current than what was read as `seen`. One load. */
static inline bool twin_changed(const struct twin *twin, uint64_t seen)
{
    return atomic_load_explicit(&twin->published, memory_order_relaxed) != seen;
}

/* `buffers`: two of `words` words, one behind the other. One writer at a time. */
void twin_write(struct twin *twin, _Atomic uint64_t *buffers, const void *data, size_t words);

/* False: nothing was published yet, or it changed under our hands again and again; `copy` may be torn then. True: `copy`
 * is whole, and `*seen` is what twin_changed() wants. */
bool twin_read(const struct twin *twin, const _Atomic uint64_t *buffers, void *copy, size_t words,
               uint64_t *seen);

#endif
