/* takeover: connections of processes of older generations go on here (see net/handoff). Used by role/engine. */
#ifndef ROLE_TAKEOVER_H
#define ROLE_TAKEOVER_H

#include "worker/role/accepting.h"

struct takeover {
    struct source inbox; /* where they offer; on_event NULL: it isn't looked at */
    struct accepting *accepting;
    struct list predecessors; /* struct predecessor */
};

/* Prepares. `inbox`: -1: there is none. */
void takeover_init(struct takeover *takeover, struct accepting *accepting, int inbox);

/* Takes what is offered from now on. */
void takeover_start(struct takeover *takeover);

/* Takes nothing more. What was taken stays ours, what was not is the others' still. */
void takeover_stop(struct takeover *takeover);

#endif
