/* loop: one epoll set, timers and deferred work: the heart of a child process.
 *
 * Sockets are registered once, level-triggered. A callback may close anything: memory that an event of the present
 * batch could still name is freed only after the batch (loop_free_later()).
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "shared/base/list.h"
#include "worker/loop/timer.h"

struct loop;

/* Something with a descriptor. `on_event` NULL: closed within the present batch, its events are void. */
struct source {
    int fd;
    uint32_t events; /* as registered */
    void (*on_event)(struct source *source, uint32_t events);
};

/* Work for the end of this turn, after all events of the batch. */
struct deferred {
    struct list link;
    void (*run)(struct deferred *deferred);
};

enum { LOOP_BATCH = 512 }; /* events of a turn */

/* What is known of a turn when its events are there. ns. */
struct loop_turn {
    uint64_t worked;    /* of the last turn, from its events to its end */
    uint64_t slept;     /* until there were events, or a timer was due, */
    uint64_t overslept; /* and longer than the timer had it */
    bool full;          /* a whole batch: there may be more */
};

struct loop {
    int epoll;
    uint64_t now;     /* monotonic, ns: read once a turn */
    uint64_t now_ms;  /* the same in milliseconds */
    uint64_t wall_ns; /* the wall clock, as old as `now` */
    struct timers timers;
    struct list deferred;
    void *free_later;                       /* a chain through the first word of each */
    void (*before_wait)(struct loop *loop); /* once a turn, before sleeping; or NULL */
    /* For who wants to know how late the loop is; or NULL. It costs a reading of the clock. */
    void (*on_turn)(struct loop *loop, const struct loop_turn *turn);
    void *turn_owner;
    void *owner;
    bool stop;
};

/* 0, or -1 with errno. */
int loop_init(struct loop *loop, void *owner);
void loop_close(struct loop *loop);

/* Turns until loop->stop. */
void loop_run(struct loop *loop);

/* One turn: waits `timeout_ms` at most (-1: as long as timers allow). */
void loop_turn(struct loop *loop, int timeout_ms);

/* 0, or -1 with errno. After loop_remove() `on_event` must be set again. */
int loop_add(struct loop *loop, struct source *source, uint32_t events);
void loop_change(struct loop *loop, struct source *source, uint32_t events);

/* Takes it out of the set and voids events of this batch; doesn't close the descriptor. */
void loop_remove(struct loop *loop, struct source *source);

/* Queues; queueing twice is once. A deferred must be list_init()ed before. */
void loop_defer(struct loop *loop, struct deferred *deferred);
void loop_undefer(struct deferred *deferred);

/* free()s `memory` after the batch. Its first pointer's room is written to: a removed source may lie there, whose
 * on_event stays NULL. */
void loop_free_later(struct loop *loop, void *memory);

#endif
