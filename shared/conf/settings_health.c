/* settings_health: when an endpoint is left out, and how it comes back: probes, ejection, slow start. */
#include "shared/conf/load.h"
#include "shared/conf/sections.h"

#define HOUR 3600000

/* --- health --- */

const char *const health_methods[] = {"GET", "HEAD", "OPTIONS", NULL};

static bool parse_code(struct str *text, uint16_t *code)
{
    unsigned value = 0;
    if (text->length < 3)
        return false;
    for (unsigned i = 0; i < 3; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text->data[i] - '0');
    }
    *text = str_from(*text, 3);
    *code = (uint16_t)value;
    return value >= 200 && value <= 599;
}

/* "200", "200-399" */
static bool parse_range(struct str text, struct status_range *range)
{
    if (!parse_code(&text, &range->first))
        return false;
    range->last = range->first;
    if (text.length && text.data[0] == '-') {
        text = str_from(text, 1);
        if (!parse_code(&text, &range->last))
            return false;
    }
    return text.length == 0 && range->first <= range->last;
}

static void check_statuses(struct conf_loader *loader, struct health_settings *health)
{
    health->statuses = arena_array(conf_arena(loader), health->status.count, sizeof *health->statuses);
    health->status_count = health->status.count;
    for (unsigned i = 0; i < health->status.count; i++)
        if (!parse_range(str_of(health->status.items[i]), &health->statuses[i]))
            conf_error(loader, health->origin, "status",
                       "\"%s\" is no status (write \"200\", or a range such as \"200-399\")",
                       health->status.items[i]);
}

/* They stand in a request's head as they are written. */
static void check_text(struct conf_loader *loader, const struct health_settings *health, const char *setting,
                       const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; c && *c; c++)
        if (*c <= ' ' || *c == 0x7f) {
            conf_error(loader, health->origin, setting, "has %s, which can't stand there",
                       *c == ' ' ? "a space" : "a control character");
            return;
        }
}

static void check_grpc(struct conf_loader *loader, const struct health_settings *health)
{
    const char *beside = health->path ? "path" : health->body ? "body" : health->method ? "method" : NULL;
    if (beside)
        conf_error(loader, health->origin, beside,
                   "has no meaning beside grpc, which asks %s (leave one of them out)",
                   "grpc.health.v1.Health/Check");
    check_text(loader, health, "host", health->host);
    check_text(loader, health, "grpc.service", health->grpc->service);
}

static void health_check(struct conf_loader *loader, void *structure)
{
    struct health_settings *health = structure;
    check_statuses(loader, health);
    if (health->grpc && !health->grpc->enabled)
        health->grpc = NULL;
    if (health->grpc) {
        check_grpc(loader, health);
        return;
    }
    if (!health->path) {
        const char *without = health->body     ? "body"
                              : health->host   ? "host"
                              : health->method ? "method"
                                               : NULL;
        if (without)
            conf_error(loader, health->origin, without,
                       "has no effect without a request (add path, such as \"/healthz\")");
        return;
    }
    if (health->path[0] != '/')
        conf_error(loader, health->origin, "path", "\"%s\" doesn't begin with /", health->path);
    check_text(loader, health, "path", health->path);
    check_text(loader, health, "host", health->host);
    if (health->body && strcmp(health_methods[health->method], "HEAD") == 0)
        conf_error(loader, health->origin, "body", "has no effect (the answer to a HEAD has none)");
}

/* By enum health_start. */
static const char *const start_words[] = {"up", "down", NULL};

static const struct row grpc_rows[] = {
    ROW_(ROW_FLAG, struct health_grpc_settings, enabled, .fallback = "true",
         .help = "whether it asks so; grpc = true means all the defaults"),
    ROW_(ROW_STRING, struct health_grpc_settings, service, .fallback = "",
         .help = "the service that is asked about; empty: the server as a whole"),
    ROW_END,
};

static const struct section grpc_section = {.name = "health.grpc",
                                            .size = sizeof(struct health_grpc_settings),
                                            .rows = grpc_rows,
                                            .shorthand = "enabled"};

#define HEALTH(kind_, member, ...) ROW_(kind_, struct health_settings, member, __VA_ARGS__)

static const struct row health_rows[] = {
    HEALTH(ROW_STRING, path,
           .help = "path and query that are asked for; without it a connection is all that is wanted"),
    HEALTH(ROW_OPTIONAL, grpc, .section = &grpc_section,
           .help =
               "instead of path: grpc.health.v1.Health/Check is called, by HTTP/2, and SERVING is wanted"),
    HEALTH(ROW_WORD, method, .fallback = "GET", .words = health_methods, .help = "the request's method"),
    HEALTH(ROW_STRING, host, .help = "the request's Host; default: the endpoint's address"),
    HEALTH(ROW_STRINGS, status, .fallback = "200-399",
           .help = "the statuses of a healthy endpoint: \"200\", or ranges such as \"200-399\""),
    HEALTH(ROW_STRING, body,
           .help = "a text that must stand within the first 16 KB of the answer's body; default: any body"),
    HEALTH(ROW_NUMBER, port, .fallback = "0", .min = 0, .max = 65535,
           .help = "the port that is probed; 0: the endpoint's own"),
    HEALTH(ROW_DURATION, interval, .fallback = "5s", .min = 100, .max = HOUR,
           .help = "from one probe of an endpoint to its next"),
    HEALTH(ROW_REAL, jitter, .fallback = "10", .min = 0, .max = 100,
           .help = "percent of the interval by which a probe may come earlier, by chance"),
    HEALTH(ROW_DURATION, timeout, .fallback = "1s", .min = 1, .max = 10 * 60000,
           .help = "within which the answer must be there, from the connection's first packet on"),
    HEALTH(ROW_NUMBER, rise, .fallback = "2", .min = 1, .max = 1000,
           .help = "good probes in a row after which an endpoint that is down is up"),
    HEALTH(ROW_NUMBER, fall, .fallback = "3", .min = 1, .max = 1000,
           .help = "failed probes in a row after which one that is up is down"),
    HEALTH(ROW_WORD, start, .fallback = "up", .words = start_words,
           .help = "what an endpoint is until its first probe, which alone decides then"),
    ROW_END,
};

