/* engine: serving requests, as workers and the keeper do: a struct worker made from a process, its listeners, its
 * draining. */
#ifndef ROLE_ENGINE_H
#define ROLE_ENGINE_H

#include "worker/role/accepting.h"
#include "worker/role/handover.h"
#include "worker/role/process.h"
#include "worker/role/takeover.h"

struct engine {
    struct worker worker;
    struct member member;
    struct process *process;
    struct arena *arena;
    struct accepting accepting;
    struct handover handover; /* to newer workers */
    struct takeover takeover; /* from older ones */
    struct timer drain_deadline;
    void (*on_go)(struct engine *engine); /* of the role: at GO; or NULL */
    uint64_t overrides_seen;              /* the edition that was taken over */
    bool emptying; /* draining, and nothing more is accepted: the last connection's end is ours */
};

/* Everything but accepting. 0, or -1 and the master knows why. */
int engine_init(struct engine *engine, struct process *process);

/* Tells READY, runs until told to end; returns the exit status. */
int engine_run(struct engine *engine);

#endif
