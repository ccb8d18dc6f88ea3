/* cluster: an upstream as a worker has it. Called by call.c, and by the roles (open, close). */
#include "worker/upstream/cluster.h"

#include <limits.h>
#include <math.h>

#include "shared/shm/upstreams.h"
#include "worker/request/site.h"
#include "worker/upstream/balance.h"
#include "worker/upstream/eject.h"
#include "worker/upstream/endpoint_tls.h"
#include "worker/upstream/health.h"
#include "worker/upstream/places.h"

enum {
    REFUSED_MS = 1000,
    UP_LOOK_MS = 100, /* nobody tells those who wait that probes found an endpoint up */
};

/* --- descriptors --- */

bool clusters_make_room(struct worker *worker)
{
    if (pools_close_oldest(worker))
        return true;
    if (list_empty(&worker->background))
        return false;
    background_cut_oldest(worker);
    return true;
}

/* --- what comes of tries --- */

/* For people who ask. Of two updates at a time one is lost, which an average survives. */
static void observe_usual(struct endpoint_cell *cell, uint64_t latency_ns)
{
    enum { USUAL_OF = 16 };
    uint64_t before = atomic_load_explicit(&cell->usual, memory_order_relaxed);
    int64_t by = ((int64_t)latency_ns - (int64_t)before) / (before ? USUAL_OF : 1);
    atomic_store_explicit(&cell->usual, before + (uint64_t)by, memory_order_relaxed);
}

/* Of an address that is gone nothing is kept: its cell is another's by now. */
void endpoint_observe(struct endpoint *endpoint, const struct observation *observation)
{
    const struct balancer *balancer = endpoint->cluster->balancer;
    if (!endpoint_is_there(endpoint))
        return;
    if (balancer->observe)
        balancer->observe(endpoint, observation->latency_ns, observation->outcome);
    if (observation->outcome == OUTCOME_ANSWERED)
        observe_usual(endpoint->cell, observation->latency_ns);
    if (endpoint->cluster->settings->ejection)
        eject_observe(endpoint, observation);
}

/* --- what is in progress --- */

void cluster_sum_loads(struct cluster *cluster)
{
    uint64_t now_ms = cluster->worker->loop.now_ms;
    if (cluster->summed_at == now_ms)
        return;
    cluster->summed_at = now_ms;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        endpoint->others_active = endpoint_load(endpoint) - endpoint->active;
    }
}

/* --- the next endpoint --- */

void endpoint_refused(struct endpoint *endpoint)
{
    if (!endpoint_is_there(endpoint))
        return;
    atomic_store_explicit(&endpoint->cell->refused_until, endpoint->cluster->worker->loop.now_ms + REFUSED_MS,
                          memory_order_relaxed);
}

uint64_t cluster_next_up(const struct cluster *cluster)
{
    uint64_t now = cluster->worker->loop.now_ms, next = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        uint64_t down_until = atomic_load_explicit(endpoint->down_until, memory_order_relaxed);
        uint64_t until[] = {
            atomic_load_explicit(&endpoint->cell->refused_until, memory_order_relaxed),
            ejection_until(atomic_load_explicit(endpoint->ejection, memory_order_relaxed)),
            down_until > now ? now + UP_LOOK_MS : 0,
        };
        for (unsigned j = 0; j < sizeof until / sizeof until[0]; j++)
            if (until[j] > now && (!next || until[j] < next))
                next = until[j];
    }
    return next;
}

unsigned cluster_present(const struct cluster *cluster)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cluster->count; i++)
        count += endpoint_is_there(&cluster->endpoints[i]);
    return count;
}

unsigned cluster_fit(const struct cluster *cluster)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cluster->count; i++)
        count += endpoint_is_open(&cluster->endpoints[i]) &&
                 endpoint_is_fit(&cluster->endpoints[i], cluster->worker->loop.now_ms);
    return count;
}

/* Whether there is one that is only too busy. */
static bool any_busy(const struct cluster *cluster, const struct choice *choice)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        if (endpoint->active >= endpoint->cap && choice_takes(choice, endpoint))
            return true;
    }
    return false;
}

/* The only endpoint is tried even when it refuses. */
static enum picked pick_only(struct endpoint *endpoint, const struct choice *choice, struct endpoint **picked)
{
    const struct cluster *cluster = endpoint->cluster;
    if (choice->tried_count || !endpoint_is_open(endpoint) ||
        (!cluster->settings->panic && !endpoint_is_fit(endpoint, cluster->worker->loop.now_ms)))
        return PICKED_NONE;
    if (endpoint->active >= endpoint->cap)
        return PICKED_BUSY;
    *picked = endpoint;
    return PICKED_ONE;
}

