/* queue: the calls of a cluster that wait for a connection. Called by call.c; calls back call_offer() and
 * call_waited().
 *
 * All wait equally long, so the first is the first to be too late: one timer for all. It also comes up when an endpoint
 * that refused connections may be tried again, which nobody else would tell.
 */
#include "worker/upstream/queue.h"

#include "worker/upstream/call.h"

static struct waiter *first(const struct queue *queue)
{
    return CONTAINER_OF(queue->waiters.next, struct waiter, link);
}

static void set_timer(struct queue *queue)
{
    struct timers *timers = &queue->cluster->worker->loop.timers;
    if (!queue->count)
        return;
    uint64_t at = first(queue)->until, up = cluster_next_up(queue->cluster);
    timer_set(timers, &queue->timer, up && up < at ? up : at);
}

/* Each served call may change the queue in any way: it is looked at from the front again. The first that finds nothing
 * speaks for those behind it, unless it was at endpoints already that are open to them. */
static void serve(struct queue *queue)
{
    struct list *link = queue->waiters.next;
    while (link != &queue->waiters) {
        switch (call_offer(CONTAINER_OF(link, struct waiter, link))) {
        case OFFER_TAKEN:
            link = queue->waiters.next;
            break;
        case OFFER_NEXT:
            link = link->next;
            break;
        case OFFER_NONE:
            return;
        }
    }
}

static void on_wake(struct deferred *deferred)
{
    struct queue *queue = CONTAINER_OF(deferred, struct queue, wake);
    serve(queue);
    set_timer(queue);
}

static void on_timer(struct timer *timer)
{
    struct queue *queue = CONTAINER_OF(timer, struct queue, timer);
    uint64_t now = queue->cluster->worker->loop.now_ms;
    serve(queue);
    while (queue->count && first(queue)->until <= now)
        call_waited(first(queue));
    set_timer(queue);
}

void queue_init(struct queue *queue, struct cluster *cluster, unsigned size, uint64_t timeout_ms)
{
    *queue = (struct queue){.cluster = cluster, .size = size, .timeout = timeout_ms, .wake.run = on_wake};
    list_init(&queue->waiters);
    list_init(&queue->wake.link);
    timer_init(&queue->timer, on_timer);
}

bool queue_join(struct queue *queue, struct waiter *waiter)
{
    if (queue->count >= queue->size)
        return false;
    waiter->until = queue->cluster->worker->loop.now_ms + queue->timeout;
    list_push_back(&queue->waiters, &waiter->link);
    if (++queue->count == 1)
        set_timer(queue);
    return true;
}

void queue_leave(struct queue *queue, struct waiter *waiter)
{
    list_remove(&waiter->link);
    if (--queue->count == 0)
        timer_pause(&queue->timer);
}
