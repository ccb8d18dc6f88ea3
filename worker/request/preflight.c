/* preflight: what a browser asks before it sends a request to another origin. */
#include "worker/request/preflight.h"

#include "shared/base/token.h"

bool preflight_of(const struct request_head *head, struct preflight *preflight)
{
    if (head->method != METHOD_OPTIONS || !(head->fields.present >> FIELD_ORIGIN & 1))
        return false;
    const struct field *method = fields_find(&head->fields, STR("Access-Control-Request-Method"));
    if (!method || !is_token(method->value))
        return false;
    const struct field *names = fields_find(&head->fields, STR("Access-Control-Request-Headers"));
    preflight->method = method->value;
    preflight->names = names ? names->value : STR("");
    return true;
}
