/* attempt: an endpoint, a connection, the request's head. */
#include "worker/upstream/attempt.h"

#include <errno.h>

#include "shared/base/log.h"
#include "worker/codec/proxy_protocol.h"
#include "worker/upstream/call_state.h"
#include "worker/upstream/endpoint_tls.h"
#include "worker/upstream/hedge.h"

enum { PAUSE_MS = 10, PAUSE_SHIFTS = 3 }; /* 10, 20, 40, 80, 80 … ms */

static void on_pause(struct timer *timer);

void attempt_not_connected(struct call *call, enum call_failure failure, const char *detail)
{
    struct endpoint *endpoint = call->endpoint;
    log_warning("upstream %s: %s: can't connect: %s", call->cluster->settings->name, endpoint->text, detail);
    call->failure = failure;
    call->detail = detail;
    call_observe(call, OUTCOME_FAILED, 0);
    endpoint_refused(endpoint);
    call_let_go(call);
}

/* In front of what is sent on a connection first: its TLS, or its one head. It has no second one: see upstream_check(). */
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

/* What was sent by an earlier try; then the owner is asked for the rest. */
static void send_body(struct call *call)
{
    const struct replay *replay = call->replay;
    if (call->body_begun && replay) {
        if (replay->trailers)
            client_trailers(call->client, replay->trailers);
        client_send_body(call->client, replay->data, replay->length, replay->last);
        call->asking = !replay->last;
    }
    if (call->asking)
        call->events->on_ready(call->owner);
}

static void be_patient(const struct call *call)
{
    const struct patience *patience = call->patience;
    const struct client_timeouts *timeouts = &call->cluster->timeouts;
    client_patience(call->client, patience->response ? patience->response : timeouts->response,
                    patience->idle ? patience->idle : timeouts->idle);
}

bool attempt_send(struct call *call)
{
    struct client_order order = {.method = call->method,
                                 .body = call->body,
                                 .chunked = call->chunked,
                                 .upgrade = call->upgrade,
                                 .websocket_key = call->websocket_key};
    struct buf head = client_reserve(call->client);
    if (!call->cluster->tls)
        write_proxy_header(call, &head);
    if (!call->events->write_head(call->owner, call->endpoint, &head) || head.overflow) {
        client_abandon(call->client);
        call_fail(call, CALL_TOO_LARGE, "the request's head is too large to send on");
        return false;
    }
    call->began = call->asked = call->cluster->worker->loop.now;
    call->asking = call->body;
    if (call->patience)
        be_patient(call);
    client_send(call->client, &head, &order, call->arena);
    if (call->body)
        send_body(call);
    if (call->retrying && call->retrying->hedge && !call->asking)
        hedge_arm(call);
    return true;
}

