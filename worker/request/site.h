/* site: a generation's routes, chains and policies, compiled. */
#ifndef REQUEST_SITE_H
#define REQUEST_SITE_H

#include "shared/base/network.h"
#include "worker/request/policy.h"
#include "worker/request/router.h"

/* One policy of a chain. */
struct link {
    const struct policy *policy;
    const void *compiled;
};

/* What a route's requests go through: policies in the order of the stages, then the content. */
struct chain {
    const struct link *links;
    unsigned count;      /* without the content */
    struct link content; /* policy NULL: none (requests without a route) */
};

struct balancing;
struct key_set;
struct tls_client;
struct tls_server;

struct site {
    const struct settings *settings;
    const struct balancing *balancing; /* by the upstream's index: compiled by upstream/balance.c */
    struct router **routers;           /* by the listener's index in the settings */
    struct tls_server **tls;           /* likewise; NULL: the listener is plain */
    struct tls_client **upstream_tls;  /* by the upstream's index; NULL: it is plain */
    const struct key_set *key_sets;    /* by the index in the settings */
    struct router *admin;              /* of the admin socket */
    const struct chain *defaults;
    const struct network *trusted;
    unsigned trusted_count;
    unsigned route_count;
};

/* NULL, and errors, or the compiled site in `arena`. `policies` is ended by NULL; `admin` is the content of every path of
 * the admin socket. `balancing` is what was compiled of the upstreams. */
const struct site *site_compile(const struct settings *settings, const struct policy *const *policies,
                                const struct policy *admin, const struct balancing *balancing,
                                struct wants *wants, struct arena *arena, struct errors *errors);

/* Whether an address is one of trusted_proxies. */
bool site_trusts(const struct site *site, const struct address *address);

#endif
