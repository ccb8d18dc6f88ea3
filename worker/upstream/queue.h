/* queue: the calls of a cluster that wait for a connection, while every endpoint has as many as it may have: first come,
 * first served. It costs nothing while nobody waits.
 *
 * Calls join and leave it (call.c); what is free goes to the first that can use it, in the loop's turn and not on the
 * stack of who let go.
 */
#ifndef UPSTREAM_QUEUE_H
#define UPSTREAM_QUEUE_H

#include "shared/base/list.h"
#include "worker/loop/loop.h"

struct cluster;

/* In a call. */
struct waiter {
    struct list link;
    uint64_t until; /* ms */
};

struct queue {
    struct cluster *cluster;
    struct list waiters;
    unsigned count, size;
    uint64_t timeout; /* ms */
    struct timer timer;
    struct deferred wake;
};

void queue_init(struct queue *queue, struct cluster *cluster, unsigned size, uint64_t timeout_ms);

/* At the end. False: it is full. */
bool queue_join(struct queue *queue, struct waiter *waiter);
void queue_leave(struct queue *queue, struct waiter *waiter);

/* Something may be free: those who wait are served in this turn of the loop. */
static inline void queue_wake(struct queue *queue, struct loop *loop)
{
    if (queue->count)
        loop_defer(loop, &queue->wake);
}

#endif
