/* grpc: calls of gRPC on their way to services that speak it, and of gRPC-Web, which is translated.
 *
 * The caller's deadline holds here too, failures are told in gRPC's terms, and what upstreams answer is judged by
 * grpc-status: see worker/request/grpc.h, worker/upstream/call.c. Requests that aren't gRPC pass as they are.
 */
#include "shared/base/clock.h"
#include "worker/request/grpc_web.h"
#include "worker/request/request.h"

struct grpc_settings {
    struct origin origin;
    bool web;
    int64_t timeout, max_timeout;
};

enum { DAY_MS = 86400000 };

static const struct row rows[] = {
    ROW_(ROW_FLAG, struct grpc_settings, web, .fallback = "true",
         .help =
             "calls by gRPC-Web, binary and text, are translated to gRPC; without it they pass as they are"),
    ROW_(ROW_DURATION, struct grpc_settings, timeout, .fallback = "0", .min = 0, .max = DAY_MS,
         .help = "the deadline of calls that bring none (grpc-timeout); 0: they have none"),
    ROW_(ROW_DURATION, struct grpc_settings, max_timeout, .fallback = "0", .min = 0, .max = DAY_MS,
         .help = "the longest that a call gets, whatever it asks for; 0: as long as it asks for"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct grpc_settings *settings = structure;
    if (settings->max_timeout && settings->timeout > settings->max_timeout)
        conf_error(loader, settings->origin, "timeout", "is more than max_timeout (%lld ms)",
                   (long long)settings->max_timeout);
}

static const struct section section = {
    .name = "grpc", .size = sizeof(struct grpc_settings), .rows = rows, .shorthand = "web", .check = check};

/* False: it is malformed. `*timeout` in ms; 0 and no field: none. */
static bool timeout_of(const struct request *request, const struct grpc_settings *settings, bool *any,
                       uint64_t *timeout)
{
    const struct field *field = fields_get(&request->head->fields, FIELD_GRPC_TIMEOUT);
    uint64_t most = (uint64_t)settings->max_timeout;
    *timeout = (uint64_t)settings->timeout;
    *any = field || *timeout || most;
    if (field && !grpc_timeout_parse(field->value, timeout))
        return false;
    if (most && (*timeout > most || (!field && !*timeout)))
        *timeout = most;
    return true;
}

static enum verdict on_request(struct request *request, const void *conf)
{
    const struct grpc_settings *settings = conf;
    enum grpc_form form = grpc_form_of(fields_value(&request->head->fields, FIELD_CONTENT_TYPE), NULL);
    bool any;
    uint64_t timeout;
    if (form == GRPC_NONE || request->problem)
        return VERDICT_NEXT;
    struct grpc_call *call = arena_zalloc(request->arena, sizeof *call);
    call->form = form;
    if (form != GRPC_PLAIN && settings->web)
        grpc_web_begin(request, call, form);
    request->grpc = call;
    request->exchange->unhurried = form == GRPC_PLAIN; /* a stream of messages may be silent */
    if (!timeout_of(request, settings, &any, &timeout))
        return request_fail(
            request, PROBLEM_BAD_REQUEST,
            "grpc-timeout is not a number of up to eight digits and a unit (H, M, S, m, u, n)");
    if (any)
        call->deadline = request->started / NS_PER_MS + timeout;
    return VERDICT_NEXT;
}

static enum verdict on_response(struct request *request, const void *conf)
{
    (void)conf;
    grpc_web_answer(request);
    return VERDICT_NEXT;
}

static void on_done(struct request *request, const void *conf)
{
    (void)conf;
    if (!request->grpc)
        return;
    stat_add(request->worker->stats, STAT_GRPC_CALLS, 1);
    if (request->grpc_status.length && grpc_status_parse(request->grpc_status) != GRPC_OK)
        stat_add(request->worker->stats, STAT_GRPC_FAILED, 1);
}

const struct policy policy_grpc = {
    .name = "grpc",
    .help = "calls of gRPC and gRPC-Web: their deadlines, their statuses",
    .stage = STAGE_EDGE,
    .section = &section,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};
