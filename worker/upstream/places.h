/* places: the endpoints that names stand for, as a worker has them. An endpoint that is a name has as many places in its
 * cluster as its `max` says, each a struct endpoint: vacant, or with an address that the keeper published.
 */
#ifndef UPSTREAM_PLACES_H
#define UPSTREAM_PLACES_H

#include "shared/shm/names.h"
#include "worker/upstream/cluster.h"

/* A place's address, as it was set last. */
struct place {
    struct name_address from;
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
};

/* A name of a cluster. */
struct cluster_name {
    const struct endpoint_settings *settings;
    const struct name_cell *cell;
    struct endpoint *endpoints; /* its places, */
    struct place *places;       /* and what is there */
    unsigned count;
    uint64_t seen;         /* what twin_changed() wants */
    bool waits;            /* an address waits for calls to the one that was in its place before */
    struct name_list list; /* as it was read last; all zero before that */
};

/* Finds the cluster's names; all places are vacant. `first`: the generation's cells of names, from the cluster's on. */
void places_open(struct cluster *cluster, const uint32_t *first, struct arena *arena);

/* Brings the cluster up to what is published. */
void places_update(struct cluster *cluster);

/* The weights of names were set. */
void places_reweigh(struct cluster *cluster);

/* Once a turn of the loop: all clusters of the worker. */
void places_turn(struct worker *worker);

#endif
