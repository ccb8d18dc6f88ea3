/* timer: deadlines in milliseconds, in a wheel. Moving a deadline later (which a busy connection does at every
 * request) is one store: the timer stays where it is and is put right when its old time comes. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/list.h"

enum { TIMER_SLOTS = 4096, TIMER_TICK_MS = 8 };

struct timer {
    struct list link;
    uint64_t deadline; /* milliseconds, loop's clock; 0: not set */
    uint64_t queued;   /* the tick whose slot it is in; 0: in none */
    void (*expire)(struct timer *timer);
};

struct timers {
    struct list slot[TIMER_SLOTS];
    uint64_t used[TIMER_SLOTS / 64]; /* a bit a slot that may hold timers */
    uint64_t tick;                   /* the last one run */
    unsigned count;
};

void timers_init(struct timers *timers, uint64_t now_ms);

static inline void timer_init(struct timer *timer, void (*expire)(struct timer *timer))
{
    list_init(&timer->link);
    timer->deadline = timer->queued = 0;
    timer->expire = expire;
}

/* Fires at `deadline` or up to a tick later, never before. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline);
void timer_clear(struct timers *timers, struct timer *timer);

/* Clears the deadline but leaves the timer queued: for those that are set again soon. */
static inline void timer_pause(struct timer *timer)
{
    timer->deadline = 0;
}

/* Milliseconds until something may be due, or -1. */
int timers_wait(const struct timers *timers, uint64_t now_ms);

/* Runs what is due. */
void timers_run(struct timers *timers, uint64_t now_ms);

#endif
