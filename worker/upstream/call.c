/* call: one outbound HTTP exchange. */
#include "worker/upstream/call.h"

#include <errno.h>

#include "shared/base/log.h"
#include "worker/codec/proxy_protocol.h"
#include "worker/upstream/balance.h"

enum { PAUSE_MS = 10, PAUSE_SHIFTS = 3 }; /* 10, 20, 40, 80, 80 … ms */

static const struct client_events client_events;
static void on_pause(struct timer *timer);

/* What came of the present try, and after how long; `status` 0: there was no answer. An answer that breaks off later
 * says nothing of the time; nor does what was given up before the endpoint had all of the request. */
static void observe(struct call *call, enum outcome outcome, unsigned status)
{
    if (!call->endpoint || (outcome == OUTCOME_LEFT && call->asking))
        return;
    struct observation observation = {
        .outcome = outcome,
        .status = status,
        .latency_ns = call->answered ? 0 : call->cluster->worker->loop.now - call->asked,
    };
    endpoint_observe(call->endpoint, &observation);
}

/* The connection is the pool's again, or gone: there may be one for who waits. */
static void let_go(struct call *call)
{
    struct cluster *cluster = call->cluster;
    if (call->endpoint) {
        endpoint_count(call->endpoint, -1);
        queue_wake(&cluster->queue, &cluster->worker->loop);
    }
    call->endpoint = NULL;
    call->client = NULL;
}

static void leave_queue(struct call *call)
{
    if (call->queued)
        queue_leave(&call->cluster->queue, &call->waiter);
    call->queued = false;
}

static void end(struct call *call)
{
    struct timers *timers = &call->cluster->worker->loop.timers;
    let_go(call);
    leave_queue(call);
    timer_clear(timers, &call->total);
    if (call->paused)
        timer_clear(timers, &call->pause);
    call->paused = false;
}

static void fail(struct call *call, enum call_failure failure, const char *detail)
{
    struct stats_row *stats = call->cluster->worker->stats;
    stat_add(stats,
             failure == CALL_TIMEOUT ? STAT_UPSTREAM_TIMEOUTS
             : failure == CALL_BUSY  ? STAT_UPSTREAM_BUSY
                                     : STAT_UPSTREAM_ERRORS,
             1);
    end(call);
    call->events->on_failed(call->owner, failure, detail);
}

/* Nothing was sent: any request may go to another endpoint. */
static void not_connected(struct call *call, enum call_failure failure, const char *detail)
{
    struct endpoint *endpoint = call->endpoint;
    log_warning("upstream %s: %s: can't connect: %s", call->cluster->settings->name, endpoint->settings->text,
                detail);
    call->failure = failure;
    call->detail = detail;
    observe(call, OUTCOME_FAILED, 0);
    endpoint_refused(endpoint);
    let_go(call);
}

/* Before the first head of a connection, which has no second one then: see upstream_check(). */
static void write_proxy_header(const struct call *call, struct buf *out)
{
    int version = call->cluster->settings->proxy_protocol;
    struct call_ends ends;
    if (!version)
        return;
    if (call->events->ends)
        call->events->ends(call->owner, &ends);
    proxy_protocol_write((enum proxy_protocol)version, call->events->ends ? &ends.source : NULL,
                         &ends.destination, out);
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
    call->began = call->asked = call->cluster->worker->loop.now;
    call->asking = call->body;
    http1_client_send(call->client, &head, call->method, call->arena, call->body, call->chunked);
    if (call->body)
        call->events->on_ready(call->owner);
    return true;
}

