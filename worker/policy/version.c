/* version: what answers say of their API's version: that they depend on how it was asked for (Vary), that it is deprecated
 * (RFC 9745), when it will be gone (RFC 8594), and where more is said.
 *
 * It has no setting of its own: it follows from the API's. It is entered before all that may answer, so that every answer
 * of its routes has the fields, and those of a 404 for want of a version too.
 */
#include "worker/request/version.h"
#include "shared/base/clock.h"
#include "worker/request/request.h"

/* Texts are empty where nothing is said. */
struct version {
    struct str deprecation, sunset, link;
};

/* Whether requests can ask for a version by a field: then any answer may depend on that. */
static bool any_by_field(const struct settings *settings)
{
    for (unsigned i = 0; i < settings->apis.count; i++) {
        const struct api_settings *api = settings->apis.items[i];
        if (api->version && api->version->by != VERSION_PATH)
            return true;
    }
    return false;
}

static const void *of_route(const struct settings *settings, const struct route *route)
{
    static const struct version_settings nothing;
    const struct version_settings *version = route ? route->api->version : NULL;
    if (version && (version->deprecation || version->sunset))
        return version;
    return any_by_field(settings) ? &nothing : NULL;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct version_settings *settings = conf;
    struct version *version = arena_zalloc(compiler->arena, sizeof *version);
    if (settings->deprecation)
        version->deprecation =
            str_of(arena_printf(compiler->arena, "@%llu", (unsigned long long)settings->deprecated_from));
    if (settings->sunset) {
        char *date = arena_alloc(compiler->arena, CLOCK_HTTP_SIZE);
        clock_http(settings->sunset_from, date);
        version->sunset = str_of(date);
    }
    if (settings->link)
        version->link = str_of(arena_printf(compiler->arena, "<%s>; rel=\"%s\"", settings->link,
                                            settings->deprecation ? "deprecation" : "sunset"));
    return version;
}

static void add_vary(struct request *request)
{
    const struct route_match *match = &request->match;
    for (unsigned i = 0; i < match->vary_count; i++) {
        struct str name = match->vary_count > ROUTE_VARY ? STR("*") : version_field(match->vary[i]);
        fields_add_vary(&request->response.fields, request->arena, name);
    }
}

/* The one who runs the gateway knows better than the service what it has of these. */
static void set(struct request *request, enum field_id id, struct str name, struct str value)
{
    if (value.length == 0)
        return;
    fields_remove(&request->response.fields, id);
    fields_add_known(&request->response.fields, request->arena, id, name, value);
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct version *version = compiled;
    add_vary(request);
    set(request, FIELD_DEPRECATION, STR("Deprecation"), version->deprecation);
    set(request, FIELD_SUNSET, STR("Sunset"), version->sunset);
    if (version->link.length)
        request_add_field(request, STR("Link"), version->link);
    return VERDICT_NEXT;
}

const struct policy policy_version = {
    .name = "version",
    .stage = STAGE_OBSERVE,
    .of_route = of_route,
    .compile = compile,
    .on_response = on_response,
};
