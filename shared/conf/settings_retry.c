/* settings_retry: what is tried again, what is tried twice, and how much may be in progress. */
#include <string.h>

#include "shared/conf/load.h"
#include "shared/conf/sections.h"

#define HOUR 3600000

/* --- retry --- */

#define BACKOFF(kind_, member, ...) ROW_(kind_, struct backoff_settings, member, __VA_ARGS__)

static const struct row backoff_rows[] = {
    BACKOFF(ROW_DURATION, base, .fallback = "25ms", .min = 0, .max = 60000,
            .help = "the most that the first retry waits, by chance from 0 on; twice as much each time"),
    BACKOFF(ROW_DURATION, cap, .fallback = "250ms", .min = 0, .max = 600000,
            .help = "the most that any waits"),
    ROW_END,
};

static const struct section backoff_section = {.name = "retry.backoff",
                                               .size = sizeof(struct backoff_settings),
                                               .rows = backoff_rows,
                                               .shorthand = "base"};

#define BUDGET(kind_, member, ...) ROW_(kind_, struct budget_settings, member, __VA_ARGS__)

static const struct row budget_rows[] = {
    BUDGET(ROW_REAL, ratio, .fallback = "0.2", .min = 0, .max = 10, .help = "of the calls"),
    BUDGET(ROW_REAL, minimum, .fallback = "10", .min = 0, .max = 10000,
           .help = "and so many a second, however few calls there are"),
    BUDGET(ROW_DURATION, window, .fallback = "10s", .min = 100, .max = 600000,
           .help = "what isn't used for about so long is lost"),
    ROW_END,
};

static const struct section budget_section = {.name = "retry.budget",
                                              .size = sizeof(struct budget_settings),
                                              .rows = budget_rows,
                                              .shorthand = "ratio"};

static void retry_check(struct conf_loader *loader, void *structure)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"connect", RETRY_CONNECT}, {"reset", RETRY_RESET}, {"timeout", RETRY_TIMEOUT}};
    struct retry_settings *retry = structure;
    for (unsigned i = 0; i < retry->on.count; i++) {
        unsigned bit = 0;
        for (unsigned j = 0; j < sizeof words / sizeof words[0]; j++)
            if (strcmp(words[j].word, retry->on.items[i]) == 0)
                bit = words[j].bit;
        retry->on_bits |= bit;
        if (!bit)
            conf_error(loader, retry->origin, arena_printf(conf_arena(loader), "on[%u]", i),
                       "\"%s\" is not known (write connect, reset or timeout; statuses stand in statuses)",
                       retry->on.items[i]);
    }
}

#define RETRY(kind_, member, ...) ROW_(kind_, struct retry_settings, member, __VA_ARGS__)

static const struct row retry_rows[] = {
    RETRY(ROW_NUMBER, connect, .fallback = "8", .min = 1, .max = UPSTREAM_TRIES,
          .help =
              "endpoints that are tried for a request, when they can't be connected to; this costs no retry"),
    RETRY(ROW_NUMBER, attempts, .fallback = "1", .min = 1, .max = 10,
          .help = "how often a request is tried in all, at another endpoint each time where there is one; 1: "
                  "once"),
    RETRY(ROW_STRINGS, on, .fallback = "connect, reset, timeout",
          .help = "after what it is tried again: connect, no endpoint could be connected to; reset, the "
                  "connection broke before the answer; timeout, the answer took too long"),
    RETRY(ROW_NUMBERS, statuses, .fallback = "502, 503, 504", .min = 400, .max = 599,
          .help = "after which answers"),
    RETRY(ROW_STRINGS, methods,
          .help =
              "the methods of requests that are tried again; without it: those that do no harm when "
              "done twice (GET, HEAD, PUT, DELETE, OPTIONS, TRACE). After connect any is: nothing was sent"),
    RETRY(ROW_STRINGS, grpc,
          .help = "of calls to routes with grpc: after which grpc-status, by name (unavailable, "
                  "resource_exhausted …), if the answer has nothing but it; without regard to methods"),
    RETRY(ROW_DURATION, per_try, .fallback = "0", .min = 0, .max = HOUR,
          .help =
              "how long a try may take to the head of its answer, connecting included; anew when the last of "
              "the body has come from the client; 0: only timeout bounds it"),
    RETRY(ROW_GROUP, backoff, .section = &backoff_section, .help = "how long a retry waits"),
    RETRY(ROW_GROUP, budget, .section = &budget_section,
          .help = "how many retries there may be, of all workers together"),
    RETRY(ROW_DURATION, retry_after, .fallback = "1s", .min = 0, .max = 300000,
          .help = "how long a retry waits at most because an answer asks for it by Retry-After; one that "
                  "asks for more is not tried again"),
    RETRY(ROW_SIZE, buffer, .fallback = "16K", .min = 0, .max = 1 << 20,
          .help = "how much of a request's body is kept to be sent again; with a larger one it is not tried "
                  "again"),
    ROW_END,
};

