/* process: the part that all roles share: the channel to the master as a source of the loop, READY and GO, the slot's
 * state and heartbeat, orphanhood. */
#ifndef ROLE_PROCESS_H
#define ROLE_PROCESS_H

#include "shared/base/channel.h"
#include "worker/loop/loop.h"
#include "worker/role/role.h"

struct member {
    struct process *process;
    struct loop *loop;
    struct source channel;
    struct source wake;    /* the slot's eventfd; on_wake is called after it was read */
    struct source signals; /* only once orphaned: SIGTERM means drain */
    struct timer heartbeat;
    struct slot *slot;
    /* The role's. Each may be NULL. */
    void (*on_go)(struct member *member);
    void (*on_drain)(struct member *member, uint64_t timeout_ms); /* once; default: as on_stop */
    void (*on_stop)(struct member *member);                       /* default: loop->stop */
    void (*on_reopen)(struct member *member,
                      struct channel_message *message); /* leaves -1 for each fd it takes */
    void (*on_successors)(struct member *member,
                          struct channel_message *message); /* leaves -1 for each fd it takes */
    void (*on_wake)(struct member *member);                 /* takes all letters: wake_next() until false */
    void *owner;
    bool orphan; /* the master is gone: serve on */
    bool draining;
};

/* Joins the loop: channel, wake-ups, heartbeat. 0, or -1 with errno. */
int member_join(struct member *member, struct process *process, struct loop *loop);

/* Tells READY. */
void member_ready(struct member *member);

/* Tells FAILED with a text; the caller exits with status 1. */
void member_failed(struct process *process, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
