/* engine: serving requests, as workers and the keeper do. */
#include "worker/role/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "worker/http/http1_server.h"
#include "worker/http/http2_server.h"
#include "worker/net/tls_server.h"
#include "worker/request/request.h"
#include "worker/role/override.h"
#include "worker/upstream/cluster.h"
#include "worker/upstream/places.h"
#include "worker/upstream/tunnel.h"

enum { WORKER_CHUNK = 65536 };

static void on_go(struct member *member)
{
    struct engine *engine = member->owner;
    accepting_start(&engine->accepting, engine->process->bound, engine->process->bound_count);
    takeover_start(&engine->takeover);
    if (engine->on_go)
        engine->on_go(engine);
}

/* --- ending --- */

static void stop_if_empty(struct engine *engine)
{
    if (engine->emptying && accepting_count(&engine->accepting) == 0)
        engine->worker.loop.stop = true;
}

static void on_empty(void *owner)
{
    stop_if_empty(owner);
}

static void on_closed(struct http_service *service, const struct admission *admission)
{
    struct worker *worker = service->owner;
    struct engine *engine = worker->owner;
    accepting_left(&engine->accepting, admission);
}

/* The master adds up what was cut. */
static void tell_cut(struct engine *engine, unsigned number, const char *kind)
{
    struct channel_message message = {.verb = CHANNEL_CUT, .number = number};
    (void)snprintf(message.text, sizeof message.text, "%s", kind);
    if (number && channel_send(engine->process->channel, &message) < 0)
        log_info("the master can't be told: %s", strerror(errno));
}

/* The end: what is still open is cut, counted and told. */
static void cut(struct engine *engine, const char *why)
{
    struct worker *worker = &engine->worker;
    unsigned under_way = handover_end(&engine->handover); /* to a newer worker, which has them now */
    unsigned tunnels = tunnels_close(worker, WEBSOCKET_SERVICE_RESTART, "drain");
    unsigned total = accepting_count(&engine->accepting);
    unsigned more = 0; /* requests, beyond one a connection */
    unsigned idle = accepting_cut(&engine->accepting) + http1_server_cut(&worker->service) +
                    http2_server_cut(&worker->service, &more);
    unsigned busy = total - idle + more;
    stat_add(worker->stats, STAT_CUT_CONNECTIONS, idle);
    stat_add(worker->stats, STAT_CUT_REQUESTS, busy);
    stat_add(worker->stats, STAT_TUNNELS_CUT, tunnels);
    if (busy || tunnels)
        log_warning("%s: %u requests, %u tunnels and %u idle connections were cut, %u were being handed over",
                    why, busy, tunnels, idle, under_way);
    tell_cut(engine, busy, "requests");
    tell_cut(engine, tunnels, "tunnels");
    worker->loop.stop = true;
}

static void on_drain_deadline(struct timer *timer)
{
    cut(CONTAINER_OF(timer, struct engine, drain_deadline), "drain_timeout has passed");
}

/* Nobody goes on with what is left: clients are told. */
static void on_alone(void *owner)
{
    struct engine *engine = owner;
    http1_server_drain(&engine->worker.service);
}

static void on_successors(struct member *member, struct channel_message *message)
{
    struct engine *engine = member->owner;
    handover_told(&engine->handover, message);
}

static void on_drain(struct member *member, uint64_t timeout_ms)
{
    struct engine *engine = member->owner;
    struct loop *loop = &engine->worker.loop;
    takeover_stop(&engine->takeover);
    handover_begin(&engine->handover);
    http2_server_drain(&engine->worker.service);
    /* What waits in the queue of a listener that the next generation lacks would be lost with it. */
    accepting_finish(&engine->accepting);
    if (timeout_ms)
        timer_set(&loop->timers, &engine->drain_deadline, loop->now_ms + timeout_ms);
    engine->emptying = true;
    stop_if_empty(engine);
}

static void on_stop(struct member *member)
{
    struct engine *engine = member->owner;
    takeover_stop(&engine->takeover);
    accepting_stop(&engine->accepting);
    cut(engine, "told to stop");
}

/* --- running --- */

static void before_wait(struct loop *loop)
{
    struct engine *engine = loop->owner;
    struct worker *worker = &engine->worker;
    override_follow(worker, &engine->overrides_seen);
    places_turn(worker);
    net_flush(&worker->net);
    atomic_store_explicit(&worker->slot->connections, accepting_count(&engine->accepting),
                          memory_order_relaxed);
    atomic_store_explicit(&worker->slot->requests, worker->request_count, memory_order_relaxed);
    atomic_store_explicit(&worker->slot->tunnels, worker->tunnel_count, memory_order_relaxed);
    shared_log_flush(worker->shared, worker->slot_index);
}

