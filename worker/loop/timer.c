/* timer: the wheel. A slot is a list of the timers that come up at its tick; a bitmap of the slots that hold any finds
 * the next one. Called by the loop (timers_wait(), timers_run()) and by whoever waits for something.
 *
 * A queued tick is always in (timers->tick, timers->tick + TIMER_SLOTS), so that a slot holds timers of one tick
 * only and never those of the tick being run. A deadline further away is queued at the far end, looked at when that
 * comes up, and queued again: the same path as for a deadline that was moved later.
 */
#include "worker/loop/timer.h"

#include <assert.h>
#include <limits.h>

_Static_assert(TIMER_SLOTS % 64 == 0 && (TIMER_SLOTS & (TIMER_SLOTS - 1)) == 0, "slots are found by a mask");

enum { MASK = TIMER_SLOTS - 1, WORDS = TIMER_SLOTS / 64 };

void timers_init(struct timers *timers, uint64_t now_ms)
{
    for (unsigned i = 0; i < TIMER_SLOTS; i++)
        list_init(&timers->slot[i]);
    for (unsigned i = 0; i < WORDS; i++)
        timers->used[i] = 0;
    timers->tick = now_ms / TIMER_TICK_MS;
    timers->count = 0;
}

/* The first tick that is not before the deadline. */
static inline uint64_t tick_of(uint64_t deadline)
{
    return deadline / TIMER_TICK_MS + (deadline % TIMER_TICK_MS != 0);
}

static void queue(struct timers *timers, struct timer *timer)
{
    uint64_t tick = tick_of(timer->deadline);
    if (tick <= timers->tick)
        tick = timers->tick + 1;
    else if (tick >= timers->tick + TIMER_SLOTS)
        tick = timers->tick + TIMER_SLOTS - 1;
    unsigned index = tick & MASK;
    timer->queued = tick;
    list_push_back(&timers->slot[index], &timer->link);
    timers->used[index / 64] |= 1ull << (index % 64);
    timers->count++;
}

static void unqueue(struct timers *timers, struct timer *timer)
{
    unsigned index = timer->queued & MASK;
    list_remove(&timer->link);
    if (list_empty(&timers->slot[index]))
        timers->used[index / 64] &= ~(1ull << (index % 64));
    timer->queued = 0;
    timers->count--;
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline)
{
    assert(deadline != 0);
    timer->deadline = deadline;
    if (timer->queued) {
        if (tick_of(deadline) >= timer->queued)
            return;
        unqueue(timers, timer);
    }
    queue(timers, timer);
}

void timer_clear(struct timers *timers, struct timer *timer)
{
    timer->deadline = 0;
    if (timer->queued)
        unqueue(timers, timer);
}

/* The next tick whose slot holds timers; 0: none. */
static uint64_t next_used(const struct timers *timers)
{
    if (timers->count == 0)
        return 0;
    uint64_t first = timers->tick + 1;
    unsigned start = first & MASK, word = start / 64;
    uint64_t bits = timers->used[word] & (~0ull << (start % 64));
    /* One word more than there are: the first one is looked at again for the slots before `start`. */
    for (unsigned i = 0; i <= WORDS; i++) {
        if (bits) {
            unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
            return first + ((index - start) & MASK);
        }
        word = (word + 1) % WORDS;
        bits = timers->used[word];
    }
    return 0; /* all timers are being run now */
}

int timers_wait(const struct timers *timers, uint64_t now_ms)
{
    uint64_t tick = next_used(timers);
    if (tick == 0)
        return -1;
    uint64_t due = tick * TIMER_TICK_MS;
    if (due <= now_ms)
        return 0;
    return due - now_ms < INT_MAX ? (int)(due - now_ms) : INT_MAX;
}

/* Runs the slot of timers->tick. Its timers move to a list of ours first; a callback that clears or sets one of them
 * takes it out of that list, or leaves it in with another deadline. */
static void run_slot(struct timers *timers, uint64_t now_ms)
{
    unsigned index = timers->tick & MASK;
    struct list *slot = &timers->slot[index], due;
    assert(!list_empty(slot));
    list_insert_after(slot, &due);
    list_remove(slot);
    timers->used[index / 64] &= ~(1ull << (index % 64));

    for (struct list *link; (link = list_pop(&due));) {
        struct timer *timer = CONTAINER_OF(link, struct timer, link);
        timer->queued = 0;
        timers->count--;
        if (timer->deadline == 0)
            continue;
        if (timer->deadline > now_ms) {
            queue(timers, timer);
            continue;
        }
        timer->deadline = 0;
        timer->expire(timer);
    }
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
    uint64_t now = now_ms / TIMER_TICK_MS;
    while (timers->tick < now) {
        uint64_t tick = next_used(timers);
        if (tick == 0 || tick > now) {
            timers->tick = now;
            return;
        }
        timers->tick = tick;
        run_slot(timers, now_ms);
    }
}
