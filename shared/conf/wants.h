/* wants: the cells of shared memory that a configuration needs, by name: listed while it is compiled. Before its processes
 * are forked the master finds or takes a cell for each (master/bind.c), and writes its number to generation->cells.
 */
#ifndef CONF_WANTS_H
#define CONF_WANTS_H

#include "shared/base/arena.h"

enum want_kind {
    WANT_UPSTREAM, /* of the zone `upstreams`: an upstream, or a route with a breaker of its own */
    WANT_ENDPOINT, /* of the zone `endpoints`: an address of an upstream, or a place for one of a name */
    WANT_NAME,     /* of the zone `names`: an endpoint of an upstream that is a name */
    WANT_STAPLE,   /* of the zone `staples`: a certificate whose OCSP response is fetched */
    WANT_KEYS,     /* of the zone `keys`: the key set of an issuer */
    WANT_KINDS,
};

struct want {
    enum want_kind kind;
    const char *name;
};

struct wants {
    struct arena *arena; /* for the list and the names */
    struct want *items;
    unsigned count, room;
    unsigned of_kind[WANT_KINDS]; /* how many of each */
};

/* Returns the want's index, which is that of its cell in generation->cells. The name is copied. */
unsigned wants_add(struct wants *wants, enum want_kind kind, const char *name);

#endif
