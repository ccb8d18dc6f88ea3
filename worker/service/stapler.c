/* stapler: called by the keeper, on its loop. A fetch is a POST on a connection of its own (RFC 6960, appendix A.1); a
 * responder is a name, looked up each time: it is asked twice a day.
 */
#include "worker/service/stapler.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/staples.h"
#include "worker/http/http1_client.h"
#include "worker/net/tls_server.h"
#include "worker/net/tls_staple.h"
#include "worker/request/site.h"
#include "worker/service/dns.h"
#include "worker/upstream/forward.h"
#include "worker/upstream/pool.h"
#include "worker/upstream/spread.h"

enum {
    TIMEOUT_MS = 15000,
    LEAST_MS = 60000,
    MOST_MS = 12 * 3600 * 1000,
    AGAIN_MOST_MS = 3600 * 1000,
    JITTER = 10, /* percent */
    HTTP_PORT = 80,
    WHY_MAX = 256,
};

/* A certificate, and what is under way for it. */
struct fetch {
    struct background background; /* on the worker's list while one is in progress */
    struct stapler *stapler;
    const struct tls_identity *identity;
    struct staple_cell *cell;
    struct str host, target, name; /* of the responder's URL: host and port, path, host alone */
    uint16_t port;
    struct timer timer; /* the next one; while one is in progress, its time-out */
    unsigned failures;  /* in a row */
    bool asking;        /* its address is being looked up */
    enum name_family family;
    struct address address;
    struct client *client;
    struct arena *arena; /* NULL: none is in progress */
    struct str question;
    struct buf body;
};

struct stapler {
    struct worker *worker;
    struct dns *dns;
    struct fetch *fetches;
    unsigned count;
};

uint64_t stapler_next(int64_t now, int64_t until)
{
    int64_t half = until > now ? (until - now) * 1000 / 2 : 0;
    return half < LEAST_MS ? LEAST_MS : half > MOST_MS ? MOST_MS : (uint64_t)half;
}

uint64_t stapler_again(unsigned failures)
{
    uint64_t ms = (uint64_t)LEAST_MS << (failures < 8 ? failures - (failures > 0) : 7);
    return ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS;
}

static int64_t seconds_now(const struct fetch *fetch)
{
    return (int64_t)(fetch->stapler->worker->loop.wall_ns / NS_PER_SECOND);
}

/* --- the end of a fetch --- */

static void set_next(struct fetch *fetch, uint64_t ms)
{
    struct worker *worker = fetch->stapler->worker;
    timer_set(&worker->loop.timers, &fetch->timer,
              worker->loop.now_ms + spread_jitter(&worker->random, ms, JITTER));
}

static void put_down(struct fetch *fetch)
{
    struct client *client = fetch->client;
    fetch->client = NULL;
    if (client)
        client_abandon(client);
    list_remove(&fetch->background.link);
    service_arena_give(&fetch->stapler->worker->service, &fetch->arena);
}

/* It says nothing of the responder. */
static void cut(struct background *background)
{
    struct fetch *fetch = CONTAINER_OF(background, struct fetch, background);
    put_down(fetch);
    set_next(fetch, LEAST_MS);
}

/* Until when the one that is there may be sent; 0: there is none. */
static int64_t lasts(const struct fetch *fetch)
{
    struct staple staple;
    uint64_t seen;
    bool there = staple_read(fetch->cell, &staple, &seen) && staple.until > seconds_now(fetch);
    return there ? staple.until : 0;
}

static void failed(struct fetch *fetch, const char *why)
{
    char text[CLOCK_RFC3339_SIZE] = "";
    int64_t until = lasts(fetch);
    uint64_t ms = stapler_again(++fetch->failures);
    if (until)
        clock_rfc3339((uint64_t)until * NS_PER_SECOND, text);
    log_warning("certificate %s: no OCSP response from %s: %s (%s%s; asked again within %" PRIu64 " s)",
                fetch->identity->settings->cert, fetch->identity->responder, why,
                until ? "the one there is lasts until " : "none is sent", text, ms / 1000);
    stat_add(fetch->stapler->worker->stats, STAT_STAPLES_FAILED, 1);
    put_down(fetch);
    set_next(fetch, ms);
}

