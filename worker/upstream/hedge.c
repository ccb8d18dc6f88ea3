/* hedge: a second try of a call. Called by call.c. */
#include "worker/upstream/hedge.h"

#include "shared/shm/quantile.h"
#include "shared/shm/upstreams.h"
#include "worker/upstream/breaking.h"
#include "worker/upstream/call_state.h"

/* Whether the present state of the call allows a second try. */
static bool allowed(const struct call *call)
{
    if (call->answered || call->hedge || call->outlived || !call->client || call->asking)
        return false;
    if (call->body && (!call->replay || call->replay->lost || !call->replay->last))
        return false;
    return !call->breaking || breaker_passes(breaking_cell(call->cluster->worker, call->breaking));
}

static void on_time(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, hedge_at);
    call->hedge_set = false;
    if (allowed(call))
        call_start_second(arena_alloc(call->arena, sizeof *call), call);
}

void hedge_arm(struct call *call)
{
    const struct retrying *retrying = call->retrying;
    struct loop *loop = &call->cluster->worker->loop;
    if (call->upgrade.length) /* two tunnels, of which one is cut at once, are nobody's wish */
        return;
    if (call->primary || call->attempt || call->hedge_set || !(retrying->methods >> call->method & 1))
        return;
    uint64_t ms = retrying->hedge_delay;
    if (!ms) {
        uint64_t us = quantile_us(&call->cluster->cell->latency);
        if (!us)
            return; /* not enough is known */
        ms = (us + 999) / 1000;
    }
    timer_init(&call->hedge_at, on_time);
    timer_set(&loop->timers, &call->hedge_at, loop->now_ms + ms);
    call->hedge_set = true;
}

void hedge_won(struct call *call)
{
    struct call *primary = call->primary;
    if (!primary) {
        struct call *second = call->hedge;
        call->hedge = NULL;
        call_drop(second);
        return;
    }
    stat_add(call->cluster->worker->stats, STAT_HEDGES_WON, 1);
    call_yield(primary);
    primary->answered = true;
    primary->began = call->began;
    primary->last = call->endpoint;
}
