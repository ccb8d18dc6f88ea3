/* site: a generation's routes, chains and policies, compiled. */
#include "worker/request/site.h"

#include <stdlib.h>

#include "worker/net/tls_client.h"
#include "worker/net/tls_server.h"
#include "worker/request/key_set.h"
#include "worker/request/request.h"

struct site_compiler {
    struct site *site;
    const struct settings *settings;
    const struct policy *const *policies;
    struct wants *wants;
    struct arena *arena;
    struct errors *errors;
    struct regex_set *regexes; /* NULL until there is a pattern */
};

enum { CHAIN_MAX = 64 };

/* --- what policies call while they are compiled --- */

void compile_error(struct compiler *compiler, const char *setting, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vprintf(compiler->errors->arena, format, arguments);
    va_end(arguments);
    errors_add(compiler->errors, compiler->origin, "%s%s%s: %s", compiler->policy, setting ? "." : "",
               setting ? setting : "", text);
}

struct name_check {
    struct compiler *compiler;
    const char *setting;
    bool good;
};

static void check_name(void *context, int id, struct str argument)
{
    struct name_check *check = context;
    const struct route *route = check->compiler->route;
    if (!route || !request_name_is_param(id))
        return;
    for (unsigned i = 0; i < route->param_count; i++)
        if (str_eq(route->params[i], argument))
            return;
    check->good = false;
    compile_error(check->compiler, check->setting, "the route's path \"%.*s\" has no parameter {%.*s}",
                  STR_ARG(route->text), STR_ARG(argument));
}

const struct expr *compile_expr(struct compiler *compiler, const char *setting, const char *text, bool braces)
{
    const char *why = NULL;
    const struct expr *expr = expr_compile(compiler->arena, text, compiler->names, braces, &why);
    if (!expr) {
        compile_error(compiler, setting, "%s", why);
        return NULL;
    }
    struct name_check check = {compiler, setting, true};
    expr_each_name(expr, check_name, &check);
    return check.good ? expr : NULL;
}

bool compile_line(struct compiler *compiler, const char *setting, const char *text, bool spaces)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f || (*c == ' ' && !spaces)) {
            compile_error(compiler, setting, "has %s, which can't stand there",
                          *c == ' ' ? "a space (write %20)" : "a control character");
            return false;
        }
    return true;
}

int compile_upstream(struct compiler *compiler, const char *setting, const char *name)
{
    const struct conf_list *upstreams = &compiler->settings->upstreams;
    const char *near = NULL;
    unsigned least = 3;
    for (unsigned i = 0; i < upstreams->count; i++)
        if (strcmp(((const struct upstream_settings *)upstreams->items[i])->name, name) == 0)
            return (int)i;
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        unsigned distance = str_distance(str_of(upstream->name), str_of(name), 2);
        if (distance < least) {
            least = distance;
            near = upstream->name;
        }
    }
    compile_error(compiler, setting, "there is no upstream \"%s\" (%s%s%s)", name,
                  near ? "did you mean \"" : "define it under upstreams", near ? near : "",
                  near ? "\"?" : "");
    return -1;
}

struct conf_declaration *compile_declared(struct compiler *compiler, const char *setting, const char *name)
{
    const struct conf_declared *declared = &compiler->settings->auth;
    const char *near = NULL;
    unsigned least = 4;
    for (unsigned i = 0; i < declared->count; i++) {
        struct conf_declaration *item = &declared->items[i];
        if (strcmp(item->extension->name, compiler->policy) != 0)
            continue;
        unsigned distance = str_distance(str_of(item->name), str_of(name), 3);
        if (distance == 0)
            return item;
        if (distance < least && distance < strlen(item->name)) {
            least = distance;
            near = item->name;
        }
    }
    if (near)
        compile_error(compiler, setting, "there is no \"%s\" under auth.%s (did you mean \"%s\"?)", name,
                      compiler->policy, near);
    else
        compile_error(compiler, setting, "there is no \"%s\" under auth.%s (declare it there)", name,
                      compiler->policy);
    return NULL;
}

bool compile_beside(const struct compiler *compiler, const char *policy)
{
    for (unsigned i = 0; i < compiler->link_count; i++)
        if (compiler->links[i].policy->name && strcmp(compiler->links[i].policy->name, policy) == 0)
            return true;
    return false;
}

/* --- chains --- */

/* One use of a policy, before it is compiled. */
struct use {
    const struct policy *policy;
    const void *conf;
    struct origin origin;
    bool always; /* not asked for: on every chain */
};

/* The nearest that says something of a policy decides: the route, its API, the defaults. */
static const struct conf_policies *who_says(const struct conf_policies *const levels[3],
                                            const struct policy *policy)
{
    for (unsigned level = 0; level < 3; level++)
        for (unsigned i = 0; levels[level] && i < levels[level]->count; i++)
            if (levels[level]->items[i].extension->feature == policy)
                return levels[level];
    return NULL;
}

static void use_add(struct use *uses, unsigned at, struct use use)
{
    if (at < CHAIN_MAX)
        uses[at] = use;
}

