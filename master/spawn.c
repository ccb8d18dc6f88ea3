/* spawn: between fork and the role's main(): only what is its own stays open, no signal of the master's reaches it,
 * no privilege is left. Called for the posts of crews. */
#include "master/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "master/master.h"
#include "shared/base/log.h"
#include "shared/base/title.h"

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int spawn_close_others(int *keep, unsigned count)
{
    unsigned from = STDERR_FILENO + 1;
    qsort(keep, count, sizeof(*keep), by_number);
    for (unsigned i = 0; i < count; i++) {
        if (keep[i] < (int)from)
            continue; /* none, a standard one, or the same as before */
        if ((unsigned)keep[i] > from && close_range(from, (unsigned)keep[i] - 1, 0))
            return -1;
        from = (unsigned)keep[i] + 1;
    }
    return close_range(from, ~0u, 0);
}

/* What the role inherits, from the crew's. */
static void inherit(struct process *process, const struct master *master, const struct post *post)
{
    const struct inheritance *all = &post->crew->inheritance;
    bool admin = all->count && all->bound[all->count - 1].listener == NULL;
    if (post->role->inherits & INHERIT_LISTENERS) {
        process->bound = all->bound;
        process->bound_count = all->count - admin;
    } else if ((post->role->inherits & INHERIT_ADMIN) && admin) {
        process->bound = &all->bound[all->count - 1];
        process->bound_count = 1;
    }
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        bool logs = post->role->inherits & INHERIT_LOGS;
        process->log_fds[i] = logs ? master->logs.fds[i] : -1;
        process->log_syslog[i] = logs && master->logs.syslog[i];
    }
    process->inbox = post->inbox[0];
}

static int close_what_is_not_ours(const struct process *process)
{
    const struct wake *wake = &process->shared->wake;
    unsigned count = 0;
    int *keep = malloc((2 + process->bound_count + wake->count + LOG_TARGETS) * sizeof(*keep));
    if (!keep)
        return -1;
    keep[count++] = process->channel;
    keep[count++] = process->inbox;
    for (unsigned i = 0; i < process->bound_count; i++)
        keep[count++] = process->bound[i].fd;
    for (unsigned i = 0; i < wake->count; i++)
        keep[count++] = wake->fds[i];
    for (unsigned i = 0; i < LOG_TARGETS; i++)
        keep[count++] = process->log_fds[i];
    int error = spawn_close_others(keep, count);
    free(keep);
    return error;
}

/* Standard input is nothing; output and error are the master's, or what it reads of its children in the background. */
static int standard_files(const struct master *master)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int error = master->stray.write_end >= 0 ? master->stray.write_end : STDERR_FILENO;
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(error, STDOUT_FILENO) < 0 ||
        dup2(error, STDERR_FILENO) < 0)
        return -1;
    close(null);
    return 0;
}

static int limit_files(unsigned max_files)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return -1;
    limit.rlim_cur = max_files;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

/* Everything before the role. 0, or -1 and `why`. */
static int become(const struct master *master, const struct process *process, char *why, size_t size)
{
    const char *step = "signals";
    signals_child();
    step = "standard files";
    if (standard_files(master))
        goto failed;
    step = "closing descriptors";
    if (close_what_is_not_ours(process))
        goto failed;
    step = "limiting descriptors";
    if (limit_files(process->max_files))
        goto failed;
    return priv_drop(&master->priv, why, size);
failed:
    snprintf(why, size, "%s: %s", step, strerror(errno));
    return -1;
}

/* The fork has the master's memory: keys stay only with who serves by them. */
static void forget_keys(const struct master *master, const struct post *post)
{
    const struct crew *crews[] = {master->crew, master->reload.crew};
    const struct generation *own = post->role->inherits & INHERIT_LISTENERS ? post->crew->generation : NULL;
    for (unsigned i = 0; i < sizeof crews / sizeof crews[0]; i++)
        if (crews[i] && crews[i]->generation != own)
            role_generation_kind.wipe_keys(crews[i]->generation);
}

