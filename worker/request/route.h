/* route: from host and path to a route, by specificity and not by order.
 *
 * A router is a listener's: hosts to trees, a tree's edges being path segments. Literal segments are found by hash, so
 * that 10,000 routes match as fast as ten. Built in the generation's arena, then read-only.
 */
#ifndef REQUEST_ROUTE_H
#define REQUEST_ROUTE_H

#include "shared/conf/settings.h"
#include "worker/http/message.h"

struct router;
struct chain;

enum { ROUTE_PARAMS = 16 };

/* A route, compiled. */
struct route {
    struct str name; /* as configured, or its pattern */
    const struct api_settings *api;
    const struct route_settings *settings;
    const struct chain *chain;
    struct str pattern;              /* the API's prefix and the route's path */
    struct str prefix;               /* the API's prefix */
    bool is_prefix;                  /* `prefix` rather than `path` was given */
    unsigned methods;                /* a bit for each enum method below METHOD_OTHER; 0 and no other: all */
    struct conf_strings others;      /* methods beyond those */
    struct str params[ROUTE_PARAMS]; /* names, in the order of the path; a rest's last */
    unsigned param_count;
    bool has_rest; /* the last parameter is {name*} */
};

struct route_match {
    const struct route *route;
    struct str params[ROUTE_PARAMS]; /* values, still percent-encoded, inside the path given */
    struct str allow;                /* for 405: the methods that are there */
};

enum route_result { ROUTE_FOUND, ROUTE_NOT_FOUND, ROUTE_METHOD };

struct router *router_new(struct arena *arena, const struct listener_settings *listener);

/* Adds a route under the hosts of its API. Errors (a malformed pattern, two that can't be told apart) go to `errors`. */
void router_add(struct router *router, const struct route *route, struct arena *arena, struct errors *errors);

/* After the last: makes what 405 answers need. */
void router_finish(struct router *router, struct arena *arena);

/* Fills params and param_count from the pattern. False, with an error at `origin`. */
bool route_parse_pattern(struct route *route, struct origin origin, struct errors *errors,
                         struct arena *arena);

/* `authority` as the client named it; `path` in normal form. */
enum route_result router_match(const struct router *router, struct str authority, struct str path,
                               enum method method, struct str method_text, struct route_match *match);

const struct listener_settings *router_listener(const struct router *router);

#endif