/* Returns how many there are, also those beyond CHAIN_MAX, which are left out. */
static unsigned collect(struct site_compiler *compiler, const struct route *route,
                        const struct conf_policies *const levels[3], struct use *uses)
{
    unsigned count = 0;
    for (unsigned p = 0; compiler->policies[p]; p++) {
        const struct policy *policy = compiler->policies[p];
        const void *always = policy->always ? policy->always(compiler->settings) : NULL;
        if (always)
            use_add(uses, count++, (struct use){policy, always, {NULL, 0}, true});
        const void *of_route = policy->of_route ? policy->of_route(compiler->settings, route) : NULL;
        if (of_route)
            use_add(uses, count++, (struct use){policy, of_route, {NULL, 0}, false});
        const struct conf_policies *level = policy->section ? who_says(levels, policy) : NULL;
        for (unsigned i = 0; level && i < level->count; i++)
            if (level->items[i].extension->feature == policy && !level->items[i].off)
                use_add(uses, count++,
                        (struct use){policy, level->items[i].conf, level->items[i].origin, false});
    }
    return count;
}

/* What is on every chain is compiled once: the chain of requests without a route, which is the first, has it. */
static const struct link *compiled_before(const struct site *site, const struct use *use)
{
    for (unsigned i = 0; use->always && site->defaults && i < site->defaults->count; i++)
        if (site->defaults->links[i].policy == use->policy)
            return &site->defaults->links[i];
    return NULL;
}

static struct link compile_use(struct site_compiler *site, const struct route *route,
                               const struct link *links, unsigned link_count, const struct use *use)
{
    const struct link *before = compiled_before(site->site, use);
    if (before)
        return *before;
    struct compiler compiler = {
        .arena = site->arena,
        .wants = site->wants,
        .errors = site->errors,
        .settings = site->settings,
        .key_sets = site->site->key_sets,
        .route = route,
        .origin = use->origin,
        .policy = use->policy->name,
        .names = request_names,
        .links = links,
        .link_count = link_count,
    };
    return (struct link){use->policy,
                         use->policy->compile ? use->policy->compile(&compiler, use->conf) : use->conf};
}

/* NULL and an error, or the chain. */
static const struct chain *compile_chain(struct site_compiler *site, const struct route *route,
                                         const struct conf_policies *const levels[3], struct origin origin)
{
    struct use uses[CHAIN_MAX];
    struct link links[2 * CHAIN_MAX] = {{NULL, NULL}}; /* a policy may have two parts */
    struct chain *chain = arena_zalloc(site->arena, sizeof *chain);
    unsigned count = collect(site, route, levels, uses), contents = 0;
    if (count > CHAIN_MAX) {
        errors_add(site->errors, origin, "%u policies on one route (%d at most)", count, CHAIN_MAX);
        count = CHAIN_MAX;
    }
    for (enum stage stage = STAGE_OBSERVE; stage <= STAGE_CONTENT; stage++)
        for (unsigned i = 0; i < count; i++) {
            struct use use = uses[i];
            if (use.policy->stage != stage)
                use.policy = use.policy->also;
            if (!use.policy || use.policy->stage != stage)
                continue;
            struct link link = compile_use(site, route, links, chain->count, &use);
            if (stage != STAGE_CONTENT && link.compiled)
                links[chain->count++] = link;
            else if (stage != STAGE_CONTENT)
                continue; /* it has nothing to do */
            else if (contents++ == 0)
                chain->content = link;
        }
    if (route && contents != 1)
        errors_add(site->errors, origin,
                   contents ? "a route has one content: proxy, respond or redirect; this one has %u"
                            : "a route needs a content (add proxy, respond or redirect)",
                   contents);
    struct link *kept = arena_array(site->arena, chain->count, sizeof *kept);
    memcpy(kept, links, chain->count * sizeof *kept);
    chain->links = kept;
    return chain;
}

/* --- routes --- */

static bool api_is_on(const struct api_settings *api, const struct listener_settings *listener)
{
    for (unsigned i = 0; i < api->listeners.count; i++)
        if (strcmp(api->listeners.items[i], listener->name) == 0)
            return true;
    return api->listeners.count == 0;
}

static void add_route(struct site_compiler *compiler, const struct route *route)
{
    const struct conf_list *listeners = &compiler->settings->listeners;
    struct router **routers = compiler->site->routers;
    for (unsigned i = 0; i < listeners->count; i++)
        if (api_is_on(route->api, listeners->items[i]))
            router_add(routers[i], route, compiler->arena, compiler->errors);
    if (listeners->count == 0) /* nothing is served, but conflicts are told all the same */
        router_add(routers[0], route, compiler->arena, compiler->errors);
}

/* False: something was wrong. */
static bool compile_route(struct site_compiler *compiler, const struct api_settings *api,
                          const struct route_settings *settings, bool standard)
{
    unsigned before = compiler->errors->count;
    struct route *route =
        route_compile(api, settings, standard, &compiler->regexes, compiler->arena, compiler->errors);
    if (!route)
        return false;
    const struct conf_policies *levels[3] = {&settings->policies, &api->policies,
                                             &compiler->settings->defaults.policies};
    route->chain = compile_chain(compiler, route, levels, settings->origin);
    for (unsigned i = 0; i < route->chain->count; i++)
        route->answers_preflights |= route->chain->links[i].policy->preflights;
    add_route(compiler, route);
    compiler->site->route_count += !standard; /* the same route */
    return compiler->errors->count == before;
}

