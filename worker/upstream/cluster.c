/* cluster: an upstream as a worker has it. */
#include "worker/upstream/cluster.h"

#include "worker/request/site.h"

enum { DOWN_MS = 1000 };

static void on_idle(void *pool, struct http1_client *client)
{
    struct endpoint *endpoint = pool;
    const struct pool_settings *keep = &endpoint->cluster->settings->keepalive;
    list_push_front(&endpoint->idle, http1_client_link(client));
    endpoint->idle_count++;
    http1_client_keep(client, (uint64_t)keep->idle_timeout);
    if (endpoint->idle_count > keep->idle) /* the one that was idle longest goes */
        http1_client_close(http1_client_of_link(endpoint->idle.prev));
}

static void on_closed(void *pool, struct http1_client *client)
{
    struct endpoint *endpoint = pool;
    if (list_empty(http1_client_link(client)))
        return; /* it was in use */
    list_remove(http1_client_link(client));
    endpoint->idle_count--;
}

const struct client_pool_events endpoint_pool_events = {.on_idle = on_idle, .on_closed = on_closed};

struct http1_client *endpoint_take(struct endpoint *endpoint)
{
    struct list *link = list_pop(&endpoint->idle);
    if (!link)
        return NULL;
    endpoint->idle_count--;
    return http1_client_of_link(link);
}

void endpoint_refused(struct endpoint *endpoint)
{
    endpoint->down_until = endpoint->cluster->worker->loop.now_ms + DOWN_MS;
}

struct choice {
    uint64_t tried;
    uint64_t now_ms; /* 0: also those that refused a moment ago */
};

static bool usable(const struct endpoint *endpoint, const void *context)
{
    const struct choice *choice = context;
    size_t index = (size_t)(endpoint - endpoint->cluster->endpoints);
    if (index < 64 && choice->tried >> index & 1)
        return false;
    return choice->now_ms == 0 || endpoint->down_until <= choice->now_ms;
}

static bool any_usable(const struct cluster *cluster, const struct choice *choice)
{
    for (unsigned i = 0; i < cluster->count; i++)
        if (usable(&cluster->endpoints[i], choice))
            return true;
    return false;
}

struct endpoint *cluster_pick(struct cluster *cluster, uint64_t tried)
{
    struct choice choice = {tried, cluster->worker->loop.now_ms};
    if (!any_usable(cluster, &choice)) {
        choice.now_ms = 0;
        if (!any_usable(cluster, &choice))
            return NULL;
    }
    return cluster->balancer->pick(cluster, usable, &choice);
}

static void open_cluster(struct cluster *cluster, struct worker *worker,
                         const struct upstream_settings *settings, struct arena *arena)
{
    *cluster = (struct cluster){
        .worker = worker,
        .settings = settings,
        .balancer = balancers[settings->balance],
        .count = settings->endpoints.count,
        .endpoints = arena_array(arena, settings->endpoints.count, sizeof *cluster->endpoints),
        .timeouts = {(uint64_t)settings->timeout.connect, (uint64_t)settings->timeout.response,
                     (uint64_t)settings->timeout.idle},
    };
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        endpoint->cluster = cluster;
        endpoint->settings = settings->endpoints.items[i];
        list_init(&endpoint->idle);
        /* Workers that start together don't all begin with the same endpoint. */
        endpoint->current = (int64_t)random_below(&worker->random, (uint64_t)endpoint->settings->weight + 1);
    }
}

void clusters_open(struct worker *worker, struct arena *arena)
{
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    worker->clusters = arena_array(arena, upstreams->count, sizeof *worker->clusters);
    for (unsigned i = 0; i < upstreams->count; i++)
        open_cluster(&worker->clusters[i], worker, upstreams->items[i], arena);
}

void clusters_close(struct worker *worker)
{
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++) {
        struct cluster *cluster = &worker->clusters[i];
        for (unsigned j = 0; j < cluster->count; j++)
            while (!list_empty(&cluster->endpoints[j].idle))
                http1_client_close(http1_client_of_link(cluster->endpoints[j].idle.next));
    }
}
