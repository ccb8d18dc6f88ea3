/* quota: how much each key may have of a route in a window of the calendar, over all workers. */
#include "shared/conf/rate.h"
#include "shared/shm/quotas.h"
#include "worker/request/meter.h"

struct quota_settings {
    struct meter_settings meter;
    const char *limit;
    const char *cost;
    struct meter_when_settings count_when;
    int count; /* enum meter_count */
    bool headers;
    struct rate parsed; /* derived */
};

/* Compiled for a route. */
struct quota {
    struct meter meter;
    struct quota_terms terms;
    enum meter_count count;
    uint64_t cost;
    const struct expr *cost_text; /* NULL: always `cost` */
    struct meter_when when;
    struct str policy; /* RateLimit-Policy; empty: no fields */
};

/* What a request was charged. */
struct charge {
    struct meter_note note;
    const struct quota *quota;
    struct quotas_outcome outcome;
};

/* --- settings --- */

#define Q(kind_, member, ...) ROW_(kind_, struct quota_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    Q(ROW_STRING, limit, .flags = ROW_REQUIRED,
      .help = "how many in which window: 100/minute, 1000/hour, 10K/day, 50K/week, 1M/month, in UTC; of "
              "bytes K, M and G "
              "are powers of 1024"),
    METER_ROWS,
    Q(ROW_STRING, cost,
      .help = "what a request counts: a number, or a text with ${…} that comes out as one (else it counts "
              "1); default: 1"),
    Q(ROW_WORD, count, .fallback = "requests", .words = meter_count_words,
      .help = "what is counted; bytes are charged when the request is over, and only who has overdrawn is "
              "refused"),
    Q(ROW_GROUP, count_when, .section = &meter_when_section,
      .help = "only requests with these answers count; until they are answered all do"),
    Q(ROW_FLAG, headers, .fallback = "false",
      .help = "answers tell how the client stands: RateLimit-Policy and RateLimit"),
    ROW_END,
};

static void quota_check(struct conf_loader *loader, void *structure)
{
    struct quota_settings *settings = structure;
    struct rate *rate = &settings->parsed;
    struct origin origin = settings->meter.origin;
    bool bytes = settings->count != METER_REQUESTS;
    meter_check(loader, &settings->meter);
    const char *wrong = rate_parse(settings->limit, bytes, rate, conf_arena(loader));
    if (wrong)
        conf_error(loader, origin, "limit", "%s", wrong);
    else if (rate->unit == RATE_SECOND || rate->units != 1)
        conf_error(loader, origin, "limit",
                   "\"%s\": a quota's window is a minute, hour, day, week or month of the calendar (for "
                   "others, use limit)",
                   settings->limit);
    else if (rate->count > QUOTAS_MOST)
        conf_error(loader, origin, "limit", "\"%s\" is more than can be counted (write \"%s/…\" or less)",
                   settings->limit, bytes ? "1023G" : "1T");
    if (bytes && settings->cost)
        conf_error(loader, origin, "cost", "has no meaning where bytes are counted (leave it out)");
}

static const struct section section = {.name = "quota",
                                       .size = sizeof(struct quota_settings),
                                       .rows = rows,
                                       .shorthand = "limit",
                                       .check = quota_check};

/* --- compiling --- */

static enum quota_window window_of(enum rate_unit unit)
{
    switch (unit) {
    case RATE_HOUR:
        return QUOTA_HOUR;
    case RATE_DAY:
        return QUOTA_DAY;
    case RATE_WEEK:
        return QUOTA_WEEK;
    case RATE_MONTH:
        return QUOTA_MONTH;
    default:
        return QUOTA_MINUTE;
    }
}

