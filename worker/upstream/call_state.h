/* call_state: what call.c, attempt.c and hedge.c do to a call between them. */
#ifndef UPSTREAM_CALL_STATE_H
#define UPSTREAM_CALL_STATE_H

#include "worker/upstream/call.h"

extern const struct client_events call_client_events;

/* What came of the present try, and after how long; `status` 0: there was no answer. For those who watch endpoints. */
void call_observe(struct call *call, enum outcome outcome, unsigned status);

/* The same for the breaker; `detail` is said of a failure instead of its status, or NULL; `retry_after_ms`: that the answer asks for. */
void call_judge(struct call *call, unsigned status, const char *detail, uint64_t retry_after_ms);

/* Both, of an answer: of its head, of its trailers (of a call that is `unjudged`; NULL: there were none), or of one that its
 * caller gave up. The first returns the HTTP status that the answer counts as. */
unsigned call_learn_head(struct call *call, const struct response_head *head, bool last);
void call_learn_trailers(struct call *call, const struct fields *trailers);
void call_learn_left(struct call *call);

/* The present try's connection is the pool's again, or gone: there may be one for who waits. */
void call_let_go(struct call *call);

void call_leave_queue(struct call *call);

/* Over without an answer. */
void call_fail(struct call *call, enum call_failure failure, const char *detail);

/* The present try is, and it is let go: the call goes on with another, or it fails. False: the owner knows. `on`: the
 * RETRY_… that it is. */
bool call_try_failed(struct call *call, enum call_failure failure, const char *detail, unsigned on);

/* The present try has retry.per_try from now on. */
void call_time_try(struct call *call);

/* Begins `call`, the second try of `primary`, if the limit on calls in progress and the budget allow it: then it is
 * primary->hedge, until it is over. */
void call_start_second(struct call *call, struct call *primary);

/* Ends a try of which nothing is wanted any more: it counts for nothing. */
void call_drop(struct call *call);

/* Its own try is given up in favour of the second. */
void call_yield(struct call *primary);

#endif
