/* pool: the connections that a worker has to an endpoint. */
#include "worker/upstream/pool.h"

#include <limits.h>

#include "worker/http/http1_client.h"
#include "worker/http/http2_client.h"
#include "worker/request/site.h"
#include "worker/upstream/cluster.h"

static struct client_connection *of_link(struct list *link)
{
    return CONTAINER_OF(link, struct client_connection, link);
}

/* Whether it has carried all it may, or is too old; else `*keep_ms` is how long it may be idle. */
static bool spent(const struct client_connection *connection, const struct pool_settings *keep,
                  uint64_t now_ms, uint64_t *keep_ms)
{
    if (keep->requests && connection->exchanges >= keep->requests)
        return true;
    if (keep->max_age) {
        uint64_t end = connection->opened_ms + (uint64_t)keep->max_age;
        if (now_ms >= end)
            return true;
        if (end - now_ms < *keep_ms)
            *keep_ms = end - now_ms;
    }
    return false;
}

/* Out of the list that it is in. */
static void take_out(struct endpoint *endpoint, struct client_connection *connection)
{
    list_remove(&connection->link);
    if (connection->idle)
        endpoint->pool.idle_count--;
    connection->idle = false;
}

bool pool_is_http2(const struct endpoint *endpoint)
{
    return endpoint->cluster->settings->protocol != UPSTREAM_HTTP1 && !endpoint->pool.older;
}

/* `max_connections` are connections, and the cluster counts calls. */
static void set_cap(struct endpoint *endpoint)
{
    uint64_t most = (uint64_t)endpoint->cluster->settings->max_connections;
    if (pool_is_http2(endpoint))
        most *= endpoint->pool.most;
    endpoint->cap = most && most < UINT_MAX ? (unsigned)most : UINT_MAX;
}

/* An HTTP/2 endpoint's limit is that of its latest SETTINGS. */
static void learn(struct endpoint *endpoint, const struct client_connection *connection)
{
    uint32_t most = connection->most ? connection->most : 1;
    if (!pool_is_http2(endpoint) || most == endpoint->pool.most)
        return;
    endpoint->pool.most = most;
    set_cap(endpoint);
}

static void on_idle(void *owner, struct client_connection *connection)
{
    struct endpoint *endpoint = owner;
    struct pool *pool = &endpoint->pool;
    const struct pool_settings *keep = &endpoint->cluster->settings->keepalive;
    uint64_t keep_ms = (uint64_t)keep->idle_timeout;
    learn(endpoint, connection);
    take_out(endpoint, connection);
    if (!endpoint_is_there(endpoint) || connection->epoch != pool->epoch ||
        spent(connection, keep, endpoint->cluster->worker->loop.now_ms, &keep_ms)) {
        client_connection_close(connection);
        return;
    }
    list_push_front(&pool->idle, &connection->link);
    connection->idle = true;
    pool->idle_count++;
    client_connection_keep(connection, keep_ms);
    if (pool->idle_count > keep->idle) /* the one that was idle longest goes */
        client_connection_close(of_link(pool->idle.prev));
}

static void on_room(void *owner, struct client_connection *connection)
{
    struct endpoint *endpoint = owner;
    const struct pool_settings *keep = &endpoint->cluster->settings->keepalive;
    uint64_t keep_ms = UINT64_MAX;
    learn(endpoint, connection);
    take_out(endpoint, connection);
    if (connection->epoch == endpoint->pool.epoch &&
        !spent(connection, keep, endpoint->cluster->worker->loop.now_ms, &keep_ms))
        list_push_back(&endpoint->pool.shared, &connection->link);
}

static void on_full(void *owner, struct client_connection *connection)
{
    learn(owner, connection);
    take_out(owner, connection);
}

static void on_closed(void *owner, struct client_connection *connection)
{
    take_out(owner, connection);
}

static const struct client_pool_events pool_events = {
    .on_idle = on_idle,
    .on_room = on_room,
    .on_full = on_full,
    .on_closed = on_closed,
};

