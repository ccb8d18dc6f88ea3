/* call: one outbound HTTP exchange: its life, from the order to the end, and the events of its connection. How a try
 * gets to an endpoint is in attempt.c, whether there is another in retry.c, a second one beside it in hedge.c.
 */
#include "worker/upstream/call.h"

#include "shared/base/log.h"
#include "shared/shm/upstreams.h"
#include "worker/upstream/attempt.h"
#include "worker/upstream/breaking.h"
#include "worker/upstream/call_state.h"
#include "worker/upstream/hedge.h"

enum {
    DROPPED_MOST = 65536,  /* of an answer that isn't wanted: read to keep its connection */
    PROBE_AGAIN_MS = 1000, /* after a probe that got to no endpoint, by no fault of theirs */
    COME_AGAIN_MS = 1000,  /* where nothing better is known */
    REFUSALS_MAX = 5,      /* of HTTP/2 streams: then it counts as a failure */
};

static struct timers *timers_of(const struct call *call)
{
    return &call->cluster->worker->loop.timers;
}

/* --- the end of a try, and of the call --- */

static void clear_try_timers(struct call *call)
{
    if (call->try_timed)
        timer_clear(timers_of(call), &call->try_end);
    if (call->hedge_set)
        timer_clear(timers_of(call), &call->hedge_at);
    call->try_timed = call->hedge_set = false;
}

void call_let_go(struct call *call)
{
    struct cluster *cluster = call->cluster;
    clear_try_timers(call);
    if (call->endpoint) {
        endpoint_count(call->endpoint, -1);
        queue_wake(&cluster->queue, &cluster->worker->loop);
    }
    call->endpoint = NULL;
    call->client = NULL;
}

void call_leave_queue(struct call *call)
{
    if (call->queued)
        queue_leave(&call->cluster->queue, &call->waiter);
    call->queued = false;
}

/* The present try, wherever it is. The connection is left to the caller. */
static void end_try(struct call *call)
{
    call_let_go(call);
    call_leave_queue(call);
    if (call->paused)
        timer_clear(timers_of(call), &call->pause);
    if (call->resting)
        timer_clear(timers_of(call), &call->again);
    call->paused = call->resting = false;
}

static void end(struct call *call)
{
    end_try(call);
    timer_clear(timers_of(call), &call->total);
    if (call->ticket)
        breaker_give_back(breaking_cell(call->cluster->worker, call->breaking), call->ticket,
                          call->cluster->worker->loop.now_ms);
    call->ticket = 0;
    if (call->counted)
        tally_add(call->cluster->in_flight, -1);
    call->counted = false;
    if (call->hedge)
        call_drop(call->hedge);
    call->hedge = NULL;
}

void call_drop(struct call *call)
{
    struct client *client = call->client;
    end(call);
    if (client)
        client_abandon(client);
}

void call_yield(struct call *primary)
{
    struct client *client = primary->client;
    end_try(primary);
    if (client)
        client_abandon(client);
}

/* The second try is over without an answer: the first goes on, or its failure is told now. */
static void second_failed(struct call *call)
{
    struct call *primary = call->primary;
    end(call);
    primary->hedge = NULL;
    if (primary->outlived)
        call_fail(primary, primary->failure, primary->detail);
}

/* The first try is over, and the second goes on: what came of the first is told if that fails too. */
static bool outlived(struct call *call, enum call_failure failure, const char *detail)
{
    if (!call->hedge || call->answered)
        return false;
    end_try(call);
    call->failure = failure;
    call->detail = detail;
    call->outlived = true;
    return true;
}

void call_fail(struct call *call, enum call_failure failure, const char *detail)
{
    if (outlived(call, failure, detail))
        return;
    struct call *told = call->primary ? call->primary : call;
    struct stats_row *stats = call->cluster->worker->stats;
    if (call->primary && !call->answered) {
        second_failed(call);
        return;
    }
    if (call->ticket) { /* who comes at once would meet the same */
        breaker_give_back(breaking_cell(call->cluster->worker, call->breaking), call->ticket,
                          call->cluster->worker->loop.now_ms + PROBE_AGAIN_MS);
        call->ticket = 0;
    }
    if (failure != CALL_BROKEN && failure != CALL_LIMITED)
        stat_add(stats,
                 failure == CALL_TIMEOUT ? STAT_UPSTREAM_TIMEOUTS
                 : failure == CALL_BUSY  ? STAT_UPSTREAM_BUSY
                                         : STAT_UPSTREAM_ERRORS,
                 1);
    end(call);
    if (told != call)
        end(told);
    told->events->on_failed(told->owner, failure, detail);
}

