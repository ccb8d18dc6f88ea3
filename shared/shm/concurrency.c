/* concurrency: cells of counts, found by their key's bucket. Called by the policy `concurrency`, and by the master for the
 * dead.
 */
#include "shared/shm/concurrency.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "shared/base/hash.h"

/* A test stops here. */
#ifndef CONCURRENCY_STEP
#define CONCURRENCY_STEP(name)
#endif

enum { OF_BUCKET = 8, LINE = 64 };

struct concurrency {
    uint32_t buckets;
    uint32_t slots;
    uint64_t locks, keys, counts;                           /* offsets from the zone's start */
    uint32_t stride;                                        /* bytes of a cell's counts */
    uint32_t reserved[SEGMENT_PAGE / sizeof(uint32_t) - 9]; /* the frozen page */
    uint64_t secret[2];
    uint64_t unused[6];
};
_Static_assert(offsetof(struct concurrency, secret) == SEGMENT_PAGE, "only the first page is frozen");
_Static_assert(sizeof(struct concurrency) % LINE == 0, "what follows begins with a cache line");

static size_t lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static size_t stride_of(const struct segment_plan *plan)
{
    return lines(plan->slots * sizeof(uint16_t));
}

/* Of one bucket: lock, keys, counts. */
static size_t bucket_size(const struct segment_plan *plan)
{
    return sizeof(struct lock) + OF_BUCKET * (sizeof(uint64_t) + stride_of(plan));
}

static size_t concurrency_size(const struct segment_plan *plan)
{
    size_t least = sizeof(struct concurrency) + LINE + bucket_size(plan);
    return plan->concurrency < least ? least : plan->concurrency;
}

static void concurrency_init(void *zone, size_t size, const struct segment_plan *plan)
{
    struct concurrency *concurrency = zone;
    size_t buckets = (size - sizeof(*concurrency) - LINE) / bucket_size(plan);
    concurrency->buckets = buckets < UINT32_MAX / OF_BUCKET ? (uint32_t)buckets : UINT32_MAX / OF_BUCKET;
    concurrency->slots = plan->slots;
    concurrency->stride = (uint32_t)stride_of(plan);
    concurrency->locks = sizeof(*concurrency);
    concurrency->keys = concurrency->locks + lines(concurrency->buckets * sizeof(struct lock));
    concurrency->counts = concurrency->keys + (uint64_t)concurrency->buckets * OF_BUCKET * sizeof(uint64_t);
    assert(concurrency->buckets &&
           concurrency->counts + (uint64_t)concurrency->buckets * OF_BUCKET * concurrency->stride <= size);
    if (getrandom(concurrency->secret, sizeof(concurrency->secret), 0) != sizeof(concurrency->secret))
        abort(); /* 16 bytes are given whole once the kernel is up (getrandom(2)) */
}

uint64_t concurrency_key(const void *zone, const void *data, size_t length)
{
    const struct concurrency *concurrency = zone;
    uint64_t key = hash_keyed(concurrency->secret, data, length);
    return key ? key : 1;
}

static struct lock *lock_of(struct concurrency *concurrency, uint32_t bucket)
{
    return (struct lock *)((char *)concurrency + concurrency->locks) + bucket;
}

static _Atomic uint64_t *key_of(struct concurrency *concurrency, uint32_t cell)
{
    return (_Atomic uint64_t *)((char *)concurrency + concurrency->keys) + cell;
}

static _Atomic uint16_t *counts_of(struct concurrency *concurrency, uint32_t cell)
{
    return (_Atomic uint16_t *)((char *)concurrency + concurrency->counts +
                                (uint64_t)cell * concurrency->stride);
}

static uint64_t sum(struct concurrency *concurrency, uint32_t cell)
{
    const _Atomic uint16_t *counts = counts_of(concurrency, cell);
    uint64_t total = 0;
    for (uint32_t slot = 0; slot < concurrency->slots; slot++)
        total += atomic_load_explicit(&counts[slot], memory_order_acquire);
    return total;
}

