/* balance: which endpoint is next. */
#include <assert.h>

#include "worker/upstream/cluster.h"

/* Smooth weighted round-robin: each turn everybody gains its weight, and the richest pays the total. */
static struct endpoint *round_robin(struct cluster *cluster,
                                    bool (*usable)(const struct endpoint *, const void *),
                                    const void *context)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!usable(endpoint, context))
            continue;
        endpoint->current += endpoint->settings->weight;
        total += endpoint->settings->weight;
        if (!best || endpoint->current > best->current)
            best = endpoint;
    }
    assert(best);
    best->current -= total;
    return best;
}

/* The fewest calls in progress for its weight; among equals the round-robin decides. */
static struct endpoint *least(struct cluster *cluster, bool (*usable)(const struct endpoint *, const void *),
                              const void *context)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!usable(endpoint, context))
            continue;
        endpoint->current += endpoint->settings->weight;
        total += endpoint->settings->weight;
        if (!best) {
            best = endpoint;
            continue;
        }
        int64_t ours = (int64_t)(endpoint->active + 1) * best->settings->weight;
        int64_t theirs = (int64_t)(best->active + 1) * endpoint->settings->weight;
        if (ours < theirs || (ours == theirs && endpoint->current > best->current))
            best = endpoint;
    }
    assert(best);
    best->current -= total;
    return best;
}

static const struct balancer rows[] = {
    [BALANCE_ROUND_ROBIN] = {"round-robin", round_robin},
    [BALANCE_LEAST] = {"least", least},
};

const struct balancer *const balancers[] = {&rows[BALANCE_ROUND_ROBIN], &rows[BALANCE_LEAST]};
