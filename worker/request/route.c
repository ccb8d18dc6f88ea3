/* route: from host and path to a route, by specificity. */
#include "worker/request/route.h"

#include <ctype.h>

#include "shared/base/buf.h"
#include "shared/base/hash.h"

/* The routes of one path, told apart by their methods. */
struct leaf {
    const struct route **routes;
    unsigned count, capacity;
    struct str allow;
};

struct node;

/* Literal segments by hash: open addressing, a power of two, at most half full. */
struct edge {
    uint64_t hash;
    struct str segment;
    struct node *node; /* NULL: free */
};

struct node {
    struct edge *edges;
    unsigned edge_count, edge_size;
    struct node *template;
    struct leaf *exact;  /* the path ends here */
    struct leaf *rest;   /* and goes on below: /here/{rest*} */
    struct leaf *prefix; /* either */
};

struct host {
    uint64_t hash;
    struct str name; /* lower case; a wildcard's without its `*` */
    struct node *root;
};

struct hosts {
    struct host *items;
    unsigned count, size;
};

struct router {
    const struct listener_settings *listener;
    struct hosts exact, wildcards;
    struct node *any;
};

enum { HOST_MAX = 255 };

/* --- building --- */

bool route_parse_pattern(struct route *route, struct origin origin, struct errors *errors,
                         struct arena *arena)
{
    struct str rest = route->pattern;
    route->param_count = 0;
    while (rest.length) {
        rest = str_from(rest, 1); /* the slash */
        ptrdiff_t slash = str_index(rest, '/');
        struct str segment = slash < 0 ? rest : (struct str){rest.data, (size_t)slash};
        rest = str_from(rest, segment.length);
        if (str_index(segment, '{') < 0 && str_index(segment, '}') < 0)
            continue;
        if (segment.length < 3 || segment.data[0] != '{' || segment.data[segment.length - 1] != '}') {
            errors_add(errors, origin,
                       "match: \"%.*s\" in the path \"%.*s\" is not a whole {name} (a parameter is a whole "
                       "segment)",
                       STR_ARG(segment), STR_ARG(route->pattern));
            return false;
        }
        struct str name = {segment.data + 1, segment.length - 2};
        if (name.data[name.length - 1] == '*') {
            name.length--;
            route->has_rest = true;
        }
        bool good = name.length > 0;
        for (size_t i = 0; i < name.length; i++)
            good = good && (isalnum((unsigned char)name.data[i]) || name.data[i] == '_');
        if (!good || (route->has_rest && rest.length) || route->param_count == ROUTE_PARAMS) {
            errors_add(errors, origin, "match: the path \"%.*s\" is malformed: %s", STR_ARG(route->pattern),
                       !good                            ? "a parameter's name has letters, digits and _"
                       : rest.length && route->has_rest ? "{name*} stands at its end only"
                                                        : "at most 16 parameters");
            return false;
        }
        for (unsigned i = 0; i < route->param_count; i++)
            if (str_eq(route->params[i], name)) {
                errors_add(errors, origin, "match: the path \"%.*s\" names {%.*s} twice",
                           STR_ARG(route->pattern), STR_ARG(name));
                return false;
            }
        route->params[route->param_count++] = arena_str(arena, name);
    }
    return true;
}

static struct edge *edge_place(struct edge *edges, unsigned size, uint64_t hash, struct str segment)
{
    for (unsigned i = (unsigned)hash & (size - 1);; i = (i + 1) & (size - 1))
        if (!edges[i].node || (edges[i].hash == hash && str_eq(edges[i].segment, segment)))
            return &edges[i];
}

static struct node *edge_to(struct node *node, struct str segment, struct arena *arena)
{
    uint64_t hash = hash_name(segment);
    if (2 * (node->edge_count + 1) > node->edge_size) {
        unsigned size = node->edge_size ? 2 * node->edge_size : 4;
        struct edge *edges = arena_array(arena, size, sizeof *edges);
        for (unsigned i = 0; i < node->edge_size; i++)
            if (node->edges[i].node)
                *edge_place(edges, size, node->edges[i].hash, node->edges[i].segment) = node->edges[i];
        node->edges = edges;
        node->edge_size = size;
    }
    struct edge *edge = edge_place(node->edges, node->edge_size, hash, segment);
    if (!edge->node) {
        *edge = (struct edge){hash, arena_str(arena, segment), arena_zalloc(arena, sizeof *edge->node)};
        node->edge_count++;
    }
    return edge->node;
}

/* The leaf of a pattern, made if it isn't there. */
static struct leaf *leaf_at(struct node *node, const struct route *route, struct arena *arena)
{
    struct str rest = route->pattern;
    struct leaf **leaf = NULL;
    if (route->is_prefix && rest.length && rest.data[rest.length - 1] == '/')
        rest.length--; /* "/static/" as a prefix is "/static" */
    while (rest.length && !leaf) {
        rest = str_from(rest, 1);
        ptrdiff_t slash = str_index(rest, '/');
        struct str segment = slash < 0 ? rest : (struct str){rest.data, (size_t)slash};
        rest = str_from(rest, segment.length);
        if (segment.length && segment.data[0] == '{' && segment.data[segment.length - 2] == '*') {
            leaf = &node->rest;
        } else if (segment.length && segment.data[0] == '{') {
            if (!node->template)
                node->template = arena_zalloc(arena, sizeof *node);
            node = node->template;
        } else {
            node = edge_to(node, segment, arena);
        }
    }
    if (!leaf)
        leaf = route->is_prefix ? &node->prefix : &node->exact;
    if (!*leaf)
        *leaf = arena_zalloc(arena, sizeof **leaf);
    return *leaf;
}