const struct section retry_section = {.name = "retry",
                                      .size = sizeof(struct retry_settings),
                                      .rows = retry_rows,
                                      .shorthand = "attempts",
                                      .check = retry_check};

/* --- hedge --- */

#define HEDGE(kind_, member, ...) ROW_(kind_, struct hedge_settings, member, __VA_ARGS__)

static const struct row hedge_rows[] = {
    HEDGE(ROW_DURATION, delay, .fallback = "0", .min = 0, .max = HOUR,
          .help = "after how long the second try begins; 0: after the time within which percentile of the "
                  "answers came"),
    HEDGE(ROW_REAL, percentile, .fallback = "95", .min = 50, .max = 99.9,
          .help = "without delay: of the answers of all workers, learned as they come"),
    ROW_END,
};

const struct section hedge_section = {
    .name = "hedge", .size = sizeof(struct hedge_settings), .rows = hedge_rows, .shorthand = "delay"};

/* --- adaptive --- */

static void adaptive_check(struct conf_loader *loader, void *structure)
{
    const struct adaptive_settings *adaptive = structure;
    if (adaptive->most < adaptive->least)
        conf_error(loader, adaptive->origin, "max", "is less than min (write the same, or more)");
}

#define ADAPTIVE(kind_, member, ...) ROW_(kind_, struct adaptive_settings, member, __VA_ARGS__)

static const struct row adaptive_rows[] = {
    {.name = "min",
     .kind = ROW_NUMBER,
     .offset = offsetof(struct adaptive_settings, least),
     .fallback = "5",
     .min = 1,
     .max = 100000,
     .help = "calls that may be in progress at least; so many while the least time is measured"},
    {.name = "max",
     .kind = ROW_NUMBER,
     .offset = offsetof(struct adaptive_settings, most),
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .help = "at most"},
    ADAPTIVE(ROW_REAL, buffer, .fallback = "0.25", .min = 0, .max = 10,
             .help =
                 "how much longer than the least time answers may take, as a share of it, before the limit "
                 "sinks"),
    ADAPTIVE(ROW_DURATION, interval, .fallback = "100ms", .min = 10, .max = 60000,
             .help = "how often the limit is reckoned anew"),
    ADAPTIVE(ROW_DURATION, probe, .fallback = "60s", .min = 1000, .max = HOUR,
             .help = "how often the least time is measured anew"),
    ADAPTIVE(ROW_REAL, jitter, .fallback = "0.15", .min = 0, .max = 1,
             .help = "the share of that time that is added by chance, at most"),
    ROW_END,
};

const struct section adaptive_section = {.name = "adaptive",
                                         .size = sizeof(struct adaptive_settings),
                                         .rows = adaptive_rows,
                                         .shorthand = "max",
                                         .check = adaptive_check};
