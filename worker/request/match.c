/* match: the walk through a router, for each request. states.c calls it.
 *
 * The plain case is the short one: no hosts, a path of literal segments, routes that only their methods tell apart.
 */
#include <ctype.h>

#include "worker/request/tree.h"
#include "worker/request/version.h"

enum { HOST_MAX = 255 };

struct walk {
    const struct request_head *head;
    struct arena *arena;
    struct route_match *match; /* params are written as they are met */
    unsigned depth;            /* of params */
    const struct preflight
        *preflight; /* `head` is that of the request that it comes before; NULL: it has come */
};

/* --- the routes of a path --- */

/* How well a route's methods fit; 0: not at all. */
enum { FIT_NONE, FIT_ALL, FIT_GET, FIT_NAMED };

static unsigned method_fit(const struct route *route, const struct request_head *head)
{
    if (head->method != METHOD_OTHER && route->methods >> head->method & 1)
        return FIT_NAMED;
    if (head->method == METHOD_OTHER)
        for (unsigned i = 0; i < route->others.count; i++)
            if (str_eq(str_of(route->others.items[i]), head->method_text))
                return FIT_NAMED;
    /* HEAD is GET without the body (RFC 9110, section 9.3.2). */
    if (head->method == METHOD_HEAD && route->methods >> METHOD_GET & 1)
        return FIT_GET;
    return route_takes_all_methods(route) ? FIT_ALL : FIT_NONE;
}

/* By the methods alone. */
static const struct route *pick(const struct leaf *leaf, const struct request_head *head)
{
    const struct route *best = NULL;
    unsigned best_fit = FIT_NONE;
    for (unsigned i = 0; i < leaf->count && best_fit < FIT_NAMED; i++) {
        unsigned fit = method_fit(leaf->routes[i], head);
        if (fit > best_fit) {
            best = leaf->routes[i];
            best_fit = fit;
        }
    }
    return best;
}

/* The answer depends on the field by which this version is told. */
static void note_version(struct route_match *match, const struct version_settings *version)
{
    struct str field = version_field(version);
    for (unsigned i = 0; i < match->vary_count && i < ROUTE_VARY; i++)
        if (str_case_eq(version_field(match->vary[i]), field))
            return;
    if (match->vary_count < ROUTE_VARY)
        match->vary[match->vary_count] = version;
    match->vary_count++;
}

/* How well the version of a route fits, its conditions holding; 0: they don't, or another version is asked for. */
static unsigned holds(const struct route *route, struct walk *way)
{
    unsigned fits = VERSION_BEST;
    switch (conditions_hold(&route->conditions, way->head, way->arena)) {
    case CONDITIONS_HOLD:
        break;
    case CONDITIONS_EXCEEDED:
        way->match->exceeded = route;
        return 0;
    default:
        return 0;
    }
    if (route->version) {
        note_version(way->match, route->version);
        fits = version_fits(route->version, way->head);
        way->match->version_missed |= fits == 0;
    }
    return fits;
}

/* By conditions, versions and methods. False: none holds. True: match->route, or NULL and match->allow. */
static bool choose(const struct leaf *leaf, struct walk *way)
{
    const struct route *best = NULL;
    const struct route **held = NULL;
    unsigned best_fits = 0, best_fit = 0, held_count = 0;
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *route = leaf->routes[i];
        if (best && route_order(best, route) != 0)
            break;
        unsigned fits = holds(route, way), fit = method_fit(route, way->head);
        if (fits && !fit) { /* for Allow, should there be none */
            if (!held)
                held = arena_array(way->arena, leaf->count, sizeof *held);
            held[held_count++] = route;
        }
        if (fits && fit && (fits > best_fits || (fits == best_fits && fit > best_fit))) {
            best = route;
            best_fits = fits;
            best_fit = fit;
        }
    }
    if (!best && held_count)
        way->match->allow = routes_allow(held, held_count, way->arena);
    way->match->route = best;
    return best || held_count;
}

/* For a preflight, likewise. Which version the request will ask for is as unknown as the values of its fields. */
static bool choose_ahead(const struct leaf *leaf, struct walk *way)
{
    const struct route *best = NULL, *other = NULL;
    unsigned best_fit = FIT_NONE;
    bool any = false;
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *route = leaf->routes[i];
        if (best && route_order(best, route) != 0)
            break;
        if (!conditions_may_hold(&route->conditions, way->head, way->preflight->names, way->arena))
            continue;
        unsigned fit = method_fit(route, way->head);
        any = true;
        if (fit > best_fit) {
            best = route;
            best_fit = fit;
        }
        if (!other && route->answers_preflights)
            other = route;
    }
    way->match->route = best ? best : other;
    return any;
}

/* Whether a path that was found is the one. */
static inline bool is_it(const struct leaf *leaf, struct walk *way)
{
    if (!leaf)
        return false;
    if (way->preflight)
        return choose_ahead(leaf, way);
    return !leaf->ranked || choose(leaf, way);
}

/* --- paths --- */

/* `rest` is what is left of the path: empty, or from a slash on. Every node is looked at once at most, as each has one
 * way to it. */
