/* status: what the admin socket tells of the gateway, from the shared segment and the generation. */
#ifndef ROLE_STATUS_H
#define ROLE_STATUS_H

#include "shared/base/arena.h"
#include "worker/request/worker.h"

/* The answer of the admin socket for `path`, as JSON in `arena`; false: there is no such thing. */
bool status_answer(struct worker *worker, struct str path, struct arena *arena, struct str *body);

#endif
