/* tally: the rows, their bits, and the sum. Called by the zones that have one. */
#include "shared/shm/tally.h"

#include <string.h>

enum { LINE = 64, BITS = 64, COUNTERS = LINE / sizeof(uint32_t) };

static size_t live_size(unsigned slots)
{
    size_t words = (slots + BITS - 1) / BITS;
    return (words * sizeof(uint64_t) + LINE - 1) & ~(size_t)(LINE - 1);
}

static unsigned stride_of(unsigned count)
{
    return (count + COUNTERS - 1) & ~(unsigned)(COUNTERS - 1);
}

static _Atomic uint64_t *live_word(const void *zone, const struct tally *tally, unsigned slot)
{
    return (_Atomic uint64_t *)((char *)(uintptr_t)zone + tally->live_offset) + slot / BITS;
}

static _Atomic uint32_t *row_of(const void *zone, const struct tally *tally, unsigned slot)
{
    return (_Atomic uint32_t *)((char *)(uintptr_t)zone + tally->rows_offset) + (size_t)slot * tally->stride;
}

size_t tally_size(unsigned slots, unsigned count)
{
    return live_size(slots) + (size_t)slots * stride_of(count) * sizeof(uint32_t);
}

void tally_init(struct tally *tally, uint64_t offset, unsigned slots, unsigned count)
{
    *tally = (struct tally){offset, offset + live_size(slots), slots, stride_of(count)};
}

_Atomic uint32_t *tally_join(void *zone, const struct tally *tally, unsigned slot)
{
    atomic_fetch_or_explicit(live_word(zone, tally, slot), UINT64_C(1) << slot % BITS, memory_order_release);
    return row_of(zone, tally, slot);
}

void tally_release(void *zone, const struct tally *tally, unsigned slot)
{
    _Atomic uint32_t *row = row_of(zone, tally, slot);
    uint64_t bit = UINT64_C(1) << slot % BITS;
    if (!(atomic_load_explicit(live_word(zone, tally, slot), memory_order_relaxed) & bit))
        return; /* it never counted */
    atomic_fetch_and_explicit(live_word(zone, tally, slot), ~bit, memory_order_release);
    for (unsigned i = 0; i < tally->stride; i++)
        atomic_store_explicit(&row[i], 0, memory_order_relaxed);
}

uint32_t tally_sum(const void *zone, const struct tally *tally, unsigned index)
{
    uint32_t sum = 0;
    for (unsigned first = 0; first < tally->slots; first += BITS) {
        uint64_t live = atomic_load_explicit(live_word(zone, tally, first), memory_order_relaxed);
        while (live) {
            unsigned slot = first + (unsigned)__builtin_ctzll(live);
            live &= live - 1;
            sum += atomic_load_explicit(&row_of(zone, tally, slot)[index], memory_order_relaxed);
        }
    }
    return sum;
}
