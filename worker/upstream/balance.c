/* balance: round-robin, least and random, the table of all, and what they share. cluster_pick() calls the row. */
#include "worker/upstream/balance.h"

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
            total += endpoint->weight;
    }
    if (total == 0)
        return NULL;
    uint64_t at = random_below(&cluster->worker->random, total);
    for (struct endpoint *endpoint = cluster->endpoints;; endpoint++) {
        if (endpoint == other || !choice_allows(choice, endpoint))
            continue;
        if (at < endpoint->weight)
            return endpoint;
        at -= endpoint->weight;
    }
}

/* Nearly always the first draw is allowed. When several in turn are not it looks at all of them: both ways give every
 * allowed one its share. */
struct endpoint *balance_draw(struct cluster *cluster, const struct choice *choice,
                              const struct endpoint *other)
{
    enum { DRAWS = 4 };
    for (unsigned i = 0; i < DRAWS; i++) {
        struct endpoint *endpoint = draw_any(cluster);
        if (endpoint != other && choice_allows(choice, endpoint))
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
        endpoint->current += endpoint->weight;
        total += endpoint->weight;
        if (!best || endpoint->current > best->current)
            best = endpoint;
    }
    if (best)
        best->current -= total;
    return best;
}

/* The fewest calls in progress for its weight; among equals the round-robin decides. */
static struct endpoint *least(struct cluster *cluster, const struct choice *choice)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!choice_allows(choice, endpoint))
            continue;
        endpoint->current += endpoint->weight;
        total += endpoint->weight;
        if (!best) {
            best = endpoint;
            continue;
        }
        uint64_t ours = (uint64_t)(endpoint->active + 1) * best->weight;
        uint64_t theirs = (uint64_t)(best->active + 1) * endpoint->weight;
        if (ours < theirs || (ours == theirs && endpoint->current > best->current))
            best = endpoint;
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
    for (unsigned i = 0; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        const char *name = arena_printf(wants->arena, "%s/%s", upstream->name, endpoint->text);
        unsigned want = wants_add(wants, WANT_ENDPOINT, name);
        if (i == 0)
            balancing->endpoint_cells = want;
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
        if (balancer->compile)
            balancer->compile(&balancing[i], upstream, arena, errors);
    }
    return balancing;
}
