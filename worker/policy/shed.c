/* shed: while the worker is overloaded, refuses what is less important. On every chain when `shed` sets a bound. */
#include "worker/request/request.h"

enum { RETRY_AFTER = 2 }; /* seconds, to twice as much: not all at once */

static const void *always(const struct settings *settings)
{
    return shed_is_on(&settings->shed) ? &settings->shed : NULL;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    (void)compiled;
    struct worker *worker = request->worker;
    if (worker->shed.level == SHED_NOBODY || request->problem || request->importance == IMPORTANCE_HIGH ||
        (request->importance == IMPORTANCE_NORMAL && worker->shed.level == SHED_LOW))
        return VERDICT_NEXT;
    worker->shed.refused++;
    stat_add(worker->stats, STAT_SHED, 1);
    request->retry_after = RETRY_AFTER + random_below(&worker->random, RETRY_AFTER + 1);
    return request_fail(request, PROBLEM_OVERLOADED, "try again later");
}

const struct policy policy_shed = {
    .name = "shed",
    .stage = STAGE_EDGE,
    .always = always,
    .on_request = on_request,
};
