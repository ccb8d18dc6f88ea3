/* twin: called by the zones that publish (names). */
#include "shared/shm/twin.h"

#include <string.h>

enum { READ_TRIES = 4 };

void twin_write(struct twin *twin, _Atomic uint64_t *buffers, const void *data, size_t words)
{
    uint64_t before = atomic_load_explicit(&twin->published, memory_order_relaxed);
    uint64_t next = ((before >> 1) + 1) << 1 | (~before & 1);
    _Atomic uint64_t *out = buffers + (next & 1) * words;
    /* Who sees a word of what follows also sees that this buffer is not the current one any more. */
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, (const char *)data + i * sizeof word, sizeof word);
        atomic_store_explicit(&out[i], word, memory_order_relaxed);
    }
    atomic_store_explicit(&twin->published, next, memory_order_release);
}

bool twin_read(const struct twin *twin, const _Atomic uint64_t *buffers, void *copy, size_t words,
               uint64_t *seen)
{
    for (unsigned try = 0; try < READ_TRIES; try++) {
        uint64_t published = atomic_load_explicit(&twin->published, memory_order_acquire);
        if (published == 0)
            return false;
        const _Atomic uint64_t *in = buffers + (published & 1) * words;
        for (size_t i = 0; i < words; i++) {
            uint64_t word = atomic_load_explicit(&in[i], memory_order_relaxed);
            memcpy((char *)copy + i * sizeof word, &word, sizeof word);
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&twin->published, memory_order_relaxed) != published)
            continue;
        *seen = published;
        return true;
    }
    return false;
}
