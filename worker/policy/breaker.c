/* breaker: a route's own breaker, in place of its upstream's: what fails on this route cuts off this route only. */
#include "shared/conf/sections.h"
#include "worker/request/request.h"
#include "worker/upstream/breaking.h"

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct route *route = compiler->route;
    struct arena *arena = compiler->arena;
    if (!route) /* requests without a route go nowhere */
        return NULL;
    const char *cell =
        arena_printf(arena, "route:%s/%.*s", route->api->name ? route->api->name : "", STR_ARG(route->name));
    const char *name =
        arena_printf(arena, "route %s/%.*s", route->api->name ? route->api->name : "", STR_ARG(route->name));
    return breaking_compile(compiler->settings, conf, name, wants_add(compiler->wants, WANT_UPSTREAM, cell),
                            arena, compiler->errors);
}

/* The content asks it, when it calls. */
static enum verdict on_request(struct request *request, const void *compiled)
{
    request->breaking = compiled;
    return VERDICT_NEXT;
}

const struct policy policy_breaker = {
    .name = "breaker",
    .help = "when the route's calls fail, none is made for a while; instead of the upstream's breaker",
    .stage = STAGE_ADMIT,
    .section = &breaker_section,
    .compile = compile,
    .on_request = on_request,
};
