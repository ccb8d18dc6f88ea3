/* route: a route, compiled: what it matches, and the chain of policies that its requests go through. */
#ifndef REQUEST_ROUTE_H
#define REQUEST_ROUTE_H

#include "worker/request/condition.h"

struct chain;

enum { ROUTE_PARAMS = 16 };

struct route {
    struct str name; /* as configured, or its text */
    const struct api_settings *api;
    const struct route_settings *settings;
    const struct chain *chain;
    struct str text;    /* its path for people: the prefix and the path, or "PREFIX~REGEX" */
    struct str pattern; /* the prefix and the path; with a regex, the prefix alone */
    struct str prefix;  /* the API's prefix, with the segment of its version */
    bool is_prefix;     /* `prefix` rather than `path` was given */
    bool standard;      /* of a version by path: the same route without its segment */
    int64_t priority;
    const struct regex *regex; /* of what follows the pattern; NULL: none */
    struct str regex_text;
    struct conditions conditions;
    const struct version_settings
        *version;                    /* that requests must ask for by other means than the path; or NULL */
    unsigned methods;                /* a bit for each enum method below METHOD_OTHER; 0 and no other: all */
    struct conf_strings others;      /* methods beyond those */
    struct str params[ROUTE_PARAMS]; /* names, in the order of the path; a rest's last; then the regex's */
    unsigned param_count;
    bool has_rest;           /* the last parameter is {name*} */
    bool answers_preflights; /* a policy of its chain does */
};

/* Fills all but the chain. `standard`: without the segment of a version that is told by the path. NULL: reported.
 * `regexes` is where patterns belong, made if it is NULL. */
struct route *route_compile(const struct api_settings *api, const struct route_settings *settings,
                            bool standard, struct regex_set **regexes, struct arena *arena,
                            struct errors *errors);

/* Fills params and param_count from the pattern. False, with an error at `origin`. */
bool route_parse_pattern(struct route *route, struct origin origin, struct errors *errors,
                         struct arena *arena);

/* The next segment of a pattern or a path, which begins with a slash; it becomes what follows. */
struct str route_next_segment(struct str *path);

/* What a segment of a pattern is. */
static inline bool segment_is_rest(struct str segment)
{
    return segment.length && segment.data[0] == '{' && segment.data[segment.length - 2] == '*';
}

static inline bool segment_is_template(struct str segment)
{
    return segment.length && segment.data[0] == '{';
}

static inline bool route_takes_all_methods(const struct route *route)
{
    return route->methods == 0 && route->others.count == 0;
}

#endif