/* The default of an API's versions in the path can do without its segment: each route is there twice then. */
static void compile_api(struct site_compiler *compiler, const struct api_settings *api)
{
    const struct version_settings *version = api->version;
    bool twice = version && version->by == VERSION_PATH && version->standard;
    for (unsigned i = 0; i < api->routes.count; i++)
        if (compile_route(compiler, api, api->routes.items[i], false) && twice)
            compile_route(compiler, api, api->routes.items[i], true);
}

static void compile_routes(struct site_compiler *compiler)
{
    const struct conf_list *listeners = &compiler->settings->listeners, *apis = &compiler->settings->apis;
    compiler->site->routers =
        arena_array(compiler->arena, listeners->count + 1, sizeof *compiler->site->routers);
    compiler->site->routers[0] = router_new(compiler->arena, NULL);
    for (unsigned i = 0; i < listeners->count; i++)
        compiler->site->routers[i] = router_new(compiler->arena, listeners->items[i]);
    for (unsigned i = 0; i < apis->count; i++)
        compile_api(compiler, apis->items[i]);
    for (unsigned i = 0; i == 0 || i < listeners->count; i++)
        router_finish(compiler->site->routers[i], compiler->arena);
}

static void compile_tls(struct site_compiler *compiler)
{
    const struct conf_list *listeners = &compiler->settings->listeners;
    compiler->site->tls = arena_array(compiler->arena, listeners->count, sizeof *compiler->site->tls);
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listener_settings *listener = listeners->items[i];
        if (listener->tls)
            compiler->site->tls[i] = tls_server_new(listener->tls, compiler->arena, compiler->errors);
        if (compiler->site->tls[i])
            tls_server_want_staples(compiler->site->tls[i], compiler->wants, compiler->errors);
    }
}

/* What is offered by ALPN. */
static unsigned protocols_of(const struct upstream_settings *upstream)
{
    unsigned older = 1u << TLS_PROTOCOL_HTTP1, newer = 1u << TLS_PROTOCOL_HTTP2;
    return upstream->protocol == UPSTREAM_AUTO ? older | newer
           : upstream->protocol == UPSTREAM_H2 ? newer
                                               : older;
}

static void compile_upstream_tls(struct site_compiler *compiler)
{
    const struct conf_list *upstreams = &compiler->settings->upstreams;
    struct site *site = compiler->site;
    site->upstream_tls = arena_array(compiler->arena, upstreams->count, sizeof *site->upstream_tls);
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        if (upstream->tls)
            site->upstream_tls[i] =
                tls_client_new(upstream->tls, protocols_of(upstream), compiler->arena, compiler->errors);
    }
}

/* The admin socket has one route, whose content answers every path. */
static struct router *admin_router(struct site_compiler *compiler, const struct policy *admin)
{
    struct arena *arena = compiler->arena;
    struct router *router = router_new(arena, NULL);
    struct api_settings *api = arena_zalloc(arena, sizeof *api);
    struct route_settings *settings = arena_zalloc(arena, sizeof *settings);
    struct route *route = arena_zalloc(arena, sizeof *route);
    struct chain *chain = arena_zalloc(arena, sizeof *chain);
    api->name = "admin";
    chain->content.policy = admin;
    *route = (struct route){.name = STR("admin"),
                            .api = api,
                            .settings = settings,
                            .chain = chain,
                            .pattern = STR("/"),
                            .is_prefix = true,
                            .methods = 1u << METHOD_GET | 1u << METHOD_PUT | 1u << METHOD_DELETE};
    router_add(router, route, arena, compiler->errors);
    router_finish(router, arena);
    return router;
}

/* --- the whole --- */

bool site_trusts(const struct site *site, const struct address *address)
{
    for (unsigned i = 0; i < site->trusted_count; i++)
        if (network_has(&site->trusted[i], address))
            return true;
    return false;
}

const struct site *site_compile(const struct settings *settings, const struct policy *const *policies,
                                const struct policy *admin, const struct balancing *balancing,
                                struct wants *wants, struct arena *arena, struct errors *errors)
{
    struct site *site = arena_zalloc(arena, sizeof *site);
    struct site_compiler compiler = {site, settings, policies, wants, arena, errors, NULL};
    site->settings = settings;
    site->trusted = settings->trusted;
    site->trusted_count = settings->trusted_proxies.count;
    site->balancing = balancing;
    site->key_sets = key_sets_compile(settings, wants, arena, errors); /* policies name them */
    const struct conf_policies *levels[3] = {NULL, NULL, &settings->defaults.policies};
    site->defaults = compile_chain(&compiler, NULL, levels, settings->defaults.origin);
    compile_routes(&compiler);
    compile_tls(&compiler);
    compile_upstream_tls(&compiler);
    site->admin = admin_router(&compiler, admin);
    return errors->count ? NULL : site;
}
