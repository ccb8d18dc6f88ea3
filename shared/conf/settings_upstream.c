/* settings_upstream: a service behind, and its endpoints. */
#include "shared/conf/sections.h"

static void endpoint_check(struct conf_loader *loader, void *structure)
{
    struct endpoint_settings *endpoint = structure;
    const char *why;
    if (address_parse(str_of(endpoint->text), &endpoint->address, &why))
        return;
    conf_error(loader, endpoint->origin, "address", "\"%s\": %s", endpoint->text, why);
    endpoint->address.length = 0;
}

static const struct row endpoint_rows[] = {
    {.name = "address",
     .kind = ROW_STRING,
     .offset = offsetof(struct endpoint_settings, text),
     .flags = ROW_REQUIRED,
     .help = "where it is: 10.0.0.1:8080, [fd00::1]:8080 or unix:/path"},
    ROW_(ROW_NUMBER, struct endpoint_settings, weight, .fallback = "1", .min = 1, .max = 1000,
         .help = "its share of the requests, against the other endpoints' weights"),
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
    ROW_END,
};

static const struct section pool_section = {
    .name = "keepalive", .size = sizeof(struct pool_settings), .rows = pool_rows};

/* By enum balance. */
static const char *const balance_words[] = {"round-robin", "least", NULL};

/* By enum proxy_protocol. */
static const char *const proxy_words[] = {"off", "v1", "v2", NULL};

static void upstream_check(struct conf_loader *loader, void *structure)
{
    struct upstream_settings *upstream = structure;
    if (upstream->proxy_protocol)
        upstream->keepalive.idle = 0; /* one client's connection is never another's */
    for (unsigned i = 1; i < upstream->endpoints.count; i++) {
        const struct endpoint_settings *endpoint = upstream->endpoints.items[i];
        for (unsigned j = 0; j < i && endpoint->address.length; j++) {
            const struct endpoint_settings *other = upstream->endpoints.items[j];
            if (!other->address.length || !address_eq(&endpoint->address, &other->address))
                continue;
            conf_error(loader, endpoint->origin, arena_printf(conf_arena(loader), "endpoints[%u]", i),
                       "\"%s\" is there twice (use its weight)", endpoint->text);
            break;
        }
    }
}

#define UPSTREAM(kind_, member, ...) ROW_(kind_, struct upstream_settings, member, __VA_ARGS__)

static const struct row upstream_rows[] = {
    UPSTREAM(ROW_LIST, endpoints, .flags = ROW_REQUIRED, .section = &endpoint_section, .min = 1, .max = 1024,
             .help = "the addresses of the service"),
    UPSTREAM(ROW_WORD, balance, .fallback = "round-robin", .words = balance_words,
             .help = "which endpoint is next: in turn by weight, or the one with the fewest requests"),
    UPSTREAM(
        ROW_WORD, proxy_protocol, .fallback = "off", .words = proxy_words,
        .help = "send a header of the PROXY protocol first, which names the client; a connection is then one "
                "client's, and is not kept for other requests (keepalive has no effect)"),
    UPSTREAM(ROW_GROUP, timeout, .section = &timeout_section, .help = "how long the service may take"),
    UPSTREAM(ROW_GROUP, keepalive, .section = &pool_section,
             .help = "connections that are kept for the next request"),
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
