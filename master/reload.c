/* reload: the states of the transaction. What it made is in struct reload until the commit hands it to the master, or
 * the undoing gives it back. */
#include "master/reload.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/bind.h"
#include "master/host.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/reopen.h"
#include "master/resume.h"
#include "master/ticket_keys.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/conf/load.h"
#include "shared/conf/print.h"

enum { FILES_FIXED = 64, SLOTS_FIXED = 8, OLDEST_GRACE_MS = 2000 };

static const struct origin nowhere;

static void log_found(const struct errors *errors, const char *what)
{
    for (const struct error *error = errors->first; error; error = error->next) {
        enum log_level level = error->warning ? LEVEL_WARNING : LEVEL_ERROR;
        if (error->origin.file)
            log_at(level, "%s: %s:%u: %s", what, error->origin.file, error->origin.line, error->text);
        else
            log_at(level, "%s: %s", what, error->text);
    }
}

/* The outcome in words, for who waits for it; it goes to the log too. What was found names files whose names the
 * generation owns: so before that is given back. */
static char *outcome(struct master *master, bool done)
{
    struct reload *reload = &master->reload;
    struct arena *arena = reload->arena;
    bool first = master->state == MASTER_STARTING;
    char *found = errors_text(&reload->errors, arena);
    if (master->logs_run) /* else who started us is told, by the same words */
        log_found(&reload->errors, first ? "start" : "reload");
    if (done) {
        log_notice("generation %" PRIu64 " serves with %u processes", reload->number, master->crew->count);
        return arena_printf(arena, "%sgeneration %" PRIu64 " serves", found, reload->number);
    }
    if (upgrade_takes(master)) /* what is to be said more, the program that serves on says */
        return found;
    if (first)
        return arena_printf(arena, "%sgatehouse: %s: not started", found, master->config);
    log_error("reload: nothing was changed: generation %" PRIu64 " serves on", reload->number);
    return arena_printf(arena, "%snothing was changed: generation %" PRIu64 " serves on", found,
                        reload->number);
}

/* Tells the outcome, gives the transaction's memory back, and is ready for the next one. */
static void finish(struct master *master, bool done, const char *text)
{
    struct reload *reload = &master->reload;
    bool first = master->state == MASTER_STARTING;
    reload->state = RELOAD_IDLE;
    master->again = true;
    if (upgrade_takes(master) && !done) {
        upgrade_failed(master, text);
        arena_free(&reload->arena);
        return; /* who waits for a reload is told by the program that serves on */
    }
    if (first && done)
        master_started(master);
    else if (first)
        master_failed(master, text);
    else if (master->state == MASTER_SERVING)
        notify_ready();
    /* The one that was to follow doesn't any more when the gateway stops. */
    control_reload_done(&master->control, master->state == MASTER_SERVING ? reload->serial : UINT64_MAX, done,
                        text);
    arena_free(&reload->arena);
}

/* Everything that was made and nobody uses is given back. */
static void release(struct master *master)
{
    struct reload *reload = &master->reload;
    char *text = outcome(master, false);
    listen_undo(&master->listeners);
    logfiles_close(&reload->logs);
    crew_free(master, &reload->crew);
    finish(master, false, text);
}

/* What was forked is killed; RELOAD_UNDOING waits for its end. */
static void undo(struct master *master)
{
    struct reload *reload = &master->reload;
    for (unsigned i = 0; i < reload->crew->count; i++) {
        struct post *post = &reload->crew->posts[i];
        if (!post->child)
            continue;
        child_kill(post->child);
        post->child->undone = true;
        post->child->post = NULL;
        post->child = NULL;
    }
    reload->state = RELOAD_UNDOING;
    master->again = true;
}

void reload_check_room(unsigned slots, const struct settings *settings, struct errors *errors)
{
    uint64_t generations = (uint64_t)settings->max_generations + 1;
    if (crew_size(settings) * generations + SLOTS_FIXED > slots)
        errors_add(errors, settings->origin,
                   "workers: the shared memory was made for %u processes, too few for %u workers in %" PRIu64
                   " generations (restart the gateway)",
                   slots, crew_size(settings) - 1, generations);
}