static void judge(struct fetch *fetch)
{
    struct staple staple = {0};
    const char *why;
    char text[CLOCK_RFC3339_SIZE];
    if (tls_staple_check(fetch->identity, buf_str(&fetch->body), seconds_now(fetch), &staple.until,
                         fetch->arena, &why) != TLS_STAPLE_GOOD) {
        failed(fetch, why);
        return;
    }
    memcpy(staple.der, fetch->body.data, fetch->body.length);
    staple.length = fetch->body.length;
    staple_publish(fetch->cell, &staple);
    clock_rfc3339((uint64_t)staple.until * NS_PER_SECOND, text);
    log_info("certificate %s: the OCSP response of %s is good until %s", fetch->identity->settings->cert,
             fetch->identity->responder, text);
    stat_add(fetch->stapler->worker->stats, STAT_STAPLES, 1);
    fetch->failures = 0;
    put_down(fetch);
    set_next(fetch, stapler_next(seconds_now(fetch), staple.until));
}

/* --- the exchange --- */

static void on_connected(void *owner)
{
    struct fetch *fetch = owner;
    struct buf head = client_reserve(fetch->client);
    struct client_order order = {.method = METHOD_POST, .body = true};
    forward_line(&head, STR("POST"), fetch->target, fetch->host);
    BUF_LITERAL(&head, "User-Agent: gatehouse\r\nAccept: application/ocsp-response\r\n"
                       "Content-Type: application/ocsp-request\r\nConnection: close\r\nContent-Length: ");
    buf_u64(&head, fetch->question.length);
    BUF_LITERAL(&head, "\r\n\r\n");
    if (head.overflow) {
        failed(fetch, "its URL is too long");
        return;
    }
    client_send(fetch->client, &head, &order, fetch->arena);
    client_send_body(fetch->client, fetch->question.data, fetch->question.length, true);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct fetch *fetch = owner;
    char why[WHY_MAX];
    if (last)
        fetch->client = NULL;
    snprintf(why, sizeof why, "it answered %u%s", head->status, head->status == 200 ? " with nothing" : "");
    if (head->status != 200 || last)
        failed(fetch, why);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct fetch *fetch = owner;
    if (last)
        fetch->client = NULL;
    buf_add(&fetch->body, data, length);
    if (fetch->body.overflow)
        failed(fetch, "its answer is longer than 4,080 bytes");
    else if (last)
        judge(fetch);
}

static void on_failed(void *owner, enum client_failure failure, const char *detail)
{
    struct fetch *fetch = owner;
    char why[WHY_MAX];
    bool connecting = failure == CLIENT_CONNECT || failure == CLIENT_CONNECT_TIMEOUT;
    fetch->client = NULL;
    snprintf(why, sizeof why, "%s%s", connecting ? "can't connect: " : "", detail);
    failed(fetch, why);
}

static void on_interim(void *owner, const struct response_head *head)
{
    (void)owner, (void)head;
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    (void)owner, (void)trailers;
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

static void open_connection(struct fetch *fetch)
{
    struct client_timeouts timeouts = {TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS};
    struct client_target to = {.net = &fetch->stapler->worker->net,
                               .address = &fetch->address,
                               .pool = fetch,
                               .pool_events = &pool_keeps_none};
    char why[WHY_MAX];
    fetch->client = http1_client_open(&to, fetch, &client_events, &timeouts);
    if (fetch->client)
        return;
    snprintf(why, sizeof why, "can't connect: %s", strerror(errno));
    failed(fetch, why);
}

/* --- where the responder is --- */

static void ask_address(struct fetch *fetch, enum name_family family);

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct fetch *fetch = context;
    fetch->asking = false;
    if (addresses->over || !fetch->arena)
        return;
    struct name_address found = addresses->count ? addresses->items[0] : (struct name_address){0};
    found.port = fetch->port;
    if (addresses->count && name_address_socket(&found, &fetch->address))
        open_connection(fetch);
    else if (fetch->family == NAME_IPV4)
        ask_address(fetch, NAME_IPV6);
    else {
        char why[WHY_MAX];
        snprintf(why, sizeof why, "its name %s", name_failure_text(addresses->failure));
        failed(fetch, why);
    }
}

static void ask_address(struct fetch *fetch, enum name_family family)
{
    fetch->family = family;
    fetch->asking = true;
    dns_ask_addresses(fetch->stapler->dns, fetch->name.data, family, on_addresses, fetch);
}

static bool is_address(struct fetch *fetch)
{
    if (address_parse_ip(fetch->name, AF_INET, &fetch->address))
        fetch->address.in.sin_port = htons(fetch->port);
    else if (address_parse_ip(fetch->name, AF_INET6, &fetch->address))
        fetch->address.in6.sin6_port = htons(fetch->port);
    else
        return false;
    return true;
}

