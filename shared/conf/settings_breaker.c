/* settings_breaker: when calls are not made, and what stands in for their answers: of an upstream, and of a route. */
#include "shared/conf/load.h"
#include "shared/conf/sections.h"

static void fallback_check(struct conf_loader *loader, void *structure)
{
    const struct fallback_settings *fallback = structure;
    if (fallback->upstream && (fallback->status || fallback->body))
        conf_error(loader, fallback->origin, "upstream",
                   "has no meaning beside status and body (write one or the other)");
    else if (!fallback->upstream && !fallback->status)
        conf_error(loader, fallback->origin, NULL,
                   "says neither what to answer nor whom to ask (write status = 200, or upstream = \"…\")");
    else if (fallback->body && (fallback->status == 204 || fallback->status == 304))
        conf_error(loader, fallback->origin, "body", "an answer %lld has no body (leave it out)",
                   (long long)fallback->status);
}

#define FALLBACK(kind_, member, ...) ROW_(kind_, struct fallback_settings, member, __VA_ARGS__)

static const struct row fallback_rows[] = {
    FALLBACK(ROW_NUMBER, status, .min = 200, .max = 599, .help = "the status of a fixed answer"),
    FALLBACK(ROW_STRING, body, .help = "its body"),
    FALLBACK(ROW_STRING, type, .fallback = "text/plain; charset=utf-8", .help = "its media type"),
    FALLBACK(ROW_STRING, upstream,
             .help =
                 "instead: another upstream that is asked; when its breaker is open too, the answer is 503"),
    ROW_END,
};

static const struct section fallback_section = {.name = "breaker.fallback",
                                                .size = sizeof(struct fallback_settings),
                                                .rows = fallback_rows,
                                                .shorthand = "upstream",
                                                .check = fallback_check};

static void breaker_check(struct conf_loader *loader, void *structure)
{
    const struct breaker_settings *breaker = structure;
    if (!breaker->errors && breaker->ratio <= 0)
        conf_error(loader, breaker->origin, "errors",
                   "0 without ratio: nothing would ever open it (write errors = 5, or ratio = 0.5)");
    if (breaker->max_open < breaker->open)
        conf_error(loader, breaker->origin, "max_open", "is less than open (write the same, or more)");
}

#define HOUR 3600000
#define BREAKER(kind_, member, ...) ROW_(kind_, struct breaker_settings, member, __VA_ARGS__)

static const struct row breaker_rows[] = {
    BREAKER(ROW_NUMBER, errors, .fallback = "5", .min = 0, .max = 10000,
            .help = "calls that fail in a row, of all workers together, and open it: by no connection, a "
                    "broken one, a time-out, or one of statuses; 0: not by those"),
    BREAKER(ROW_REAL, ratio, .fallback = "0", .min = 0, .max = 1,
            .help = "the share of the calls of a window whose failing opens it too; 0: not by that"),
    BREAKER(ROW_NUMBER, volume, .fallback = "20", .min = 1, .max = 1000000,
            .help = "with ratio: calls of a window without which it says nothing"),
    BREAKER(ROW_DURATION, window, .fallback = "10s", .min = 100, .max = HOUR,
            .help = "with ratio: how far it looks back"),
    BREAKER(ROW_DURATION, open, .fallback = "5s", .min = 1, .max = HOUR,
            .help =
                "how long it is open, until one request is let through as a probe; twice as long each time "
                "that fails, or that it opens again soon"),
    BREAKER(ROW_DURATION, max_open, .fallback = "60s", .min = 1, .max = 24 * HOUR,
            .help = "how long at most, also when an answer 503 or 429 asks for more by Retry-After"),
    BREAKER(ROW_REAL, jitter, .fallback = "0.1", .min = 0, .max = 1,
            .help = "the share of that time that is added by chance, at most"),
    BREAKER(ROW_DURATION, probe, .fallback = "10s", .min = 1, .max = HOUR,
            .help = "how long the probe's answer may take, until another request is the probe"),
    BREAKER(ROW_NUMBERS, statuses, .min = 100, .max = 599,
            .help = "the statuses that are failures; without it: 500 and up"),
    BREAKER(ROW_OPTIONAL, fallback, .section = &fallback_section,
            .help = "what stands in for the answer while it is open; without it: 503 with Retry-After"),
    ROW_END,
};

const struct section breaker_section = {.name = "breaker",
                                        .size = sizeof(struct breaker_settings),
                                        .rows = breaker_rows,
                                        .shorthand = "errors",
                                        .check = breaker_check};
