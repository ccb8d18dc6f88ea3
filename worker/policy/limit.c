/* limit: how fast a route may be called, by each key, over all workers.
 *
 * It runs at the edge, so that what comes before a client is known is limited too. A limit whose key needs an identity runs
 * when that was found, as its second part.
 */
#include "shared/base/clock.h"
#include "shared/conf/rate.h"
#include "shared/shm/limits.h"
#include "worker/request/meter.h"

struct limit_settings {
    struct meter_settings meter;
    const char *rate;
    int64_t burst; /* 0: what comes in a second */
    const char *cost;
    struct meter_when_settings count_when;
    int count; /* enum meter_count */
    int mode;
    int64_t max_delay;
    bool headers;
    struct rate parsed; /* derived */
};

enum mode { MODE_REJECT, MODE_DELAY };

/* Compiled for a route. */
struct limit {
    struct meter meter;
    struct limit_terms terms;
    enum meter_count count;
    uint64_t cost;
    const struct expr *cost_text; /* NULL: always `cost` */
    struct meter_when when;
    struct str policy; /* RateLimit-Policy; empty: no fields */
};

/* What a request was charged. */
struct charge {
    struct meter_note note;
    struct limits_outcome outcome;
    bool waits; /* for its turn */
};

/* --- settings --- */

static const char *const mode_words[] = {"reject", "delay", NULL};

#define L(kind_, member, ...) ROW_(kind_, struct limit_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    L(ROW_STRING, rate, .flags = ROW_REQUIRED,
      .help = "how many in how long: 100/s, 1000/m, 10K/h, 1M/day, 5/10s; of bytes K, M and G are powers of "
              "1024"),
    L(ROW_NUMBER, burst, .fallback = "0", .min = 0, .max = INT32_MAX,
      .help = "how many may come at once after a pause, 1 or more; 0: as many as the rate has in a second"),
    METER_ROWS,
    L(ROW_STRING, cost,
      .help = "what a request counts: a number, or a text with ${…} that comes out as one (else it counts "
              "1); default: 1"),
    L(ROW_WORD, count, .fallback = "requests", .words = meter_count_words,
      .help = "what is counted; bytes are charged when the request is over, and only who has overdrawn is "
              "refused"),
    L(ROW_GROUP, count_when, .section = &meter_when_section,
      .help = "only requests with these answers count; until they are answered all do"),
    L(ROW_WORD, mode, .fallback = "reject", .words = mode_words,
      .help = "what comes too fast is answered by 429, or waits for its turn"),
    L(ROW_DURATION, max_delay, .fallback = "1s", .min = 1, .max = 600000,
      .help = "with mode = \"delay\": how long a request may have to wait; beyond it, 429"),
    L(ROW_FLAG, headers, .fallback = "false",
      .help = "answers tell how the client stands: RateLimit-Policy and RateLimit"),
    ROW_END,
};

static void check_rate(struct conf_loader *loader, struct limit_settings *settings)
{
    const struct rate *rate = &settings->parsed;
    bool bytes = settings->count != METER_REQUESTS;
    const char *wrong = rate_parse(settings->rate, bytes, &settings->parsed, conf_arena(loader));
    if (wrong)
        conf_error(loader, settings->meter.origin, "rate", "%s", wrong);
    else if (rate->period_ns == 0)
        conf_error(loader, settings->meter.origin, "rate",
                   "\"%s\": a month has no fixed length (write …/day, or use quota)", settings->rate);
    else if (!bytes && rate->count > rate->period_ns / NS_PER_SECOND * LIMITS_FASTEST)
        conf_error(loader, settings->meter.origin, "rate",
                   "\"%s\" is too fast to be exact (write \"1M/s\" or less)", settings->rate);
    else if (settings->burst > 0 &&
             limit_terms_of(rate->count, rate->period_ns, (uint64_t)settings->burst, bytes).capacity >
                 LIMITS_LONGEST)
        conf_error(loader, settings->meter.origin, "burst",
                   "%lld at \"%s\" is paid off in more than ten years (write less)",
                   (long long)settings->burst, settings->rate);
}

static void limit_check(struct conf_loader *loader, void *structure)
{
    struct limit_settings *settings = structure;
    struct origin origin = settings->meter.origin;
    meter_check(loader, &settings->meter);
    check_rate(loader, settings);
    if (settings->count != METER_REQUESTS && settings->cost)
        conf_error(loader, origin, "cost", "has no meaning where bytes are counted (leave it out)");
    if (settings->count != METER_REQUESTS && settings->mode == MODE_DELAY)
        conf_error(loader, origin, "mode", "can't be \"delay\" where bytes are counted (they come later)");
}

static const struct section section = {.name = "limit",
                                       .size = sizeof(struct limit_settings),
                                       .rows = rows,
                                       .shorthand = "rate",
                                       .check = limit_check};

/* --- compiling --- */

static void compile_texts(struct compiler *compiler, const struct limit_settings *settings,
                          struct limit *limit)
{
    struct arena *arena = compiler->arena;
    unsigned long long burst = limit->terms.burst,
                       window = (limit->terms.capacity + NS_PER_SECOND - 1) / NS_PER_SECOND;
    bool bytes = limit->count != METER_REQUESTS;
    limit->meter.detail =
        arena_printf(arena, "%.*s allows %s%s, and %llu at once", STR_ARG(limit->meter.name), settings->rate,
                     bytes ? " bytes" : "", burst);
    limit->meter.detail_never =
        arena_printf(arena, "this request costs more than the %llu that %.*s allows at once", burst,
                     STR_ARG(limit->meter.name));
    if (settings->headers && !settings->meter.dry_run)
        limit->policy = str_of(arena_printf(arena, "\"%.*s\";q=%llu;w=%llu%s", STR_ARG(limit->meter.label),
                                            burst, window, bytes ? ";qu=\"content-bytes\"" : ""));
}

