/* prober: the probes of endpoints. Called by the keeper, on its loop.
 *
 * No storm: the first probes are spread out, RATE a second at most while the interval allows it, and each endpoint goes on
 * from there in its own rhythm, a little earlier by chance (jitter). What was probed before, by the last keeper, is
 * due when it would have been. A probe uses a connection of its own: it asks whether there are any to be had, too.
 */
#include "worker/upstream/prober.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "shared/base/log.h"
#include "worker/codec/proxy_protocol.h"
#include "worker/request/site.h"
#include "worker/upstream/endpoint_tls.h"
#include "worker/upstream/forward.h"
#include "worker/upstream/grpc_probe.h"
#include "worker/upstream/health.h"
#include "worker/upstream/spread.h"

enum { RATE = 100, BODY_MAX = 16384, WHY_MAX = 128, STALLED_MS = 1000 };

struct probe {
    struct background background; /* on the worker's list while one is in progress */
    struct endpoint *endpoint;
    struct timer timer;     /* the next one; while one is in progress, its time-out */
    struct address where;   /* of the endpoint, when it began, */
    struct address address; /* and with a port of its own */
    uint64_t began;         /* ms */
    struct client *client;
    struct arena *arena; /* NULL: none is in progress */
    struct buf body;
    struct str grpc_status; /* of the answer; NULL data: not yet */
    bool failed;            /* the last one */
    bool older;             /* the endpoint doesn't speak HTTP/2, as ALPN said */
    bool chose;             /* it said so in this one */
    char why[WHY_MAX];
    struct log_seldom ours_said;
};

static const struct client_events client_events;

static void open_client(struct probe *probe);

static struct worker *worker_of(const struct probe *probe)
{
    return probe->endpoint->cluster->worker;
}

static const struct health_settings *settings_of(const struct probe *probe)
{
    return probe->endpoint->cluster->settings->health;
}

static const char *upstream_of(const struct probe *probe)
{
    return probe->endpoint->cluster->settings->name;
}

const char *prober_why(const struct endpoint *endpoint)
{
    return endpoint->probe && endpoint->probe->failed ? endpoint->probe->why : NULL;
}

/* --- the end of a probe --- */

static void set_next(struct probe *probe)
{
    struct worker *worker = worker_of(probe);
    const struct health_settings *settings = settings_of(probe);
    uint64_t next =
        probe->began + spread_jitter(&worker->random, (uint64_t)settings->interval, settings->jitter);
    timer_set(&worker->loop.timers, &probe->timer,
              next > worker->loop.now_ms ? next : worker->loop.now_ms + 1);
}

/* Lets go of what it holds. */
static void put_down(struct probe *probe)
{
    struct worker *worker = worker_of(probe);
    struct client *client = probe->client;
    probe->client = NULL;
    if (client)
        client_abandon(client);
    list_remove(&probe->background.link);
    service_arena_give(&worker->service, &probe->arena);
}

static void tell(struct probe *probe, enum health_change change, unsigned streak)
{
    const struct endpoint *endpoint = probe->endpoint;
    const char *address = endpoint->text;
    unsigned left = cluster_fit(endpoint->cluster), count = cluster_present(endpoint->cluster);
    if (change == HEALTH_WENT_DOWN)
        log_warning("upstream %s: %s is down: %u failed %s in a row: %s (%u of %u endpoints are left%s)",
                    upstream_of(probe), address, streak, streak == 1 ? "probe" : "probes", probe->why, left,
                    count,
                    left                                 ? ""
                    : endpoint->cluster->settings->panic ? ": all are tried"
                                                         : "");
    else
        log_notice("upstream %s: %s is up: %u good %s in a row (%u of %u endpoints are left)",
                   upstream_of(probe), address, streak, streak == 1 ? "probe" : "probes", left, count);
}

/* It says nothing of the endpoint: the process ends, or lacks descriptors or memory. */
static void cut(struct background *background)
{
    struct probe *probe = CONTAINER_OF(background, struct probe, background);
    put_down(probe);
    set_next(probe);
}

/* Whether another address is in the place of the one that was probed. */
static bool has_moved(const struct probe *probe)
{
    const struct address *address = endpoint_address(probe->endpoint);
    return !address || !address_eq(address, &probe->where);
}

/* `why` NULL: it is good. */
static void finish(struct probe *probe, const char *why)
{
    struct worker *worker = worker_of(probe);
    unsigned streak;
    if (has_moved(probe)) {
        cut(&probe->background);
        return;
    }
    probe->failed = why;
    if (why)
        snprintf(probe->why, sizeof probe->why, "%s", why);
    stat_add(worker->stats, why ? STAT_PROBES_FAILED : STAT_PROBES, 1);
    put_down(probe);
    enum health_change change =
        health_judge(probe->endpoint->cell, settings_of(probe), !why, worker->loop.now_ms, &streak);
    if (change != HEALTH_SAME) {
        stat_add(worker->stats, change == HEALTH_WENT_UP ? STAT_ENDPOINTS_UP : STAT_ENDPOINTS_DOWN, 1);
        tell(probe, change, streak);
    } else if (why) {
        log_info("upstream %s: %s: a probe failed: %s", upstream_of(probe), probe->endpoint->text,
                 probe->why);
    }
    set_next(probe);
}