/* A new connection; NULL with errno. When descriptors are lacking, what no client waits for is given up for it. */
static struct client *open_client(struct call *call, struct endpoint *endpoint)
{
    struct worker *worker = call->cluster->worker;
    struct tls_target target;
    char front[PROXY_PROTOCOL_MAX];
    struct buf before = buf_on(front, sizeof front);
    if (call->cluster->tls)
        write_proxy_header(call, &before);
    const struct tls_target *tls = endpoint_tls_target(endpoint, buf_str(&before), &target);
    for (;;) {
        struct client *client = pool_open(endpoint, tls, call, &call_client_events);
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
    log_warning("upstream %s: %s: can't connect: %s", call->cluster->settings->name, call->endpoint->text,
                strerror(errno));
    call_fail(call, CALL_EXHAUSTED, detail);
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
    attempt_not_connected(call, CALL_UNREACHABLE, strerror(errno));
    return REFUSED;
}

/* The endpoint's connection, which the call holds already: a kept one, or a new one. */
static enum taken connect_to(struct call *call, struct endpoint *endpoint, bool fresh)
{
    struct worker *worker = call->cluster->worker;
    call->client = fresh ? NULL : pool_take(endpoint, call, &call_client_events);
    if (call->client) {
        stat_add(worker->stats, STAT_UPSTREAM_REUSED, 1);
        return TAKEN;
    }
    call->client = open_client(call, endpoint);
    return call->client ? TAKEN : not_opened(call);
}

/* However slow it is to connect. Not while the owner is waited for: see on_try_end(). */
static enum taken try_endpoint(struct call *call, struct endpoint *endpoint, bool fresh)
{
    struct loop *loop = &call->cluster->worker->loop;
    call->endpoint = call->last = endpoint;
    call->tries++;
    call->connects++;
    call->pauses = 0;
    call->asking = false;
    call->began = call->asked = loop->now;
    endpoint_count(endpoint, 1);
    if (call->retrying && call->retrying->per_try)
        call_time_try(call);
    return connect_to(call, endpoint, fresh);
}

void attempt_again(struct call *call)
{
    struct endpoint *endpoint = call->endpoint;
    /* What else is kept may be closed as well; of HTTP/2 it is shared, or new. */
    bool fresh = !pool_is_http2(endpoint);
    if (call->body) /* until the head is sent again */
        call->events->on_blocked(call->owner);
    call_let_go(call);
    call->tries--;
    call->connects--;
    enum taken taken = try_endpoint(call, endpoint, fresh);
    if (taken == REFUSED)
        attempt_begin(call);
    else if (taken == TAKEN && call->client && call->client->connected)
        attempt_send(call);
}

void attempt_elsewhere(struct call *call)
{
    if (call->body) /* until the head is sent again */
        call->events->on_blocked(call->owner);
    call_let_go(call);
    call->tries--;
    call->connects--;
    if (call->choice.tried_count)
        call->choice.tried_count--;
    attempt_begin(call);
}

/* One that this attempt hasn't tried; those of earlier attempts only when there is no other. */
static enum picked pick(struct call *call, struct endpoint **endpoint)
{
    struct cluster *cluster = call->cluster;
    struct choice *choice = &call->choice;
    if (call->connects >= cluster->tries)
        return PICKED_NONE;
    enum picked picked = PICKED_NONE;
    if (choice->tried_count < UPSTREAM_TRIES)
        picked = cluster_pick(cluster, choice, endpoint);
    if (picked != PICKED_NONE || call->connects || !choice->tried_count)
        return picked;
    choice->tried_count = 0;
    return cluster_pick(cluster, choice, endpoint);
}

/* There is no endpoint left to try. */
static bool none_left(struct call *call)
{
    if (!call->connects) {
        const char *detail = cluster_lacks(call->cluster, call->arena);
        if (call->ticket) /* of the probe it says enough; others aren't made to count */
            call_judge(call, 0, detail, 0);
        call_fail(call, CALL_UNAVAILABLE, detail);
        return false;
    }
    call_judge(call, 0, call->detail, 0);
    return call_try_failed(call, call->failure, call->detail, RETRY_CONNECT);
}

bool attempt_next(struct call *call, bool *busy)
{
    struct cluster *cluster = call->cluster;
    struct choice *choice = &call->choice;
    enum taken taken;
    *busy = false;
    do {
        struct endpoint *endpoint = NULL;
        enum picked picked = pick(call, &endpoint);
        if (picked == PICKED_BUSY) {
            *busy = true;
            return false;
        }
        call_leave_queue(call);
        if (picked == PICKED_NONE)
            return none_left(call);
        choice->tried[choice->tried_count++] = (uint16_t)(endpoint - cluster->endpoints);
        taken = try_endpoint(call, endpoint, false);
    } while (taken == REFUSED);
    if (taken == OVER)
        return false;
    return !call->client || !call->client->connected || attempt_send(call);
}

static bool wait_in_queue(struct call *call)
{
    struct cluster *cluster = call->cluster;
    if (!queue_join(&cluster->queue, &call->waiter)) {
        call_fail(call, CALL_BUSY,
                  cluster->queue.size ? "all its connections are in use, and its queue is full"
                                      : "all its connections are in use");
        return false;
    }
    call->queued = true;
    stat_add(cluster->worker->stats, STAT_UPSTREAM_QUEUED, 1);
    return true;
}

bool attempt_begin(struct call *call)
{
    struct cluster *cluster = call->cluster;
    bool busy;
    if (!cluster->queue.count) {
        bool begun = attempt_next(call, &busy);
        return busy ? wait_in_queue(call) : begun;
    }
    queue_wake(&cluster->queue, &cluster->worker->loop);
    return wait_in_queue(call);
}

enum offer call_offer(struct waiter *waiter)
{
    struct call *call = CONTAINER_OF(waiter, struct call, waiter);
    bool busy;
    attempt_next(call, &busy);
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
    call_fail(call, CALL_BUSY,
              "all its connections are in use, and none became free within the queue's time-out");
}

/* The backlog may have room by now, or a connection is idle. */
static void on_pause(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, pause);
    struct loop *loop = &call->cluster->worker->loop;
    call->paused = false;
    if (loop->now_ms >= call->pause_end) {
        attempt_not_connected(call, CALL_TIMEOUT, "its backlog was full for the whole connect time-out");
        attempt_begin(call);
        return;
    }
    switch (connect_to(call, call->endpoint, false)) {
    case TAKEN:
        if (call->client && call->client->connected)
            attempt_send(call);
        return;
    case REFUSED:
        attempt_begin(call);
        return;
    case OVER:
        return;
    }
}
