/* router: its building. site.c calls it, at load; match.c is the other half. */
#include "worker/request/tree.h"

struct router *router_new(struct arena *arena, const struct listener_settings *listener)
{
    struct router *router = arena_zalloc(arena, sizeof *router);
    router->listener = listener;
    return router;
}

const struct listener_settings *router_listener(const struct router *router)
{
    return router->listener;
}

/* --- what grows --- */

/* The thing of a name; if there is none, a new one of `size` bytes, all zero. */
static void *table_at(struct table *table, struct str name, size_t size, struct arena *arena)
{
    uint64_t hash = hash_name(name);
    if (2 * (table->count + 1) > table->size) {
        struct table larger = {.count = table->count, .size = table->size ? 2 * table->size : 4};
        larger.entries = arena_array(arena, larger.size, sizeof *larger.entries);
        for (unsigned i = 0; i < table->size; i++)
            if (table->entries[i].thing)
                *table_place(&larger, table->entries[i].hash, table->entries[i].name) = table->entries[i];
        *table = larger;
    }
    struct entry *entry = table_place(table, hash, name);
    if (!entry->thing) {
        *entry = (struct entry){hash, arena_str(arena, name), arena_zalloc(arena, size)};
        table->count++;
    }
    return entry->thing;
}

/* `pointers`, of which there are `count`, with room for one more. */
static void *with_room(void *pointers, unsigned count, unsigned *capacity, struct arena *arena)
{
    if (count < *capacity)
        return pointers;
    *capacity = count ? 2 * count : 1;
    void **larger = arena_array(arena, *capacity, sizeof *larger);
    if (count)
        memcpy(larger, pointers, count * sizeof *larger);
    return larger;
}

/* --- paths --- */

/* The leaf of a pattern, made if it isn't there. */
static struct leaf *leaf_at(struct node *node, const struct route *route, struct arena *arena)
{
    struct str rest = route->pattern;
    struct leaf **leaf = NULL;
    if (route->is_prefix && rest.length && rest.data[rest.length - 1] == '/')
        rest.length--; /* "/static/" as a prefix is "/static" */
    while (rest.length && !leaf) {
        struct str segment = route_next_segment(&rest);
        if (segment_is_rest(segment)) {
            leaf = &node->rest;
        } else if (segment_is_template(segment)) {
            if (!node->template)
                node->template = arena_zalloc(arena, sizeof *node);
            node = node->template;
        } else {
            node = table_at(&node->edges, segment, sizeof *node, arena);
        }
    }
    if (!leaf)
        leaf = route->is_prefix ? &node->prefix : &node->exact;
    if (!*leaf)
        *leaf = arena_zalloc(arena, sizeof **leaf);
    return *leaf;
}

/* Whether two patterns are met by the same paths: the names in them don't matter. */
static bool patterns_equal(struct str a, struct str b)
{
    while (a.length && b.length) {
        struct str one = route_next_segment(&a), other = route_next_segment(&b);
        if (segment_is_template(one) != segment_is_template(other) ||
            (!segment_is_template(one) && !str_eq(one, other)))
            return false;
    }
    return a.length == b.length;
}

/* The leaf of a pattern of PCRE2's behind a prefix, made if it isn't there. */
static struct leaf *regex_leaf_at(struct tree *tree, const struct route *route, struct arena *arena)
{
    for (unsigned i = 0; i < tree->regex_count; i++) {
        struct regex_path *path = tree->regexes[i];
        if (str_eq(path->first->regex_text, route->regex_text) &&
            patterns_equal(path->first->pattern, route->pattern)) {
            if (route->priority > path->priority)
                path->priority = route->priority;
            return &path->leaf;
        }
    }
    tree->regexes = with_room(tree->regexes, tree->regex_count, &tree->regex_capacity, arena);
    struct regex_path *path = arena_zalloc(arena, sizeof *path);
    path->first = route;
    path->priority = route->priority;
    tree->regexes[tree->regex_count++] = path;
    return &path->leaf;
}

/* --- routes that can't be told apart --- */

static bool methods_overlap(const struct route *a, const struct route *b)
{
    if (route_takes_all_methods(a) || route_takes_all_methods(b))
        return route_takes_all_methods(a) && route_takes_all_methods(b); /* named methods win over "all" */
    if (a->methods & b->methods)
        return true;
    for (unsigned i = 0; i < a->others.count; i++)
        for (unsigned j = 0; j < b->others.count; j++)
            if (strcmp(a->others.items[i], b->others.items[j]) == 0)
                return true;
    return false;
}

static bool versions_overlap(const struct version_settings *a, const struct version_settings *b)
{
    if (!a || !b)
        return a == b;
    if (a->by != b->by || (a->by == VERSION_HEADER && !str_case_eq(str_of(a->header), str_of(b->header))))
        return false;
    return (a->standard && b->standard) || str_case_eq(str_of(a->name), str_of(b->name));
}

static bool told_apart(const struct route *a, const struct route *b)
{
    return a->priority != b->priority || !methods_overlap(a, b) ||
           !versions_overlap(a->version, b->version) || !conditions_equal(&a->conditions, &b->conditions);
}