/* --- the answer --- */

static bool status_is_good(const struct health_settings *settings, unsigned status)
{
    for (unsigned i = 0; i < settings->status_count; i++)
        if (status >= settings->statuses[i].first && status <= settings->statuses[i].last)
            return true;
    return false;
}

static void judge_body(struct probe *probe)
{
    if (settings_of(probe)->grpc) {
        finish(probe, grpc_probe_judge(probe->grpc_status, buf_str(&probe->body), probe->arena));
        return;
    }
    const char *wanted = settings_of(probe)->body;
    bool found = memmem(probe->body.data, probe->body.length, wanted, strlen(wanted));
    finish(probe, found ? NULL : "its body doesn't have the text that is wanted");
}

/* It is for nobody. */
static void write_proxy_header(const struct cluster *cluster, struct buf *out)
{
    if (cluster->settings->proxy_protocol)
        proxy_protocol_write((enum proxy_protocol)cluster->settings->proxy_protocol, NULL, NULL, out);
}

static void write_request(const struct probe *probe, struct str body, struct buf *head)
{
    const struct health_settings *settings = settings_of(probe);
    struct str host = settings->host ? str_of(settings->host) : forward_endpoint_host(probe->endpoint);
    if (settings->grpc) {
        forward_line(head, STR("POST"), STR(GRPC_HEALTH_PATH), host);
        grpc_probe_write(settings, body, head);
    } else {
        forward_line(head, str_of(health_methods[settings->method]), str_of(settings->path), host);
        BUF_LITERAL(head, "User-Agent: gatehouse-health\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    }
}

static void on_connected(void *owner)
{
    struct probe *probe = owner;
    const struct cluster *cluster = probe->endpoint->cluster;
    const struct health_settings *settings = cluster->settings->health;
    bool grpc = settings->grpc;
    if (!settings->path && !grpc) {
        finish(probe, NULL);
        return;
    }
    struct str body = grpc ? grpc_probe_body(settings, probe->arena) : STR("");
    struct buf head = client_reserve(probe->client);
    if (!cluster->tls)
        write_proxy_header(cluster, &head);
    write_request(probe, body, &head);
    if (head.overflow) {
        finish(probe, "the probe's head is too large to send");
        return;
    }
    struct client_order order = {
        .method = grpc ? METHOD_POST : method_of(str_of(health_methods[settings->method])),
        .body = grpc,
    };
    client_send(probe->client, &head, &order, probe->arena);
    if (grpc)
        client_send_body(probe->client, body.data, body.length, true);
}

/* NULL: good so far. */
static const char *judge_head(struct probe *probe, const struct response_head *head)
{
    const struct health_settings *settings = settings_of(probe);
    if (settings->grpc)
        return grpc_probe_judge_head(head, probe->arena);
    return status_is_good(settings, head->status)
               ? NULL
               : arena_printf(probe->arena, "it answered %u", head->status);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct probe *probe = owner;
    const struct health_settings *settings = settings_of(probe);
    if (last)
        probe->client = NULL;
    const char *why = judge_head(probe, head);
    if (why || (!settings->body && !settings->grpc)) {
        finish(probe, why);
    } else {
        probe->body = buf_on(arena_alloc(probe->arena, BODY_MAX), BODY_MAX);
        probe->grpc_status = fields_value(&head->fields, FIELD_GRPC_STATUS);
        if (last)
            judge_body(probe);
    }
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct probe *probe = owner;
    size_t room = probe->body.size - probe->body.length;
    if (last)
        probe->client = NULL;
    buf_add(&probe->body, data, length < room ? length : room);
    if (last || length >= room)
        judge_body(probe);
}

static void on_failed(void *owner, enum client_failure failure, const char *detail)
{
    struct probe *probe = owner;
    probe->client = NULL;
    if (failure == CLIENT_REFUSED && !probe->chose) {
        probe->chose = true;
        open_client(probe);
    } else if (failure == CLIENT_CONNECT || failure == CLIENT_CONNECT_TIMEOUT) {
        char why[WHY_MAX];
        snprintf(why, sizeof why, "can't connect: %s", detail);
        finish(probe, why);
    } else {
        finish(probe, detail);
    }
}

static void on_interim(void *owner, const struct response_head *head)
{
    (void)owner;
    (void)head;
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    struct probe *probe = owner;
    probe->grpc_status = fields_value(trailers, FIELD_GRPC_STATUS);
}

static void on_unblocked(void *owner)
{
    (void)owner;
}

static const struct client_events client_events = {
    .on_connected = on_connected,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_unblocked,
    .on_drained = on_unblocked,
    .on_failed = on_failed,
};

/* --- the begin of a probe --- */

static void set_port(struct address *address, int64_t port)
{
    if (port && address->any.sa_family == AF_INET)
        address->in.sin_port = htons((uint16_t)port);
    else if (port && address->any.sa_family == AF_INET6)
        address->in6.sin6_port = htons((uint16_t)port);
}

static void not_opened(struct probe *probe)
{
    int error = errno;
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM && error != ENOSPC) {
        char why[WHY_MAX];
        snprintf(why, sizeof why, "can't connect: %s",
                 error == EAGAIN ? "its backlog is full" : strerror(error));
        finish(probe, why);
        return;
    }
    if (log_seldom(&probe->ours_said, worker_of(probe)->loop.now_ms))
        log_warning("upstream %s: %s can't be probed: %s", upstream_of(probe), probe->endpoint->text,
                    strerror(error));
    cut(&probe->background);
}

static void open_client(struct probe *probe)
{
    const struct cluster *cluster = probe->endpoint->cluster;
    uint64_t most = 2 * (uint64_t)settings_of(probe)->timeout + 1000; /* the probe has a timer of its own */
    struct client_timeouts timeouts = {most, most, most};
    struct tls_target target;
    char front[PROXY_PROTOCOL_MAX];
    struct buf before = buf_on(front, sizeof front);
    if (cluster->tls)
        write_proxy_header(cluster, &before);
    struct client_target to = {.net = &cluster->worker->net,
                               .address = &probe->address,
                               .tls = endpoint_tls_target(probe->endpoint, buf_str(&before), &target),
                               .pool = probe,
                               .pool_events = &pool_keeps_none};
    if (cluster->settings->protocol == UPSTREAM_AUTO)
        to.older = &probe->older;
    probe->client = pool_open_apart(probe->endpoint, &to, probe, &client_events, &timeouts);
    if (!probe->client)
        not_opened(probe);
}

/* The answer is waited for by the probe's own timer, from the first packet to the last byte that is wanted. */
static void begin(struct probe *probe)
{
    struct worker *worker = worker_of(probe);
    const struct health_settings *settings = settings_of(probe);
    const struct address *address = endpoint_address(probe->endpoint);
    probe->chose = false;
    probe->began = worker->loop.now_ms;
    if (!address) { /* nobody knows where it is: nothing to be said of it */
        set_next(probe);
        return;
    }
    probe->where = probe->address = *address;
    set_port(&probe->address, settings->port);
    probe->arena = service_arena_take(&worker->service);
    list_push_back(&worker->background, &probe->background.link);
    timer_set(&worker->loop.timers, &probe->timer, probe->began + (uint64_t)settings->timeout);
    open_client(probe);
}

static void on_timer(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    struct worker *worker = worker_of(probe);
    if (probe->arena &&
        worker->loop.now_ms > probe->began + (uint64_t)settings_of(probe)->timeout + STALLED_MS) {
        cut(&probe->background); /* it was this process that stood still, and perhaps all of them */
    } else if (probe->arena) {
        char why[WHY_MAX];
        snprintf(why, sizeof why, "%s within %" PRId64 " ms",
                 probe->client->connected ? "no answer" : "no connection", settings_of(probe)->timeout);
        finish(probe, why);
    } else if (!worker->service.draining) {
        begin(probe);
    }
}

static unsigned count_of(const struct cluster *clusters, unsigned upstreams)
{
    unsigned count = 0;
    for (unsigned i = 0; i < upstreams; i++)
        count += clusters[i].settings->health ? clusters[i].count : 0;
    return count;
}

/* The n-th of `count` that were never probed comes n-th. */
static void start_probe(struct probe *probe, struct endpoint *endpoint, unsigned n, unsigned count)
{
    struct loop *loop = &endpoint->cluster->worker->loop;
    uint64_t interval = (uint64_t)endpoint->cluster->settings->health->interval;
    uint64_t before = health_probed_at(endpoint->cell);
    uint64_t first = loop->now_ms + spread_first(n, count, RATE, interval);
    *probe = (struct probe){.endpoint = endpoint, .background.cut = cut};
    endpoint->probe = probe;
    list_init(&probe->background.link);
    timer_init(&probe->timer, on_timer);
    uint64_t due = before + interval;
    timer_set(&loop->timers, &probe->timer,
              before && due > first && due <= loop->now_ms + interval ? due : first);
}

void prober_start(struct worker *worker, struct arena *arena)
{
    unsigned upstreams = worker->site->settings->upstreams.count, n = 0;
    unsigned count = count_of(worker->clusters, upstreams);
    struct probe *probes = arena_array(arena, count, sizeof *probes);
    for (unsigned i = 0; i < upstreams; i++) {
        struct cluster *cluster = &worker->clusters[i];
        for (unsigned j = 0; cluster->settings->health && j < cluster->count; j++, n++)
            start_probe(&probes[n], &cluster->endpoints[j], n, count);
    }
}
