/* admin: the content of the admin socket: what the keeper knows, as JSON. */
#include "worker/policy/table.h"
#include "worker/request/request.h"

static enum verdict on_content(struct request *request, const void *compiled)
{
    struct worker *worker = request->worker;
    struct str body;
    (void)compiled;
    if (!worker->admin(worker, request->path, request->arena, &body))
        return request_fail(request, PROBLEM_NO_ROUTE, "the admin socket has no %.*s (try /status)",
                            STR_ARG(request->path));
    return request_answer(request, 200, STR("application/json"), body);
}

const struct policy policy_admin = {.name = "admin", .stage = STAGE_CONTENT, .on_content = on_content};