/* --- another attempt --- */

static void on_again(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, again);
    struct worker *worker = call->cluster->worker;
    call->resting = false;
    call->attempt++;
    call->connects = 0;
    if (call->breaking && !breaker_passes(breaking_cell(worker, call->breaking))) {
        call->retry_ms = COME_AGAIN_MS;
        call_fail(call, CALL_BROKEN, "its breaker opened before another try was made");
        return;
    }
    stat_add(worker->stats, STAT_RETRIES, 1);
    attempt_begin(call);
}

/* Until the next attempt. The owner brings no more of the body meanwhile. */
static void rest(struct call *call, uint64_t delay_ms)
{
    struct loop *loop = &call->cluster->worker->loop;
    if (call->body && !(call->replay && call->replay->last))
        call->events->on_blocked(call->owner);
    call->resting = true;
    timer_init(&call->again, on_again);
    timer_set(&loop->timers, &call->again, loop->now_ms + delay_ms);
}

bool call_try_failed(struct call *call, enum call_failure failure, const char *detail, unsigned on)
{
    uint64_t delay_ms;
    if (outlived(call, failure, detail))
        return true;
    if (retry_failure(call, on, &delay_ms)) {
        rest(call, delay_ms);
        return true;
    }
    call_fail(call, failure, detail);
    return false;
}

/* The try is given up for its time. */
static void on_try_end(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, try_end);
    struct client *client = call->client;
    static const char detail[] = "no answer within the time of a try (retry.per_try)";
    call->try_timed = false;
    if (call->asking) { /* it is the owner that is waited for */
        call_time_try(call);
        return;
    }
    log_warning("upstream %s: %s: %s", call->cluster->settings->name, call->endpoint->text, detail);
    call_observe(call, OUTCOME_FAILED, 0);
    call_judge(call, 0, detail, 0);
    end_try(call);
    if (client)
        client_abandon(client);
    call_try_failed(call, CALL_TIMEOUT, detail, RETRY_TIMEOUT);
}

void call_time_try(struct call *call)
{
    struct loop *loop = &call->cluster->worker->loop;
    timer_init(&call->try_end, on_try_end);
    timer_set(&loop->timers, &call->try_end, loop->now_ms + call->retrying->per_try);
    call->try_timed = true;
}

/* --- for the owner --- */

/* A try that the call's time ends. A caller who has no more patience says nothing of the endpoint: else those with little
 * of it could open the breaker for all. */
static void too_late(struct call *call, const char *detail, bool callers)
{
    bool left = call->asking || callers;
    if (call->answered)
        return;
    call_observe(call, left ? OUTCOME_LEFT : OUTCOME_FAILED, 0);
    if (call->endpoint && !left)
        call_judge(call, 0, detail, 0);
}

static void on_total(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, total);
    const char *detail = call->callers ? "no whole answer within the caller's deadline"
                                       : "no whole answer within the total time-out";
    too_late(call, detail, call->callers);
    if (call->hedge) {
        too_late(call->hedge, detail, call->callers);
        call_drop(call->hedge);
    }
    call->hedge = NULL;
    if (call->client)
        client_abandon(call->client);
    call_fail(call, call->callers ? CALL_DEADLINE : CALL_TIMEOUT, detail);
}

/* When the call's time is over: ms; 0: never. */
static uint64_t end_of(struct call *call, uint64_t deadline)
{
    const struct cluster *cluster = call->cluster;
    uint64_t total = call->patience && call->patience->total ? call->patience->total
                                                             : (uint64_t)cluster->settings->timeout.total;
    uint64_t end = total ? cluster->worker->loop.now_ms + total : 0;
    call->callers = deadline && (!end || deadline < end);
    return call->callers ? deadline : end;
}

/* Counts it among those in progress. Whether it is within what the upstream can do. */
static bool count_in(struct call *call)
{
    struct cluster *cluster = call->cluster;
    struct worker *worker = cluster->worker;
    tally_add(cluster->in_flight, 1);
    call->counted = true;
    if (!cluster->adaptive.most)
        return true;
    uint32_t limit = gradient_limit(&cluster->cell->gradient, &cluster->adaptive, worker->loop.now_ms);
    /* Who counts itself first, and then all, is never one too many. */
    atomic_thread_fence(memory_order_seq_cst);
    return cells_in_flight(worker->shared->upstreams, cluster->cell_index) <= limit;
}

