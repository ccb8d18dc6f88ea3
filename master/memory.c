/* memory: the shared memory. Called at the start, and by `check`. */
#include "master/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "master/host.h"
#include "master/master.h"
#include "shared/base/log.h"
#include "shared/shm/snapshot.h"

enum { SLOTS_AT_LEAST = 4, SLOTS_FIXED = 8, LOG_RING_AT_LEAST = 4096, FILES_FIXED = 64 };

struct segment_plan memory_plan(const struct settings *settings)
{
    const struct state_settings *state = &settings->state;
    struct segment_plan plan = {
        .log_ring = LOG_RING_AT_LEAST,
        .size_at_most = (size_t)state->size,
        .upstreams = (unsigned)state->upstreams,
        .endpoints = (unsigned)state->endpoints,
        .limits = (size_t)state->limits,
        .quotas = (size_t)state->quotas,
        .concurrency = (size_t)state->concurrency,
        .tokens = (size_t)state->tokens,
        .names = (unsigned)state->names,
        .staples = (unsigned)state->staples,
        .keys = (unsigned)state->key_sets,
    };
    unsigned processes = crew_size(settings), cpus = host_cpus();
    processes = processes < cpus ? cpus : processes;
    processes = processes < SLOTS_AT_LEAST ? SLOTS_AT_LEAST : processes;
    plan.slots = processes * ((unsigned)settings->max_generations + 1) + SLOTS_FIXED;
    while (plan.log_ring < (size_t)settings->log.buffer)
        plan.log_ring *= 2;
    return plan;
}

/* --- the snapshot --- */

/* The old file is kept: somebody may want to know. */
static void set_aside(const struct state_settings *state, const char *why, struct errors *errors)
{
    int failed = snapshot_set_aside(state->file);
    errors_warn(errors, state->origin, "state.file: %s can't be used: %s; limits start cold, and %s%s",
                state->file, why,
                failed ? "it can't be kept aside: " : "it is kept as the same with .bad behind",
                failed ? strerror(errno) : "");
}

static struct snapshot *read_snapshot(struct master *master, const struct state_settings *state,
                                      struct errors *errors)
{
    const char *why = NULL;
    if (!state->file)
        return NULL;
    struct snapshot *snapshot = snapshot_read(state->file, master->arena, &why);
    if (why)
        set_aside(state, why, errors);
    return snapshot;
}

static void load_snapshot(struct master *master, const struct state_settings *state,
                          const struct snapshot *snapshot, struct errors *errors)
{
    const char *cold;
    shared_load(&master->shared, snapshot, master->arena, &cold);
    if (cold)
        set_aside(state,
                  arena_printf(master->arena,
                               "damaged, of another version, or more than there is room for: %s", cold),
                  errors);
    else
        log_notice("state.file: %s was loaded, %" PRIu64 " s old", state->file, snapshot_age(snapshot));
}

/* --- at the start --- */

/* Every process has an eventfd of every slot, and the segment. */
int memory_raise_files(const struct settings *settings, const struct segment_plan *plan,
                       struct errors *errors)
{
    char why[512];
    uint64_t files = 2 * (uint64_t)plan->slots + 4 * (uint64_t)crew_size(settings) +
                     settings->listeners.count + FILES_FIXED;
    if (!host_raise_files(files, why, sizeof why))
        return 0;
    errors_add(errors, settings->origin, "%s", why);
    return -1;
}

void memory_own_slot(struct master *master, unsigned slot)
{
    struct slots *slots = master->shared.slots;
    master->log = (struct shared_log){.shared = &master->shared, .slot = slot};
    atomic_store_explicit(&slots->slot[slot].pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&slots->slot[slot].state, SLOT_SERVING, memory_order_release);
}

int memory_found(struct master *master, const struct settings *settings, struct errors *errors)
{
    const struct state_settings *state = &settings->state;
    struct segment_plan plan = memory_plan(settings);
    const char *why;
    if (memory_raise_files(settings, &plan, errors))
        return -1;
    struct snapshot *snapshot = read_snapshot(master, state, errors);
    if (snapshot)
        plan.seed = snapshot_seed(snapshot);
    int rc = shared_create(&master->shared, &plan, master->arena, &why);
    if (rc)
        errors_add(errors, state->origin, "%s", why);
    else if (snapshot)
        load_snapshot(master, state, snapshot, errors);
    snapshot_free(&snapshot);
    if (rc == 0)
        memory_own_slot(master, (unsigned)slots_take(master->shared.slots, ROLE_MASTER, 0, 0));
    return rc;
}

/* --- for `check` --- */

struct telling {
    struct arena *arena;
    const char *text;
};

static void tell(void *context, const char *name, uint64_t size)
{
    struct telling *telling = context;
    telling->text = arena_printf(telling->arena, "%s%s%s %s", telling->text, telling->text[0] ? ", " : "",
                                 name, segment_size_text(size).text);
}

static void check_cells(const struct generation *generation, const char *setting, unsigned has,
                        unsigned wants, struct errors *errors)
{
    if (wants > has)
        errors_add(errors, generation->settings->state.origin,
                   "%s: %u is too little: this configuration needs %u", setting, has, wants);
    else if (2 * wants > has)
        errors_warn(errors, generation->settings->state.origin,
                    "%s: %u leaves no room for a reload that renames all %u (set it to %u or more)", setting,
                    has, wants, 2 * wants);
}

const char *memory_check(const struct generation *generation, struct errors *errors)
{
    const struct settings *settings = generation->settings;
    struct segment_plan plan = memory_plan(settings);
    struct telling telling = {errors->arena, ""};
    uint64_t size = shared_measure(&plan, tell, &telling);
    if (size == 0 || size > plan.size_at_most)
        errors_add(errors, settings->state.origin,
                   "state.size: %s is too little: the shared memory needs %s (%s, for %u processes)",
                   segment_size_text(plan.size_at_most).text, segment_size_text(size).text, telling.text,
                   plan.slots);
    check_cells(generation, "state.upstreams", plan.upstreams, generation->wants.of_kind[WANT_UPSTREAM],
                errors);
    check_cells(generation, "state.endpoints", plan.endpoints, generation->wants.of_kind[WANT_ENDPOINT],
                errors);
    check_cells(generation, "state.names", plan.names, generation->wants.of_kind[WANT_NAME], errors);
    check_cells(generation, "state.staples", plan.staples, generation->wants.of_kind[WANT_STAPLE], errors);
    check_cells(generation, "state.key_sets", plan.keys, generation->wants.of_kind[WANT_KEYS], errors);
    return arena_printf(errors->arena, "%s of at most %s (%s)", segment_size_text(size).text,
                        segment_size_text(plan.size_at_most).text, telling.text);
}
