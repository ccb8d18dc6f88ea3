/* call: one outbound HTTP exchange. */
#include "worker/upstream/call.h"

#include <errno.h>

#include "shared/base/log.h"
#include "worker/codec/proxy_protocol.h"

static const struct client_events client_events;

/* The connection is the pool's again, or gone. */
static void let_go(struct call *call)
{
    if (call->endpoint)
        call->endpoint->active--;
    call->endpoint = NULL;
    call->client = NULL;
}

static void end(struct call *call)
{
    let_go(call);
    timer_clear(&call->cluster->worker->loop.timers, &call->total);
}

static void fail(struct call *call, enum call_failure failure, const char *detail)
{
    struct stats_row *stats = call->cluster->worker->stats;
    stat_add(stats, failure == CALL_TIMEOUT ? STAT_UPSTREAM_TIMEOUTS : STAT_UPSTREAM_ERRORS, 1);
    end(call);
    call->events->on_failed(call->owner, failure, detail);
}

/* Nothing was sent: any request may go to another endpoint. `peer`: it is the endpoint's fault, not ours. */
static void not_connected(struct call *call, enum call_failure failure, const char *detail, bool peer)
{
    struct endpoint *endpoint = call->endpoint;
    log_warning("upstream %s: %s: can't connect: %s", call->cluster->settings->name, endpoint->settings->text,
                detail);
    call->failure = failure;
    call->detail = detail;
    if (peer)
        endpoint_refused(endpoint);
    let_go(call);
}

/* Before the first head of a connection, which has no second one then: see upstream_check(). */
static void write_proxy_header(const struct call *call, struct buf *out)
{
    int version = call->cluster->settings->proxy_protocol;
    struct address source, destination;
    if (!version)
        return;
    if (call->events->ends)
        call->events->ends(call->owner, &source, &destination);
    proxy_protocol_write((enum proxy_protocol)version, call->events->ends ? &source : NULL, &destination,
                         out);
}

/* Takes the connection, writes the head. False: the owner's head doesn't fit. */
static bool send_head(struct call *call)
{
    struct buf head = http1_client_reserve(call->client);
    write_proxy_header(call, &head);
    if (!call->events->write_head(call->owner, call->endpoint, &head) || head.overflow) {
        http1_client_abandon(call->client);
        fail(call, CALL_TOO_LARGE, "the request's head is too large to send on");
        return false;
    }
    call->began = call->cluster->worker->loop.now;
    http1_client_send(call->client, &head, call->method, call->arena, call->body, call->chunked);
    if (call->body)
        call->events->on_ready(call->owner);
    return true;
}

/* One endpoint: a kept connection, or a new one. False: it refused at once. */
static bool try_endpoint(struct call *call, struct endpoint *endpoint, bool fresh)
{
    struct worker *worker = call->cluster->worker;
    struct http1_client *client = fresh ? NULL : endpoint_take(endpoint);
    call->endpoint = call->last = endpoint;
    call->tries++;
    endpoint->active++;
    if (client) {
        stat_add(worker->stats, STAT_UPSTREAM_REUSED, 1);
        http1_client_take(client, call, &client_events, &call->cluster->timeouts);
        call->client = client;
        return true;
    }
    client = http1_client_open(&worker->net, &endpoint->settings->address, endpoint, &endpoint_pool_events,
                               call, &client_events, &call->cluster->timeouts);
    if (client) {
        stat_add(worker->stats, STAT_UPSTREAM_CONNECTIONS, 1);
        call->client = client;
        return true;
    }
    not_connected(call, CALL_UNREACHABLE, strerror(errno),
                  errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM &&
                      errno != EAGAIN);
    return false;
}

/* The next endpoint, until one takes it or none is left. False: none was, and the owner knows. */
static bool try(struct call *call)
{
    struct endpoint *endpoint;
    do {
        endpoint = call->tries < CALL_TRIES ? cluster_pick(call->cluster, call->tried) : NULL;
        if (!endpoint) {
            fail(call, call->tries ? call->failure : CALL_UNAVAILABLE,
                 call->tries ? call->detail : "it has no endpoints");
            return false;
        }
        size_t index = (size_t)(endpoint - call->cluster->endpoints);
        call->tried |= index < 64 ? (uint64_t)1 << index : 0;
    } while (!try_endpoint(call, endpoint, false));
    return !http1_client_is_connected(call->client) || send_head(call);
}

