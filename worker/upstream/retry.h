/* retry: what an upstream's settings say of tries beyond the first, compiled, and whether a call gets one. */
#ifndef UPSTREAM_RETRY_H
#define UPSTREAM_RETRY_H

#include "shared/conf/settings.h"
#include "shared/shm/budget.h"
#include "worker/http/message.h"

struct call;

struct retrying {
    unsigned attempts;
    unsigned on;      /* RETRY_… */
    unsigned methods; /* a bit for each enum method */
    unsigned grpc;    /* a bit for each enum grpc_status */
    struct conf_numbers statuses;
    uint64_t per_try, base, cap, retry_after; /* ms */
    struct budget_rules budget;
    bool hedge;
    uint64_t hedge_delay; /* ms; 0: by the quantile */
    double quantile;
};

/* NULL: each call is tried once. Errors are told. */
const struct retrying *retry_compile(const struct upstream_settings *upstream, struct arena *arena,
                                     struct errors *errors);

/* The request's body as far as it was sent, to be sent again. */
struct replay {
    char *data;
    size_t length, size;
    const struct fields *trailers;
    bool last; /* that was all of it */
    bool lost; /* it was too large */
};

/* A piece of the body goes out. */
void replay_add(struct call *call, const char *data, size_t length, bool last);

/* Whether the request can be sent again. */
bool retry_can_replay(const struct call *call);

/* The answer's head asks for another try, and the call may have one: after `*delay_ms`. */
bool retry_answer(struct call *call, const struct response_head *head, uint64_t *delay_ms);

/* The same after a try without an answer; `on`: RETRY_…. */
bool retry_failure(struct call *call, unsigned on, uint64_t *delay_ms);

/* Takes a try from the budget. False: there is none, which is counted. */
bool retry_take_budget(struct call *call);

/* What Retry-After says, in ms; 0: nothing. `wall_ns`: now. */
uint64_t retry_after_ms(const struct fields *fields, uint64_t wall_ns);

#endif
