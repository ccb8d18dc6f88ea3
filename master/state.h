/* state: what the master knows by itself of the processes, for `gatehouse status` when the keeper doesn't answer. */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include <stddef.h>

struct master;

/* JSON in the shape of the keeper's /status, without what only the keeper knows. Terminated. */
void state_json(const struct master *master, char *out, size_t size);

#endif