static bool takes_all(const struct route *route)
{
    return route->methods == 0 && route->others.count == 0;
}

static bool methods_overlap(const struct route *a, const struct route *b)
{
    if (takes_all(a) || takes_all(b))
        return takes_all(a) && takes_all(b); /* named methods win over "all" */
    if (a->methods & b->methods)
        return true;
    for (unsigned i = 0; i < a->others.count; i++)
        for (unsigned j = 0; j < b->others.count; j++)
            if (strcmp(a->others.items[i], b->others.items[j]) == 0)
                return true;
    return false;
}

static void leaf_add(struct leaf *leaf, const struct route *route, struct arena *arena, struct errors *errors)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *other = leaf->routes[i];
        if (other == route)
            return; /* under two names of the same host */
        if (!methods_overlap(route, other))
            continue;
        const struct origin *at = &other->settings->origin;
        errors_add(errors, route->settings->origin,
                   "match: the path \"%.*s\" can't be told apart from the one at %s:%u (other path, methods "
                   "or host)",
                   STR_ARG(route->pattern), at->file ? at->file : "?", at->line);
        return;
    }
    if (leaf->count == leaf->capacity) {
        leaf->capacity = leaf->capacity ? 2 * leaf->capacity : 1;
        const struct route **routes = arena_array(arena, leaf->capacity, sizeof *routes);
        if (leaf->count)
            memcpy(routes, leaf->routes, leaf->count * sizeof *routes);
        leaf->routes = routes;
    }
    leaf->routes[leaf->count++] = route;
}

static struct host *host_place(struct host *items, unsigned size, uint64_t hash, struct str name)
{
    for (unsigned i = (unsigned)hash & (size - 1);; i = (i + 1) & (size - 1))
        if (!items[i].root || (items[i].hash == hash && str_eq(items[i].name, name)))
            return &items[i];
}

static struct node *host_root(struct hosts *hosts, struct str name, struct arena *arena)
{
    uint64_t hash = hash_name(name);
    if (2 * (hosts->count + 1) > hosts->size) {
        unsigned size = hosts->size ? 2 * hosts->size : 8;
        struct host *items = arena_array(arena, size, sizeof *items);
        for (unsigned i = 0; i < hosts->size; i++)
            if (hosts->items[i].root)
                *host_place(items, size, hosts->items[i].hash, hosts->items[i].name) = hosts->items[i];
        hosts->items = items;
        hosts->size = size;
    }
    struct host *host = host_place(hosts->items, hosts->size, hash, name);
    if (!host->root) {
        *host = (struct host){hash, arena_str(arena, name), arena_zalloc(arena, sizeof *host->root)};
        hosts->count++;
    }
    return host->root;
}

struct router *router_new(struct arena *arena, const struct listener_settings *listener)
{
    struct router *router = arena_zalloc(arena, sizeof *router);
    router->listener = listener;
    return router;
}

void router_add(struct router *router, const struct route *route, struct arena *arena, struct errors *errors)
{
    const struct conf_strings *names = &route->api->host;
    for (unsigned i = 0; i < names->count; i++) {
        struct str name = str_of(names->items[i]);
        bool wildcard = str_starts(name, STR("*."));
        struct node *root = host_root(wildcard ? &router->wildcards : &router->exact,
                                      wildcard ? str_from(name, 1) : name, arena);
        leaf_add(leaf_at(root, route, arena), route, arena, errors);
    }
    if (names->count)
        return;
    if (!router->any)
        router->any = arena_zalloc(arena, sizeof *router->any);
    leaf_add(leaf_at(router->any, route, arena), route, arena, errors);
}

static const char *const method_words[] = {"GET",   "HEAD",    "POST",    "PUT",  "DELETE",
                                           "PATCH", "OPTIONS", "CONNECT", "TRACE"};

static void leaf_finish(struct leaf *leaf, struct arena *arena)
{
    unsigned methods = 0;
    char text[1024];
    struct buf allow = buf_on(text, sizeof text);
    if (!leaf || leaf->allow.data)
        return;
    for (unsigned i = 0; i < leaf->count; i++)
        methods |= leaf->routes[i]->methods;
    if (methods & 1u << METHOD_GET)
        methods |= 1u << METHOD_HEAD;
    for (unsigned i = 0; i < METHOD_OTHER; i++)
        if (methods & 1u << i)
            buf_printf(&allow, "%s%s", allow.length ? ", " : "", method_words[i]);
    for (unsigned i = 0; i < leaf->count; i++)
        for (unsigned j = 0; j < leaf->routes[i]->others.count; j++)
            buf_printf(&allow, "%s%s", allow.length ? ", " : "", leaf->routes[i]->others.items[j]);
    leaf->allow = arena_str(arena, buf_str(&allow));
}