/* A new connection; NULL with errno. When descriptors are lacking, what no client waits for is given up for it. */
static struct http1_client *open_client(struct call *call, struct endpoint *endpoint)
{
    struct worker *worker = call->cluster->worker;
    for (;;) {
        struct http1_client *client =
            http1_client_open(&worker->net, endpoint_address(endpoint), endpoint, &endpoint_pool_events, call,
                              &client_events, &call->cluster->timeouts);
        if (client) {
            stat_add(worker->stats, STAT_UPSTREAM_CONNECTIONS, 1);
            return client;
        }
        int error = errno;
        bool again =
            (error == EMFILE || error == ENFILE) && !call->events->background && clusters_make_room(worker);
        errno = error;
        if (!again)
            return NULL;
    }
}

/* The backlog of a UNIX socket is full: where TCP would send its SYN again, the kernel leaves it to us. Within the
 * connect time-out, which begins with the first of these pauses. */
static void pause_call(struct call *call)
{
    struct loop *loop = &call->cluster->worker->loop;
    if (!call->pauses)
        call->pause_end = loop->now_ms + call->cluster->timeouts.connect;
    unsigned shift = call->pauses < PAUSE_SHIFTS ? call->pauses : PAUSE_SHIFTS;
    uint64_t at = loop->now_ms + ((uint64_t)PAUSE_MS << shift);
    call->pauses++;
    call->paused = true;
    timer_init(&call->pause, on_pause);
    timer_set(&loop->timers, &call->pause, at < call->pause_end ? at : call->pause_end);
}

enum taken {
    TAKEN,   /* it is connected, connecting, or pauses to connect again */
    REFUSED, /* by this endpoint: another may take it */
    OVER,    /* the call failed, and the owner knows */
};

static enum taken no_resources(struct call *call, const char *detail)
{
    log_warning("upstream %s: %s: can't connect: %s", call->cluster->settings->name,
                call->endpoint->settings->text, strerror(errno));
    fail(call, CALL_EXHAUSTED, detail);
    return OVER;
}

static enum taken not_opened(struct call *call)
{
    switch (errno) {
    case EAGAIN: /* of UNIX sockets only */
        pause_call(call);
        return TAKEN;
    case EMFILE:
    case ENFILE:
        return no_resources(call, "the gateway has no file descriptor left for a connection to it");
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
        return no_resources(call, "the gateway has no memory left for a connection to it");
    }
    not_connected(call, CALL_UNREACHABLE, strerror(errno));
    return REFUSED;
}

/* The endpoint's connection, which the call holds already: a kept one, or a new one. */
static enum taken connect_to(struct call *call, struct endpoint *endpoint, bool fresh)
{
    struct worker *worker = call->cluster->worker;
    struct http1_client *client = fresh ? NULL : endpoint_take(endpoint);
    if (client) {
        stat_add(worker->stats, STAT_UPSTREAM_REUSED, 1);
        http1_client_take(client, call, &client_events, &call->cluster->timeouts);
        call->client = client;
        return TAKEN;
    }
    call->client = open_client(call, endpoint);
    return call->client ? TAKEN : not_opened(call);
}

static enum taken try_endpoint(struct call *call, struct endpoint *endpoint, bool fresh)
{
    call->endpoint = call->last = endpoint;
    call->tries++;
    call->pauses = 0;
    call->asking = false;
    call->began = call->asked = call->cluster->worker->loop.now;
    endpoint_count(endpoint, 1);
    return connect_to(call, endpoint, fresh);
}

/* The next endpoint, until one takes it or none is left. `*busy`: none is free. False: it failed, and the owner knows,
 * or it is busy. */
static bool try_next(struct call *call, bool *busy)
{
    struct cluster *cluster = call->cluster;
    struct choice *choice = &call->choice;
    enum taken taken;
    *busy = false;
    do {
        struct endpoint *endpoint = NULL;
        enum picked picked = PICKED_NONE;
        if (choice->tried_count < cluster->tries)
            picked = cluster_pick(cluster, choice, &endpoint);
        if (picked == PICKED_BUSY) {
            *busy = true;
            return false;
        }
        leave_queue(call);
        if (picked == PICKED_NONE) {
            fail(call, call->tries ? call->failure : CALL_UNAVAILABLE,
                 call->tries ? call->detail : "none of its endpoints is healthy");
            return false;
        }
        choice->tried[choice->tried_count++] = (uint16_t)(endpoint - cluster->endpoints);
        taken = try_endpoint(call, endpoint, false);
    } while (taken == REFUSED);
    if (taken == OVER)
        return false;
    return !call->client || !http1_client_is_connected(call->client) || send_head(call);
}

