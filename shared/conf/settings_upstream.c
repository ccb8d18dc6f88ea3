/* settings_upstream: a service behind, and its endpoints. */
#include "shared/conf/host_name.h"
#include "shared/conf/load.h"
#include "shared/conf/sections.h"

static void endpoint_check(struct conf_loader *loader, void *structure)
{
    struct endpoint_settings *endpoint = structure;
    struct str text = str_of(endpoint->text);
    const char *why;
    if (host_name_is_meant(text)) {
        struct host_name name;
        if (!host_name_parse(text, &name, &why))
            conf_error(loader, endpoint->origin, "address", "\"%s\": %s", endpoint->text, why);
        endpoint->host = arena_strndup(conf_arena(loader), name.host.data, name.host.length);
        endpoint->srv = name.srv;
        endpoint->port = name.port;
        return;
    }
    if (address_parse(text, &endpoint->address, &why))
        return;
    conf_error(loader, endpoint->origin, "address", "\"%s\": %s", endpoint->text, why);
    endpoint->address.length = 0;
}

static const struct row endpoint_rows[] = {
    {.name = "address",
     .kind = ROW_STRING,
     .offset = offsetof(struct endpoint_settings, text),
     .flags = ROW_REQUIRED,
     .help = "where it is: 10.0.0.1:8080, [fd00::1]:8080, unix:/path; a name whose addresses are looked up, "
             "orders.internal:8080; or one whose SRV records are, srv:_http._tcp.orders.internal"},
    ROW_(ROW_NUMBER, struct endpoint_settings, weight, .fallback = "1", .min = 1, .max = 1000,
         .help =
             "its share of the requests, against the other endpoints' weights; of a name: each address's, "
             "times the weight of its SRV record"),
    ROW_(ROW_NUMBER, struct endpoint_settings, max, .fallback = "16", .min = 1, .max = UPSTREAM_ADDRESSES,
         .help = "of a name: addresses at a time; those beyond it are left out. Twice as many as it has lets "
                 "all of them change at once"),
    ROW_END,
};

static const struct section endpoint_section = {
    .name = "endpoint",
    .size = sizeof(struct endpoint_settings),
    .rows = endpoint_rows,
    .shorthand = "address",
    .check = endpoint_check,
};

#define HOUR 3600000

#define TIMEOUT(kind_, member, ...) ROW_(kind_, struct timeout_settings, member, __VA_ARGS__)

static const struct row timeout_rows[] = {
    TIMEOUT(ROW_DURATION, connect, .fallback = "1s", .min = 1, .max = 10 * 60000,
            .help = "until a connection is established"),
    TIMEOUT(ROW_DURATION, response, .fallback = "60s", .min = 1, .max = 24 * HOUR,
            .help = "from the end of the request to the first byte of its answer"),
    TIMEOUT(ROW_DURATION, idle, .fallback = "60s", .min = 1, .max = 24 * HOUR,
            .help = "between two pieces of the answer, or of the request"),
    TIMEOUT(ROW_DURATION, total, .fallback = "0", .min = 0, .max = 24 * HOUR,
            .help = "the whole exchange, tries included; 0: no limit"),
    TIMEOUT(ROW_DURATION, events, .fallback = "1h", .min = 0, .max = 24 * HOUR,
            .help = "between two pieces of a text/event-stream answer, for which neither idle nor total "
                    "hold, or of the answer to a gRPC call, for which idle doesn't; 0: no limit"),
    ROW_END,
};

static const struct section timeout_section = {
    .name = "timeout", .size = sizeof(struct timeout_settings), .rows = timeout_rows};

#define POOL(kind_, member, ...) ROW_(kind_, struct pool_settings, member, __VA_ARGS__)

