/* stop: workers finish, then the keeper goes, then the logger, then we. */
#ifndef MASTER_STOP_H
#define MASTER_STOP_H

#include <stdbool.h>

struct master;

/* Begins the stop. `now`: nothing is waited for. Asked again while processes drain, it cuts them at once. */
void stop_request(struct master *master, bool now);

/* Without a generation that serves: the start failed. */
void stop_after_failure(struct master *master);

/* What the states MASTER_DRAINING, MASTER_CLOSING and MASTER_ENDING do in a turn. */
void stop_draining(struct master *master);
void stop_closing(struct master *master);
void stop_ending(struct master *master);

#endif