void pool_open_endpoint(struct endpoint *endpoint)
{
    const struct upstream_settings *settings = endpoint->cluster->settings;
    endpoint->pool = (struct pool){.most = (uint32_t)settings->keepalive.streams};
    list_init(&endpoint->pool.idle);
    list_init(&endpoint->pool.shared);
    set_cap(endpoint);
}

struct client *pool_take(struct endpoint *endpoint, void *owner, const struct client_events *events)
{
    struct pool *pool = &endpoint->pool;
    struct list *from = list_empty(&pool->shared) ? &pool->idle : &pool->shared;
    if (list_empty(from))
        return NULL;
    struct client_connection *connection = of_link(from->next);
    if (connection->idle)
        take_out(endpoint, connection);
    return client_connection_take(connection, owner, events, &endpoint->cluster->timeouts);
}

struct client *pool_open(struct endpoint *endpoint, const struct tls_target *tls, void *owner,
                         const struct client_events *events)
{
    const struct cluster *cluster = endpoint->cluster;
    struct client_target target = {.net = &cluster->worker->net,
                                   .address = endpoint->address,
                                   .tls = tls,
                                   .pool = endpoint,
                                   .pool_events = &pool_events,
                                   .epoch = endpoint->pool.epoch};
    if (cluster->settings->protocol == UPSTREAM_AUTO) {
        target.older = &endpoint->pool.older;
        set_cap(endpoint); /* it may have chosen otherwise */
    }
    return pool_open_apart(endpoint, &target, owner, events, &cluster->timeouts);
}

struct client *pool_open_apart(const struct endpoint *endpoint, const struct client_target *target,
                               void *owner, const struct client_events *events,
                               const struct client_timeouts *timeouts)
{
    const struct upstream_settings *settings = endpoint->cluster->settings;
    struct http2_client_rules rules = {(uint32_t)settings->keepalive.streams, endpoint->pool.most,
                                       (uint32_t)settings->keepalive.window};
    if (settings->protocol == UPSTREAM_HTTP1 || (target->older && *target->older))
        return http1_client_open(target, owner, events, timeouts);
    return http2_client_open(target, &rules, owner, events, timeouts);
}

struct client *pool_adopt(struct endpoint *endpoint, const struct tunnel_end *end, void *owner,
                          const struct client_events *events)
{
    const struct cluster *cluster = endpoint->cluster;
    struct client_target target = {.net = &cluster->worker->net,
                                   .address = endpoint->address,
                                   .pool = endpoint,
                                   .pool_events = &pool_events,
                                   .epoch = endpoint->pool.epoch};
    return http1_client_tunnel_take(&target, end, owner, events, &cluster->timeouts);
}

void pool_close_idle(struct pool *pool)
{
    pool->epoch++;
    pool->older = false;
    while (!list_empty(&pool->shared))
        client_connection_close(of_link(pool->shared.next));
    while (!list_empty(&pool->idle))
        client_connection_close(of_link(pool->idle.next));
}

bool pools_close_oldest(struct worker *worker)
{
    struct client_connection *oldest = NULL;
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++) {
        const struct cluster *cluster = &worker->clusters[i];
        for (unsigned j = 0; j < cluster->count; j++) {
            struct list *idle = &cluster->endpoints[j].pool.idle;
            if (list_empty(idle))
                continue;
            struct client_connection *last = of_link(idle->prev);
            if (!oldest || last->idle_ms < oldest->idle_ms)
                oldest = last;
        }
    }
    if (oldest)
        client_connection_close(oldest);
    return oldest;
}

/* --- none is kept --- */

static void close_used(void *owner, struct client_connection *connection)
{
    (void)owner;
    client_connection_close(connection);
}

static void forget(void *owner, struct client_connection *connection)
{
    (void)owner;
    (void)connection;
}

const struct client_pool_events pool_keeps_none = {.on_idle = close_used, .on_closed = forget};
