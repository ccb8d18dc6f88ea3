/* balance: the ways to choose the endpoint of a call, each a row of a table: one file and one line more make another.
 *
 * Whose turn it is, is a worker's own; calls in progress and how long answers take are the node's, in the cells. What a balancer compiles when the configuration
 * is loaded is the same in every worker and after every reload.
 */
#ifndef UPSTREAM_BALANCE_H
#define UPSTREAM_BALANCE_H

#include "worker/upstream/cluster.h"

struct balancer {
    const char *name;
    /* One of the endpoints that the choice allows; NULL: it allows none. */
    struct endpoint *(*pick)(struct cluster *cluster, const struct choice *choice);
    /* What came of a call, and after how long: ns from the last of the request to the head of the answer. Or NULL. */
    void (*observe)(struct endpoint *endpoint, uint64_t latency_ns, enum outcome outcome);
    /* Prepares a worker's cluster, with memory for its life. Or NULL. */
    void (*open)(struct cluster *cluster, struct arena *arena);
    /* Weights, or which places of names have which addresses, are set or have changed. Or NULL. */
    void (*weigh)(struct cluster *cluster);
    /* At load: fills `balancing` from the settings; errors go to `errors`. Or NULL. */
    void (*compile)(struct balancing *balancing, const struct upstream_settings *settings,
                    struct arena *arena, struct errors *errors);
};

extern const struct balancer balance_p2c;
extern const struct balancer balance_hash;

/* By enum balance. */
extern const struct balancer *const balancers[];

/* What is compiled of an upstream's balancing. */
struct balancing {
    const struct expr *key; /* what the hash is of; NULL: no key is wanted */
    unsigned cell; /* the upstream's; the first endpoint's, or place's; the first name's: indices of wants */
    unsigned endpoint_cells;
    const struct breaking *breaking; /* NULL: none */
    const struct retrying *retrying; /* likewise */
    unsigned name_cells;
};

/* Of all upstreams, by their index in the settings. */
const struct balancing *balancing_compile(const struct settings *settings, struct wants *wants,
                                          struct arena *arena, struct errors *errors);

/* --- for balancers --- */

bool choice_has_tried(const struct choice *choice, const struct endpoint *endpoint);

/* It is there, of this priority, may be used, and wasn't tried: or it is only too busy. */
static inline bool choice_takes(const struct choice *choice, const struct endpoint *endpoint)
{
    return endpoint->tier <= choice->tier && endpoint_accepts(endpoint, choice->up_at) &&
           endpoint_is_fit(endpoint, choice->fit_at) &&
           (choice->tried_count == 0 || !choice_has_tried(choice, endpoint));
}

static inline bool choice_allows(const struct choice *choice, const struct endpoint *endpoint)
{
    return endpoint->active < endpoint->cap && choice_takes(choice, endpoint);
}

/* One of those that the choice allows, by chance and weight, but not `other` (which may be NULL); NULL: there is
 * none. */
struct endpoint *balance_draw(struct cluster *cluster, const struct choice *choice,
                              const struct endpoint *other);

#endif