static const struct leaf *walk(const struct node *node, struct str rest, struct walk *way)
{
    if (rest.length == 0)
        return is_it(node->exact, way) ? node->exact : is_it(node->prefix, way) ? node->prefix : NULL;
    struct str below = str_from(rest, 1);
    const char *slash = memchr(below.data, '/', below.length);
    struct str segment = {below.data, slash ? (size_t)(slash - below.data) : below.length};
    struct str after = str_from(below, segment.length);
    const struct node *next = table_find(&node->edges, segment);
    const struct leaf *leaf;
    if (next && (leaf = walk(next, after, way)))
        return leaf;
    if (node->template && segment.length && way->depth < ROUTE_PARAMS) {
        way->match->params[way->depth++] = segment;
        if ((leaf = walk(node->template, after, way)))
            return leaf;
        way->depth--;
    }
    if (node->rest && way->depth < ROUTE_PARAMS) {
        way->match->params[way->depth] = below;
        if (is_it(node->rest, way))
            return node->rest;
    }
    return is_it(node->prefix, way) ? node->prefix : NULL;
}

/* `OPTIONS *` asks for the server and no path of it: that is the prefix "/", which has all. */
static const struct leaf *find_path(const struct node *root, struct str path, struct walk *way)
{
    if (path.data[0] == '/')
        return walk(root, path, way);
    return is_it(root->prefix, way) ? root->prefix : NULL;
}

/* Takes a pattern off the front of a path; its parameters are kept. */
static bool take_prefix(struct str pattern, struct str *path, struct walk *way)
{
    way->depth = 0;
    while (pattern.length) {
        struct str wanted = route_next_segment(&pattern);
        if (path->length == 0)
            return false;
        struct str segment = route_next_segment(path);
        if (!segment_is_template(wanted) ? !str_eq(segment, wanted) : segment.length == 0)
            return false;
        if (segment_is_template(wanted))
            way->match->params[way->depth++] = segment;
    }
    return true;
}

static bool matches(const struct route *route, struct str path, struct walk *way)
{
    if (!take_prefix(route->pattern, &path, way))
        return false;
    switch (regex_match(route->regex, path)) {
    case REGEX_MATCH:
        break;
    case REGEX_NONE:
        return false;
    case REGEX_EXCEEDED:
        way->match->exceeded = route;
        return false;
    }
    for (unsigned i = 0; i < route->regex->name_count; i++)
        way->match->params[way->depth++] = regex_group(route->regex, path, route->regex->names[i].group);
    return true;
}

static const struct leaf *try_regexes(const struct tree *tree, struct str path, struct walk *way)
{
    if (path.data[0] != '/')
        return NULL;
    for (unsigned i = 0; i < tree->regex_count; i++)
        if (matches(tree->regexes[i]->first, path, way) && is_it(&tree->regexes[i]->leaf, way))
            return &tree->regexes[i]->leaf;
    return NULL;
}

/* --- hosts --- */

/* The name in an authority, without its port. */
static struct str host_name(struct str authority)
{
    bool brackets = authority.length && authority.data[0] == '[';
    ptrdiff_t end = str_index(authority, brackets ? ']' : ':');
    if (end >= 0)
        authority.length = (size_t)end + brackets;
    if (authority.length && authority.data[authority.length - 1] == '.')
        authority.length--; /* a fully qualified name */
    return authority;
}

/* Exact, the longest wildcard, any. */
static const struct tree *find_host(const struct router *router, struct str authority)
{
    char lower[HOST_MAX];
    struct str name = host_name(authority);
    if (name.length == 0 || name.length > sizeof lower)
        return router->any;
    for (size_t i = 0; i < name.length; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    name.data = lower;
    const struct tree *tree = table_find(&router->exact, name);
    for (size_t i = 1; !tree && router->wildcards.count && i < name.length; i++)
        if (name.data[i] == '.')
            tree = table_find(&router->wildcards, str_from(name, i));
    return tree ? tree : router->any;
}

static inline const struct tree *tree_of(const struct router *router, struct str authority)
{
    if (router->exact.count == 0 && router->wildcards.count == 0)
        return router->any;
    return find_host(router, authority);
}

static const struct leaf *find_leaf(const struct router *router, struct str path, struct walk *way)
{
    struct route_match *match = way->match;
    const struct tree *tree = tree_of(router, way->head->authority);
    match->route = match->exceeded = NULL;
    match->vary_count = 0;
    match->version_missed = false;
    if (!tree)
        return NULL;
    const struct leaf *leaf = find_path(&tree->root, path, way);
    return leaf || !tree->regex_count ? leaf : try_regexes(tree, path, way);
}

enum route_result router_match(const struct router *router, const struct request_head *head, struct str path,
                               struct arena *arena, struct route_match *match)
{
    struct walk way = {head, arena, match, 0, NULL};
    const struct leaf *leaf = find_leaf(router, path, &way);
    if (!leaf)
        return ROUTE_NOT_FOUND;
    if (!leaf->ranked) {
        match->route = pick(leaf, head);
        match->allow = leaf->allow;
    }
    return match->route ? ROUTE_FOUND : ROUTE_METHOD;
}

bool router_match_preflight(const struct router *router, const struct request_head *head,
                            const struct preflight *preflight, struct str path, struct arena *arena,
                            struct route_match *match)
{
    struct request_head ahead = *head;
    ahead.method = method_of(preflight->method);
    ahead.method_text = preflight->method;
    struct walk way = {&ahead, arena, match, 0, preflight};
    return find_leaf(router, path, &way) && match->route && match->route->answers_preflights;
}