/* Whether the upstream is to get the call at all. False: it failed, and the owner knows. */
static bool admit(struct call *call)
{
    struct worker *worker = call->cluster->worker;
    if (!count_in(call)) {
        stat_add(worker->stats, STAT_ADAPTIVE_REFUSED, 1);
        call->retry_ms = COME_AGAIN_MS;
        call_fail(call, CALL_LIMITED, "as many requests are in progress as it can answer in time");
        return false;
    }
    if (call->breaking && !breaking_ask(worker, call->breaking, &call->ticket, &call->retry_ms)) {
        call_fail(call, CALL_BROKEN, "its breaker is open, as requests failed lately");
        return false;
    }
    return true;
}

/* Whether the body may have to be sent twice; over HTTP/2 whatever the method, as the endpoint may refuse the stream. */
static bool may_replay(const struct call *call)
{
    const struct retrying *retrying = call->retrying;
    if (!call->body || call->events->background)
        return false;
    if (call->cluster->settings->protocol != UPSTREAM_HTTP1)
        return true;
    return retrying && (retrying->attempts > 1 || retrying->hedge) &&
           (retrying->methods >> call->method & 1 || (call->grpc && retrying->grpc));
}

/* What may be needed for another try. */
static void prepare_tries(struct call *call)
{
    struct cluster *cluster = call->cluster;
    if (call->retrying)
        budget_call(&cluster->cell->budget, &call->retrying->budget, cluster->worker->loop.now_ms,
                    &cluster->payer);
    if (may_replay(call))
        call->replay = arena_zalloc(call->arena, sizeof *call->replay);
}

bool call_start(struct call *call, struct cluster *cluster, const struct call_events *events, void *owner,
                struct arena *arena, const struct call_order *order)
{
    struct loop *loop = &cluster->worker->loop;
    uint64_t end;
    memset(call, 0, offsetof(struct call, choice));
    call->cluster = cluster;
    call->events = events;
    call->owner = owner;
    call->arena = arena;
    call->breaking = order->breaking ? order->breaking : cluster->breaking;
    call->retrying = events->background ? NULL : cluster->retrying; /* copies don't multiply */
    call->method = order->method;
    call->body = order->body;
    call->chunked = order->chunked;
    call->grpc = order->grpc;
    call->patience = order->patience;
    call->upgrade = order->upgrade;
    call->websocket_key = order->websocket_key;
    call->choice.key = order->key;
    call->choice.tried_count = 0;
    call->began = loop->now;
    timer_init(&call->total, on_total);
    if (!admit(call))
        return false;
    prepare_tries(call);
    if ((end = end_of(call, order->deadline)))
        timer_set(&loop->timers, &call->total, end);
    return attempt_begin(call);
}

void call_start_second(struct call *call, struct call *primary)
{
    struct cluster *cluster = primary->cluster;
    bool busy;
    *call = (struct call){
        .cluster = cluster,
        .events = primary->events,
        .owner = primary->owner,
        .arena = primary->arena,
        .breaking = primary->breaking,
        .retrying = primary->retrying,
        .replay = primary->replay,
        .patience = primary->patience,
        .primary = primary,
        .method = primary->method,
        .body = primary->body,
        .chunked = primary->chunked,
        .grpc = primary->grpc,
        .body_begun = primary->body_begun,
        .began = cluster->worker->loop.now,
        .choice = primary->choice,
    };
    timer_init(&call->total, NULL);
    if (!count_in(call) || !retry_take_budget(call)) {
        end(call);
        return;
    }
    stat_add(cluster->worker->stats, STAT_HEDGES, 1);
    primary->tries++;
    primary->hedge = call;
    if (!attempt_next(call, &busy) && busy) {
        primary->hedge = NULL;
        end(call);
    }
}

