/* cluster: an upstream as a worker has it: endpoints, their idle connections, which comes next, and who waits. */
#ifndef UPSTREAM_CLUSTER_H
#define UPSTREAM_CLUSTER_H

#include "shared/conf/settings.h"
#include "shared/shm/budget.h"
#include "shared/shm/endpoints.h"
#include "shared/shm/gradient.h"
#include "worker/request/worker.h"
#include "worker/upstream/pool.h"
#include "worker/upstream/queue.h"

struct balancer;
struct balancing;
struct breaking;
struct cluster;
struct cluster_name;
struct hash_point;
struct probe;
struct ssl_session_st;
struct tls_client;
struct retrying;
struct upstream_cell;

struct endpoint {
    struct cluster *cluster;
    const struct endpoint_settings *settings; /* of a place: those of its name */
    const struct address *address;            /* of a place: as it is or was there; NULL: never was one */
    const char *text;                         /* the address as it stands in logs */
    unsigned tier;                            /* TIER_…, or how many priorities are before its own */
    uint16_t priority;                        /* of an SRV record */
    struct pool pool;
    unsigned active;             /* calls of this worker in progress, a connection each */
    unsigned cap;                /* of `active` */
    uint32_t others_active;      /* calls of other processes, as of cluster->summed_at */
    unsigned cell_index;         /* in the zone of endpoints, */
    struct endpoint_cell *cell;  /* where the node keeps what it knows of the endpoint */
    _Atomic uint32_t *in_flight; /* this worker's share of its calls in progress there: as `active` */
    unsigned base;               /* 1 … 1000, as configured or set; 0: drained, it gets no calls any more */
    unsigned weight;             /* that, times that of an SRV record */
    int64_t current;             /* smooth weighted round-robin */
    /* In the cell, or a word that is always 0 when the upstream has no health or ejection: what the cell says is then of
     * settings that are no more. */
    const _Atomic uint64_t *down_until;
    const _Atomic uint64_t *ejection;
    uint64_t spared_until;     /* ms: too many others are ejected; not asked for again before */
    const struct probe *probe; /* in the keeper; NULL: it isn't probed */
    const char *tls_name;      /* endpoint_tls.c: whom it must show to be; NULL: tls.name, or anybody */
    struct ssl_session_st *tls_session; /* that the next connection goes on with; NULL: none */
};

enum {
    TIER_DRAINED = 1 << 29, /* its weight was set to 0 */
    TIER_VACANT = 1 << 30,  /* a place without an address */
};

struct cluster {
    struct worker *worker;
    const struct upstream_settings *settings;
    const struct balancer *balancer;
    const struct balancing *balancing;
    const struct tls_client *tls; /* NULL: it is plain */
    unsigned cell_index;          /* in the zone of upstreams, */
    struct upstream_cell *cell;   /* where the node keeps what it knows of it */
    _Atomic uint32_t *in_flight;  /* this worker's calls in progress there, those in the queue too */
    const struct expr *key;       /* what calls should bring the hash of; NULL: nothing */
    struct endpoint *endpoints;
    unsigned count;
    unsigned tries;             /* endpoints that a call tries at most */
    struct cluster_name *names; /* of the endpoints, those that are names */
    struct cluster *next_named; /* the next cluster with names */
    unsigned name_count;        /* 0: nothing changes while the worker lives */
    unsigned tiers;             /* different priorities of its endpoints */
    uint32_t *sums;             /* room for `weights` */
    const uint32_t *weights;    /* of each endpoint and those before it; NULL: they are all the same */
    struct hash_point *points;  /* balance_hash.c: of the endpoints */
    unsigned copies;            /* that mirrors have in flight to it */
    uint64_t summed_at;         /* ms: when others_active was worked out */
    struct queue queue;
    struct client_timeouts timeouts;
    const struct breaking *breaking; /* NULL: it has no breaker */
    const struct retrying *retrying; /* NULL: calls are tried once */
    struct payer payer;              /* into the budget of retries */
    struct gradient_rules adaptive;  /* `most` 0: no limit on calls in progress */
};

/* What an endpoint is looked for with. */
struct choice {
    uint64_t key;  /* what the hash is of, hashed; 0: none */
    unsigned tier; /* set by cluster_pick(): those of later priorities are left out, */
    /* and those that are left out until later than this, ms: */
    uint64_t up_at;       /* as they refused a connection, */
    uint64_t fit_at;      /* as probes, or what came of calls, speak against them */
    unsigned tried_count; /* endpoints that the call has tried, their indices */
    uint16_t tried[UPSTREAM_TRIES];
};

enum picked {
    PICKED_ONE,
    PICKED_BUSY, /* those that could be tried have as many connections as they may have */
    PICKED_NONE, /* none is left to try */
};

/* All clusters of the worker's site, into worker->clusters. Memory is the worker's for its life. */
void clusters_open(struct worker *worker, struct arena *arena);

/* Closes all idle connections. */
void clusters_close(struct worker *worker);

/* Gives something up for its descriptor: of all clusters the connection that is idle longest, or else what has gone on
 * longest without a client. False: there is nothing. Not for what itself goes on without a client. */
bool clusters_make_room(struct worker *worker);

/* The next endpoint for a call. */
enum picked cluster_pick(struct cluster *cluster, struct choice *choice, struct endpoint **endpoint);

/* How many endpoints there are: of the places of names, those with an address. */
unsigned cluster_present(const struct cluster *cluster);

/* How many of them neither probes nor what came of calls speak against. */
unsigned cluster_fit(const struct cluster *cluster);

