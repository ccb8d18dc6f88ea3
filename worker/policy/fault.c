/* fault: holds requests up, or answers them with an error, by chance: to see how clients take it. */
#include "worker/request/condition.h"
#include "worker/request/request.h"

struct delay_settings {
    struct origin origin;
    double percent;
    int64_t time, most;
};

struct abort_settings {
    struct origin origin;
    double percent;
    int64_t status;
};

struct fault_settings {
    struct origin origin;
    struct delay_settings *delay;
    struct abort_settings *abort;
    struct conf_list headers; /* struct condition_settings */
};

/* Compiled for a route. */
struct fault {
    uint64_t delay_share, abort_share; /* of 2^64; UINT64_MAX: all, 0: none */
    uint64_t least, most;              /* ms */
    unsigned status;
    bool conditional;
    struct conditions conditions;
};

#define PERCENT(type, what)                                                \
    ROW_(ROW_REAL, type, percent, .fallback = "100", .min = 0, .max = 100, \
         .help = "how many of the requests are " what)

static const struct row delay_rows[] = {
    ROW_(ROW_DURATION, struct delay_settings, time, .flags = ROW_REQUIRED, .min = 1, .max = 3600000,
         .help = "how long"),
    ROW_(ROW_DURATION, struct delay_settings, most, .fallback = "0", .min = 0, .max = 3600000,
         .help = "by chance up to so long; 0: always `time`"),
    PERCENT(struct delay_settings, "held up"),
    ROW_END,
};

static void delay_check(struct conf_loader *loader, void *structure)
{
    const struct delay_settings *delay = structure;
    if (delay->most && delay->most < delay->time)
        conf_error(loader, delay->origin, "most", "is less than time (%lld ms)", (long long)delay->time);
}

static const struct section delay_section = {.name = "fault.delay",
                                             .size = sizeof(struct delay_settings),
                                             .rows = delay_rows,
                                             .shorthand = "time",
                                             .check = delay_check};

static const struct row abort_rows[] = {
    ROW_(ROW_NUMBER, struct abort_settings, status, .fallback = "503", .min = 400, .max = 599,
         .help = "with which status"),
    PERCENT(struct abort_settings, "answered with an error"),
    ROW_END,
};

static const struct section abort_section = {
    .name = "fault.abort", .size = sizeof(struct abort_settings), .rows = abort_rows, .shorthand = "status"};

static const struct row rows[] = {
    ROW_(ROW_OPTIONAL, struct fault_settings, delay, .section = &delay_section,
         .help = "requests that are held up before they go on"),
    ROW_(ROW_OPTIONAL, struct fault_settings, abort, .section = &abort_section,
         .help = "requests that are answered by an error, those that were held up too"),
    ROW_(ROW_LIST, struct fault_settings, headers, .section = &header_condition_section,
         .help = "only requests whose header fields are so, as of match.headers"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct fault_settings *fault = structure;
    if (!fault->delay && !fault->abort)
        conf_error(loader, fault->origin, NULL,
                   "does nothing (write delay = \"100ms\", abort = 503, or both)");
}

static const struct section section = {
    .name = "fault", .size = sizeof(struct fault_settings), .rows = rows, .check = check};

static uint64_t share_of(double percent)
{
    return percent >= 100 ? UINT64_MAX : (uint64_t)(percent / 100 * 0x1p64);
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct fault_settings *settings = conf;
    struct fault *fault = arena_zalloc(compiler->arena, sizeof *fault);
    struct regex_set *regexes = NULL;
    if (settings->delay) {
        fault->delay_share = share_of(settings->delay->percent);
        fault->least = (uint64_t)settings->delay->time;
        fault->most = settings->delay->most ? (uint64_t)settings->delay->most : fault->least;
    }
    if (settings->abort) {
        fault->abort_share = share_of(settings->abort->percent);
        fault->status = (unsigned)settings->abort->status;
    }
    fault->conditional = settings->headers.count;
    fault->conditions = conditions_of_fields(&settings->headers, "fault.headers", &regexes, compiler->arena,
                                             compiler->errors);
    return fault;
}

static bool chance(struct request *request, uint64_t share)
{
    return share == UINT64_MAX || (share && random_next(&request->worker->random) < share);
}

static enum verdict maybe_abort(struct request *request, const struct fault *fault)
{
    if (!chance(request, fault->abort_share))
        return VERDICT_NEXT;
    stat_add(request->worker->stats, STAT_FAULT_ABORTS, 1);
    request->fault = request->fault ? "delay,abort" : "abort";
    request->problem_status = fault->status;
    return request_fail(request, PROBLEM_FAULT_INJECTED, "by the policy fault of the route");
}

static void resume(struct request *request)
{
    request_resume(request, maybe_abort(request, request->chain->links[request->entered - 1].compiled));
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct fault *fault = compiled;
    struct random *random = &request->worker->random;
    if (request->problem || (fault->conditional && conditions_hold(&fault->conditions, request->head,
                                                                   request->arena) != CONDITIONS_HOLD))
        return VERDICT_NEXT;
    if (!chance(request, fault->delay_share))
        return maybe_abort(request, fault);
    stat_add(request->worker->stats, STAT_FAULT_DELAYS, 1);
    request->fault = "delay";
    request_wait(request, "fault", fault->least + random_below(random, fault->most - fault->least + 1),
                 resume, NULL);
    return VERDICT_WAIT;
}

const struct policy policy_fault = {
    .name = "fault",
    .help = "hold requests up, or answer them with an error, by chance: to test clients",
    .stage = STAGE_SHAPE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
};