void call_adopt(struct call *call, struct endpoint *endpoint, const struct call_events *events, void *owner,
                struct arena *arena)
{
    struct cluster *cluster = endpoint->cluster;
    memset(call, 0, offsetof(struct call, choice));
    call->cluster = cluster;
    call->events = events;
    call->owner = owner;
    call->arena = arena;
    call->endpoint = call->last = endpoint;
    call->answered = call->tunnel = call->counted = true;
    call->began = call->asked = cluster->worker->loop.now;
    timer_init(&call->total, on_total);
    endpoint_count(endpoint, 1);
    tally_add(cluster->in_flight, 1);
}

struct client *call_dismiss(struct call *call)
{
    struct client *client = call->client;
    end(call);
    return client;
}

void call_trailers(struct call *call, const struct fields *trailers)
{
    if (call->replay)
        call->replay->trailers = trailers;
    if (call->client)
        client_trailers(call->client, trailers);
}

/* The answer is whole. */
static void finish(struct call *call)
{
    if (call->unjudged)
        call_learn_trailers(call, NULL);
    if (call->endpoint)
        endpoint_completed(call->endpoint);
    end(call);
    if (call->primary)
        end(call->primary);
}

/* The same of a tunnel. */
static void pass_up(struct call *call, const char *data, size_t length, bool last)
{
    if (call->client)
        client_send_body(call->client, data, length, last);
    call->sent_last = last;
    if (last && call->got_last)
        finish(call);
}

void call_send(struct call *call, const char *data, size_t length, bool last)
{
    if (call->tunnel) {
        pass_up(call, data, length, last);
        return;
    }
    call->body_begun = true;
    if (!call->answered) /* else its head came first, and it was not for want of a request that it took so long */
        call->asked = call->cluster->worker->loop.now;
    call->asking = !last;
    if (call->replay)
        replay_add(call, data, length, last);
    if (call->client)
        client_send_body(call->client, data, length, last);
    if (last && call->try_timed) /* from now on it is the endpoint that is waited for */
        timer_set(timers_of(call), &call->try_end,
                  call->cluster->worker->loop.now_ms + call->retrying->per_try);
    if (last && call->client && call->retrying && call->retrying->hedge)
        hedge_arm(call);
}

/* Who answers. */
static struct client *answering(const struct call *call)
{
    return call->hedge && call->answered ? call->hedge->client : call->client;
}

void call_relay(struct call *call, struct connection *to)
{
    client_relay(answering(call), to);
}

void call_read(struct call *call, bool on)
{
    struct client *client = answering(call);
    if (client)
        client_read(client, on);
}

void call_cancel(struct call *call)
{
    struct client *client = call->client;
    if (!call->cluster)
        return;
    if (!call->answered)
        call_observe(call, OUTCOME_LEFT, 0);
    else if (call->unjudged)
        call_learn_left(call);
    end(call);
    if (client)
        client_abandon(client);
}

/* --- the connection's events --- */

static void on_connected(void *owner)
{
    attempt_send(owner);
}

static void on_interim(void *owner, const struct response_head *head)
{
    struct call *call = owner;
    call->events->on_interim(call->owner, head);
}

/* Its answer isn't wanted: the rest of it is read if that is little, so that the connection is kept. */
static void drop_answer(struct call *call, const struct response_head *head, bool last)
{
    struct client *client = call->client;
    bool asking = call->asking;
    end_try(call);
    if (last)
        return; /* it is the pool's again */
    if (head->body == BODY_LENGTH && head->length <= DROPPED_MOST && !asking)
        client_discard(client);
    else
        client_abandon(client);
}

/* Whether the head is passed over: for another try, or for the one that goes on beside. */
static bool pass_over(struct call *call, const struct response_head *head, unsigned status, bool last)
{
    uint64_t delay_ms;
    if (call->primary && status >= 500 && !call->primary->outlived) {
        call->primary->hedge = NULL;
        drop_answer(call, head, last);
        end(call);
        return true;
    }
    if (!retry_answer(call, head, &delay_ms))
        return false;
    if (call->hedge)
        call_drop(call->hedge);
    call->hedge = NULL;
    drop_answer(call, head, last);
    rest(call, delay_ms);
    return true;
}

/* An answer without an end, whose silence says nothing (the event stream of the HTML standard). */
static bool is_event_stream(const struct response_head *head)
{
    static const struct str type = {"text/event-stream", 17};
    struct str value = fields_value(&head->fields, FIELD_CONTENT_TYPE);
    return value.length >= type.length && str_case_eq((struct str){value.data, type.length}, type) &&
           (value.length == type.length || value.data[type.length] == ';' || value.data[type.length] == ' ');
}