/* A serving gateway takes only what it can change while it runs. */
static void check_replaceable(struct master *master, const struct settings *settings)
{
    struct errors *errors = &master->reload.errors;
    const struct settings *before = master->crew->generation->settings;
    const char *name = conf_restart_needed(&settings_section, before, settings, errors->arena);
    if (name)
        errors_add(errors, settings->origin, "%s: a reload can't change it (restart the gateway)", name);
    reload_check_room(master->shared.slots->count, settings, errors);
}

uint64_t reload_files(const struct master *master, const struct settings *settings)
{
    return 2 * (uint64_t)settings->max_connections + settings->listeners.count + 1 +
           2 * (uint64_t)master->shared.slots->count + FILES_FIXED;
}

/* Sockets and files of a loaded generation; then its crew. */
static void prepare(struct master *master, struct generation *generation)
{
    struct reload *reload = &master->reload;
    struct errors *errors = &reload->errors;
    const struct settings *settings = generation->settings;
    struct inheritance inheritance = {NULL, 0};
    char why[512];
    if (master->crew)
        check_replaceable(master, settings);
    else if (upgrade_takes(master))
        resume_found(master, settings, false, errors);
    else
        master_found(master, settings, errors);
    uint64_t files = 0;
    if (errors->count == 0)
        bind_cells(master, generation, errors);
    if (errors->count == 0) {
        ticket_keys_turn(master->shared.tickets, (uint64_t)settings->tls.ticket_lifetime);
        files = reload_files(master, settings);
        if (host_raise_files(files, why, sizeof(why)))
            errors_add(errors, settings->origin, "max_connections: %s", why);
        logfiles_open(&reload->logs, &settings->log, master->background, errors);
        listen_prepare(&master->listeners, settings, &inheritance, errors);
    }
    reload->crew = crew_new(generation, &inheritance, (unsigned)files);
    master->now = clock_monotonic_ns() / NS_PER_MS;
    reload->deadline = master->now + (uint64_t)settings->start_timeout;
    reload->state = RELOAD_ROOM;
    master->again = true;
    if (errors->count)
        release(master);
}

static void begin(struct master *master)
{
    struct reload *reload = &master->reload;
    assert(reload->state == RELOAD_IDLE && !reload->arena && !reload->crew);
    reload->queued = false;
    reload->serial++;
    reload->arena = arena_new(16 * 1024);
    errors_init(&reload->errors, reload->arena);
    logfiles_init(&reload->logs);
    if (master->state == MASTER_SERVING)
        notify_reloading();
    struct generation *generation =
        generation_load(master->config, reload->number + 1, &role_generation_kind, &reload->errors);
    if (generation)
        prepare(master, generation);
    else
        release(master);
}

static void advance_idle(struct master *master)
{
    if (master->reload.queued && master->state == MASTER_SERVING && master->upgrade.state == UPGRADE_IDLE)
        begin(master);
}

static unsigned slots_free(const struct slots *slots)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < slots->count; i++) {
        uint32_t state = atomic_load_explicit(&slots->slot[i].state, memory_order_relaxed);
        count += state == SLOT_FREE || state == SLOT_DEAD;
    }
    return count;
}

/* The first generation has the lasting processes started before it. Taken over, the log files stay until it serves. */
static void advance_room(struct master *master)
{
    struct reload *reload = &master->reload;
    char why[256];
    if (slots_free(master->shared.slots) < reload->crew->count && master->now < reload->deadline)
        return;
    if (!master->crew && !upgrade_takes(master)) {
        master->logs = reload->logs;
        logfiles_init(&reload->logs);
    }
    if ((!master->crew && crew_start(master, master->lasting, why, sizeof(why))) ||
        crew_start(master, reload->crew, why, sizeof(why))) {
        reload_lost(master, why);
        return;
    }
    reload->state = RELOAD_STARTING;
}

