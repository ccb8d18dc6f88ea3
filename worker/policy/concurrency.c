/* concurrency: how many requests of each key may be in progress, over all workers. */
#include "shared/shm/concurrency.h"

#include "worker/request/meter.h"

struct concurrency_settings {
    struct meter_settings meter;
    int64_t max;
};

/* Compiled for a route. */
struct cap {
    struct meter meter;
    uint64_t max;
};

/* A request's place. */
struct place {
    struct meter_note note;
    uint32_t cell;
    bool held, refused;
};

#define C(kind_, member, ...) ROW_(kind_, struct concurrency_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    C(ROW_NUMBER, max, .flags = ROW_REQUIRED, .min = 1, .max = INT32_MAX,
      .help = "how many requests of a client may be in progress; more are answered by 429"),
    METER_ROWS,
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct concurrency_settings *settings = structure;
    meter_check(loader, &settings->meter);
}

static const struct section section = {.name = "concurrency",
                                       .size = sizeof(struct concurrency_settings),
                                       .rows = rows,
                                       .shorthand = "max",
                                       .check = check};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct concurrency_settings *settings = conf;
    struct cap *cap = arena_zalloc(compiler->arena, sizeof *cap);
    cap->max = (uint64_t)settings->max;
    meter_compile(compiler, conf, "", &cap->meter);
    cap->meter.problem = PROBLEM_TOO_MANY_IN_FLIGHT;
    cap->meter.detail = arena_printf(compiler->arena, "%.*s allows %lld at a time", STR_ARG(cap->meter.name),
                                     (long long)settings->max);
    return cap;
}

static void leave(struct request *request, struct meter_note *note)
{
    struct place *place = CONTAINER_OF(note, struct place, note);
    if (place->held)
        concurrency_leave(request->worker->shared->concurrency, &request->worker->caller, place->cell);
    place->held = false;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct cap *cap = compiled;
    struct worker *worker = request->worker;
    struct concurrency *concurrency = worker->shared->concurrency;
    struct place *place = meter_note(request, &cap->meter, cap, sizeof *place, concurrency_key, concurrency);
    if (!place)
        return VERDICT_FAIL;
    struct concurrency_outcome outcome =
        concurrency_enter(concurrency, &worker->caller, place->note.key, cap->max);
    if (outcome.verdict == COUNT_ADMITTED) {
        place->cell = outcome.cell;
        place->held = true;
        place->note.undo = leave;
    }
    place->refused = outcome.verdict == COUNT_REFUSED && !cap->meter.dry_run;
    return meter_decide(request, &cap->meter, &place->note, outcome.verdict);
}

/* It has its place already, in the process that had it: whoever is over the limit now keeps it. */
static void on_adopt(struct request *request, const void *compiled)
{
    const struct cap *cap = compiled;
    struct worker *worker = request->worker;
    struct concurrency *concurrency = worker->shared->concurrency;
    struct place *place = meter_note(request, &cap->meter, cap, sizeof *place, concurrency_key, concurrency);
    if (!place)
        return;
    struct concurrency_outcome outcome =
        concurrency_enter(concurrency, &worker->caller, place->note.key, UINT64_MAX);
    place->cell = outcome.cell;
    place->held = outcome.verdict == COUNT_ADMITTED;
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct place *place = meter_find(request, compiled);
    if (place && place->refused)
        meter_retry_after(request, 1);
    return VERDICT_NEXT;
}

static void on_done(struct request *request, const void *compiled)
{
    struct place *place = meter_find(request, compiled);
    if (place)
        leave(request, &place->note);
}

const struct policy policy_concurrency = {
    .name = "concurrency",
    .help = "how many requests of each client may be in progress, over all workers",
    .stage = STAGE_ADMIT,
    .section = &section,
    .list = true,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
    .on_adopt = on_adopt,
};
