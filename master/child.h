/* child: a process that the master started, and the orders to it. */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <sys/types.h>

#include "master/roles.h"
#include "shared/base/channel.h"
#include "shared/base/list.h"

struct master;
struct post;

enum child_state {
    CHILD_STARTING,
    CHILD_READY,    /* waits for GO */
    CHILD_SERVING,  /* got GO */
    CHILD_DRAINING, /* finishes */
    CHILD_STOPPING, /* told to exit, or killed */
};

struct child {
    struct list link;
    const struct role *role;
    unsigned number;
    uint64_t generation; /* 0: outlives them */
    struct post *post;   /* NULL: nobody takes its place */
    pid_t pid;
    unsigned slot;
    uint64_t started; /* as the slot says: by it locks name their holder */
    int channel;      /* -1: it closed its end */
    enum child_state state;
    bool undone;                       /* of a transaction that failed */
    bool adopted;                      /* of the program that we took over from */
    unsigned set;                      /* which slots, mailboxes and log rings it uses: see struct upgrade */
    uint64_t go_at;                    /* milliseconds; 0: no GO yet */
    uint64_t kill_at;                  /* when it is killed if it still lives; 0: not */
    uint64_t reopen_told, reopen_done; /* a logger: the latest REOPEN that it got, and that it obeyed */
    char failed[CHANNEL_TEXT];         /* what it said in FAILED */
};

/* "worker 3 (pid 123)", in static memory of the caller. */
struct child_name {
    char text[64];
};
struct child_name child_name(const struct child *child);

void child_go(struct master *master, struct child *child);

/* Takes nothing new, finishes, exits; one that can't drain is told to stop. `timeout` in milliseconds, 0: no limit. */
void child_drain(struct master *master, struct child *child, uint64_t timeout);

/* Exits in order, and is killed when it takes longer than `grace` milliseconds. */
void child_stop(struct master *master, struct child *child, uint64_t grace);

/* SIGKILL now. */
void child_kill(struct child *child);

/* Kills whose time is over. */
void child_kill_overdue(struct master *master);

/* How many live of a role (NULL: of any that is tied to a generation). */
unsigned child_count(const struct master *master, const struct role *role);

#endif
