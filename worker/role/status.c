/* status: what the admin socket tells of the gateway. */
#include "worker/role/status.h"

#include <jansson.h>

#include "config.h"
#include "shared/base/clock.h"
#include "worker/request/site.h"
#include "worker/role/json.h"
#include "worker/role/override.h"
#include "worker/role/role.h"
#include "worker/role/status_certificates.h"
#include "worker/role/status_guards.h"
#include "worker/role/status_key_sets.h"
#include "worker/role/status_upstreams.h"

static json_t *processes(const struct shared *shared, uint64_t now, uint64_t *started, json_int_t *master)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < shared->slots->count; i++) {
        const struct slot *slot = &shared->slots->slot[i];
        uint32_t state = atomic_load(&slot->state), role = atomic_load(&slot->role);
        if (state == SLOT_FREE || state == SLOT_DEAD)
            continue;
        uint64_t beat = atomic_load(&slot->heartbeat);
        if (role == ROLE_MASTER) {
            *started = atomic_load(&slot->started);
            *master = atomic_load(&slot->pid);
        }
        char since[CLOCK_RFC3339_SIZE];
        clock_rfc3339(atomic_load(&slot->started), since);
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:s, s:I}", "role", role_name(role),
                            "number", (json_int_t)atomic_load(&slot->number), "pid",
                            (json_int_t)atomic_load(&slot->pid), "state", slot_state_name(state),
                            "generation", (json_int_t)atomic_load(&slot->generation), "connections",
                            (json_int_t)atomic_load(&slot->connections), "requests",
                            (json_int_t)atomic_load(&slot->requests), "tunnels",
                            (json_int_t)atomic_load(&slot->tunnels), "started", since, "heartbeat_age_ms",
                            (json_int_t)(beat && now > beat ? (now - beat) / NS_PER_MS : 0)));
    }
    return list;
}

static json_t *counters(const struct stats *stats)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < STAT_COUNT; i++)
        json_object_set_new(object, stat_names[i], json_integer((json_int_t)stats_sum(stats, i)));
    return object;
}

static void add_zone(void *list, const char *name, uint64_t size, const struct zone_use *use)
{
    json_t *zone = json_pack("{s:s, s:I}", "name", name, "size", (json_int_t)size);
    if (use) {
        json_object_set_new(zone, "used", json_integer((json_int_t)use->used));
        json_object_set_new(zone, "room", json_integer((json_int_t)use->room));
        json_object_set_new(zone, "of", json_string(use->of));
    }
    json_array_append_new(list, zone);
}

static json_t *zones(const struct shared *shared)
{
    json_t *list = json_array();
    shared_zones(shared, add_zone, list);
    return list;
}

static json_t *status(const struct worker *worker)
{
    const struct shared *shared = worker->shared;
    uint64_t started = worker->loop.wall_ns, dropped = 0;
    json_int_t master = 0;
    json_t *list = processes(shared, worker->loop.now, &started, &master);
    for (unsigned i = 0; i < shared->slots->count; i++)
        dropped += logs_dropped(shared->logs, i);
    uint64_t age = worker->loop.wall_ns > started ? worker->loop.wall_ns - started : 0;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "version",
                     PACKAGE_VERSION, "pid", master, "generation", (json_int_t)worker->generation->number,
                     "uptime_seconds", (json_int_t)(age / NS_PER_SECOND), "routes",
                     (json_int_t)worker->site->route_count, "processes", list, "upstreams",
                     status_upstreams(worker), "certificates", status_certificates(worker), "key_sets",
                     status_key_sets(worker), "route_breakers", status_route_breakers(worker), "stats",
                     counters(shared->stats), "zones", zones(shared), "overrides", override_json(worker),
                     "log_lines_dropped", (json_int_t)dropped);
}

enum verdict status_get(struct request *request)
{
    return json_answer(request, status(request->worker));
}
