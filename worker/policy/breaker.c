/* breaker: a route's own breaker, in place of its upstream's: what fails on this route cuts off this route only. */
#include "shared/conf/sections.h"
#include "worker/request/request.h"
#include "worker/upstream/breaking.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Routes without a name can have the same path, for other methods or conditions: they are told apart by their order. */
static unsigned ordinal(const struct route *route)
{
    const struct conf_list *routes = &route->api->routes;
    const struct match_settings *match = &route->settings->match;
    unsigned before = 0;
    for (unsigned i = 0; i < routes->count && routes->items[i] != route->settings; i++) {
        const struct route_settings *other = routes->items[i];
        before += !other->name && !route->settings->name && same_text(other->match.path, match->path) &&
                  same_text(other->match.prefix, match->prefix) &&
                  same_text(other->match.regex, match->regex);
    }
    return before;
}

/* "shop/user" */
static const char *name_of(struct compiler *compiler)
{
    const struct route *route = compiler->route;
    unsigned before = ordinal(route);
    const char *api = route->api->name ? route->api->name : "";
    return before ? arena_printf(compiler->arena, "%s/%.*s#%u", api, STR_ARG(route->name), before + 1)
                  : arena_printf(compiler->arena, "%s/%.*s", api, STR_ARG(route->name));
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    struct arena *arena = compiler->arena;
    if (!compiler->route) /* requests without a route go nowhere */
        return NULL;
    const char *name = name_of(compiler);
    unsigned want = wants_add(compiler->wants, WANT_UPSTREAM, arena_printf(arena, "route:%s", name));
    return breaking_compile(compiler->settings, conf, arena_printf(arena, "route %s", name), want, arena,
                            compiler->errors);
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