/* Widens the choice; false: as far as it goes. Of priorities the first has all as long as it can (RFC 2782). Those that refused are taken when all others were tried: rather than
 * waited for, but not rather than one that is busy. Those that aren't fit are taken only when no endpoint is. */
static bool widen(const struct cluster *cluster, struct choice *choice, uint64_t now_ms)
{
    if (++choice->tier < cluster->tiers)
        return true;
    choice->tier = 0;
    if (choice->up_at != UINT64_MAX) {
        choice->up_at = UINT64_MAX;
        return true;
    }
    if (choice->fit_at == UINT64_MAX || !cluster->settings->panic || cluster_fit(cluster))
        return false;
    choice->fit_at = UINT64_MAX;
    choice->up_at = now_ms;
    return true;
}

enum picked cluster_pick(struct cluster *cluster, struct choice *choice, struct endpoint **endpoint)
{
    uint64_t now = cluster->worker->loop.now_ms;
    if (cluster->name_count)
        places_update(cluster);
    else if (cluster->count == 1)
        return pick_only(cluster->endpoints, choice, endpoint);
    choice->up_at = choice->fit_at = now;
    choice->tier = 0;
    do {
        *endpoint = cluster->balancer->pick(cluster, choice);
        if (*endpoint)
            return PICKED_ONE;
        if (any_busy(cluster, choice))
            return PICKED_BUSY;
    } while (widen(cluster, choice, now));
    return PICKED_NONE;
}

/* --- slow start --- */

double endpoint_slow_start(const struct endpoint *endpoint)
{
    const struct slow_start_settings *settings = endpoint->cluster->settings->slow_start;
    uint64_t now = endpoint->cluster->worker->loop.now_ms, window = (uint64_t)settings->window;
    uint64_t ejected = ejection_until(atomic_load_explicit(endpoint->ejection, memory_order_relaxed));
    uint64_t since = atomic_load_explicit(&endpoint->cell->up_since, memory_order_relaxed);
    if (!endpoint->cluster->settings->health || ejected > since)
        since = ejected;
    if (!since || since > now || now - since >= window)
        return 1;
    double passed = (double)(now - since) / (double)window;
    double portion = settings->aggression == 1 ? passed : pow(passed, 1 / settings->aggression);
    return fmax(portion, settings->least / 100);
}

/* --- opening, closing --- */

/* A vacant place has none. Without a table when all are alike: any is then drawn by one multiplication. */
static void sum_weights(struct cluster *cluster)
{
    uint32_t total = 0;
    bool alike = true;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        alike = alike && endpoint_is_open(endpoint) && endpoint->weight == cluster->endpoints[0].weight;
        cluster->sums[i] = total += endpoint_is_open(endpoint) ? endpoint->weight : 0;
    }
    cluster->weights = alike ? NULL : cluster->sums;
}

void cluster_weigh(struct cluster *cluster)
{
    sum_weights(cluster);
    if (cluster->balancer->weigh)
        cluster->balancer->weigh(cluster);
}

void cluster_set_weight(struct cluster *cluster, const struct endpoint_settings *settings, int weight)
{
    bool changed = false;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        unsigned base = weight < 0 ? (unsigned)settings->weight : (unsigned)weight;
        if (endpoint->settings != settings || endpoint->base == base)
            continue;
        endpoint->base = base;
        changed = true;
        if (!settings->host) {
            endpoint->weight = base;
            endpoint->tier = base ? 0 : TIER_DRAINED;
        }
    }
    if (!changed)
        return;
    if (settings->host)
        places_reweigh(cluster);
    cluster_weigh(cluster);
    queue_wake(&cluster->queue, &cluster->worker->loop);
}

/* The zones of shared memory, and this process's counters in them. */
struct zones {
    struct cells *upstreams, *endpoints;
    _Atomic uint32_t *upstreams_in_flight, *endpoints_in_flight;
};

static const _Atomic uint64_t never; /* for what the upstream doesn't have */

/* What is known of the endpoint, as far as the settings ask for it. */
static void open_endpoint_cell(struct endpoint *endpoint, struct endpoint_cell *cell)
{
    const struct upstream_settings *settings = endpoint->cluster->settings;
    endpoint->cell = cell;
    endpoint->down_until = settings->health ? &cell->down_until : &never;
    endpoint->ejection = settings->ejection ? &cell->ejection : &never;
    if (settings->health)
        health_open(cell, settings->health, endpoint->cluster->worker->loop.now_ms);
}