static void on_total(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, total);
    if (call->client)
        http1_client_abandon(call->client);
    fail(call, CALL_TIMEOUT, "no whole answer within the total time-out");
}

bool call_start(struct call *call, struct cluster *cluster, const struct call_events *events, void *owner,
                struct arena *arena, enum method method, bool body, bool chunked)
{
    struct loop *loop = &cluster->worker->loop;
    *call = (struct call){.cluster = cluster,
                          .events = events,
                          .owner = owner,
                          .arena = arena,
                          .method = method,
                          .body = body,
                          .chunked = chunked};
    timer_init(&call->total, on_total);
    if (cluster->settings->timeout.total)
        timer_set(&loop->timers, &call->total, loop->now_ms + (uint64_t)cluster->settings->timeout.total);
    return try(call);
}

void call_trailers(struct call *call, const struct fields *trailers)
{
    if (call->client)
        http1_client_trailers(call->client, trailers);
}

void call_send(struct call *call, const char *data, size_t length, bool last)
{
    call->body_begun = true;
    if (call->client)
        http1_client_send_body(call->client, data, length, last);
}

void call_read(struct call *call, bool on)
{
    if (call->client)
        http1_client_read(call->client, on);
}

void call_cancel(struct call *call)
{
    struct http1_client *client = call->client;
    if (!call->cluster)
        return;
    end(call);
    if (client)
        http1_client_abandon(client);
}

/* --- the connection's events --- */

static void on_connected(void *owner)
{
    send_head(owner);
}

static void on_interim(void *owner, const struct response_head *head)
{
    struct call *call = owner;
    call->events->on_interim(call->owner, head);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct call *call = owner;
    call->answered = true;
    if (last)
        end(call);
    call->events->on_head(call->owner, head, last);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct call *call = owner;
    if (last)
        end(call);
    call->events->on_body(call->owner, data, length, last);
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    struct call *call = owner;
    call->events->on_trailers(call->owner, trailers);
}

static void on_blocked(void *owner)
{
    struct call *call = owner;
    call->events->on_blocked(call->owner);
}

static void on_drained(void *owner)
{
    struct call *call = owner;
    call->events->on_drained(call->owner);
}

/* The keep-alive race: the endpoint closed an idle connection as it was taken. The same endpoint gets it again on a
 * new one, at no retry's cost; only what does no harm when done twice, as the endpoint might have read it. */
static bool race(struct call *call)
{
    struct endpoint *endpoint = call->endpoint;
    if (call->answered || call->body_begun || !method_idempotent(call->method))
        return false;
    stat_add(call->cluster->worker->stats, STAT_UPSTREAM_RACES, 1);
    let_go(call);
    call->tries--;
    if (!try_endpoint(call, endpoint, true))
        try(call);
    return true;
}

static void on_failed(void *owner, enum client_failure failure, const char *detail)
{
    struct call *call = owner;
    struct endpoint *endpoint = call->endpoint;
    const char *name = call->cluster->settings->name, *address = endpoint->settings->text;
    call->client = NULL;
    switch (failure) {
    case CLIENT_CONNECT:
    case CLIENT_CONNECT_TIMEOUT:
        not_connected(call, failure == CLIENT_CONNECT ? CALL_UNREACHABLE : CALL_TIMEOUT, detail, true);
        try(call);
        return;
    case CLIENT_CLOSED_UNUSED:
        if (race(call))
            return;
        log_warning("upstream %s: %s: %s", name, address, detail);
        fail(call, CALL_CLOSED,
             "it closed the connection as it was taken, and the request may not be sent twice");
        return;
    case CLIENT_CLOSED:
    case CLIENT_MALFORMED:
    case CLIENT_TIMEOUT:
        log_warning("upstream %s: %s: %s", name, address, detail);
        fail(call,
             failure == CLIENT_CLOSED      ? CALL_CLOSED
             : failure == CLIENT_MALFORMED ? CALL_MALFORMED
                                           : CALL_TIMEOUT,
             detail);
        return;
    }
}

static const struct client_events client_events = {
    .on_connected = on_connected,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_failed = on_failed,
};
