/* attempt: from a call to a request on its way: an endpoint is picked, a connection taken or opened, the head sent, and
 * what is kept of the body. Called by call.c and hedge.c. */
#ifndef UPSTREAM_ATTEMPT_H
#define UPSTREAM_ATTEMPT_H

#include "worker/upstream/call.h"

/* The next endpoint, or a place in the queue. Who comes when others wait goes behind them, also when something has just
 * become free. False: it failed, and the owner knows. */
bool attempt_begin(struct call *call);

/* The same without the queue. `*busy`: no endpoint is free. False: it failed, and the owner knows, or it is busy. */
bool attempt_next(struct call *call, bool *busy);

/* The same endpoint again, on a new connection. */
void attempt_again(struct call *call);

/* Any endpoint, as if this one hadn't been tried; it may well be the same. */
void attempt_elsewhere(struct call *call);

/* The connection is there. */
bool attempt_send(struct call *call);

/* There was no connection: nothing was sent, and any request may go to another endpoint. */
void attempt_not_connected(struct call *call, enum call_failure failure, const char *detail);

#endif