static const struct row pool_rows[] = {
    POOL(ROW_NUMBER, idle, .fallback = "256", .min = 0, .max = 65536,
         .help = "idle connections that a worker keeps to an endpoint; 0: one request a connection"),
    POOL(ROW_DURATION, idle_timeout, .fallback = "60s", .min = 0, .max = 24 * HOUR,
         .help = "how long one is kept; less than the service keeps its own"),
    POOL(ROW_NUMBER, requests, .fallback = "0", .min = 0, .max = INT32_MAX,
         .help = "requests that a connection carries before it is closed; 0: no limit"),
    POOL(ROW_DURATION, max_age, .fallback = "0", .min = 0, .max = 365ll * 24 * HOUR,
         .help = "a connection this old is closed when its request is answered; 0: no limit"),
    POOL(
        ROW_NUMBER, streams, .fallback = "100", .min = 1, .max = 65536,
        .help =
            "with HTTP/2: requests at a time on a connection, or fewer if the endpoint wants fewer; when all "
            "are full another one is opened"),
    POOL(ROW_SIZE, window, .fallback = "128K", .min = 65535, .max = 16 * 1048576,
         .help = "with HTTP/2: bytes of an answer's body that may come before its client has taken any"),
    ROW_END,
};

static const struct section pool_section = {
    .name = "keepalive", .size = sizeof(struct pool_settings), .rows = pool_rows};

static void hash_check(struct conf_loader *loader, void *structure)
{
    const struct hash_settings *hash = structure;
    if (hash->load > 0 && hash->load < 1)
        conf_error(loader, hash->origin, "load", "%g is too small (write 1 or more, or 0 for no bound)",
                   hash->load);
}

#define HASH(kind_, member, ...) ROW_(kind_, struct hash_settings, member, __VA_ARGS__)

static const struct row hash_rows[] = {
    HASH(ROW_STRING, by, .flags = ROW_REQUIRED,
         .help = "what decides, with ${…}: \"${client}\", \"${header.x-user}\", \"${cookie.session}\", "
                 "\"${query.id}\""),
    HASH(ROW_REAL, load, .fallback = "1.25", .min = 0, .max = 100,
         .help =
             "requests in progress at an endpoint, to its fair share, beyond which another gets the next; "
             "0: no bound"),
    ROW_END,
};

static const struct section hash_section = {
    .name = "hash",
    .size = sizeof(struct hash_settings),
    .rows = hash_rows,
    .shorthand = "by",
    .check = hash_check,
};

#define QUEUE(kind_, member, ...) ROW_(kind_, struct queue_settings, member, __VA_ARGS__)

static const struct row queue_rows[] = {
    QUEUE(ROW_NUMBER, size, .fallback = "64", .min = 0, .max = 65536,
          .help = "requests of a worker that may wait; 0: none, they are answered 503 at once"),
    QUEUE(ROW_DURATION, timeout, .fallback = "1s", .min = 1, .max = HOUR,
          .help = "how long one waits, until it is answered 503"),
    ROW_END,
};

static const struct section queue_section = {
    .name = "queue", .size = sizeof(struct queue_settings), .rows = queue_rows, .shorthand = "size"};

/* By enum balance. */
static const char *const balance_words[] = {"round-robin", "least", "p2c", "random", "hash", NULL};

static void check_balance(struct conf_loader *loader, const struct upstream_settings *upstream)
{
    if (upstream->balance == BALANCE_HASH && !upstream->hash)
        conf_error(loader, upstream->origin, "balance",
                   "\"hash\" needs to know what decides (add hash = \"${client}\", or another ${…})");
    else if (upstream->balance != BALANCE_HASH && upstream->hash)
        conf_error(loader, upstream->hash->origin, "hash",
                   "has no effect (write balance = \"hash\" with it)");
}

/* Who caps the connections, and says no more, has a queue. */
static void check_queue(struct conf_loader *loader, struct upstream_settings *upstream)
{
    struct errors none;
    if (upstream->queue && !upstream->max_connections)
        conf_error(loader, upstream->queue->origin, "queue", "has no effect (set max_connections too)");
    if (upstream->queue || !upstream->max_connections)
        return;
    errors_init(&none, conf_arena(loader));
    upstream->queue = conf_defaults(&queue_section, conf_arena(loader), &none);
    upstream->queue->origin = upstream->origin;
}

