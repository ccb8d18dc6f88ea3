/* cluster: an upstream as a worker has it: endpoints, their idle connections, and which comes next. */
#ifndef UPSTREAM_CLUSTER_H
#define UPSTREAM_CLUSTER_H

#include "shared/conf/settings.h"
#include "worker/http/http1_client.h"
#include "worker/request/worker.h"

struct cluster;

struct endpoint {
    struct cluster *cluster;
    const struct endpoint_settings *settings;
    struct list idle; /* connections, the one used last first */
    unsigned idle_count;
    unsigned active;     /* calls in progress */
    int64_t current;     /* smooth weighted round-robin */
    uint64_t down_until; /* ms: it refused a connection; tried again then, or when there is no other */
};

struct cluster {
    struct worker *worker;
    const struct upstream_settings *settings;
    const struct balancer *balancer;
    struct endpoint *endpoints;
    unsigned count;
    struct client_timeouts timeouts;
};

/* A way to choose; a row of a table in balance.c. */
struct balancer {
    const char *name;
    /* One of the endpoints that `usable` allows (there is at least one). */
    struct endpoint *(*pick)(struct cluster *cluster, bool (*usable)(const struct endpoint *, const void *),
                             const void *context);
};

extern const struct balancer *const balancers[]; /* by enum balance */

/* All clusters of the worker's site, into worker->clusters. Memory is the worker's for its life. */
void clusters_open(struct worker *worker, struct arena *arena);

/* Closes all idle connections. */
void clusters_close(struct worker *worker);

/* The next endpoint for a call that has tried those in `tried` (a bit each; endpoints from 64 on are not remembered).
 * NULL: none is left. */
struct endpoint *cluster_pick(struct cluster *cluster, uint64_t tried);

/* An idle connection of the endpoint, taken out; NULL: there is none. */
struct http1_client *endpoint_take(struct endpoint *endpoint);

/* A connection could not be made: others are preferred for a while. */
void endpoint_refused(struct endpoint *endpoint);

extern const struct client_pool_events endpoint_pool_events;

#endif
