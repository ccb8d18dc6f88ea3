/* client: who a request is from, as far as trusted proxies say. */
#include "worker/request/request.h"

enum { HOPS_MAX = 64 }; /* of a list that are followed */

/* Back along the hops, from the connection's peer on: a trusted one is believed where it had the request from, and so
 * on. It ends at the first that isn't trusted, or whose word can't be read. */
static void follow(const struct request *request, enum field_id id, struct hop *hop)
{
    const struct fields *fields = &request->head->fields;
    const struct site *site = request->worker->site;
    bool forwarded = id == FIELD_FORWARDED;
    unsigned hops = 0;
    for (unsigned i = fields->count; i > 0; i--) {
        struct str list = fields->items[i - 1].value, element;
        if (fields->items[i - 1].id != id)
            continue;
        while (hops_last(&list, forwarded, &element)) {
            struct hop before;
            bool known = forwarded ? hop_parse_forwarded(element, &before) : hop_parse(element, &before);
            if (!known || !site_trusts(site, &hop->address) || hops++ == HOPS_MAX)
                return;
            *hop = before;
        }
    }
}

const struct hop *request_origin(struct request *request)
{
    if (!request->origin) {
        struct hop *hop = arena_zalloc(request->arena, sizeof *hop);
        uint64_t present = request->head->fields.present;
        hop->address = *request->exchange->peer;
        if (present >> FIELD_X_FORWARDED_FOR & 1)
            follow(request, FIELD_X_FORWARDED_FOR, hop);
        else if (present >> FIELD_FORWARDED & 1)
            follow(request, FIELD_FORWARDED, hop);
        request->origin = hop;
    }
    return request->origin;
}
