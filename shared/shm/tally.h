/* tally: a counter of what processes hold now, an array a slot: each process counts its own with plain stores, whoever
 * wants the sum adds up those of the processes that live.
 *
 * A shared counter could not be put right after a process died at any instruction; here the master zeroes the dead one's
 * row, and the sum is right again. A row is one process's alone, so that counting costs no traffic between processors.
 */
#ifndef SHM_TALLY_H
#define SHM_TALLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* As a zone has it: offsets are those of the zone. In its frozen page. */
struct tally {
    uint64_t live_offset; /* a bit a slot: those that count */
    uint64_t rows_offset;
    uint32_t slots;
    uint32_t stride; /* counters of a row, whole cache lines of them */
};

/* Bytes of `slots` rows of `count` counters, and of the bits. */
size_t tally_size(unsigned slots, unsigned count);

/* Lays it out at `offset` of a zone that is all zero. */
void tally_init(struct tally *tally, uint64_t offset, unsigned slots, unsigned count);

/* A process's row; it counts from now on. Owner. */
_Atomic uint32_t *tally_join(void *zone, const struct tally *tally, unsigned slot);

/* The process is gone: what it held is let go. Master. */
void tally_release(void *zone, const struct tally *tally, unsigned slot);

/* Over all that live. */
uint32_t tally_sum(const void *zone, const struct tally *tally, unsigned index);

/* Owner only: one writer, so that no locked instruction is needed. */
static inline void tally_add(_Atomic uint32_t *counter, int by)
{
    uint32_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + (uint32_t)by, memory_order_relaxed);
}

#endif
