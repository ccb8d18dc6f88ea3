/* loop: a turn is: before_wait, epoll_wait, the clocks, events, timers, deferred work, what was to be freed. Called by
 * the roles (loop_run()) and by whoever has a descriptor.
 *
 * Events come before timers: what arrived in time is not timed out because the process was busy.
 */
#include "worker/loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"

static void read_clocks(struct loop *loop)
{
    loop->now = clock_monotonic_ns();
    loop->now_ms = loop->now / NS_PER_MS;
    loop->wall_ns = clock_wall_ns();
}

int loop_init(struct loop *loop, void *owner)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return -1;
    loop->epoll = epoll;
    loop->owner = owner;
    loop->before_wait = NULL;
    loop->on_turn = NULL;
    loop->stop = false;
    list_init(&loop->deferred);
    loop->free_later = NULL;
    read_clocks(loop);
    timers_init(&loop->timers, loop->now_ms);
    return 0;
}

/* Where the chain of what is to be freed goes on. It may overwrite a source's `fd` and `events`, which are dead, but
 * not `on_event`: NULL there keeps the rest of the batch away. */
_Static_assert(offsetof(struct source, on_event) >= sizeof(void *), "the chain leaves on_event alone");

static void free_all(struct loop *loop)
{
    for (void *memory = loop->free_later, *next; memory; memory = next) {
        memcpy(&next, memory, sizeof(next));
        free(memory);
    }
    loop->free_later = NULL;
}

void loop_close(struct loop *loop)
{
    free_all(loop);
    close(loop->epoll);
    loop->epoll = -1;
}

void loop_run(struct loop *loop)
{
    while (!loop->stop)
        loop_turn(loop, -1);
}

/* Moves all of `from` to `to`, which is taken to be uninitialised. */
static void move_list(struct list *from, struct list *to)
{
    list_insert_after(from, to);
    list_remove(from);
}

/* What is deferred meanwhile waits for the next turn: it can't starve the sockets. */
static void run_deferred(struct loop *loop)
{
    if (list_empty(&loop->deferred))
        return;
    struct list now;
    move_list(&loop->deferred, &now);
    for (struct list *link; (link = list_pop(&now));) {
        struct deferred *deferred = CONTAINER_OF(link, struct deferred, link);
        deferred->run(deferred);
    }
}

/* How long this turn may sleep. The clock is that of the last turn; the turn's own work made it late by little. */
static int wait_ms(const struct loop *loop, int most)
{
    if (!list_empty(&loop->deferred) || loop->stop)
        return 0;
    int timers = timers_wait(&loop->timers, loop->now_ms);
    if (timers < 0)
        return most;
    return most < 0 || timers < most ? timers : most;
}

static void tell_turn(struct loop *loop, uint64_t began, uint64_t slept_from, int timeout_ms, int count)
{
    struct loop_turn turn = {
        .worked = slept_from - began, .slept = loop->now - slept_from, .full = count == LOOP_BATCH};
    uint64_t meant = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * NS_PER_MS;
    turn.overslept = turn.slept > meant ? turn.slept - meant : 0;
    loop->on_turn(loop, &turn);
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    struct epoll_event batch[LOOP_BATCH];
    if (loop->before_wait)
        loop->before_wait(loop);
    int wait = wait_ms(loop, timeout_ms);
    uint64_t began = loop->now, slept_from = loop->on_turn ? clock_monotonic_ns() : 0;
    int count = epoll_wait(loop->epoll, batch, LOOP_BATCH, wait);
    assert(count >= 0 || errno == EINTR);
    read_clocks(loop);
    if (loop->on_turn && slept_from)
        tell_turn(loop, began, slept_from, wait, count);
    for (int i = 0; i < count; i++) {
        struct source *source = batch[i].data.ptr;
        if (source->on_event)
            source->on_event(source, batch[i].events);
    }
    timers_run(&loop->timers, loop->now_ms);
    run_deferred(loop);
    free_all(loop);
}

int loop_add(struct loop *loop, struct source *source, uint32_t events)
{
    assert(source->on_event);
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return -1;
    source->events = events;
    return 0;
}

void loop_change(struct loop *loop, struct source *source, uint32_t events)
{
    if (source->events == events)
        return;
    assert(!(source->events & EPOLLEXCLUSIVE)); /* such a source can only be removed and added */
    struct epoll_event event = {.events = events, .data.ptr = source};
    int result = epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event);
    assert(result == 0);
    (void)result;
    source->events = events;
}

void loop_remove(struct loop *loop, struct source *source)
{
    source->on_event = NULL;
    source->events = 0;
    int result = epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    assert(result == 0 || errno == ENOENT); /* EBADF: it was closed too early, and may be another's by now */
    (void)result;
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
    if (list_empty(&deferred->link))
        list_push_back(&loop->deferred, &deferred->link);
}

void loop_undefer(struct deferred *deferred)
{
    list_remove(&deferred->link);
}

void loop_free_later(struct loop *loop, void *memory)
{
    memcpy(memory, &loop->free_later, sizeof(loop->free_later));
    loop->free_later = memory;
}