static void begin(struct fetch *fetch)
{
    struct worker *worker = fetch->stapler->worker;
    fetch->arena = service_arena_take(&worker->service);
    list_push_back(&worker->background, &fetch->background.link);
    fetch->question = tls_staple_question(fetch->identity, fetch->arena);
    fetch->body = buf_on(arena_alloc(fetch->arena, STAPLE_BYTES), STAPLE_BYTES);
    timer_set(&worker->loop.timers, &fetch->timer, worker->loop.now_ms + TIMEOUT_MS);
    if (is_address(fetch))
        open_connection(fetch);
    else
        ask_address(fetch, NAME_IPV4);
}

static void on_timer(struct timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, timer);
    if (fetch->arena)
        failed(fetch, fetch->client ? "it took too long" : "its name can't be looked up in time");
    else if (fetch->asking) /* the last question still has no answer */
        set_next(fetch, LEAST_MS);
    else if (!fetch->stapler->worker->service.draining)
        begin(fetch);
}

/* --- the beginning --- */

/* The parts of "http://host:port/path". False: it has none that can be used. */
static bool take_apart(struct fetch *fetch, const char *url, struct arena *arena)
{
    struct str rest = str_from(str_of(url), strlen("http://"));
    struct str host = str_cut(&rest, '/'), port = host;
    uint64_t number = HTTP_PORT;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c == 0x7f)
            return false; /* it would be another line of the head */
    if (host.length && host.data[0] == '[') {
        fetch->name = str_from(str_cut(&port, ']'), 1);
        str_cut(&port, ':');
    } else {
        fetch->name = str_cut(&port, ':');
    }
    if (fetch->name.length == 0 || (port.length && !str_to_u64(port, 65535, &number)))
        return false;
    fetch->port = (uint16_t)number;
    fetch->host = arena_str(arena, host);
    fetch->name = arena_str(arena, fetch->name);
    fetch->target = str_of(arena_printf(arena, "/%.*s", STR_ARG(rest)));
    return true;
}

static void start(struct stapler *stapler, const struct tls_identity *identity, struct arena *arena)
{
    struct worker *worker = stapler->worker;
    struct fetch *fetch = &stapler->fetches[stapler->count];
    *fetch = (struct fetch){
        .background.cut = cut,
        .stapler = stapler,
        .identity = identity,
        .cell = staples_cell(worker->shared->staples, worker->generation->cells[identity->staple_want]),
    };
    for (unsigned i = 0; i < stapler->count; i++)
        if (stapler->fetches[i].cell == fetch->cell)
            return; /* the same certificate, on another listener */
    if (!take_apart(fetch, identity->responder, arena)) {
        log_warning("certificate %s: its OCSP responder \"%s\" is no URL: nothing is fetched",
                    identity->settings->cert, identity->responder);
        return;
    }
    list_init(&fetch->background.link);
    timer_init(&fetch->timer, on_timer);
    stapler->count++;
    int64_t until = lasts(fetch); /* what an earlier keeper has fetched */
    if (until)
        set_next(fetch, stapler_next(seconds_now(fetch), until));
    else
        timer_set(&worker->loop.timers, &fetch->timer, worker->loop.now_ms);
}

struct stapler *stapler_start(struct worker *worker, struct arena *arena)
{
    unsigned wanted = worker->generation->wants.of_kind[WANT_STAPLE], count;
    const char *why = NULL;
    if (wanted == 0)
        return NULL;
    struct stapler *stapler = arena_zalloc(arena, sizeof *stapler);
    stapler->worker = worker;
    stapler->fetches = arena_array(arena, wanted, sizeof *stapler->fetches);
    stapler->dns = dns_new(&worker->loop, &worker->site->settings->resolver, &why);
    if (!stapler->dns) {
        log_error("OCSP responders can't be looked up: %s: no response is fetched", why);
        return NULL;
    }
    for (unsigned i = 0; i < worker->site->settings->listeners.count; i++) {
        count = 0;
        const struct tls_identity *identities =
            worker->site->tls[i] ? tls_server_identities(worker->site->tls[i], &count) : NULL;
        for (unsigned j = 0; j < count; j++)
            if (identities[j].staple_want >= 0)
                start(stapler, &identities[j], arena);
    }
    return stapler;
}

void stapler_close(struct stapler *stapler)
{
    if (!stapler)
        return;
    for (unsigned i = 0; i < stapler->count; i++) {
        if (stapler->fetches[i].arena)
            put_down(&stapler->fetches[i]);
        timer_clear(&stapler->worker->loop.timers, &stapler->fetches[i].timer);
    }
    dns_free(&stapler->dns);
}