static void check_health(struct conf_loader *loader, const struct upstream_settings *upstream)
{
    if (upstream->slow_start && !upstream->health && !upstream->ejection)
        conf_error(loader, upstream->slow_start->origin, "slow_start",
                   "has no effect (set health or ejection too: who isn't out doesn't come back)");
    for (unsigned i = 0; upstream->health && upstream->health->port && i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        if (endpoint->address.length && endpoint->address.any.sa_family == AF_UNIX)
            conf_error(loader, upstream->health->origin, "health.port", "\"%s\" has no ports (leave it out)",
                       endpoint->text);
    }
}

/* By enum proxy_protocol. */
static const char *const proxy_words[] = {"off", "v1", "v2", NULL};

static bool same_place(const struct endpoint_settings *a, const struct endpoint_settings *b)
{
    if (a->host || b->host)
        return a->host && b->host && str_case_eq(str_of(a->text), str_of(b->text));
    return a->address.length && b->address.length && address_eq(&a->address, &b->address);
}

static void check_twice(struct conf_loader *loader, const struct upstream_settings *upstream)
{
    for (unsigned i = 1; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        unsigned j = 0;
        while (j < i && !same_place(endpoint, upstream->endpoints.items[j]))
            j++;
        if (j < i)
            conf_error(loader, endpoint->origin, arena_printf(conf_arena(loader), "endpoints[%u]", i),
                       "\"%s\" is there twice (use its weight)", endpoint->text);
    }
}

/* Whom an endpoint must show to be has to be known. */
static void check_tls(struct conf_loader *loader, struct upstream_settings *upstream)
{
    if (upstream->tls && !upstream->tls->enabled)
        upstream->tls = NULL;
    if (!upstream->tls || !upstream->tls->verify || upstream->tls->name)
        return;
    for (unsigned i = 0; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        if (endpoint->srv || (endpoint->address.length && endpoint->address.any.sa_family == AF_UNIX))
            conf_error(loader, upstream->tls->origin, "tls",
                       "the name in the certificate of \"%s\" can't be known from that (add tls.name)",
                       endpoint->text);
    }
}

/* By enum upstream_protocol. */
static const char *const protocol_words[] = {"http/1.1", "h2c", "h2", "auto", NULL};

static void check_protocol(struct conf_loader *loader, const struct upstream_settings *upstream)
{
    if (upstream->protocol == UPSTREAM_AUTO && !upstream->tls)
        conf_error(loader, upstream->origin, "protocol",
                   "\"auto\" is what TLS agrees on (add tls = true, or write what the endpoints speak)");
    if (upstream->protocol == UPSTREAM_H2 && !upstream->tls)
        conf_error(loader, upstream->origin, "protocol",
                   "\"h2\" is HTTP/2 by TLS (add tls = true, or write \"h2c\")");
    if (upstream->protocol == UPSTREAM_H2C && upstream->tls)
        conf_error(loader, upstream->origin, "protocol", "\"h2c\" is HTTP/2 without TLS (write \"h2\")");
    if (upstream->protocol != UPSTREAM_HTTP1 && upstream->proxy_protocol)
        conf_error(loader, upstream->origin, "proxy_protocol",
                   "names one client, and a connection of HTTP/2 is shared by many (leave one of them out)");
}

static void upstream_check(struct conf_loader *loader, void *structure)
{
    struct upstream_settings *upstream = structure;
    unsigned places = upstream_places(upstream);
    if (places > UPSTREAM_PLACES)
        conf_error(loader, upstream->origin, "endpoints",
                   "they may have %u addresses in all, %u are the most (lower the `max` of names)", places,
                   UPSTREAM_PLACES);
    check_balance(loader, upstream);
    check_queue(loader, upstream);
    check_health(loader, upstream);
    const struct fallback_settings *fallback = upstream->breaker ? upstream->breaker->fallback : NULL;
    if (fallback && fallback->upstream && upstream->name && strcmp(fallback->upstream, upstream->name) == 0)
        conf_error(loader, fallback->origin, "breaker.fallback.upstream",
                   "is the upstream itself (write another one)");
    if (upstream->proxy_protocol)
        upstream->keepalive.idle = 0; /* one client's connection is never another's */
    check_tls(loader, upstream);
    check_protocol(loader, upstream);
    if (upstream->health && upstream->health->grpc && upstream->protocol == UPSTREAM_HTTP1)
        conf_error(loader, upstream->origin, "health.grpc",
                   "asks by gRPC, which wants HTTP/2 (write protocol = \"h2c\", or \"h2\" and tls)");
    check_twice(loader, upstream);
}

