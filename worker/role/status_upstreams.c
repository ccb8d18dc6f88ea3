/* status_upstreams: what the node knows of upstreams and their endpoints, from their cells. Called by status.c. */
#include "worker/role/status_upstreams.h"

#include "worker/request/site.h"
#include "worker/role/status_guards.h"
#include "worker/upstream/eject.h"
#include "worker/upstream/health.h"
#include "worker/upstream/places.h"
#include "worker/upstream/prober.h"

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* In a word what calls come of it. */
static const char *state_of(const struct endpoint *endpoint, uint64_t now_ms)
{
    if (!endpoint_is_open(endpoint))
        return "drained";
    if (endpoint->cluster->settings->health && health_is_down(endpoint->cell, now_ms))
        return "down";
    if (!endpoint_is_fit(endpoint, now_ms))
        return "ejected";
    return endpoint_accepts(endpoint, now_ms) ? "up" : "refusing";
}

/* What its probes say; NULL: it isn't probed. */
static json_t *health_of(const struct endpoint *endpoint, uint64_t now_ms)
{
    static const char *const words[] = {
        [HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down"};
    const struct endpoint_cell *cell = endpoint->cell;
    if (!endpoint->cluster->settings->health)
        return NULL;
    json_t *health = json_pack("{s:s}", "state", words[health_state_of(cell)]);
    uint64_t probed = health_probed_at(cell), changed = load(&cell->changed_at);
    if (probed)
        json_object_set_new(health, "probed_ms_ago", json_integer((json_int_t)(now_ms - probed)));
    if (changed)
        json_object_set_new(health, "changed_ms_ago", json_integer((json_int_t)(now_ms - changed)));
    const char *why = prober_why(endpoint);
    if (why)
        json_object_set_new(health, "why", json_string(why));
    return health;
}

/* NULL: it can't be ejected. */
static json_t *ejection_of(const struct endpoint *endpoint, uint64_t now_ms)
{
    uint64_t until = ejection_until(load(&endpoint->cell->ejection));
    if (!endpoint->cluster->settings->ejection)
        return NULL;
    return json_pack("{s:I, s:I}", "for_ms", (json_int_t)(until > now_ms ? until - now_ms : 0), "times",
                     (json_int_t)eject_times(endpoint->cell));
}

static json_t *endpoint_of(const struct endpoint *endpoint)
{
    uint64_t now_ms = endpoint->cluster->worker->loop.now_ms;
    json_t *object = json_pack("{s:s, s:I, s:s, s:I, s:I}", "address", endpoint->text, "weight",
                               (json_int_t)endpoint->weight, "state", state_of(endpoint, now_ms), "in_flight",
                               (json_int_t)endpoint_load(endpoint), "latency_us",
                               (json_int_t)(load(&endpoint->cell->usual) / 1000));
    if (endpoint->settings->host)
        json_object_set_new(object, "name", json_string(endpoint->settings->text));
    json_t *health = health_of(endpoint, now_ms);
    if (health)
        json_object_set_new(object, "health", health);
    if (endpoint->cluster->settings->slow_start)
        json_object_set_new(object, "share_percent",
                            json_integer((json_int_t)(endpoint_portion(endpoint) * 100)));
    json_t *ejection = ejection_of(endpoint, now_ms);
    if (ejection)
        json_object_set_new(object, "ejection", ejection);
    return object;
}

/* Of a cluster, those of its endpoints that are names. */
static json_t *names_of(const struct cluster *cluster)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < cluster->name_count; i++) {
        const struct cluster_name *name = &cluster->names[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", name->settings->text, "addresses",
                                              (json_int_t)name->list.count, "look_up",
                                              name_failure_text(name->list.failure)));
    }
    return list;
}

json_t *status_upstreams(const struct worker *worker)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++) {
        const struct cluster *cluster = &worker->clusters[i];
        json_t *endpoints = json_array();
        for (unsigned j = 0; j < cluster->count; j++)
            if (endpoint_is_there(&cluster->endpoints[j]))
                json_array_append_new(endpoints, endpoint_of(&cluster->endpoints[j]));
        json_t *upstream = json_pack("{s:s, s:o}", "name", cluster->settings->name, "endpoints", endpoints);
        if (cluster->name_count)
            json_object_set_new(upstream, "names", names_of(cluster));
        status_guards(worker, i, upstream);
        json_array_append_new(list, upstream);
    }
    return list;
}
