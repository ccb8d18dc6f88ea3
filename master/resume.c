/* resume: called by `gatehouse run` when the environment says so: by upgrade.c of this or another version. As the new
 * program it takes everything over and starts the usual transaction; as the old one, to which the place came back, it
 * goes on where it was. */
#include "master/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/bind.h"
#include "master/master.h"
#include "master/memory.h"
#include "master/notify.h"
#include "master/reopen.h"
#include "master/spawn.h"
#include "master/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

const char *resume_wanted(char *out, size_t size)
{
    const char *said = getenv(UPGRADE_VARIABLE);
    if (!said)
        return NULL;
    snprintf(out, size, "%s", said);
    unsetenv(UPGRADE_VARIABLE);
    return out;
}

/* --- what is found --- */

static void check_unchanged(const char *name, const char *before, const char *now, struct origin origin,
                            struct errors *errors)
{
    if (strcmp(before, now) != 0)
        errors_add(errors, origin, "%s: an upgrade can't change it, it was %s (restart the gateway)", name,
                   before);
}

/* Whether what is said of slots is within them. */
static bool slots_right(const struct master *master, unsigned slots)
{
    bool right = master->log.slot < slots;
    LIST_EACH(link, &master->children)
    right &= CONTAINER_OF(link, struct child, link)->slot < slots;
    return right;
}

/* The processes that don't see the new slots hold theirs in them all the same: a slot's number is one process's in every
 * zone. */
static void note_older(struct master *master)
{
    struct slots *slots = master->shared.slots;
    slots_note(slots, master->log.slot, ROLE_MASTER, 0, 0, (uint32_t)getpid(), clock_wall_ns());
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        uint32_t role = child->role >= roles && child->role < roles + ROLE_COUNT
                            ? (uint32_t)(child->role - roles)
                            : ROLE_COUNT; /* shown as unknown */
        slots_note(slots, child->slot, role, child->number, child->generation, (uint32_t)child->pid,
                   child->started);
    }
}

static bool logger_lives(const struct master *master)
{
    bool lives = false;
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        lives |= child->role == &roles[ROLE_LOGGER] && child->set == master->upgrade.set;
    }
    return lives;
}

static void join(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (upgrade->change.processes) {
        upgrade->set++;
        note_older(master);
    }
    memory_own_slot(master, master->log.slot);
    master_make_lasting(master);
    if (logger_lives(master)) {
        shared_log_start(&master->log);
        master->logs_run = true;
    }
    if (upgrade->change.text)
        log_notice("upgrade: these start cold: %s", upgrade->change.text);
}

int resume_found(struct master *master, const struct settings *settings, bool trial, struct errors *errors)
{
    struct upgrade *upgrade = &master->upgrade;
    struct segment_plan plan = memory_plan(settings);
    const char *why;
    plan.slots = upgrade->found.wake_count; /* as many as the zones were made for */
    log_set_level((enum log_level)settings->log.level);
    check_unchanged("pidfile", master->pidfile.path, settings->pidfile, settings->origin, errors);
    check_unchanged("control", master->control.path, settings->control, settings->origin, errors);
    reload_check_room(plan.slots, settings, errors);
    priv_resolve(&master->priv, settings, errors);
    if (!slots_right(master, plan.slots))
        errors_add(errors, settings->origin, "what the running gateway hands over is not right: slots");
    if (errors->count || (!trial && memory_raise_files(settings, &plan, errors)))
        return -1;
    if (shared_adopt(&master->shared, &upgrade->found, &plan, trial, &upgrade->change, master->arena, &why)) {
        errors_add(errors, settings->state.origin, "%s", why);
        return -1;
    }
    master->listeners.orphans = (struct orphans){.pidfile = master->pidfile.path, .uid = master->priv.uid};
    if (!trial)
        join(master);
    return 0;
}

/* --- the trial --- */

/* Everything that can be found out without touching anything. */
static int try_it(struct master *master)
{
    struct errors errors;
    struct arena *arena = arena_new(16 * 1024);
    errors_init(&errors, arena);
    struct generation *generation =
        generation_load(master->config, master->reload.number + 1, &role_generation_kind, &errors);
    if (generation)
        resume_found(master, generation->settings, true, &errors);
    fputs(errors_text(&errors, arena), stdout);
    if (errors.count)
        return 1;
    if (master->upgrade.change.text)
        printf("these start cold: %s\n", master->upgrade.change.text);
    puts(RESUME_PASSED);
    return 0;
}

/* --- the place came back --- */

/* The child's post of the crew, or NULL. */
static struct post *post_of(struct crew *crew, const struct child *child)
{
    for (unsigned i = 0; i < crew->count; i++) {
        struct post *post = &crew->posts[i];
        if (!post->child && post->role == child->role && post->number == child->number)
            return post;
    }
    return NULL;
}

