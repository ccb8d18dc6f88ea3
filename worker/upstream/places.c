/* places: called by cluster.c (open, and before each pick) and by the engine (each turn).
 *
 * A place whose address is gone takes no more calls; its idle connections are closed, those in progress go on to their end.
 * Another address is put there only then: so a call, its connection, and what is learnt from it are never taken for those
 * of the new address.
 */
#include "worker/upstream/places.h"

#include <math.h>
#include <stdlib.h>

#include "worker/upstream/balance.h"
#include "worker/upstream/health.h"

enum { WEIGHT_MOST = 1000000 }; /* so that the sum of UPSTREAM_PLACES of them fits in 32 bits */

void places_open(struct cluster *cluster, const uint32_t *first, struct arena *arena)
{
    const struct conf_list *list = &cluster->settings->endpoints;
    struct endpoint *endpoint = cluster->endpoints;
    for (unsigned i = 0; i < list->count; i++)
        cluster->name_count += ((const struct endpoint_settings *)list->items[i])->host != NULL;
    cluster->names = arena_array(arena, cluster->name_count, sizeof *cluster->names);
    struct cluster_name *name = cluster->names;
    for (unsigned i = 0; i < list->count; i++) {
        const struct endpoint_settings *settings = list->items[i];
        if (settings->host) {
            *name = (struct cluster_name){.settings = settings, .endpoints = endpoint};
            name->cell = names_cell(cluster->worker->shared->names, first[name - cluster->names]);
            name->count = endpoint_places(settings);
            name->places = arena_array(arena, name->count, sizeof *name->places);
            name++;
        }
        endpoint += endpoint_places(settings);
    }
    if (cluster->name_count) {
        cluster->next_named = cluster->worker->named;
        cluster->worker->named = cluster;
    }
}

/* --- one place --- */

static void vacate(struct endpoint *endpoint)
{
    endpoint->tier = TIER_VACANT;
    pool_close_idle(&endpoint->pool);
}

static void set_address(struct endpoint *endpoint, struct place *place, const struct name_address *from)
{
    place->from = *from;
    if (!name_address_socket(from, &place->address))
        return;
    place->text[address_format(&place->address, place->text)] = '\0';
    endpoint->address = &place->address;
    endpoint->text = place->text;
    endpoint_reset(endpoint);
    if (endpoint->cluster->settings->health)
        health_open(endpoint->cell, endpoint->cluster->settings->health,
                    endpoint->cluster->worker->loop.now_ms);
}

static void set_share(struct endpoint *endpoint, const struct name_address *from)
{
    uint64_t weight = (uint64_t)endpoint->base * (from->weight ? from->weight : 1);
    endpoint->weight = (unsigned)(weight < WEIGHT_MOST ? weight : WEIGHT_MOST);
    endpoint->priority = from->priority;
}

/* True: it must wait. */
static bool update_place(struct endpoint *endpoint, struct place *place, const struct name_address *from)
{
    if (!name_address_same(&place->from, from)) {
        if (place->from.family != NAME_VACANT)
            vacate(endpoint);
        place->from = (struct name_address){.family = NAME_VACANT};
        if (endpoint->active)
            return from->family != NAME_VACANT;
        if (from->family != NAME_VACANT)
            set_address(endpoint, place, from);
    }
    if (place->from.family != NAME_VACANT) {
        set_share(endpoint, from);
        endpoint->tier = 0; /* until all are numbered */
    }
    return false;
}

/* --- the cluster --- */

static int by_priority(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* Priorities as tiers 0, 1, …: the lowest is taken as long as one of it can be. */
static void number_tiers(struct cluster *cluster)
{
    uint16_t found[UPSTREAM_PLACES] = {0};
    unsigned count = 0, kinds = 0;
    for (unsigned i = 0; i < cluster->count; i++)
        if (endpoint_is_there(&cluster->endpoints[i]) && cluster->endpoints[i].base)
            found[count++] = cluster->endpoints[i].priority;
    qsort(found, count, sizeof *found, by_priority);
    for (unsigned i = 0; i < count; i++)
        if (i == 0 || found[i] != found[kinds - 1])
            found[kinds++] = found[i];
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!endpoint_is_there(endpoint))
            continue;
        if (!endpoint->base) {
            endpoint->tier = TIER_DRAINED;
            continue;
        }
        const uint16_t *at = bsearch(&endpoint->priority, found, kinds, sizeof *found, by_priority);
        endpoint->tier = (unsigned)(at - found);
    }
    cluster->tiers = kinds ? kinds : 1;
}

static bool update_name(struct cluster_name *name)
{
    uint64_t seen;
    struct name_list list;
    if (!twin_changed(&name->cell->twin, name->seen) && !name->waits)
        return false;
    if (name_read(name->cell, &list, &seen)) { /* else what was read last holds on */
        name->list = list;
        name->seen = seen;
    }
    name->waits = false;
    for (unsigned i = 0; i < name->count; i++)
        name->waits |= update_place(&name->endpoints[i], &name->places[i], &name->list.at[i]);
    return true;
}

void places_reweigh(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->name_count; i++) {
        struct cluster_name *name = &cluster->names[i];
        for (unsigned j = 0; j < name->count; j++)
            if (endpoint_is_there(&name->endpoints[j]))
                set_share(&name->endpoints[j], &name->places[j].from);
    }
    number_tiers(cluster);
}

void places_update(struct cluster *cluster)
{
    bool changed = false;
    for (unsigned i = 0; i < cluster->name_count; i++)
        changed |= update_name(&cluster->names[i]);
    if (!changed)
        return;
    number_tiers(cluster);
    cluster_weigh(cluster);
    queue_wake(&cluster->queue, &cluster->worker->loop); /* there may be a new one to take who waits */
}

void places_turn(struct worker *worker)
{
    for (struct cluster *cluster = worker->named; cluster; cluster = cluster->next_named)
        places_update(cluster);
}

const char *cluster_lacks(const struct cluster *cluster, struct arena *arena)
{
    for (unsigned i = 0; i < cluster->name_count; i++) {
        const struct cluster_name *name = &cluster->names[i];
        if (name->list.count == 0)
            return arena_printf(arena, "%s %s", name->settings->text, name_failure_text(name->list.failure));
    }
    for (unsigned i = 0; i < cluster->count; i++)
        if (endpoint_is_open(&cluster->endpoints[i]))
            return "none of its endpoints is healthy";
    return "all of its endpoints are drained (their weight was set to 0)";
}
