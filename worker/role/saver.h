/* saver: writes the snapshot (state.file): each state.interval from a process of its own, so that a slow disk holds
 * nothing up, and at an orderly stop of the gateway. The keeper's.
 */
#ifndef ROLE_SAVER_H
#define ROLE_SAVER_H

#include "worker/role/process.h"

struct saver {
    struct process *process;
    struct loop *loop;
    const char *file; /* NULL: nothing is saved */
    uint64_t interval_ms;
    struct timer timer;
    pid_t pid;           /* the process that writes */
    struct source child; /* its pidfd; -1: none does */
    int error;           /* of the last one; 0: it was written */
};

/* Begins. 0, or -1: the folder can't be written to, and the master knows. */
int saver_start(struct saver *saver, struct process *process, struct loop *loop);

/* The last thing that the keeper does: its loop is closed. Blocks. */
void saver_finish(struct saver *saver);

#endif
