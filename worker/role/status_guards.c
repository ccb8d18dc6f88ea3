/* status_guards: breakers, budgets and limits, from their cells. Called by status.c. */
#include "worker/role/status_guards.h"

#include <string.h>

#include "shared/base/clock.h"
#include "shared/shm/budget.h"
#include "shared/shm/quantile.h"
#include "shared/shm/upstreams.h"
#include "worker/request/site.h"
#include "worker/upstream/balance.h"
#include "worker/upstream/retry.h"

static json_t *breaker(const struct breaker_cell *cell, uint64_t now_ms)
{
    static const char *const states[] = {"closed", "open", "half-open"};
    struct breaker_view view = breaker_view(cell);
    bool closed = view.state == BREAKER_CLOSED;
    json_int_t left = closed || view.time_ms <= now_ms ? 0 : (json_int_t)(view.time_ms - now_ms);
    return json_pack("{s:s, s:I, s:i, s:i}", "state", states[view.state], "left_ms", left,
                     "failures_in_a_row", closed ? (int)view.count : 0, "opened_in_a_row", (int)view.level);
}

static json_t *adaptive(const struct worker *worker, struct upstream_cell *cell, unsigned index,
                        const struct adaptive_settings *settings)
{
    struct gradient_cell *gradient = &cell->gradient;
    bool measuring;
    uint32_t base = gradient_base(gradient, &measuring);
    json_int_t limit = (json_int_t)(atomic_load_explicit(&gradient->limit, memory_order_relaxed) / 256);
    if (measuring || limit < settings->least)
        limit = settings->least;
    return json_pack("{s:I, s:I, s:I, s:b}", "limit", limit, "in_flight",
                     (json_int_t)cells_in_flight(worker->shared->upstreams, index), "least_time_us",
                     (json_int_t)base, "measuring", measuring);
}

void status_guards(const struct worker *worker, unsigned index, json_t *object)
{
    const struct upstream_settings *settings = worker->site->settings->upstreams.items[index];
    const struct balancing *balancing = &worker->site->balancing[index];
    unsigned number = worker->generation->cells[balancing->cell];
    struct upstream_cell *cell = upstreams_cell(worker->shared->upstreams, number);
    if (balancing->breaking)
        json_object_set_new(object, "breaker", breaker(&cell->breaker, worker->loop.now_ms));
    if (balancing->retrying)
        json_object_set_new(object, "retries_left",
                            json_integer((json_int_t)budget_left(&cell->budget, &balancing->retrying->budget,
                                                                 worker->loop.now_ms)));
    if (settings->hedge && !settings->hedge->delay)
        json_object_set_new(object, "hedge_after_us", json_integer((json_int_t)quantile_us(&cell->latency)));
    if (settings->adaptive)
        json_object_set_new(object, "adaptive", adaptive(worker, cell, number, settings->adaptive));
}

/* By their cells' names: those that the present generation uses. */
json_t *status_route_breakers(const struct worker *worker)
{
    static const char prefix[] = "route:";
    struct cells *cells = worker->shared->upstreams;
    json_t *list = json_array();
    for (unsigned i = 0; i < cells->count; i++) {
        const struct cell_name *name = &cells->name[i];
        uint64_t generation = atomic_load_explicit(&name->generation, memory_order_acquire);
        if (generation < worker->generation->number || strncmp(name->text, prefix, sizeof prefix - 1) != 0)
            continue;
        json_t *object = json_pack("{s:s}", "route", name->text + sizeof prefix - 1);
        json_object_update_new(object, breaker(&upstreams_cell(cells, i)->breaker, worker->loop.now_ms));
        json_array_append_new(list, object);
    }
    return list;
}
