/* breaking: the breaker of an upstream, or a route's own. Called by call.c; compiled by balance.c and policy/breaker.c. */
#include "worker/upstream/breaking.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/shm/upstreams.h"
#include "worker/request/worker.h"

/* --- at load --- */

static const struct fallback *compile_fallback(const struct settings *settings,
                                               const struct fallback_settings *conf, struct arena *arena,
                                               struct errors *errors)
{
    struct fallback *fallback = arena_alloc(arena, sizeof *fallback);
    *fallback = (struct fallback){-1, (unsigned)conf->status, str_of(conf->body ? conf->type : ""),
                                  str_of(conf->body ? conf->body : "")};
    if (!conf->upstream)
        return fallback;
    for (unsigned i = 0; i < settings->upstreams.count; i++)
        if (strcmp(((const struct upstream_settings *)settings->upstreams.items[i])->name, conf->upstream) ==
            0)
            fallback->upstream = (int)i;
    if (fallback->upstream < 0)
        errors_add(errors, conf->origin,
                   "breaker.fallback.upstream: there is no upstream \"%s\" (define it under upstreams)",
                   conf->upstream);
    return fallback;
}

const struct breaking *breaking_compile(const struct settings *settings,
                                        const struct breaker_settings *breaker, const char *name,
                                        unsigned want, struct arena *arena, struct errors *errors)
{
    struct breaking *breaking = arena_zalloc(arena, sizeof *breaking);
    breaking->name = name;
    breaking->want = want;
    breaking->statuses = breaker->statuses;
    breaking->rules = (struct breaker_rules){
        .errors = (unsigned)breaker->errors,
        .ratio = breaker->ratio,
        .volume = (unsigned)breaker->volume,
        .window = (uint64_t)breaker->window,
        .open = (uint64_t)breaker->open,
        .open_most = (uint64_t)breaker->max_open,
        .jitter = breaker->jitter,
        .probe = (uint64_t)breaker->probe,
    };
    if (breaker->fallback)
        breaking->fallback = compile_fallback(settings, breaker->fallback, arena, errors);
    return breaking;
}

/* --- calls --- */

struct breaker_cell *breaking_cell(const struct worker *worker, const struct breaking *breaking)
{
    unsigned cell = worker->generation->cells[breaking->want];
    return &upstreams_cell(worker->shared->upstreams, cell)->breaker;
}

bool breaking_ask(struct worker *worker, const struct breaking *breaking, uint64_t *ticket, uint64_t *left_ms)
{
    switch (breaker_ask(breaking_cell(worker, breaking), &breaking->rules, worker->slot_index,
                        worker->loop.now_ms, ticket, left_ms)) {
    case BREAKER_PASS:
        return true;
    case BREAKER_PROBE:
        log_notice("%s: the breaker is half-open: one request is let through as a probe", breaking->name);
        break;
    case BREAKER_TAKEN:
        log_notice("%s: the breaker's probe got no answer within %llu ms: another request is the probe",
                   breaking->name, (unsigned long long)breaking->rules.probe);
        break;
    case BREAKER_SHUT:
        stat_add(worker->stats, STAT_BREAKER_REFUSED, 1);
        return false;
    }
    stat_add(worker->stats, STAT_BREAKER_PROBES, 1);
    return true;
}

static bool is_failure(const struct breaking *breaking, unsigned status)
{
    if (!breaking->statuses.count)
        return status == 0 || status >= 500;
    for (unsigned i = 0; i < breaking->statuses.count; i++)
        if (breaking->statuses.items[i] == (int64_t)status)
            return true;
    return status == 0;
}

/* Why it opened, and what the last failure was. */
static void log_open(const struct breaking *breaking, const struct breaker_cell *cell, uint64_t now_ms,
                     enum breaker_cause cause, const struct breaking_result *result, uint64_t open_ms)
{
    char why[96] = "the probe failed", last[32];
    uint32_t calls, failed;
    if (cause == BREAKER_BY_ERRORS) {
        snprintf(why, sizeof why, "%u failures in a row", breaking->rules.errors);
    } else if (cause == BREAKER_BY_RATIO) {
        breaker_sum(cell, &breaking->rules, now_ms, &calls, &failed);
        snprintf(why, sizeof why, "%u of %u calls in %llu ms failed", failed, calls,
                 (unsigned long long)breaking->rules.window);
    }
    snprintf(last, sizeof last, "status %u", result->status);
    log_warning("%s: the breaker opened for %llu ms: %s%s%s%s: %s)", breaking->name,
                (unsigned long long)open_ms, why,
                cause == BREAKER_BY_PROBE ? " (" : " (the last: ", result->endpoint ? result->endpoint : "",
                result->endpoint ? "" : "all endpoints", result->detail ? result->detail : last);
}

void breaking_tell(struct worker *worker, const struct breaking *breaking,
                   const struct breaking_result *result)
{
    struct breaker_cell *cell = breaking_cell(worker, breaking);
    uint64_t now_ms = worker->loop.now_ms, open_ms = 0;
    struct breaker_result told = {result->ticket, result->began_ms, result->retry_after_ms, 0};
    if (!is_failure(breaking, result->status)) {
        if (breaker_good(cell, &breaking->rules, now_ms, &told))
            log_notice("%s: the breaker closed: the probe was answered with status %u", breaking->name,
                       result->status);
        return;
    }
    told.chance = (double)(random_next(&worker->random) >> 11) * 0x1p-53;
    enum breaker_cause cause = breaker_bad(cell, &breaking->rules, now_ms, &told, &open_ms);
    if (cause == BREAKER_STAYS)
        return;
    stat_add(worker->stats, STAT_BREAKER_OPENED, 1);
    log_open(breaking, cell, now_ms, cause, result, open_ms);
}
