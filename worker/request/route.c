/* route: what a route matches, from its settings. site.c calls it, at load. */
#include "worker/request/route.h"

#include <ctype.h>

#include "worker/codec/uri.h"

struct str route_next_segment(struct str *path)
{
    struct str rest = str_from(*path, 1); /* the slash */
    ptrdiff_t slash = str_index(rest, '/');
    struct str segment = slash < 0 ? rest : (struct str){rest.data, (size_t)slash};
    *path = str_from(rest, segment.length);
    return segment;
}

/* --- parameters --- */

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.length; i++)
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_')
            return false;
    return name.length > 0;
}

/* One more parameter. What is wrong, in words; NULL: nothing. */
static const char *add_param(struct route *route, struct str name, struct arena *arena)
{
    if (!is_name(name))
        return "a parameter's name has letters, digits and _";
    if (route->param_count == ROUTE_PARAMS)
        return "at most 16 parameters";
    for (unsigned i = 0; i < route->param_count; i++)
        if (str_eq(route->params[i], name))
            return arena_printf(arena, "it names {%.*s} twice", STR_ARG(name));
    route->params[route->param_count++] = arena_str(arena, name);
    return NULL;
}

/* What is wrong with a segment, in words. `more`: segments follow it. */
static const char *parse_segment(struct route *route, struct str segment, bool more, struct arena *arena)
{
    if (str_index(segment, '{') < 0 && str_index(segment, '}') < 0)
        return NULL;
    if (segment.length < 3 || segment.data[0] != '{' || segment.data[segment.length - 1] != '}')
        return arena_printf(arena, "\"%.*s\" is not a whole {name} (a parameter is a whole segment)",
                            STR_ARG(segment));
    struct str name = {segment.data + 1, segment.length - 2};
    if (name.data[name.length - 1] == '*') {
        name.length--;
        route->has_rest = true;
        if (more || route->regex)
            return "{name*} stands at its end only";
    }
    return add_param(route, name, arena);
}

/* A request's path comes in normal form: one that is written otherwise would never be met. */
static const char *check_normal(struct str pattern, struct arena *arena)
{
    char *plain = arena_alloc(arena, pattern.length + 1), *end = plain;
    struct str rest = pattern, normal;
    while (rest.length) {
        struct str segment = route_next_segment(&rest);
        if (segment_is_template(segment))
            segment = STR("x");
        *end++ = '/';
        if (segment.length)
            end = (char *)mempcpy(end, segment.data, segment.length);
    }
    struct str written = {plain, (size_t)(end - plain)};
    enum uri_result result =
        uri_path_normal(written, arena_alloc(arena, written.length), written.length, &normal);
    if (result != URI_OK)
        return arena_printf(arena, "no request has such a path: %s", uri_result_text(result));
    if (!str_eq(written, normal))
        return arena_printf(
            arena, "requests come in normal form, never so (percent-encode only what must be, with upper "
                   "case digits; no //, /./ and /../)");
    return NULL;
}

bool route_parse_pattern(struct route *route, struct origin origin, struct errors *errors,
                         struct arena *arena)
{
    struct str rest = route->pattern;
    const char *wrong = NULL;
    route->param_count = 0;
    while (rest.length && !wrong) {
        struct str segment = route_next_segment(&rest);
        wrong = parse_segment(route, segment, rest.length > 0, arena);
    }
    if (!wrong && route->pattern.length)
        wrong = check_normal(route->pattern, arena);
    if (wrong)
        errors_add(errors, origin, "match: the path \"%.*s\" is malformed: %s", STR_ARG(route->pattern),
                   wrong);
    return !wrong;
}

/* --- compiling --- */

static void set_methods(struct route *route, const struct conf_strings *methods, struct arena *arena)
{
    route->others.items = arena_array(arena, methods->count, sizeof *route->others.items);
    for (unsigned i = 0; i < methods->count; i++) {
        enum method method = method_of(str_of(methods->items[i]));
        if (method == METHOD_OTHER)
            route->others.items[route->others.count++] = methods->items[i];
        else
            route->methods |= 1u << method;
    }
}

/* What stands before the paths of an API's routes. */
static struct str prefix_of(const struct api_settings *api, bool standard, struct arena *arena)
{
    const struct version_settings *version = api->version;
    const char *prefix = api->prefix ? api->prefix : "";
    if (version && version->by == VERSION_PATH && !standard)
        return str_of(arena_printf(arena, "%s/%s", prefix, version->segment));
    return str_of(prefix);
}

static bool set_regex(struct route *route, struct regex_set **regexes, struct origin origin,
                      struct arena *arena, struct errors *errors)
{
    const char *text = route->settings->match.regex;
    route->regex_text = str_of(text);
    route->text = str_of(arena_printf(arena, "%.*s~%s", STR_ARG(route->prefix), text));
    route->regex = compile_regex(regexes, origin, "match.regex", text, arena, errors);
    return route->regex;
}

/* Behind those of the prefix. */
static bool add_groups(struct route *route, struct origin origin, struct arena *arena, struct errors *errors)
{
    for (unsigned i = 0; i < route->regex->name_count; i++) {
        const char *wrong = add_param(route, route->regex->names[i].name, arena);
        if (wrong) {
            errors_add(errors, origin, "match.regex: \"%.*s\" with its prefix: %s", STR_ARG(route->text),
                       wrong);
            return false;
        }
    }
    return true;
}

struct route *route_compile(const struct api_settings *api, const struct route_settings *settings,
                            bool standard, struct regex_set **regexes, struct arena *arena,
                            struct errors *errors)
{
    const struct match_settings *match = &settings->match;
    struct route *route = arena_zalloc(arena, sizeof *route);
    struct origin origin = match->path_origin.file ? match->path_origin : settings->origin;
    unsigned before = errors->count;
    route->api = api;
    route->settings = settings;
    route->standard = standard;
    route->priority = match->priority;
    route->prefix = prefix_of(api, standard, arena);
    route->is_prefix = match->prefix;
    if (api->version && api->version->by != VERSION_PATH)
        route->version = api->version;
    if (match->regex) {
        if (!set_regex(route, regexes, origin, arena, errors))
            return NULL;
        route->pattern = route->prefix;
    } else {
        const char *path = match->path ? match->path : match->prefix;
        route->pattern = str_of(arena_printf(arena, "%.*s%s", STR_ARG(route->prefix), path));
        route->text = route->pattern;
    }
    route->name = settings->name ? str_of(settings->name) : route->text;
    set_methods(route, &match->methods, arena);
    route->conditions = conditions_compile(match, regexes, arena, errors);
    if (!route_parse_pattern(route, origin, errors, arena))
        return NULL;
    if (route->regex && !add_groups(route, origin, arena, errors))
        return NULL;
    return errors->count == before ? route : NULL;
}