static void init_service(struct worker *worker)
{
    const struct client_settings *client = &worker->site->settings->client;
    worker->service = (struct http_service){
        .net = &worker->net,
        .events = &request_exchange_events,
        .owner = worker,
        .on_closed = on_closed,
        .header_timeout = (uint64_t)client->header_timeout,
        .keepalive_timeout = (uint64_t)client->keepalive_timeout,
        .body_timeout = (uint64_t)client->body_timeout,
        .send_timeout = (uint64_t)client->send_timeout,
        .half_close = client->half_close,
        .max_line = (uint32_t)client->max_line,
        .max_head = (uint32_t)client->max_head,
        .max_fields = (uint32_t)client->max_fields,
        .max_body = (uint64_t)client->max_body,
        .max_requests = (uint32_t)client->max_requests,
        .least_rate = (uint64_t)client->least_rate,
        .least_rate_window = (uint64_t)client->least_rate_window,
        .http2_streams = (uint32_t)client->http2.max_streams,
        .http2_window = (uint32_t)client->http2.window,
        .http2_connection_window = (uint32_t)client->http2.connection_window,
        .http2_resets = (uint32_t)client->http2.max_resets,
        .http2_overhead = (uint32_t)client->http2.max_overhead,
    };
    list_init(&worker->service.connections);
    list_init(&worker->service.leaving);
    list_init(&worker->service.http2_connections);
}

static void open_staples(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->site->settings->listeners.count; i++)
        if (worker->site->tls[i])
            tls_server_open_staples(worker->site->tls[i], worker->shared->staples, worker->generation->cells);
}

int engine_init(struct engine *engine, struct process *process)
{
    struct worker *worker = &engine->worker;
    memset(engine, 0, sizeof *engine);
    engine->process = process;
    engine->arena = arena_new(WORKER_CHUNK);
    timer_init(&engine->drain_deadline, on_drain_deadline);
    worker->owner = engine;
    worker->shared = process->shared;
    worker->slot_index = process->slot;
    worker->caller = lock_caller(process->shared->slots, process->slot);
    worker->slot = &process->shared->slots->slot[process->slot];
    worker->stats = &process->shared->stats->row[process->slot];
    worker->generation = process->generation;
    worker->site = process->generation->site;
    random_seed(&worker->random);
    open_staples(worker);
    if (loop_init(&worker->loop, engine) < 0 || net_init(&worker->net, &worker->loop, worker->stats) < 0) {
        member_failed(process, "no event loop: %s", strerror(errno));
        return -1;
    }
    worker->loop.before_wait = before_wait;
    list_init(&worker->background);
    list_init(&worker->tunnels);
    init_service(worker);
    accepting_init(&engine->accepting, worker, engine->arena, process->bound, process->bound_count);
    engine->accepting.on_empty = on_empty;
    engine->accepting.owner = engine;
    handover_init(&engine->handover, &engine->accepting);
    engine->handover.on_alone = on_alone;
    engine->handover.owner = engine;
    takeover_init(&engine->takeover, &engine->accepting, process->inbox);
    clusters_open(worker, engine->arena);
    if (shedding_start(&engine->shedding, worker) < 0) {
        member_failed(process, "shed.memory: the memory can't be seen: /proc/self/statm: %s",
                      strerror(errno));
        return -1;
    }
    engine->member = (struct member){.on_go = on_go,
                                     .on_drain = on_drain,
                                     .on_stop = on_stop,
                                     .on_successors = on_successors,
                                     .owner = engine};
    if (member_join(&engine->member, process, &worker->loop) < 0) {
        member_failed(process, "can't join the loop: %s", strerror(errno));
        return -1;
    }
    return 0;
}

int engine_run(struct engine *engine)
{
    struct worker *worker = &engine->worker;
    if (!engine->ready_later)
        member_ready(&engine->member);
    loop_run(&worker->loop);
    shedding_end(&engine->shedding);
    if (engine->on_end)
        engine->on_end(engine);
    while (!list_empty(&worker->background))
        background_cut_oldest(worker);
    clusters_close(worker);
    takeover_stop(&engine->takeover);
    handover_end(&engine->handover);
    accepting_free(&engine->accepting);
    for (unsigned i = 0; i < worker->service.arena_count; i++)
        arena_free(&worker->service.arenas[i]);
    before_wait(&worker->loop);
    net_close(&worker->net);
    loop_close(&worker->loop);
    arena_free(&engine->arena);
    return 0;
}