/* A window's length as RateLimit-Policy tells it, in seconds; a month's is that of 30 days. */
static unsigned long long seconds_of(enum quota_window window)
{
    static const unsigned long long seconds[] = {[QUOTA_MINUTE] = 60,
                                                 [QUOTA_HOUR] = 3600,
                                                 [QUOTA_DAY] = 86400,
                                                 [QUOTA_WEEK] = 7 * 86400,
                                                 [QUOTA_MONTH] = 30 * 86400};
    return seconds[window];
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    static const char *const windows[] = {"minute", "hour", "day", "week", "month"};
    const struct quota_settings *settings = conf;
    struct arena *arena = compiler->arena;
    struct quota *quota = arena_zalloc(arena, sizeof *quota);
    bool bytes = settings->count != METER_REQUESTS;
    quota->terms = (struct quota_terms){settings->parsed.count, window_of(settings->parsed.unit)};
    quota->count = (enum meter_count)settings->count;
    quota->when = meter_when(&settings->count_when.status);
    quota->cost = 1;
    /* The windows of a word can't be told apart by their kind: another kind is another quota. */
    const char *variant =
        arena_printf(arena, "%s a %s", bytes ? "bytes" : "requests", windows[quota->terms.window]);
    meter_compile(compiler, conf, variant, &quota->meter);
    quota->cost_text = meter_cost(compiler, settings->cost, quota->terms.limit, &quota->cost);
    quota->meter.problem = PROBLEM_QUOTA_EXCEEDED;
    quota->meter.detail = arena_printf(arena, "%.*s allows %s%s", STR_ARG(quota->meter.name), settings->limit,
                                       bytes ? " bytes" : "");
    quota->meter.detail_never = arena_printf(arena, "this request costs more than %.*s allows in all (%s)",
                                             STR_ARG(quota->meter.name), settings->limit);
    if (settings->headers && !settings->meter.dry_run)
        quota->policy =
            str_of(arena_printf(arena, "\"%.*s\";q=%llu;w=%llu%s", STR_ARG(quota->meter.label),
                                (unsigned long long)quota->terms.limit, seconds_of(quota->terms.window),
                                bytes ? ";qu=\"content-bytes\"" : ""));
    return quota;
}

/* --- requests --- */

static void undo(struct request *request, struct meter_note *note)
{
    struct charge *charge = CONTAINER_OF(note, struct charge, note);
    quotas_refund(request->worker->shared->quotas, &request->worker->caller, charge->note.key,
                  &charge->quota->terms, &charge->outcome);
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct quota *quota = compiled;
    struct worker *worker = request->worker;
    struct pairs *quotas = worker->shared->quotas;
    struct charge *charge = meter_note(request, &quota->meter, quota, sizeof *charge, pairs_key, quotas);
    if (!charge)
        return VERDICT_FAIL;
    charge->quota = quota;
    if (quota->count != METER_REQUESTS)
        charge->outcome = quotas_look(quotas, charge->note.key, &quota->terms);
    else
        charge->outcome =
            quotas_charge(quotas, &worker->caller, charge->note.key, &quota->terms,
                          quota->cost_text ? meter_cost_of(request, quota->cost_text) : quota->cost);
    if (charge->outcome.charged)
        charge->note.undo = undo;
    if (charge->outcome.reset && log_seldom(&worker->meter_said, worker->loop.now_ms))
        log_warning("%.*s: a window lay in the future, as after a wrong clock: it begins anew (%u more lines "
                    "left out)",
                    STR_ARG(quota->meter.name), worker->meter_said.left_out);
    return meter_decide(request, &quota->meter, &charge->note, charge->outcome.verdict);
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct quota *quota = compiled;
    const struct charge *charge = meter_find(request, quota);
    if (!charge || quota->meter.dry_run)
        return VERDICT_NEXT;
    const struct quotas_outcome *outcome = &charge->outcome;
    if (outcome->verdict == COUNT_REFUSED)
        meter_retry_after(request, outcome->left);
    if (quota->policy.length && outcome->verdict != COUNT_FULL && outcome->verdict != COUNT_BUSY) {
        const struct meter_parameter stands[] = {{"r", outcome->remaining}, {"t", outcome->left}};
        request_add_field(request, STR("RateLimit-Policy"), quota->policy);
        meter_field(request, &quota->meter, STR("RateLimit"), stands, 2);
    }
    return VERDICT_NEXT;
}

static void on_done(struct request *request, const void *compiled)
{
    const struct quota *quota = compiled;
    struct worker *worker = request->worker;
    struct charge *charge = meter_find(request, quota);
    if (!charge)
        return;
    bool counts = meter_when_holds(&quota->when, request);
    if (quota->count == METER_REQUESTS) {
        if (charge->note.undo && !counts)
            undo(request, &charge->note);
    } else if (counts && charge->outcome.verdict == COUNT_ADMITTED &&
               !quotas_debit(worker->shared->quotas, &worker->caller, charge->note.key, &quota->terms,
                             meter_bytes_of(request, quota->count))) {
        meter_lost(request, &quota->meter);
    }
}

const struct policy policy_quota = {
    .name = "quota",
    .help = "how much each client may have in a minute, hour, day, week or month, over all workers",
    .stage = STAGE_ADMIT,
    .section = &section,
    .list = true,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};
