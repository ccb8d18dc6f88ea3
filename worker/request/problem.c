/* problem: the gateway's own error answers, RFC 9457. */
#include "worker/request/problem.h"

#include "worker/request/grpc.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

const struct problem_row problem_rows[PROBLEM_COUNT] = {
    [PROBLEM_NONE] = {500, {"none", 4}, {"", 0}},
#define PROBLEM(id, status, type, title) \
    [PROBLEM_##id] = {status, {type, sizeof(type) - 1}, {title, sizeof(title) - 1}},
#include "worker/request/problems.def"
#undef PROBLEM
};

enum problem problem_of_status(unsigned status)
{
    if (status == 400)
        return PROBLEM_BAD_REQUEST;
    for (unsigned i = 1; i < PROBLEM_COUNT; i++)
        if (problem_rows[i].status == status)
            return i;
    return PROBLEM_BAD_REQUEST;
}

static void add_retry_after(struct request *request)
{
    enum { DIGITS = 20 };
    struct buf value = buf_on(arena_alloc(request->arena, DIGITS), DIGITS);
    buf_u64(&value, request->retry_after);
    request_add_field(request, STR("Retry-After"), buf_str(&value));
}

void problem_render(struct request *request)
{
    const struct problem_row *row = &problem_rows[request->problem];
    enum grpc_form form = grpc_form_of_request(request);
    if (form != GRPC_NONE) {
        grpc_render_problem(request, form);
        return;
    }
    unsigned status = request->problem_status ? request->problem_status : row->status;
    struct str detail = str_of(request->detail);
    size_t size = 256 + row->title.length + row->type.length + 6 * (detail.length + request->id.length);
    struct buf body = buf_on(arena_alloc(request->arena, size), size);
    BUF_LITERAL(&body, "{\"type\":\"urn:gatehouse:problem:");
    buf_str_add(&body, row->type);
    BUF_LITERAL(&body, "\",\"title\":\"");
    buf_json(&body, row->title);
    BUF_LITERAL(&body, "\",\"status\":");
    buf_u64(&body, status);
    if (detail.length) {
        BUF_LITERAL(&body, ",\"detail\":\"");
        buf_json(&body, detail);
        buf_char(&body, '"');
    }
    BUF_LITERAL(&body, ",\"instance\":\"");
    buf_json(&body, request->id);
    BUF_LITERAL(&body, "\"}\n");
    request->response = (struct response_head){0};
    request_answer(request, status, STR("application/problem+json"), buf_str(&body));
    if (request->problem == PROBLEM_METHOD_NOT_ALLOWED)
        request_add_field(request, STR("Allow"), request->match.allow);
    if (status == 401)
        identity_challenge(request);
    if (request->problem == PROBLEM_UPSTREAM_BUSY)
        request_add_field(request, STR("Retry-After"), STR("1"));
    if (request->retry_after)
        add_retry_after(request);
}