/* The key's cell, or one that nobody holds, which becomes the key's; false: there is none. Under the bucket's lock. */
static bool find(struct concurrency *concurrency, uint32_t bucket, uint64_t key, uint32_t *cell)
{
    uint32_t first = bucket * OF_BUCKET;
    for (uint32_t i = first; i < first + OF_BUCKET; i++)
        if (atomic_load_explicit(key_of(concurrency, i), memory_order_relaxed) == key) {
            *cell = i;
            return true;
        }
    for (uint32_t i = first; i < first + OF_BUCKET; i++)
        if (sum(concurrency, i) == 0) {
            CONCURRENCY_STEP("cell found");
            atomic_store_explicit(key_of(concurrency, i), key, memory_order_relaxed);
            *cell = i;
            return true;
        }
    return false;
}

/* Under the bucket's lock. */
static struct concurrency_outcome enter(struct concurrency *concurrency, unsigned slot, uint32_t bucket,
                                        uint64_t key, uint64_t most)
{
    struct concurrency_outcome outcome = {.verdict = COUNT_FULL};
    if (!find(concurrency, bucket, key, &outcome.cell))
        return outcome;
    _Atomic uint16_t *own = &counts_of(concurrency, outcome.cell)[slot];
    uint16_t held = atomic_load_explicit(own, memory_order_relaxed);
    outcome.in_flight = sum(concurrency, outcome.cell);
    outcome.verdict = COUNT_REFUSED;
    if (outcome.in_flight >= most || held == UINT16_MAX)
        return outcome;
    CONCURRENCY_STEP("room found");
    atomic_store_explicit(own, (uint16_t)(held + 1), memory_order_release);
    CONCURRENCY_STEP("entered");
    outcome.in_flight++;
    outcome.verdict = COUNT_ADMITTED;
    return outcome;
}

struct concurrency_outcome concurrency_enter(struct concurrency *concurrency,
                                             const struct lock_caller *caller, uint64_t key, uint64_t most)
{
    uint32_t bucket = (uint32_t)((key >> 32) * concurrency->buckets >> 32);
    struct lock *lock = lock_of(concurrency, bucket);
    assert(caller->slot < concurrency->slots);
    if (!lock_take(lock, caller, LOCK_TRIES))
        return (struct concurrency_outcome){.verdict = COUNT_BUSY};
    CONCURRENCY_STEP("locked");
    struct concurrency_outcome outcome = enter(concurrency, caller->slot, bucket, key, most);
    lock_drop(lock);
    CONCURRENCY_STEP("dropped");
    return outcome;
}

void concurrency_leave(struct concurrency *concurrency, const struct lock_caller *caller, uint32_t cell)
{
    assert(caller->slot < concurrency->slots && cell < concurrency->buckets * OF_BUCKET);
    _Atomic uint16_t *own = &counts_of(concurrency, cell)[caller->slot];
    uint16_t held = atomic_load_explicit(own, memory_order_relaxed);
    assert(held > 0);
    atomic_store_explicit(own, (uint16_t)(held - 1), memory_order_release);
}

static void concurrency_release(void *zone, unsigned slot)
{
    struct concurrency *concurrency = zone;
    if (slot >= concurrency->slots)
        return;
    for (uint32_t cell = 0; cell < concurrency->buckets * OF_BUCKET; cell++)
        atomic_store_explicit(&counts_of(concurrency, cell)[slot], 0, memory_order_release);
}

static struct zone_use concurrency_use(const void *zone)
{
    struct concurrency *concurrency = (struct concurrency *)(uintptr_t)zone;
    struct zone_use use = {.room = (uint64_t)concurrency->buckets * OF_BUCKET, .of = "keys"};
    for (uint32_t i = 0; i < use.room; i++)
        use.used += sum(concurrency, i) != 0;
    return use;
}

const struct zone_kind concurrency_kind = {.name = "concurrency",
                                           .version = 1,
                                           .size = concurrency_size,
                                           .init = concurrency_init,
                                           .use = concurrency_use,
                                           .frozen = true,
                                           .release = concurrency_release};