static const void *compile_limit(struct compiler *compiler, const void *conf)
{
    const struct limit_settings *settings = conf;
    const struct rate *rate = &settings->parsed;
    struct limit *limit = arena_zalloc(compiler->arena, sizeof *limit);
    bool bytes = settings->count != METER_REQUESTS;
    uint64_t burst = (uint64_t)settings->burst, second = rate->count / (rate->period_ns / NS_PER_SECOND);
    if (burst == 0)
        burst = second ? second : 1;
    limit->count = (enum meter_count)settings->count;
    limit->terms = limit_terms_of(rate->count, rate->period_ns, burst, bytes);
    if (settings->mode == MODE_DELAY)
        limit->terms.delay = (uint64_t)settings->max_delay * NS_PER_MS;
    limit->when = meter_when(&settings->count_when.status);
    limit->cost = 1;
    meter_compile(compiler, conf, bytes ? "bytes" : "requests", &limit->meter);
    limit->cost_text = meter_cost(compiler, settings->cost, burst, &limit->cost);
    limit->meter.problem = PROBLEM_RATE_LIMITED;
    compile_texts(compiler, settings, limit);
    return limit;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    return meter_needs_identity(conf) ? NULL : compile_limit(compiler, conf);
}

static const void *compile_identified(struct compiler *compiler, const void *conf)
{
    return meter_needs_identity(conf) ? compile_limit(compiler, conf) : NULL;
}

/* --- requests --- */

static void undo(struct request *request, struct meter_note *note)
{
    struct charge *charge = CONTAINER_OF(note, struct charge, note);
    limits_refund(request->worker->shared->limits, &request->worker->caller, charge->note.key,
                  &charge->outcome);
}

/* Its turn has come. */
static void resume(struct request *request)
{
    struct charge *charge = meter_find(request, request->chain->links[request->entered - 1].compiled);
    charge->waits = false;
    request_resume(request, VERDICT_NEXT);
}

/* Until the moment at which it would have been admitted, and no millisecond less. */
static enum verdict wait_for_turn(struct request *request, struct charge *charge)
{
    const struct worker *worker = request->worker;
    uint64_t turn_ms = (charge->outcome.now + charge->outcome.wait + NS_PER_MS - 1) / NS_PER_MS;
    if (turn_ms <= worker->loop.now_ms)
        return VERDICT_NEXT;
    charge->waits = true;
    stat_add(worker->stats, STAT_DELAYED, 1);
    request_wait(request, "limit", turn_ms - worker->loop.now_ms, resume, NULL);
    return VERDICT_WAIT;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct limit *limit = compiled;
    struct worker *worker = request->worker;
    struct pairs *limits = worker->shared->limits;
    struct charge *charge = meter_note(request, &limit->meter, limit, sizeof *charge, pairs_key, limits);
    if (!charge)
        return VERDICT_FAIL;
    if (limit->count != METER_REQUESTS)
        charge->outcome = limits_look(limits, charge->note.key, &limit->terms);
    else
        charge->outcome =
            limits_charge(limits, &worker->caller, charge->note.key, &limit->terms,
                          limit->cost_text ? meter_cost_of(request, limit->cost_text) : limit->cost);
    if (charge->outcome.charged)
        charge->note.undo = undo;
    if (charge->outcome.verdict == COUNT_ADMITTED && charge->outcome.wait && !limit->meter.dry_run)
        return wait_for_turn(request, charge);
    return meter_decide(request, &limit->meter, &charge->note, charge->outcome.verdict);
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct limit *limit = compiled;
    const struct charge *charge = meter_find(request, limit);
    if (!charge || limit->meter.dry_run)
        return VERDICT_NEXT;
    const struct limits_outcome *outcome = &charge->outcome;
    if (outcome->verdict == COUNT_REFUSED)
        meter_retry_after(request, (outcome->wait + NS_PER_SECOND - 1) / NS_PER_SECOND);
    if (limit->policy.length && outcome->verdict != COUNT_FULL && outcome->verdict != COUNT_BUSY) {
        uint64_t debt = outcome->arrival > outcome->now ? outcome->arrival - outcome->now : 0;
        const struct meter_parameter stands[] = {{"r", outcome->remaining},
                                                 {"t", (debt + NS_PER_SECOND - 1) / NS_PER_SECOND}};
        request_add_field(request, STR("RateLimit-Policy"), limit->policy);
        meter_field(request, &limit->meter, STR("RateLimit"), stands, 2);
    }
    return VERDICT_NEXT;
}

static void on_done(struct request *request, const void *compiled)
{
    const struct limit *limit = compiled;
    struct worker *worker = request->worker;
    struct charge *charge = meter_find(request, limit);
    if (!charge)
        return;
    bool counts = meter_when_holds(&limit->when, request);
    if (limit->count == METER_REQUESTS) {
        if (charge->note.undo && (charge->waits || !counts))
            undo(request, &charge->note);
    } else if (counts && charge->outcome.verdict == COUNT_ADMITTED &&
               !limits_debit(worker->shared->limits, &worker->caller, charge->note.key, &limit->terms,
                             meter_bytes_of(request, limit->count))) {
        meter_lost(request, &limit->meter);
    }
}

static const struct policy identified_part = {
    .name = "limit",
    .stage = STAGE_ADMIT,
    .compile = compile_identified,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};

const struct policy policy_limit = {
    .name = "limit",
    .help = "how fast each client may come, over all workers",
    .stage = STAGE_EDGE,
    .section = &section,
    .list = true,
    .also = &identified_part,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};