/* It is no failure of the endpoint that nothing happens, nor that a stream of gRPC has no message for a while; the caller's own deadline holds all the same. */
static void await_events(struct call *call)
{
    struct call *told = call->primary ? call->primary : call;
    uint64_t silence = (uint64_t)call->cluster->settings->timeout.events;
    if (!told->callers && !call->grpc)
        timer_clear(timers_of(told), &told->total);
    client_patience(call->client, silence, silence);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct call *call = owner;
    unsigned status = call_learn_head(call, head, last);
    if (call->retrying && pass_over(call, head, status, last))
        return;
    call->answered = true;
    call->tunnel = head->status == 101;
    if (call->tunnel)
        timer_clear(timers_of(call), &call->total);
    clear_try_timers(call);
    if (call->primary || call->hedge)
        hedge_won(call);
    if (last)
        finish(call);
    else if (call->unjudged || (head->body == BODY_STREAM && is_event_stream(head)))
        await_events(call);
    call->events->on_head(call->owner, head, last);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct call *call = owner;
    call->got_last = last;
    if (last && (!call->tunnel || call->sent_last))
        finish(call);
    call->events->on_body(call->owner, data, length, last);
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    struct call *call = owner;
    if (call->unjudged)
        call_learn_trailers(call, trailers);
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
    if (call->answered || !retry_can_replay(call) || !method_idempotent(call->method))
        return false;
    stat_add(call->cluster->worker->stats, STAT_UPSTREAM_RACES, 1);
    attempt_again(call);
    return true;
}

/* The endpoint has done nothing with the request: it may be sent again, whatever the method, at no try's cost. */
static bool unread(struct call *call)
{
    if (call->answered || !retry_can_replay(call) || call->refusals == REFUSALS_MAX)
        return false;
    call->refusals++;
    attempt_elsewhere(call);
    return true;
}

/* There was a connection, but no whole answer. */
static void broke_off(struct call *call, enum call_failure failure, const char *detail, unsigned on)
{
    log_warning("upstream %s: %s: %s", call->cluster->settings->name, call->endpoint->text, detail);
    bool judged = call->answered && !call->unjudged;
    call->unjudged = false;
    call_observe(call, OUTCOME_FAILED, 0);
    if (!judged)
        call_judge(call, 0, detail, 0);
    if (call->answered) {
        call_fail(call, failure, detail);
        return;
    }
    call_let_go(call);
    call_try_failed(call, failure, detail, on);
}

/* Who ends it and how is the business of the protocol in it. */
static void tunnel_broke(struct call *call, const char *detail)
{
    log_info("upstream %s: %s: the end of a tunnel: %s", call->cluster->settings->name, call->endpoint->text,
             detail);
    finish(call);
    call->events->on_failed(call->owner, CALL_CLOSED, detail);
}

static void on_failed(void *owner, enum client_failure failure, const char *detail)
{
    struct call *call = owner;
    call->client = NULL;
    if (call->tunnel) {
        tunnel_broke(call, detail);
        return;
    }
    switch (failure) {
    case CLIENT_CONNECT:
    case CLIENT_CONNECT_TIMEOUT:
        attempt_not_connected(call, failure == CLIENT_CONNECT ? CALL_UNREACHABLE : CALL_TIMEOUT, detail);
        attempt_begin(call);
        return;
    case CLIENT_CLOSED_UNUSED:
        if (!race(call))
            broke_off(call, CALL_CLOSED,
                      "it closed the connection as it was taken, and the request may not be sent twice",
                      RETRY_RESET);
        return;
    case CLIENT_REFUSED:
        stat_add(call->cluster->worker->stats, STAT_UPSTREAM_REFUSED, 1);
        if (!unread(call))
            broke_off(call, CALL_CLOSED, detail, RETRY_RESET);
        return;
    case CLIENT_CLOSED:
        broke_off(call, CALL_CLOSED, detail, RETRY_RESET);
        return;
    case CLIENT_MALFORMED:
        broke_off(call, CALL_MALFORMED, detail, 0);
        return;
    case CLIENT_TIMEOUT:
        broke_off(call, CALL_TIMEOUT, detail, RETRY_TIMEOUT);
        return;
    }
}

const struct client_events call_client_events = {
    .on_connected = on_connected,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_failed = on_failed,
};
