/* worker: what a process that serves requests has: one structure, no other mutable state. */
#ifndef REQUEST_WORKER_H
#define REQUEST_WORKER_H

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/random.h"
#include "shared/conf/generation.h"
#include "shared/shm/shared.h"
#include "worker/http/exchange.h"
#include "worker/loop/loop.h"
#include "worker/net/net.h"
#include "worker/request/policy.h"
#include "worker/request/shed.h"

struct cluster;
struct jwks; /* service/jwks */
struct request;

/* Something that goes on without a client: it holds no drain up, gives way to clients when descriptors run out, and is
 * cut when the worker ends. */
struct background {
    struct list link;
    void (*cut)(struct background *background); /* lets go of everything, and takes itself off the list */
};

struct worker {
    struct loop loop;
    struct net net;
    struct http_service service;
    struct shared *shared;
    unsigned slot_index;
    struct lock_caller caller; /* who we are to the locks of shared memory */
    struct slot *slot;
    struct stats_row *stats;
    const struct generation *generation;
    const struct site *site;
    struct random random;
    uint64_t time_second; /* what `time` shows, RFC 3339 */
    char time[CLOCK_RFC3339_SIZE];
    struct cluster *clusters; /* by the upstream's index in the settings */
    struct cluster *named;    /* the first of those with endpoints that are names */
    unsigned request_count;
    unsigned tunnel_count;      /* of `tunnels` */
    struct list tunnels;        /* of upstream/tunnel: requests that have become tunnels */
    uint64_t patterns_exceeded; /* requests for which a route's pattern would have taken too long */
    uint64_t exceeded_told;     /* ms: when the log last said so */
    struct log_seldom meter_said, meter_full_said;
    struct shed shed;       /* whether it is overloaded */
    struct list background; /* struct background, the oldest first */
    /* Answers a request on the admin socket. Set by the keeper only. */
    enum verdict (*admin)(struct request *request);
    struct jwks *jwks; /* likewise; NULL: no key set is fetched */
    void *owner;       /* the role's */
};

/* There must be one. */
static inline void background_cut_oldest(struct worker *worker)
{
    struct background *background = CONTAINER_OF(worker->background.next, struct background, link);
    background->cut(background);
}

#endif
