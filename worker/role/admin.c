/* admin: the table of resources. Called by the content of the admin socket (policy/admin.c). */
#include "worker/role/admin.h"

#include <stdlib.h>

#include "worker/role/json.h"
#include "worker/role/override.h"
#include "worker/role/status.h"

struct resource {
    enum method method;
    struct str path;
    enum verdict (*answer)(struct request *request);
};

static const struct resource resources[] = {
    {METHOD_GET, {"/status", 7}, status_get},
    {METHOD_GET, {"/overrides", 10}, override_get},
    {METHOD_PUT, {"/overrides", 10}, override_put},
    {METHOD_DELETE, {"/overrides", 10}, override_delete},
};
enum { RESOURCES = sizeof resources / sizeof resources[0] };

enum verdict json_answer(struct request *request, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (!text)
        return request_fail(request, PROBLEM_INTERNAL, "the answer could not be written as JSON");
    struct str body = arena_str(request->arena, str_of(text));
    free(text);
    return request_answer(request, 200, STR("application/json"), body);
}

enum verdict admin_answer(struct request *request)
{
    bool path = false;
    for (unsigned i = 0; i < RESOURCES; i++) {
        if (!str_eq(resources[i].path, request->path))
            continue;
        if (resources[i].method == request->head->method)
            return resources[i].answer(request);
        path = true;
    }
    return path ? request_fail(request, PROBLEM_METHOD_NOT_ALLOWED,
                               "the admin socket doesn't take %.*s for %.*s",
                               STR_ARG(request->head->method_text), STR_ARG(request->path))
                : request_fail(request, PROBLEM_NO_ROUTE, "the admin socket has no %.*s (try /status)",
                               STR_ARG(request->path));
}
