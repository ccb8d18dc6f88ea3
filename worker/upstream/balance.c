/* balance: round-robin, least and random, the table of all, and what they share. cluster_pick() calls the row. */
#include "worker/upstream/balance.h"

#include "worker/upstream/breaking.h"
#include "worker/upstream/retry.h"

/* --- what they share --- */

bool choice_has_tried(const struct choice *choice, const struct endpoint *endpoint)
{
    size_t index = (size_t)(endpoint - endpoint->cluster->endpoints);
    for (unsigned i = 0; i < choice->tried_count; i++)
        if (choice->tried[i] == index)
            return true;
    return false;
}

/* Any endpoint, by its weight. */
static struct endpoint *draw_any(struct cluster *cluster)
{
    struct random *random = &cluster->worker->random;
    if (!cluster->weights)
        return &cluster->endpoints[random_below(random, cluster->count)];
    uint32_t at = (uint32_t)random_below(random, cluster->weights[cluster->count - 1]);
    unsigned low = 0, high = cluster->count - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (cluster->weights[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return &cluster->endpoints[low];
}

/* Among the few that are allowed. */
static struct endpoint *draw_allowed(struct cluster *cluster, const struct choice *choice,
                                     const struct endpoint *other)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        if (endpoint != other && choice_allows(choice, endpoint))
            total += endpoint_share(endpoint);
    }
    if (total == 0)
        return NULL;
    uint64_t at = random_below(&cluster->worker->random, total);
    for (struct endpoint *endpoint = cluster->endpoints;; endpoint++) {
        if (endpoint == other || !choice_allows(choice, endpoint))
            continue;
        uint32_t share = endpoint_share(endpoint);
        if (at < share)
            return endpoint;
        at -= share;
    }
}

/* One that came back lately is refused as often as it takes for its part of its share. */
static bool is_early(struct cluster *cluster, const struct endpoint *endpoint)
{
    return cluster->settings->slow_start &&
           (double)(random_next(&cluster->worker->random) >> 11) * 0x1p-53 >= endpoint_slow_start(endpoint);
}

/* Nearly always the first draw is allowed. When several in turn are not it looks at all of them: both ways give every
 * allowed one its share. */
struct endpoint *balance_draw(struct cluster *cluster, const struct choice *choice,
                              const struct endpoint *other)
{
    enum { DRAWS = 4 };
    for (unsigned i = 0; i < DRAWS; i++) {
        struct endpoint *endpoint = draw_any(cluster);
        if (endpoint != other && choice_allows(choice, endpoint) && !is_early(cluster, endpoint))
            return endpoint;
    }
    return draw_allowed(cluster, choice, other);
}

/* --- round-robin, least, random --- */

/* Smooth weighted round-robin: each turn everybody gains its weight, and the richest pays the total. */
static struct endpoint *round_robin(struct cluster *cluster, const struct choice *choice)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!choice_allows(choice, endpoint))
            continue;
        uint32_t share = endpoint_share(endpoint);
        endpoint->current += share;
        total += share;
        if (!best || endpoint->current > best->current)
            best = endpoint;
    }
    if (best)
        best->current -= total;
    return best;
}

/* The fewest calls in progress for its weight, on the node; among equals the round-robin decides. */
static struct endpoint *least(struct cluster *cluster, const struct choice *choice)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    uint64_t best_load = 0, best_share = 0;
    cluster_sum_loads(cluster);
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!choice_allows(choice, endpoint))
            continue;
        uint64_t share = endpoint_share(endpoint), load = endpoint_load_summed(endpoint) + 1;
        endpoint->current += (int64_t)share;
        total += (int64_t)share;
        uint64_t ours = load * best_share, theirs = best_load * share;
        if (best && (ours > theirs || (ours == theirs && endpoint->current <= best->current)))
            continue;
        best = endpoint;
        best_load = load;
        best_share = share;
    }
    if (best)
        best->current -= total;
    return best;
}

static struct endpoint *by_chance(struct cluster *cluster, const struct choice *choice)
{
    return balance_draw(cluster, choice, NULL);
}

static const struct balancer balance_round_robin = {.name = "round-robin", .pick = round_robin};
static const struct balancer balance_least = {.name = "least", .pick = least};
static const struct balancer balance_random = {.name = "random", .pick = by_chance};

const struct balancer *const balancers[] = {
    [BALANCE_ROUND_ROBIN] = &balance_round_robin,
    [BALANCE_LEAST] = &balance_least,
    [BALANCE_P2C] = &balance_p2c,
    [BALANCE_RANDOM] = &balance_random,
    [BALANCE_HASH] = &balance_hash,
};

/* --- at load --- */

/* The cells are named by what the user wrote. */
static void want_cells(struct balancing *balancing, const struct upstream_settings *upstream,
                       struct wants *wants)
{
    balancing->cell = wants_add(wants, WANT_UPSTREAM, upstream->name);
    balancing->endpoint_cells = wants->count;
    for (unsigned i = 0; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        for (unsigned j = 0; j < endpoint_places(endpoint); j++) {
            const char *name = arena_printf(wants->arena, "%s/%s", upstream->name, endpoint->text);
            wants_add(wants, WANT_ENDPOINT,
                      endpoint->host ? arena_printf(wants->arena, "%s#%u", name, j) : name);
        }
    }
    balancing->name_cells = wants->count;
    for (unsigned i = 0; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        if (endpoint->host)
            wants_add(wants, WANT_NAME, arena_printf(wants->arena, "%s/%s", upstream->name, endpoint->text));
    }
}

const struct balancing *balancing_compile(const struct settings *settings, struct wants *wants,
                                          struct arena *arena, struct errors *errors)
{
    const struct conf_list *upstreams = &settings->upstreams;
    struct balancing *balancing = arena_array(arena, upstreams->count, sizeof *balancing);
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        const struct balancer *balancer = balancers[upstream->balance];
        want_cells(&balancing[i], upstream, wants);
        balancing[i].retrying = retry_compile(upstream, arena, errors);
        if (upstream->breaker)
            balancing[i].breaking = breaking_compile(settings, upstream->breaker,
                                                     arena_printf(arena, "upstream %s", upstream->name),
                                                     balancing[i].cell, arena, errors);
        if (balancer->compile)
            balancer->compile(&balancing[i], upstream, arena, errors);
    }
    return balancing;
}