static void open_cells(struct cluster *cluster, const struct zones *zones)
{
    const uint32_t *cells = cluster->worker->generation->cells;
    cluster->cell_index = cells[cluster->balancing->cell];
    cluster->cell = upstreams_cell(zones->upstreams, cluster->cell_index);
    cluster->in_flight = &zones->upstreams_in_flight[cluster->cell_index];
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        endpoint->cell_index = cells[cluster->balancing->endpoint_cells + i];
        open_endpoint_cell(endpoint, endpoints_cell(zones->endpoints, endpoint->cell_index));
        endpoint->in_flight = &zones->endpoints_in_flight[endpoint->cell_index];
    }
}

static struct gradient_rules adaptive_rules(const struct adaptive_settings *settings)
{
    if (!settings)
        return (struct gradient_rules){.most = 0};
    return (struct gradient_rules){
        .least = (uint32_t)settings->least,
        .most = (uint32_t)settings->most,
        .buffer = settings->buffer,
        .interval = (uint64_t)settings->interval,
        .probe = (uint64_t)settings->probe,
        .jitter = settings->jitter,
    };
}

/* What is published already is there at once. */
static void open_names(struct cluster *cluster, struct arena *arena)
{
    places_open(cluster, &cluster->worker->generation->cells[cluster->balancing->name_cells], arena);
    places_update(cluster);
}

void endpoint_reset(struct endpoint *endpoint)
{
    struct cluster *cluster = endpoint->cluster;
    endpoint_tls_forget(endpoint);
    endpoint->spared_until = 0;
    /* Workers that start together don't all begin with the same endpoint. */
    endpoint->current = (int64_t)random_below(&cluster->worker->random, endpoint->weight * SHARE_ONE + 1);
}

static void open_endpoint(struct endpoint *endpoint, struct cluster *cluster,
                          const struct endpoint_settings *settings)
{
    endpoint->cluster = cluster;
    endpoint->settings = settings;
    endpoint->text = settings->text;
    endpoint->address = settings->host ? NULL : &settings->address;
    endpoint->tier = settings->host ? TIER_VACANT : 0;
    endpoint->base = endpoint->weight = (unsigned)settings->weight;
    pool_open_endpoint(endpoint);
    endpoint_reset(endpoint);
}

static void open_cluster(struct cluster *cluster, struct worker *worker,
                         const struct upstream_settings *settings, const struct balancing *balancing,
                         const struct tls_client *tls, struct arena *arena)
{
    const struct queue_settings *queue = settings->queue;
    unsigned count = upstream_places(settings), at = 0;
    *cluster = (struct cluster){
        .worker = worker,
        .settings = settings,
        .balancer = balancers[settings->balance],
        .balancing = balancing,
        .tls = tls,
        .key = balancing->key,
        .breaking = balancing->breaking,
        .retrying = balancing->retrying,
        .count = count,
        .endpoints = arena_array(arena, count, sizeof *cluster->endpoints),
        .sums = arena_array(arena, count, sizeof *cluster->sums),
        .tries = (unsigned)settings->retry.connect,
        .tiers = 1,
        .timeouts = {(uint64_t)settings->timeout.connect, (uint64_t)settings->timeout.response,
                     (uint64_t)settings->timeout.idle},
    };
    queue_init(&cluster->queue, cluster, queue ? (unsigned)queue->size : 0,
               queue ? (uint64_t)queue->timeout : 0);
    for (unsigned i = 0; i < settings->endpoints.count; i++)
        for (unsigned j = 0; j < endpoint_places(settings->endpoints.items[i]); j++)
            open_endpoint(&cluster->endpoints[at++], cluster, settings->endpoints.items[i]);
    for (unsigned i = 0; i < count; i++)
        endpoint_tls_open(&cluster->endpoints[i], arena);
    if (cluster->balancer->open)
        cluster->balancer->open(cluster, arena);
    cluster_weigh(cluster);
    cluster->adaptive = adaptive_rules(settings->adaptive);
}

void clusters_open(struct worker *worker, struct arena *arena)
{
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    struct shared *shared = worker->shared;
    struct zones zones = {shared->upstreams, shared->endpoints,
                          cells_join(shared->upstreams, worker->slot_index),
                          cells_join(shared->endpoints, worker->slot_index)};
    worker->named = NULL;
    worker->clusters = arena_array(arena, upstreams->count, sizeof *worker->clusters);
    for (unsigned i = 0; i < upstreams->count; i++) {
        open_cluster(&worker->clusters[i], worker, upstreams->items[i], &worker->site->balancing[i],
                     worker->site->upstream_tls[i], arena);
        open_cells(&worker->clusters[i], &zones);
        open_names(&worker->clusters[i], arena);
    }
}

void clusters_close(struct worker *worker)
{
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++) {
        struct cluster *cluster = &worker->clusters[i];
        for (unsigned j = 0; j < cluster->count; j++) {
            pool_close_idle(&cluster->endpoints[j].pool);
            endpoint_tls_forget(&cluster->endpoints[j]);
        }
    }
}
