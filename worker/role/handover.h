/* handover: a worker that drains gives its idle connections to workers of the serving generation (see net/handoff); one that
 * is busy goes when it has become idle. Used by role/engine.
 */
#ifndef ROLE_HANDOVER_H
#define ROLE_HANDOVER_H

#include "shared/base/channel.h"
#include "worker/role/accepting.h"

struct handover {
    struct accepting *accepting;
    struct list successors; /* struct successor: those that were told last, and others that owe an answer */
    struct deferred pump;
    struct timer retry;
    uint64_t patient_until; /* ms: until then one that is slow is waited for, so that all get their share */
    bool begun;             /* the worker drains */
    bool gives;             /* there may be somebody to give to */
    void (*on_alone)(void *owner); /* nobody takes what is left. handover_told() may change that again */
    void *owner;
};

void handover_init(struct handover *handover, struct accepting *accepting);

/* Whom to give to from now on; takes the descriptors. None: nobody. */
void handover_told(struct handover *handover, struct channel_message *message);

/* The worker drains. */
void handover_begin(struct handover *handover);

/* Lets go of everything. How many connections were under way: whoever got them has them now. */
unsigned handover_end(struct handover *handover);

#endif
