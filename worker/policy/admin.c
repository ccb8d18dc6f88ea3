/* admin: the content of the admin socket: what the keeper knows, as JSON. */
#include "worker/policy/table.h"
#include "worker/request/request.h"

static enum verdict on_content(struct request *request, const void *compiled)
{
    (void)compiled;
    return request->worker->admin(request);
}

const struct policy policy_admin = {.name = "admin", .stage = STAGE_CONTENT, .on_content = on_content};
