/* reap: says why it ended, gives its slot to the logger, and has its post filled anew. Called on SIGCHLD. */
#include "master/reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/channel.h"
#include "master/master.h"
#include "shared/base/log.h"

enum { EARLY_MS = 1000 };

static struct child *child_of(struct master *master, pid_t pid)
{
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

/* How it ended, in words. */
static void describe(const struct child *child, int status, char *out, size_t size)
{
    struct child_name name = child_name(child);
    if (child->failed[0])
        snprintf(out, size, "%s can't start: %s", name.text, child->failed);
    else if (WIFSIGNALED(status))
        snprintf(out, size, "%s was killed by signal %d (%s)%s", name.text, WTERMSIG(status),
                 strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(out, size, "%s exited with status %d", name.text, WEXITSTATUS(status));
}

/* What it held is let go. Its lines are drained still; the logger frees the slot after that. Nobody else may have taken it meanwhile. */
static void slot_dead(struct master *master, const struct child *child)
{
    struct shared *shared = &master->shared;
    shared_release(shared, child->slot);
    atomic_store_explicit(&shared->slots->slot[child->slot].state, SLOT_DEAD, memory_order_release);
    slot_wake(&shared->wake, logs_reader(shared->logs), WAKE_LOGS, child->slot, 0);
}

/* Whether the post is of a generation that is being started: its loss is the transaction's to tell. */
static bool comes_up(const struct master *master, const struct post *post)
{
    return post && (post->crew == master->reload.crew || master->state == MASTER_STARTING);
}

/* Who is to take the place, and when. */
static void vacate(struct master *master, struct child *child, bool early, const char *reason)
{
    struct post *post = child->post;
    if (!post)
        return;
    post->child = NULL;
    post->backoff = crew_backoff(post->backoff, early);
    post->due = master->now + post->backoff;
    if (comes_up(master, post))
        reload_lost(master, reason);
    else if (master->state == MASTER_SERVING || post->role->lasting)
        log_notice(post->backoff ? "%s %u is started again in %u s" : "%s %u is started again at once",
                   post->role->name, post->number, post->backoff / 1000);
}

static void child_ended(struct master *master, struct child *child, int status)
{
    char reason[CHANNEL_TEXT + 128];
    channel_read(master, child);
    describe(child, status, reason, sizeof(reason));
    bool early = child->go_at == 0 || master->now - child->go_at < EARLY_MS;
    bool expected =
        child->state >= CHILD_DRAINING && !child->undone && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (expected || child->undone || comes_up(master, child->post))
        log_info("%s", reason);
    else
        log_error("%s", reason);
    slot_dead(master, child);
    watchdog_gone(master, child);
    vacate(master, child, early, reason);
    if (child->channel >= 0)
        close(child->channel);
    list_remove(&child->link);
    free(child);
    master->again = true;
}

void reap_children(struct master *master)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = child_of(master, pid);
        if (child)
            child_ended(master, child, status);
        else
            upgrade_reaped(master, pid, status);
    }
}