static void report(const struct route *route, const struct route *other, struct errors *errors)
{
    const struct origin *at = &other->settings->origin;
    const char *file = at->file ? at->file : "?";
    const struct version_settings *a = route->api->version, *b = other->api->version;
    if (a && b && a->standard && b->standard && strcmp(a->name, b->name) != 0)
        errors_add(
            errors, route->settings->origin,
            "match: the path \"%.*s\" can't be told apart from the one at %s:%u when a request names no "
            "version (both are of the default version)",
            STR_ARG(route->text), file, at->line);
    else
        errors_add(errors, route->settings->origin,
                   "match: the path \"%.*s\" can't be told apart from the one at %s:%u (other path, methods, "
                   "conditions, priority, version or host)",
                   STR_ARG(route->text), file, at->line);
}

static void leaf_add(struct leaf *leaf, const struct route *route, struct arena *arena, struct errors *errors)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *other = leaf->routes[i];
        if (other == route)
            return; /* under two names of the same host */
        if (told_apart(route, other))
            continue;
        report(route, other, errors);
        return;
    }
    leaf->routes = with_room(leaf->routes, leaf->count, &leaf->capacity, arena);
    leaf->routes[leaf->count++] = route;
}

/* --- hosts --- */

static void tree_add(struct tree *tree, const struct route *route, struct arena *arena, struct errors *errors)
{
    struct leaf *leaf = route->regex ? regex_leaf_at(tree, route, arena) : leaf_at(&tree->root, route, arena);
    leaf_add(leaf, route, arena, errors);
}

void router_add(struct router *router, const struct route *route, struct arena *arena, struct errors *errors)
{
    const struct conf_strings *names = &route->api->host;
    for (unsigned i = 0; i < names->count; i++) {
        struct str name = str_of(names->items[i]);
        bool wildcard = str_starts(name, STR("*."));
        struct tree *tree = table_at(wildcard ? &router->wildcards : &router->exact,
                                     wildcard ? str_from(name, 1) : name, sizeof *tree, arena);
        tree_add(tree, route, arena, errors);
    }
    if (names->count)
        return;
    if (!router->any)
        router->any = arena_zalloc(arena, sizeof *router->any);
    tree_add(router->any, route, arena, errors);
}

/* --- the end --- */

static void add_word(struct buf *out, struct str word)
{
    if (out->length)
        BUF_LITERAL(out, ", ");
    buf_str_add(out, word);
}

struct str routes_allow(const struct route *const *routes, unsigned count, struct arena *arena)
{
    static const struct str words[] = {{"GET", 3},     {"HEAD", 4},    {"POST", 4},
                                       {"PUT", 3},     {"DELETE", 6},  {"PATCH", 5},
                                       {"OPTIONS", 7}, {"CONNECT", 7}, {"TRACE", 5}};
    unsigned methods = 0;
    size_t size = 128;
    for (unsigned i = 0; i < count; i++) {
        methods |= routes[i]->methods;
        for (unsigned j = 0; j < routes[i]->others.count; j++)
            size += strlen(routes[i]->others.items[j]) + 2;
    }
    struct buf out = buf_on(arena_alloc(arena, size), size);
    if (methods & 1u << METHOD_GET)
        methods |= 1u << METHOD_HEAD; /* GET without the body (RFC 9110, section 9.3.2) */
    for (unsigned i = 0; i < METHOD_OTHER; i++)
        if (methods & 1u << i)
            add_word(&out, words[i]);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < routes[i]->others.count; j++) {
            struct str word = str_of(routes[i]->others.items[j]);
            if (!str_list_has(buf_str(&out), word))
                add_word(&out, word);
        }
    return buf_str(&out);
}

static void leaf_finish(struct leaf *leaf, struct arena *arena)
{
    if (!leaf)
        return;
    for (unsigned i = 0; i < leaf->count; i++) {
        const struct route *route = leaf->routes[i];
        unsigned at = i;
        leaf->ranked |= route->priority != leaf->routes[0]->priority || route->conditions.header_count ||
                        route->conditions.query_count || route->version;
        for (; at > 0 && route_order(route, leaf->routes[at - 1]) < 0; at--)
            leaf->routes[at] = leaf->routes[at - 1];
        leaf->routes[at] = route;
    }
    leaf->allow = routes_allow(leaf->routes, leaf->count, arena);
}

static void node_finish(struct node *node, struct arena *arena)
{
    if (!node)
        return;
    leaf_finish(node->exact, arena);
    leaf_finish(node->rest, arena);
    leaf_finish(node->prefix, arena);
    node_finish(node->template, arena);
    for (unsigned i = 0; i < node->edges.size; i++)
        node_finish(node->edges.entries[i].thing, arena);
}

static void tree_finish(struct tree *tree, struct arena *arena)
{
    if (!tree)
        return;
    node_finish(&tree->root, arena);
    for (unsigned i = 0; i < tree->regex_count; i++) {
        struct regex_path *path = tree->regexes[i];
        unsigned at = i;
        leaf_finish(&path->leaf, arena);
        for (; at > 0 && path->priority > tree->regexes[at - 1]->priority; at--)
            tree->regexes[at] = tree->regexes[at - 1];
        tree->regexes[at] = path;
    }
}

void router_finish(struct router *router, struct arena *arena)
{
    tree_finish(router->any, arena);
    for (unsigned i = 0; i < router->exact.size; i++)
        tree_finish(router->exact.entries[i].thing, arena);
    for (unsigned i = 0; i < router->wildcards.size; i++)
        tree_finish(router->wildcards.entries[i].thing, arena);
}