const struct section health_section = {
    .name = "health",
    .size = sizeof(struct health_settings),
    .rows = health_rows,
    .shorthand = "path",
    .check = health_check,
};

/* --- ejection --- */

static void ejection_check(struct conf_loader *loader, void *structure)
{
    const struct ejection_settings *ejection = structure;
    if (ejection->slow > 0 && ejection->slow < 1.5)
        conf_error(loader, ejection->origin, "slow", "%g is too little (write 1.5 or more, or 0)",
                   ejection->slow);
    if (ejection->max_time < ejection->time)
        conf_error(loader, ejection->origin, "max_time", "is less than time");
    if (ejection->consecutive == 0 && ejection->ratio <= 0 && ejection->deviation <= 0 && ejection->slow <= 0)
        conf_error(loader, ejection->origin, NULL,
                   "nothing is looked at (set consecutive, ratio, deviation or slow, or leave it out)");
}

/* By enum ejection_errors. */
static const char *const error_words[] = {"5xx", "gateway", "connection", NULL};

#define EJECTION(kind_, member, ...) ROW_(kind_, struct ejection_settings, member, __VA_ARGS__)

static const struct row ejection_rows[] = {
    EJECTION(ROW_WORD, errors, .fallback = "5xx", .words = error_words,
             .help = "what counts as an error: every status from 500 on, or only 502, 503 and 504, or no "
                     "status; no connection and no whole answer in time always do"),
    EJECTION(ROW_NUMBER, consecutive, .fallback = "5", .min = 0, .max = 100000,
             .help = "errors in a row for which an endpoint is ejected; 0: it is not for that"),
    EJECTION(ROW_REAL, ratio, .fallback = "0", .min = 0, .max = 100,
             .help =
                 "percent of the calls of the window that are errors, for which it is ejected; 0: it is not"),
    EJECTION(ROW_REAL, deviation, .fallback = "1.9", .min = 0, .max = 100,
             .help = "standard deviations by which its part of good answers is below the mean of all "
                     "endpoints (five at least, and 5 percent worse at least); 0: it is not looked at"),
    EJECTION(ROW_REAL, slow, .fallback = "0", .min = 0, .max = 1000,
             .help = "how many times as slow as the others' median its answers are (and 10 ms slower at "
                     "least), for which it is ejected; 0: it is not"),
    EJECTION(ROW_NUMBER, volume, .fallback = "100", .min = 1, .max = 1000000,
             .help = "calls in the window without which ratio, deviation and slow say nothing"),
    EJECTION(ROW_DURATION, window, .fallback = "10s", .min = 1000, .max = HOUR,
             .help = "the time that they look at"),
    EJECTION(ROW_DURATION, time, .fallback = "30s", .min = 100, .max = 24 * HOUR,
             .help = "how long it is out, the first time; the n-th in a row, n times as long"),
    EJECTION(ROW_DURATION, max_time, .fallback = "300s", .min = 100, .max = 24 * HOUR,
             .help = "how long at most"),
    EJECTION(ROW_REAL, max_percent, .fallback = "10", .min = 0, .max = 100,
             .help =
                 "percent of the endpoints that may be out at a time, one at least; below 100 the last one "
                 "that works stays in any case"),
    ROW_END,
};

const struct section ejection_section = {
    .name = "ejection",
    .size = sizeof(struct ejection_settings),
    .rows = ejection_rows,
    .shorthand = "consecutive",
    .check = ejection_check,
};

/* --- slow start --- */

static void slow_start_check(struct conf_loader *loader, void *structure)
{
    const struct slow_start_settings *slow_start = structure;
    if (slow_start->aggression < 0.01)
        conf_error(loader, slow_start->origin, "aggression", "%g is too small (write 0.01 or more)",
                   slow_start->aggression);
}

#define SLOW(kind_, member, ...) ROW_(kind_, struct slow_start_settings, member, __VA_ARGS__)

static const struct row slow_start_rows[] = {
    SLOW(ROW_DURATION, window, .flags = ROW_REQUIRED, .min = 100, .max = 24 * HOUR,
         .help = "after which it has its whole share again"),
    SLOW(ROW_REAL, aggression, .fallback = "1", .min = 0, .max = 100,
         .help = "1: its share grows evenly; above 1: faster at the beginning"),
    SLOW(ROW_REAL, least, .fallback = "10", .min = 1, .max = 100,
         .help = "percent of its share that it begins with"),
    ROW_END,
};

const struct section slow_start_section = {
    .name = "slow_start",
    .size = sizeof(struct slow_start_settings),
    .rows = slow_start_rows,
    .shorthand = "window",
    .check = slow_start_check,
};