/* When an endpoint that is left out now may be tried again, ms; 0: none is down. */
uint64_t cluster_next_up(const struct cluster *cluster);

/* balance_hash.c: the key of a request by cluster->key, which isn't NULL. 0: it is empty. */
uint64_t cluster_hash(const struct cluster *cluster, struct request *request);

/* The key of a call that is made for a request; 0 when the balancer wants none. */
static inline uint64_t cluster_key(const struct cluster *cluster, struct request *request)
{
    return cluster->key ? cluster_hash(cluster, request) : 0;
}

/* Whether it refused no connection, in this process or another, since a while. */
static inline bool endpoint_accepts(const struct endpoint *endpoint, uint64_t at_ms)
{
    return atomic_load_explicit(&endpoint->cell->refused_until, memory_order_relaxed) <= at_ms;
}

/* Of a cell's word `ejection`: when it ends, or ended; ms. */
enum { EJECTION_SHIFT = 18 };
static inline uint64_t ejection_until(uint64_t word)
{
    return word >> EJECTION_SHIFT;
}

/* Whether neither probes nor what came of calls speak against it. */
static inline bool endpoint_is_fit(const struct endpoint *endpoint, uint64_t at_ms)
{
    return atomic_load_explicit(endpoint->down_until, memory_order_relaxed) <= at_ms &&
           ejection_until(atomic_load_explicit(endpoint->ejection, memory_order_relaxed)) <= at_ms;
}

/* Whether it is one: a place of a name may have no address now. */
static inline bool endpoint_is_there(const struct endpoint *endpoint)
{
    return endpoint->tier != TIER_VACANT;
}

/* Whether calls may go to it at all. */
static inline bool endpoint_is_open(const struct endpoint *endpoint)
{
    return endpoint->tier < TIER_DRAINED;
}

/* Where it is; NULL: it isn't there. Who has a call to it already uses its `address`. */
static inline const struct address *endpoint_address(const struct endpoint *endpoint)
{
    return endpoint_is_there(endpoint) ? endpoint->address : NULL;
}

/* The address's text for who keeps it beyond this turn: that of a place is overwritten when the address changes. */
static inline const char *endpoint_keep_text(const struct endpoint *endpoint, struct arena *arena)
{
    return endpoint->settings->host ? arena_strdup(arena, endpoint->text) : endpoint->text;
}

/* As if it had just been opened: nothing is known of its address. */
void endpoint_reset(struct endpoint *endpoint);

/* Why there is no endpoint to try, in words, in `arena`. */
const char *cluster_lacks(const struct cluster *cluster, struct arena *arena);

/* The weight of an endpoint of the settings, or of each place of a name: 0 drains it; -1: as configured. */
void cluster_set_weight(struct cluster *cluster, const struct endpoint_settings *settings, int weight);

/* Weights, or who is there, have changed. */
void cluster_weigh(struct cluster *cluster);

/* A call takes the endpoint, or lets it go. */
static inline void endpoint_count(struct endpoint *endpoint, int by)
{
    endpoint->active += (unsigned)by;
    tally_add(endpoint->in_flight, by);
}

/* Calls in progress of the whole node. The sum over all processes: for a few endpoints. */
static inline uint32_t endpoint_load(const struct endpoint *endpoint)
{
    return cells_in_flight(endpoint->cluster->worker->shared->endpoints, endpoint->cell_index);
}

/* The same for all endpoints of a cluster, where one look at each would be dear: after cluster_sum_loads(), which sums what
 * others have once a millisecond. */
void cluster_sum_loads(struct cluster *cluster);

static inline uint32_t endpoint_load_summed(const struct endpoint *endpoint)
{
    return endpoint->active + endpoint->others_active;
}

/* What part of its share the endpoint gets at present, as it came back lately: 0 < … ≤ 1. */
double endpoint_slow_start(const struct endpoint *endpoint);

static inline double endpoint_portion(const struct endpoint *endpoint)
{
    return endpoint->cluster->settings->slow_start ? endpoint_slow_start(endpoint) : 1;
}

/* Its weight at present, SHARE_ONE for each. */
enum { SHARE_ONE = 1024 };
static inline uint32_t endpoint_share(const struct endpoint *endpoint)
{
    uint32_t whole = endpoint->weight * SHARE_ONE;
    if (!endpoint->cluster->settings->slow_start)
        return whole;
    return (uint32_t)(whole * endpoint_slow_start(endpoint));
}

enum outcome {
    OUTCOME_ANSWERED,
    OUTCOME_FAILED, /* no connection, no whole answer, or a status of 500 and up */
    OUTCOME_LEFT,   /* nobody waits for the answer any more: it took at least as long as it was waited for */
};

/* What came of a try. */
struct observation {
    enum outcome outcome;
    unsigned status;     /* 0: there was no answer */
    uint64_t latency_ns; /* from the last of the request to the head of the answer */
    bool broke_off;      /* after its head, which was observed already */
};

/* For all who learn from it: balancer, … Called once a try. */
void endpoint_observe(struct endpoint *endpoint, const struct observation *observation);

/* An answer came to its end. */
static inline void endpoint_completed(struct endpoint *endpoint)
{
    if (endpoint->cluster->settings->ejection &&
        atomic_load_explicit(&endpoint->cell->broken_off, memory_order_relaxed))
        atomic_store_explicit(&endpoint->cell->broken_off, 0, memory_order_relaxed);
}

/* A connection could not be made: others are preferred for a while. */
void endpoint_refused(struct endpoint *endpoint);

#endif
