/* engine: serving requests, as workers and the keeper do. */
#include "worker/role/engine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "worker/http/http1_server.h"
#include "worker/request/request.h"
#include "worker/upstream/cluster.h"

#define STALLED_NS (3 * NS_PER_SECOND)
enum { SHARE_MS = 100, SHARE_LEAST = 64, WORKER_CHUNK = 65536 };

/* --- accepting --- */

/* What a worker may hold beyond the others' average: an eighth, or SHARE_LEAST while all have few. */
static uint32_t fair_share(const struct engine *engine)
{
    const struct slots *slots = engine->worker.shared->slots;
    uint64_t total = 0, workers = 0;
    for (unsigned i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->slot[i];
        if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_SERVING ||
            atomic_load_explicit(&slot->role, memory_order_relaxed) != ROLE_WORKER)
            continue;
        uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed);
        if (beat + STALLED_NS < engine->worker.loop.now)
            continue; /* it takes nothing: waiting for it would stop everybody */
        total += atomic_load_explicit(&slot->connections, memory_order_relaxed);
        workers++;
    }
    if (workers < 2)
        return UINT32_MAX;
    uint64_t average = total / workers;
    return (uint32_t)(average + average / 8 + SHARE_LEAST);
}

static bool has_room(struct acceptor *acceptor)
{
    struct engine *engine = acceptor->owner;
    const struct http_service *service = &engine->worker.service;
    uint64_t now = engine->worker.loop.now_ms;
    if (service->connection_count >= (unsigned)engine->worker.site->settings->max_connections)
        return false;
    if (now - engine->share_checked >= SHARE_MS) {
        engine->share_checked = now;
        engine->share = fair_share(engine);
    }
    return service->connection_count < engine->share;
}

static void on_accept(struct acceptor *acceptor, int fd, const struct address *peer)
{
    struct engine *engine = acceptor->owner;
    http1_server_open(&engine->worker.service, fd, peer, acceptor->tag);
}

static const struct acceptor_events acceptor_events = {.on_accept = on_accept, .has_room = has_room};

static void on_go(struct member *member)
{
    struct engine *engine = member->owner;
    const struct site *site = engine->worker.site;
    for (unsigned i = 0; i < engine->process->bound_count; i++) {
        const struct bound *bound = &engine->process->bound[i];
        struct acceptor *acceptor = &engine->acceptors[i];
        acceptor->owner = engine;
        acceptor->tag = site->admin;
        for (unsigned j = 0; bound->listener && j < site->settings->listeners.count; j++)
            if (site->settings->listeners.items[j] == bound->listener)
                acceptor->tag = site->routers[j];
        if (acceptor_open(acceptor, &engine->worker.net, bound->fd, &acceptor_events) == 0)
            engine->acceptor_count = i + 1;
    }
}

/* --- ending --- */

static void stop_if_empty(struct engine *engine)
{
    if (engine->member.draining && engine->worker.service.connection_count == 0)
        engine->worker.loop.stop = true;
}

static void on_closed(struct http_service *service)
{
    struct worker *worker = service->owner;
    struct engine *engine = worker->owner;
    if (engine->member.draining)
        stop_if_empty(engine);
    else
        for (unsigned i = 0; i < engine->acceptor_count; i++)
            if (!engine->acceptors[i].in_loop && !engine->acceptors[i].closed &&
                has_room(&engine->acceptors[i]))
                acceptor_resume(&engine->acceptors[i]);
}

/* The end: what is still open is cut, counted and told. */
static void cut(struct engine *engine, const char *why)
{
    struct worker *worker = &engine->worker;
    unsigned total = worker->service.connection_count;
    unsigned idle = http1_server_cut(&worker->service), busy = total - idle;
    stat_add(worker->stats, STAT_CUT_CONNECTIONS, idle);
    stat_add(worker->stats, STAT_CUT_REQUESTS, busy);
    if (busy) {
        struct channel_message message = {.verb = CHANNEL_CUT, .number = busy, .text = "requests"};
        log_warning("%s: %u requests and %u idle connections were cut", why, busy, idle);
        if (channel_send(engine->process->channel, &message) < 0)
            log_info("the master can't be told: %s", strerror(errno));
    }
    worker->loop.stop = true;
}

static void on_drain_deadline(struct timer *timer)
{
    cut(CONTAINER_OF(timer, struct engine, drain_deadline), "drain_timeout has passed");
}

static void on_drain(struct member *member, uint64_t timeout_ms)
{
    struct engine *engine = member->owner;
    struct loop *loop = &engine->worker.loop;
    engine->worker.service.draining = true;
    /* What waits in the queue of a listener that the next generation lacks would be lost with it. */
    for (unsigned i = 0; i < engine->acceptor_count; i++)
        acceptor_finish(&engine->acceptors[i]);
    http1_server_drain(&engine->worker.service);
    if (timeout_ms)
        timer_set(&loop->timers, &engine->drain_deadline, loop->now_ms + timeout_ms);
    stop_if_empty(engine);
}

static void on_stop(struct member *member)
{
    struct engine *engine = member->owner;
    for (unsigned i = 0; i < engine->acceptor_count; i++)
        acceptor_close(&engine->acceptors[i]);
    cut(engine, "told to stop");
}

/* --- running --- */

static void before_wait(struct loop *loop)
{
    struct engine *engine = loop->owner;
    struct worker *worker = &engine->worker;
    net_flush(&worker->net);
    atomic_store_explicit(&worker->slot->connections, worker->service.connection_count, memory_order_relaxed);
    atomic_store_explicit(&worker->slot->requests, worker->request_count, memory_order_relaxed);
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
    };
    list_init(&worker->service.connections);
}

int engine_init(struct engine *engine, struct process *process)
{
    struct worker *worker = &engine->worker;
    memset(engine, 0, sizeof *engine);
    engine->process = process;
    engine->arena = arena_new(WORKER_CHUNK);
    engine->acceptors = arena_array(engine->arena, process->bound_count, sizeof *engine->acceptors);
    timer_init(&engine->drain_deadline, on_drain_deadline);
    worker->owner = engine;
    worker->shared = process->shared;
    worker->slot_index = process->slot;
    worker->slot = &process->shared->slots->slot[process->slot];
    worker->stats = &process->shared->stats->row[process->slot];
    worker->generation = process->generation;
    worker->site = process->generation->site;
    random_seed(&worker->random);
    if (loop_init(&worker->loop, engine) < 0 || net_init(&worker->net, &worker->loop, worker->stats) < 0) {
        member_failed(process, "no event loop: %s", strerror(errno));
        return -1;
    }
    worker->loop.before_wait = before_wait;
    list_init(&worker->background);
    init_service(worker);
    clusters_open(worker, engine->arena);
    engine->member =
        (struct member){.on_go = on_go, .on_drain = on_drain, .on_stop = on_stop, .owner = engine};
    if (member_join(&engine->member, process, &worker->loop) < 0) {
        member_failed(process, "can't join the loop: %s", strerror(errno));
        return -1;
    }
    return 0;
}

int engine_run(struct engine *engine)
{
    struct worker *worker = &engine->worker;
    member_ready(&engine->member);
    loop_run(&worker->loop);
    while (!list_empty(&worker->background)) {
        struct background *background = CONTAINER_OF(worker->background.next, struct background, link);
        background->cut(background);
    }
    clusters_close(worker);
    for (unsigned i = 0; i < worker->service.arena_count; i++)
        arena_free(&worker->service.arenas[i]);
    before_wait(&worker->loop);
    net_close(&worker->net);
    loop_close(&worker->loop);
    arena_free(&engine->arena);
    return 0;
}
