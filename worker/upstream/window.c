/* window: the buckets. A word begins with its epoch, so that counting in a bucket and beginning it anew is one swap, and
 * who dies in the middle leaves nothing half done.
 */
#include "worker/upstream/window.h"

/* calls: 16 bits of the epoch, 24 of good ones, 24 of bad ones. time: the epoch, 48 bits of microseconds. */
enum { EPOCH_SHIFT = 48, GOOD_SHIFT = 24 };
#define EPOCHS UINT64_C(0xffff)
#define COUNT_MOST ((UINT64_C(1) << GOOD_SHIFT) - 1)
#define TIME_MOST ((UINT64_C(1) << EPOCH_SHIFT) - 1)

static uint64_t epoch_of(uint64_t window_ms, uint64_t now_ms)
{
    return now_ms / (window_ms / ENDPOINT_BUCKETS);
}

/* Adds to one field of the word, which holds `most` at most and then stays there. */
static void add(_Atomic uint64_t *word, uint64_t epoch, unsigned shift, uint64_t most, uint64_t by)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed), new;
    do {
        new = old >> EPOCH_SHIFT == (epoch & EPOCHS) ? old : (epoch & EPOCHS) << EPOCH_SHIFT;
        if ((new >> shift &most) + by > most)
            return;
        new += by << shift;
    } while (
        !atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_relaxed, memory_order_relaxed));
}

void window_add(struct endpoint_cell *cell, uint64_t window_ms, uint64_t now_ms, bool good, uint64_t time_us)
{
    uint64_t epoch = epoch_of(window_ms, now_ms);
    struct endpoint_bucket *bucket = &cell->window[epoch % ENDPOINT_BUCKETS];
    add(&bucket->calls, epoch, good ? GOOD_SHIFT : 0, COUNT_MOST, 1);
    if (good)
        add(&bucket->time, epoch, 0, TIME_MOST, time_us);
}

struct window_sum window_sum(const struct endpoint_cell *cell, uint64_t window_ms, uint64_t now_ms)
{
    struct window_sum sum = {0, 0, 0};
    uint64_t epoch = epoch_of(window_ms, now_ms);
    for (unsigned i = 0; i < ENDPOINT_BUCKETS && i <= epoch; i++) {
        const struct endpoint_bucket *bucket = &cell->window[(epoch - i) % ENDPOINT_BUCKETS];
        uint64_t calls = atomic_load_explicit(&bucket->calls, memory_order_relaxed);
        uint64_t time = atomic_load_explicit(&bucket->time, memory_order_relaxed);
        uint64_t wanted = (epoch - i) & EPOCHS;
        if (calls >> EPOCH_SHIFT == wanted) {
            sum.good += calls >> GOOD_SHIFT & COUNT_MOST;
            sum.bad += calls & COUNT_MOST;
        }
        if (time >> EPOCH_SHIFT == wanted)
            sum.time_us += time & TIME_MOST;
    }
    return sum;
}

void window_clear(struct endpoint_cell *cell)
{
    for (unsigned i = 0; i < ENDPOINT_BUCKETS; i++) {
        atomic_store_explicit(&cell->window[i].calls, 0, memory_order_relaxed);
        atomic_store_explicit(&cell->window[i].time, 0, memory_order_relaxed);
    }
}