static void node_finish(struct node *node, struct arena *arena)
{
    if (!node)
        return;
    leaf_finish(node->exact, arena);
    leaf_finish(node->rest, arena);
    leaf_finish(node->prefix, arena);
    node_finish(node->template, arena);
    for (unsigned i = 0; i < node->edge_size; i++)
        node_finish(node->edges[i].node, arena);
}

void router_finish(struct router *router, struct arena *arena)
{
    node_finish(router->any, arena);
    for (unsigned i = 0; i < router->exact.size; i++)
        node_finish(router->exact.items[i].root, arena);
    for (unsigned i = 0; i < router->wildcards.size; i++)
        node_finish(router->wildcards.items[i].root, arena);
}

/* --- matching --- */

struct walk {
    struct str params[ROUTE_PARAMS];
    unsigned depth;
};

/* `rest` is what is left of the path: empty, or from a slash on. Every node is looked at once at most, as each has one
 * way to it. */
static const struct leaf *walk(const struct node *node, struct str rest, struct walk *way)
{
    if (rest.length == 0)
        return node->exact ? node->exact : node->prefix;
    struct str below = str_from(rest, 1);
    const char *slash = memchr(below.data, '/', below.length);
    struct str segment = {below.data, slash ? (size_t)(slash - below.data) : below.length};
    struct str after = str_from(below, segment.length);
    const struct leaf *leaf = NULL;
    if (node->edge_count) {
        const struct edge *edge = edge_place(node->edges, node->edge_size, hash_name(segment), segment);
        if (edge->node)
            leaf = walk(edge->node, after, way);
    }
    if (!leaf && node->template && segment.length && way->depth < ROUTE_PARAMS) {
        way->params[way->depth++] = segment;
        leaf = walk(node->template, after, way);
        if (!leaf)
            way->depth--;
    }
    if (!leaf && node->rest) {
        if (way->depth < ROUTE_PARAMS)
            way->params[way->depth++] = below;
        leaf = node->rest;
    }
    return leaf ? leaf : node->prefix;
}

/* The root for a host: exact, longest wildcard, any. */
static const struct node *root_of(const struct router *router, struct str authority)
{
    char lower[HOST_MAX];
    struct str name = authority;
    if (router->exact.count == 0 && router->wildcards.count == 0)
        return router->any;
    if (name.length && name.data[0] != '[') {
        ptrdiff_t colon = str_index(name, ':');
        if (colon >= 0)
            name.length = (size_t)colon;
    } else {
        ptrdiff_t end = str_index(name, ']');
        if (end >= 0)
            name.length = (size_t)end + 1;
    }
    if (name.length && name.data[name.length - 1] == '.')
        name.length--; /* a fully qualified name */
    if (name.length == 0 || name.length > sizeof lower)
        return router->any;
    for (size_t i = 0; i < name.length; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    name.data = lower;
    if (router->exact.count) {
        const struct host *host = host_place(router->exact.items, router->exact.size, hash_name(name), name);
        if (host->root)
            return host->root;
    }
    for (size_t i = 1; router->wildcards.count && i < name.length; i++) {
        struct str suffix = str_from(name, i);
        if (suffix.data[0] != '.')
            continue;
        const struct host *host =
            host_place(router->wildcards.items, router->wildcards.size, hash_name(suffix), suffix);
        if (host->root)
            return host->root;
    }
    return router->any;
}

static bool names_method(const struct route *route, enum method method, struct str text)
{
    if (method != METHOD_OTHER)
        return route->methods >> method & 1;
    for (unsigned i = 0; i < route->others.count; i++)
        if (str_eq(str_of(route->others.items[i]), text))
            return true;
    return false;
}

static const struct route *pick(const struct leaf *leaf, enum method method, struct str text)
{
    const struct route *for_get = NULL, *for_all = NULL;
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *route = leaf->routes[i];
        if (names_method(route, method, text))
            return route;
        if (route->methods >> METHOD_GET & 1)
            for_get = route;
        if (takes_all(route))
            for_all = route;
    }
    /* HEAD is GET without the body (RFC 9110, section 9.3.2). */
    return method == METHOD_HEAD && for_get ? for_get : for_all;
}

enum route_result router_match(const struct router *router, struct str authority, struct str path,
                               enum method method, struct str method_text, struct route_match *match)
{
    struct walk way = {.depth = 0};
    const struct node *root = root_of(router, authority);
    const struct leaf *leaf = root ? walk(root, path, &way) : NULL;
    match->route = NULL;
    if (!leaf)
        return ROUTE_NOT_FOUND;
    match->route = pick(leaf, method, method_text);
    match->allow = leaf->allow;
    if (!match->route)
        return ROUTE_METHOD;
    memcpy(match->params, way.params, way.depth * sizeof way.params[0]);
    return ROUTE_FOUND;
}

const struct listener_settings *router_listener(const struct router *router)
{
    return router->listener;
}