#define UPSTREAM(kind_, member, ...) ROW_(kind_, struct upstream_settings, member, __VA_ARGS__)

static const struct row upstream_rows[] = {
    UPSTREAM(ROW_LIST, endpoints, .flags = ROW_REQUIRED, .section = &endpoint_section, .min = 1,
             .max = UPSTREAM_PLACES, .help = "the addresses of the service, or names that stand for them"),
    UPSTREAM(ROW_WORD, balance, .fallback = "round-robin", .words = balance_words,
             .help =
                 "which endpoint is next: in turn by weight; the one with the fewest requests; the better of "
                 "two by chance, by latency and requests (p2c); by chance; or by a hash, the same for the "
                 "same key"),
    UPSTREAM(ROW_OPTIONAL, hash, .section = &hash_section,
             .help = "for balance = \"hash\": what decides, and how far an endpoint may be over its share"),
    UPSTREAM(
        ROW_WORD, proxy_protocol, .fallback = "off", .words = proxy_words,
        .help = "send a header of the PROXY protocol first, which names the client; a connection is then one "
                "client's, and is not kept for other requests (keepalive has no effect)"),
    UPSTREAM(
        ROW_WORD, protocol, .fallback = "http/1.1", .words = protocol_words,
        .help = "what the endpoints speak: http/1.1; HTTP/2 with TLS (h2), or without (h2c); auto: HTTP/2 or "
                "HTTP/1.1, as TLS agrees with each (ALPN)"),
    UPSTREAM(ROW_OPTIONAL, tls, .section = &upstream_tls_section,
             .help = "TLS (https) to the endpoints: true, or how"),
    UPSTREAM(ROW_GROUP, timeout, .section = &timeout_section, .help = "how long the service may take"),
    UPSTREAM(ROW_GROUP, keepalive, .section = &pool_section,
             .help = "connections that are kept for the next request"),
    UPSTREAM(ROW_NUMBER, max_connections, .fallback = "0", .min = 0, .max = 1 << 20,
             .help =
                 "connections in use to an endpoint, of each worker (so many times `workers` in all); one of "
                 "HTTP/2 carries as many requests at a time as it has streams; 0: no limit"),
    UPSTREAM(ROW_OPTIONAL, queue, .section = &queue_section,
             .help = "with max_connections: who waits while every endpoint has that many"),
    UPSTREAM(ROW_GROUP, retry, .section = &retry_section, .help = "what is tried again"),
    UPSTREAM(ROW_OPTIONAL, health, .section = &health_section,
             .help = "probes: endpoints that fail them get no requests"),
    UPSTREAM(ROW_OPTIONAL, ejection, .section = &ejection_section,
             .help = "endpoints whose answers are errors, or slow, get no requests for a while"),
    UPSTREAM(ROW_OPTIONAL, slow_start, .section = &slow_start_section,
             .help = "an endpoint that was down or ejected gets its share little by little"),
    UPSTREAM(ROW_FLAG, panic, .fallback = "true",
             .help = "when every endpoint is down or ejected, all of them are tried rather than none; "
                     "false: the answer is 503"),
    UPSTREAM(ROW_OPTIONAL, hedge, .section = &hedge_section,
             .help = "a second try at another endpoint while the first lets wait: the first answer wins; "
                     "idempotent requests only, and as retry.budget allows"),
    UPSTREAM(ROW_OPTIONAL, breaker, .section = &breaker_section,
             .help = "when calls fail, none is made for a while: one state for all workers"),
    UPSTREAM(ROW_OPTIONAL, adaptive, .section = &adaptive_section,
             .help = "how many calls may be in progress on the node, learned from how long answers take; "
                     "beyond it requests are answered 503"),
    ROW_END,
};

const struct section upstream_section = {
    .name = "upstream",
    .size = sizeof(struct upstream_settings),
    .rows = upstream_rows,
    .shorthand = "endpoints",
    .name_offset = offsetof(struct upstream_settings, name),
    .check = upstream_check,
};
