/* bind: finds the cells of shared memory that a generation wants. Called by reload.c before anything is forked. */
#include "master/bind.h"

#include "master/master.h"

/* The oldest generation of which a process lives: what only older ones used is free. */
static uint64_t oldest_generation(const struct master *master, uint64_t newest)
{
    uint64_t oldest = master->crew ? master->crew->generation->number : newest;
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->generation && child->generation < oldest)
            oldest = child->generation;
    }
    return oldest;
}

void bind_cells(struct master *master, struct generation *generation, struct errors *errors)
{
    static const char *const settings[WANT_KINDS] = {"state.upstreams", "state.endpoints", "state.names",
                                                     "state.staples", "state.key_sets"};
    struct cells *zones[WANT_KINDS] = {master->shared.upstreams, master->shared.endpoints,
                                       master->shared.names, master->shared.staples, master->shared.keys};
    const struct wants *wants = &generation->wants;
    uint64_t oldest = oldest_generation(master, generation->number);
    for (unsigned i = 0; i < wants->count; i++) {
        enum want_kind kind = wants->items[i].kind;
        int cell = cells_take(zones[kind], wants->items[i].name, generation->number, oldest);
        if (cell < 0) {
            errors_add(
                errors, generation->settings->state.origin,
                "%s: %u is too little: this configuration needs %u, beside what generations that still "
                "drain have (restart the gateway with more)",
                settings[kind], zones[kind]->count, wants->of_kind[kind]);
            return;
        }
        generation->cells[i] = (uint32_t)cell;
    }
}
