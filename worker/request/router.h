/* router: from a request to a route, by specificity and not by order.
 *
 * A router is a listener's: hosts to trees, a tree's edges being path segments. Literal segments are found by hash, so
 * that 10,000 routes match as fast as ten. Built in the generation's arena (router.c), then read-only (match.c).
 *
 *   host    exact, the longest wildcard, any; then only routes of that host count
 *   path    segment by segment from the left: literal, template, rest, prefix; then patterns, by priority and order
 *   route   of those at one path whose conditions hold and that have the method: priority, more header conditions (a
 *           version counts as one), more query conditions, the better version, a method named, order
 *
 * A route whose conditions don't hold is as if it weren't there: a path where none holds is passed over. A path where one
 * holds, but none of them has the method, is the end: 405.
 */
#ifndef REQUEST_ROUTER_H
#define REQUEST_ROUTER_H

#include "worker/request/preflight.h"
#include "worker/request/route.h"

struct router;

enum { ROUTE_VARY = 4 };

struct route_match {
    const struct route *route;
    struct str
        params[ROUTE_PARAMS];     /* values, still percent-encoded, inside the path given; NULL data: none */
    struct str allow;             /* for 405: the methods that are there */
    const struct route *exceeded; /* the last one with a pattern that would have cost too much; or NULL */
    /* Versions that were asked about: those of one field are here once. More than ROUTE_VARY are counted, not kept. */
    const struct version_settings *vary[ROUTE_VARY];
    unsigned vary_count;
    bool version_missed; /* a path was passed over for want of a version */
};

enum route_result { ROUTE_FOUND, ROUTE_NOT_FOUND, ROUTE_METHOD };

struct router *router_new(struct arena *arena, const struct listener_settings *listener);

/* Adds a route under the hosts of its API. Two that can't be told apart are an error. */
void router_add(struct router *router, const struct route *route, struct arena *arena, struct errors *errors);

/* After the last: orders them, and makes what 405 answers need. */
void router_finish(struct router *router, struct arena *arena);

/* `path`, which may be "*", and the head's query in normal form. `arena`: the request's, for what must be made. */
enum route_result router_match(const struct router *router, const struct request_head *head, struct str path,
                               struct arena *arena, struct route_match *match);

/* The same for a preflight: the route of the request that it comes before, if that answers preflights. Should no route of the
 * path have the method, one of them that does, to say so. */
bool router_match_preflight(const struct router *router, const struct request_head *head,
                            const struct preflight *preflight, struct str path, struct arena *arena,
                            struct route_match *match);

const struct listener_settings *router_listener(const struct router *router);

#endif
