/* engine: serving requests, as workers and the keeper do: a struct worker made from a process, its listeners, its
 * draining. */
#ifndef ROLE_ENGINE_H
#define ROLE_ENGINE_H

#include "worker/role/accepting.h"
#include "worker/role/handover.h"
#include "worker/role/process.h"
#include "worker/role/shedding.h"
#include "worker/role/takeover.h"

struct engine {
    struct worker worker;
    struct member member;
    struct process *process;
    struct arena *arena;
    struct accepting accepting;
    struct handover handover; /* to newer workers */
    struct takeover takeover; /* from older ones */
    struct shedding shedding;
    struct timer drain_deadline;
    uint64_t overrides_seen; /* the edition that was taken over */
    bool emptying;           /* draining, and nothing more is accepted: the last connection's end is ours */
    /* The role's, to be set after engine_init(). */
    bool ready_later;                      /* it tells READY by itself: member_ready() */
    void (*on_go)(struct engine *engine);  /* at GO; or NULL */
    void (*on_end)(struct engine *engine); /* nothing runs any more, the loop is still open; or NULL */
};

/* Everything but accepting. 0, or -1 and the master knows why. */
int engine_init(struct engine *engine, struct process *process);

/* Tells READY (but for ready_later), runs until told to end; returns the exit status. */
int engine_run(struct engine *engine);

#endif
