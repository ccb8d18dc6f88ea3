/* engine: serving requests, as workers and the keeper do: a struct worker made from a process, its listeners, its
 * draining. */
#ifndef ROLE_ENGINE_H
#define ROLE_ENGINE_H

#include "worker/net/acceptor.h"
#include "worker/request/worker.h"
#include "worker/role/process.h"

struct engine {
    struct worker worker;
    struct member member;
    struct process *process;
    struct arena *arena;
    struct acceptor *acceptors;
    unsigned acceptor_count;
    struct timer drain_deadline;
    uint64_t share_checked; /* ms: when `share` was worked out */
    uint32_t share;         /* connections beyond which this worker lets others accept */
};

/* Everything but accepting. 0, or -1 and the master knows why. */
int engine_init(struct engine *engine, struct process *process);

/* Tells READY, runs until told to end; returns the exit status. */
int engine_run(struct engine *engine);

#endif