/* The oldest generations end at once when more than max_generations live. */
static void end_oldest(struct master *master)
{
    uint64_t most = (uint64_t)master->crew->generation->settings->max_generations;
    for (;;) {
        uint64_t oldest = UINT64_MAX, live = 1; /* the new one */
        LIST_EACH(link, &master->children)
        {
            struct child *child = CONTAINER_OF(link, struct child, link);
            if (child->state != CHILD_DRAINING)
                continue;
            bool counted = false;
            for (struct list *before = link->prev; before != &master->children; before = before->prev) {
                struct child *other = CONTAINER_OF(before, struct child, link);
                counted |= other->state == CHILD_DRAINING && other->generation == child->generation;
            }
            live += !counted;
            oldest = child->generation < oldest ? child->generation : oldest;
        }
        if (live <= most || oldest == UINT64_MAX)
            return;
        log_notice("generation %" PRIu64 " ends: max_generations = %" PRIu64, oldest, most);
        LIST_EACH(link, &master->children)
        {
            struct child *child = CONTAINER_OF(link, struct child, link);
            if (child->state == CHILD_DRAINING && child->generation == oldest)
                child_stop(master, child, OLDEST_GRACE_MS);
        }
    }
}

/* All are READY. From here on nothing can fail but the first step. */
static void commit(struct master *master)
{
    struct reload *reload = &master->reload;
    struct crew *old = master->crew;
    if (listen_start(&master->listeners, &reload->errors)) {
        undo(master);
        return;
    }
    if (old || upgrade_takes(master))
        reopen_take(master, &reload->logs);
    master->crew = reload->crew;
    reload->crew = NULL;
    const struct settings *settings = master->crew->generation->settings;
    reload->number = master->crew->generation->number;
    log_set_level((enum log_level)settings->log.level);
    crew_go(master, master->crew);
    /* All before the first DRAIN: who drains already learns of its new successors before those that it had leave it. */
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->role->drains && child->generation != reload->number)
            crew_succeeds(master->crew, child);
    }
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (!child->role->lasting && child->generation != reload->number)
            child_drain(master, child, (uint64_t)settings->drain_timeout);
    }
    listen_commit(&master->listeners);
    crew_free(master, &old);
    end_oldest(master);
    finish(master, true, outcome(master, true));
}

static void advance_starting(struct master *master)
{
    struct reload *reload = &master->reload;
    const struct post *late = crew_late(reload->crew);
    if (!late && master->state == MASTER_STARTING)
        late = crew_late(master->lasting);
    if (!late) {
        commit(master);
        return;
    }
    if (master->now < reload->deadline)
        return;
    errors_add(&reload->errors, nowhere, "%s was not ready within start_timeout (%" PRId64 " s)",
               late->child ? child_name(late->child).text : late->role->name,
               reload->crew->generation->settings->start_timeout / 1000);
    undo(master);
}

static void advance_undoing(struct master *master)
{
    LIST_EACH(link, &master->children)
    if (CONTAINER_OF(link, struct child, link)->undone)
        return;
    release(master);
}

static void (*const states[])(struct master *master) = {
    [RELOAD_IDLE] = advance_idle,
    [RELOAD_ROOM] = advance_room,
    [RELOAD_STARTING] = advance_starting,
    [RELOAD_UNDOING] = advance_undoing,
};

void reload_advance(struct master *master)
{
    states[master->reload.state](master);
}

void reload_first(struct master *master)
{
    begin(master);
}

uint64_t reload_request(struct master *master)
{
    if (master->state != MASTER_SERVING && !upgrade_takes(master))
        return 0;
    master->reload.queued = true;
    master->again = true;
    return master->reload.serial + 1;
}

void reload_lost(struct master *master, const char *reason)
{
    struct reload *reload = &master->reload;
    if (reload->state != RELOAD_ROOM && reload->state != RELOAD_STARTING)
        return;
    errors_add(&reload->errors, nowhere, "%s", reason);
    undo(master);
}

void reload_abort(struct master *master)
{
    struct reload *reload = &master->reload;
    reload->queued = false;
    reload_lost(master, "the gateway was told to stop");
    control_reload_done(&master->control, reload->state == RELOAD_IDLE ? UINT64_MAX : 0, false,
                        "the gateway was told to stop");
}