static bool wait_in_queue(struct call *call)
{
    struct cluster *cluster = call->cluster;
    if (!queue_join(&cluster->queue, &call->waiter)) {
        fail(call, CALL_BUSY,
             cluster->queue.size ? "all its connections are in use, and its queue is full"
                                 : "all its connections are in use");
        return false;
    }
    call->queued = true;
    stat_add(cluster->worker->stats, STAT_UPSTREAM_QUEUED, 1);
    return true;
}

/* Who comes when others wait goes behind them, also when something has just become free. False: it failed, and the
 * owner knows. */
static bool try(struct call *call)
{
    struct cluster *cluster = call->cluster;
    bool busy;
    if (!cluster->queue.count) {
        bool begun = try_next(call, &busy);
        return busy ? wait_in_queue(call) : begun;
    }
    queue_wake(&cluster->queue, &cluster->worker->loop);
    return wait_in_queue(call);
}

enum offer call_offer(struct waiter *waiter)
{
    struct call *call = CONTAINER_OF(waiter, struct call, waiter);
    bool busy;
    try_next(call, &busy);
    if (!busy)
        return OFFER_TAKEN;
    if (call->queued)
        return call->choice.tried_count ? OFFER_NEXT : OFFER_NONE;
    wait_in_queue(call);
    return OFFER_TAKEN;
}

void call_waited(struct waiter *waiter)
{
    struct call *call = CONTAINER_OF(waiter, struct call, waiter);
    fail(call, CALL_BUSY, "all its connections are in use, and none became free within the queue's time-out");
}

/* The backlog may have room by now, or a connection is idle. */
static void on_pause(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, pause);
    struct loop *loop = &call->cluster->worker->loop;
    call->paused = false;
    if (loop->now_ms >= call->pause_end) {
        not_connected(call, CALL_TIMEOUT, "its backlog was full for the whole connect time-out");
        try(call);
        return;
    }
    switch (connect_to(call, call->endpoint, false)) {
    case TAKEN:
        if (call->client && http1_client_is_connected(call->client))
            send_head(call);
        return;
    case REFUSED:
        try(call);
        return;
    case OVER:
        return;
    }
}

static void on_total(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, total);
    if (call->client)
        http1_client_abandon(call->client);
    if (!call->answered)
        observe(call, call->asking ? OUTCOME_LEFT : OUTCOME_FAILED, 0);
    fail(call, CALL_TIMEOUT, "no whole answer within the total time-out");
}

bool call_start(struct call *call, struct cluster *cluster, const struct call_events *events, void *owner,
                struct arena *arena, enum method method, bool body, bool chunked, uint64_t key)
{
    struct loop *loop = &cluster->worker->loop;
    memset(call, 0, offsetof(struct call, choice));
    call->cluster = cluster;
    call->events = events;
    call->owner = owner;
    call->arena = arena;
    call->method = method;
    call->body = body;
    call->chunked = chunked;
    call->choice.key = key;
    call->choice.tried_count = 0;
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
    call->asked = call->cluster->worker->loop.now;
    call->asking = !last;
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
    if (!call->answered)
        observe(call, OUTCOME_LEFT, 0);
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
    observe(call, head->status < 500 ? OUTCOME_ANSWERED : OUTCOME_FAILED, head->status);
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
    if (try_endpoint(call, endpoint, true) == REFUSED)
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
        not_connected(call, failure == CLIENT_CONNECT ? CALL_UNREACHABLE : CALL_TIMEOUT, detail);
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
        observe(call, OUTCOME_FAILED, 0);
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
