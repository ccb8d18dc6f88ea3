/* child: called by the transaction, the stop, and the loop of the master, which owns the list. */
#include "master/child.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "master/master.h"
#include "shared/base/log.h"

/* Beyond drain_timeout: a worker cuts by itself when that is over. */
enum { DRAIN_GRACE_MS = 5000, STOP_GRACE_MS = 2000 };

struct child_name child_name(const struct child *child)
{
    struct child_name name;
    if (child->role->count)
        snprintf(name.text, sizeof(name.text), "%s %u (pid %ld)", child->role->name, child->number,
                 (long)child->pid);
    else
        snprintf(name.text, sizeof(name.text), "%s (pid %ld)", child->role->name, (long)child->pid);
    return name;
}

static void tell(struct child *child, enum channel_verb verb, uint64_t number)
{
    if (child->channel >= 0 && channel_tell(child->channel, verb, number) && errno != EPIPE)
        log_warning("%s doesn't take its orders: %m", child_name(child).text);
}

void child_go(struct master *master, struct child *child)
{
    uint32_t ready = SLOT_READY;
    tell(child, CHANNEL_GO, 0);
    /* Who asks after the commit finds it serving, also before it was scheduled. */
    atomic_compare_exchange_strong(&master->shared.slots->slot[child->slot].state, &ready, SLOT_SERVING);
    child->state = CHILD_SERVING;
    child->go_at = master->now;
    child->kill_at = 0;
}

void child_drain(struct master *master, struct child *child, uint64_t timeout)
{
    if (child->state >= CHILD_DRAINING)
        return;
    /* One that serves nobody yet has nothing to finish. */
    if (!child->role->drains || child->state != CHILD_SERVING) {
        child_stop(master, child, STOP_GRACE_MS);
        return;
    }
    tell(child, CHANNEL_DRAIN, timeout);
    child->state = CHILD_DRAINING;
    child->kill_at = timeout ? master->now + timeout + DRAIN_GRACE_MS : 0;
}

void child_stop(struct master *master, struct child *child, uint64_t grace)
{
    if (child->state == CHILD_STOPPING)
        return;
    tell(child, CHANNEL_STOP, 0);
    child->state = CHILD_STOPPING;
    child->kill_at = master->now + grace;
}

void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    child->state = CHILD_STOPPING;
    child->kill_at = 0;
}

void child_kill_overdue(struct master *master)
{
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->kill_at == 0 || master->now < child->kill_at)
            continue;
        log_warning("%s %s: killed", child_name(child).text,
                    child->state == CHILD_STARTING ? "was not ready in time" : "did not end in time");
        child_kill(child);
    }
}

unsigned child_count(const struct master *master, const struct role *role)
{
    unsigned count = 0;
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        count += role ? child->role == role : !child->role->lasting;
    }
    return count;
}
