/* timeout: a route's own time-outs, in place of its upstream's: a long poll waits longer, an autocompletion less. */
#include "worker/request/request.h"
#include "worker/upstream/call.h"

struct route_timeouts {
    struct origin origin;
    int64_t response;
    int64_t idle;
    int64_t total;
};

enum { DAY = 86400000 };

#define TIMEOUT(member, ...) \
    ROW_(ROW_DURATION, struct route_timeouts, member, .min = 1, .max = DAY, __VA_ARGS__)

static const struct row rows[] = {
    TIMEOUT(
        response,
        .help =
            "from the end of the request to the first byte of its answer; default: as the upstream has it"),
    TIMEOUT(idle, .help = "between two pieces of the answer, or of the request; default: likewise"),
    TIMEOUT(total, .help = "the whole exchange, tries included; default: likewise"),
    ROW_END,
};

static const struct section section = {
    .name = "timeout", .size = sizeof(struct route_timeouts), .rows = rows, .shorthand = "response"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct route_timeouts *settings = conf;
    struct patience *patience = arena_zalloc(compiler->arena, sizeof *patience);
    patience->response = (uint64_t)settings->response;
    patience->idle = (uint64_t)settings->idle;
    patience->total = (uint64_t)settings->total;
    return patience;
}

/* The content asks for it, when it calls. */
static enum verdict on_request(struct request *request, const void *compiled)
{
    request->patience = compiled;
    return VERDICT_NEXT;
}

const struct policy policy_timeout = {
    .name = "timeout",
    .help = "how long the service may take for requests of the route; instead of the upstream's time-outs",
    .stage = STAGE_ADMIT,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
};