/* Who had a post has it again; the vacant ones are filled by the loop. */
static void take_posts(struct master *master)
{
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        bool current = child->role->lasting ? child->set == master->upgrade.set
                                            : child->generation == master->reload.number;
        child->adopted = false;
        if (!current || child->state >= CHILD_DRAINING)
            continue;
        child->post = post_of(child->role->lasting ? master->lasting : master->crew, child);
        if (child->post)
            child->post->child = child;
    }
}

/* Those that ended while the other program was in our place, and had slots of its own. */
static void free_slots_of_dead(struct master *master)
{
    struct slots *slots = master->shared.slots;
    for (uint32_t i = 0; i < slots->count; i++) {
        uint32_t state = atomic_load_explicit(&slots->slot[i].state, memory_order_acquire);
        bool lives = i == master->log.slot || state == SLOT_FREE || state == SLOT_DEAD;
        LIST_EACH(link, &master->children)
        {
            const struct child *child = CONTAINER_OF(link, struct child, link);
            lives |= child->slot == i && child->set == master->upgrade.set;
        }
        if (!lives)
            atomic_store_explicit(&slots->slot[i].state, SLOT_DEAD, memory_order_release);
    }
}

/* 0, or -1 with `errors`. */
static int go_on(struct master *master, struct errors *errors)
{
    char path[40];
    struct inheritance inheritance = {NULL, 0};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", baton_number(&master->upgrade.baton, "settings"));
    struct generation *generation =
        generation_load(path, master->reload.number, &role_generation_kind, errors);
    if (!generation || resume_found(master, generation->settings, false, errors))
        return -1;
    bind_cells(master, generation, errors); /* which it has still */
    if (errors->count || listen_prepare(&master->listeners, generation->settings, &inheritance, errors))
        return -1;
    master->crew = crew_new(generation, &inheritance, (unsigned)reload_files(master, generation->settings));
    baton_inboxes(&master->upgrade.baton, master->crew);
    listen_commit(&master->listeners);
    take_posts(master);
    free_slots_of_dead(master);
    return 0;
}

static int come_back(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    struct baton_back back = {.why = "the new program couldn't read what was handed over"};
    struct errors errors;
    struct arena *arena = arena_new(16 * 1024);
    char why[1024];
    errors_init(&errors, arena);
    baton_came_back(&upgrade->baton, &back);
    if (go_on(master, &errors)) {
        log_error("upgrade: %s", back.why);
        log_error("upgrade: the way back is barred, the workers serve on without a master: %s",
                  errors_text(&errors, arena));
        return 1;
    }
    arena_free(&arena);
    master->state = MASTER_SERVING;
    master->reload.queued = back.reload || control_awaits_reload(&master->control);
    upgrade_came_back(master, back.why);
    if (back.reopen && reopen_logs(master, why, sizeof(why)))
        log_error("SIGUSR1: %s", why);
    if (back.stop)
        stop_request(master, back.now);
    return 0;
}

/* --- the beginning --- */

/* What else is open was the other program's own. */
static int close_others(const struct master *master, int image)
{
    const struct baton *baton = &master->upgrade.baton;
    unsigned count = baton->passed.count;
    int *keep = malloc((count + 3) * sizeof(*keep));
    if (!keep)
        return -1;
    memcpy(keep, baton->passed.fds, count * sizeof(*keep));
    keep[count++] = baton->fd;
    keep[count++] = image;
    keep[count++] = master->signals.fd;
    int error = spawn_close_others(keep, count);
    free(keep);
    return error;
}

int resume_run(const char *said, const char *config, const char *program)
{
    struct master master;
    struct upgrade *upgrade = &master.upgrade;
    int fd, image;
    char word[16], why[1024] = "descriptors of the other program can't be closed";
    if (sscanf(said, "%d %d %15s", &fd, &image, word) != 3 || fd <= 2 || image <= 2) {
        fprintf(stderr, "gatehouse: %s is not right: it is for the program itself\n", UPGRADE_VARIABLE);
        return 1;
    }
    int error = master_init(&master, config, program, -1);
    upgrade->baton.fd = fd;
    upgrade->image = image;
    bool trial = strcmp(word, "trial") == 0, back = strcmp(word, "back") == 0;
    if (error)
        snprintf(why, sizeof(why), "signals can't be read: %m");
    if (error || baton_read(&upgrade->baton, &master, why, sizeof(why)) || close_others(&master, image)) {
        fprintf(stderr, "gatehouse: %s\n", why);
        if (!trial && !back)
            upgrade_execute(image, &master, fd, "back");
        return 1;
    }
    if (trial) {
        int status = try_it(&master);
        fflush(stdout);
        _exit(status);
    }
    master.signals.child = true; /* who ended during the exec */
    if (back && come_back(&master))
        return 1;
    if (!back) {
        upgrade->state = UPGRADE_TAKING;
        reload_first(&master);
    }
    return master_loop(&master);
}