static void __attribute__((noreturn))
child_run(struct master *master, const struct post *post, unsigned slot, int channel)
{
    struct process process = {.role = post->role->name,
                              .number = post->number,
                              .slot = slot,
                              .shared = &master->shared,
                              .generation = post->crew->generation,
                              .channel = channel,
                              .max_files = post->crew->max_files};
    struct shared_log log = {.shared = &master->shared, .slot = slot};
    struct channel_message failed = {.verb = CHANNEL_FAILED};
    inherit(&process, master, post);
    master->shared.segment.fd = -1; /* closed with the others; the mapping stays */
    forget_keys(master, post);
    if (become(master, &process, failed.text, sizeof(failed.text))) {
        channel_send(channel, &failed);
        _exit(1);
    }
    atomic_store_explicit(&master->shared.slots->slot[slot].pid, (uint32_t)getpid(), memory_order_relaxed);
    if (post->role->count)
        title_set("gatehouse: %s %u", post->role->name, post->number);
    else
        title_set("gatehouse: %s", post->role->name);
    log_set_process(post->role->name);
    if (process.generation)
        log_set_level((enum log_level)process.generation->settings->log.level);
    shared_log_start(&log);
    _exit(post->role->main(&process));
}

/* A slot for the process. When all are taken, one of the dead whose lines are not written yet: its ring keeps them,
 * the new owner writes behind them. */
static int take_slot(struct master *master, const struct post *post, uint64_t generation)
{
    struct slots *slots = master->shared.slots;
    uint32_t role = (uint32_t)(post->role - roles);
    int slot = slots_take(slots, role, post->number, generation);
    for (uint32_t i = 0; slot < 0 && i < slots->count; i++) {
        uint32_t dead = SLOT_DEAD;
        if (atomic_compare_exchange_strong(&slots->slot[i].state, &dead, SLOT_FREE))
            slot = slots_take(slots, role, post->number, generation);
    }
    return slot;
}

/* The master's record of a child; it is in the list from here on. */
static void record(struct master *master, struct post *post, pid_t pid, unsigned slot, int channel)
{
    struct child *child = calloc(1, sizeof(*child));
    if (!child)
        abort();
    child->role = post->role;
    child->number = post->number;
    child->generation = post->crew->generation ? post->crew->generation->number : 0;
    child->post = post;
    child->pid = pid;
    child->slot = slot;
    child->started = atomic_load_explicit(&master->shared.slots->slot[slot].started, memory_order_relaxed);
    child->set = master->upgrade.set;
    child->channel = channel;
    /* In a transaction the time is the transaction's: see reload.c. */
    if (master->crew && post->crew != master->reload.crew)
        child->kill_at = master->now + (uint64_t)master->crew->generation->settings->start_timeout;
    list_push_back(&master->children, &child->link);
    post->child = child;
    atomic_store_explicit(&master->shared.slots->slot[slot].pid, (uint32_t)pid, memory_order_relaxed);
}

int spawn_post(struct master *master, struct post *post, char *why, size_t size)
{
    int ends[2];
    assert(!post->child);
    int slot = take_slot(master, post, post->crew->generation ? post->crew->generation->number : 0);
    if (slot < 0) {
        snprintf(why, size, "all %u slots for processes are taken by ones that live still",
                 master->shared.slots->count);
        return -1;
    }
    if (crew_open_inbox(post) || channel_pair(ends)) {
        snprintf(why, size, "no channel to it: %s", strerror(errno));
        goto failed;
    }
    pid_t pid = fork();
    if (pid == 0)
        child_run(master, post, (unsigned)slot, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        snprintf(why, size, "fork: %s", strerror(errno));
        close(ends[0]);
        goto failed;
    }
    record(master, post, pid, (unsigned)slot, ends[0]);
    return 0;
failed:
    atomic_store_explicit(&master->shared.slots->slot[slot].state, SLOT_FREE, memory_order_release);
    return -1;
}
