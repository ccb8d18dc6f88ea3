/* stop: begun by a signal or the control socket; then the states of the master, a turn after the other. */
#include "master/stop.h"

#include <inttypes.h>
#include <stdio.h>

#include "master/master.h"
#include "master/notify.h"
#include "shared/base/log.h"

/* What a process may take beyond its work; when it is to be now, half as much. */
enum { KEEPER_GRACE_MS = 5000, LOGGER_GRACE_MS = 5000, NOW_GRACE_MS = 2000 };

static void enter(struct master *master, enum master_state state)
{
    master->state = state;
    master->again = true;
}

static void stop_children(struct master *master, bool lasting, uint64_t grace)
{
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->role->lasting == lasting)
            child_stop(master, child, master->urgent ? NOW_GRACE_MS : grace);
    }
}

static void drain_workers(struct master *master)
{
    uint64_t timeout = (uint64_t)master->crew->generation->settings->drain_timeout;
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (!child->role->drains)
            continue;
        if (master->urgent) {
            child_stop(master, child, NOW_GRACE_MS);
            continue;
        }
        crew_succeeds(NULL, child);
        child_drain(master, child, timeout);
    }
}

void stop_request(struct master *master, bool now)
{
    master->urgent |= now;
    switch (master->state) {
    case MASTER_STARTING:
        /* That of a program which takes over: the one that it took over from stops. */
        master->upgrade.back.stop = true;
        master->upgrade.back.now |= now;
        reload_abort(master);
        break;
    case MASTER_SERVING:
        log_notice(now ? "stopping now" : "stopping: requests in progress are answered");
        notify_stopping();
        enter(master, MASTER_DRAINING);
        upgrade_abort(master);
        reload_abort(master);
        listen_close(&master->listeners, false);
        drain_workers(master);
        break;
    case MASTER_DRAINING:
        if (now) {
            log_notice("stopping now: what is in progress is cut");
            drain_workers(master);
        }
        break;
    case MASTER_CLOSING:
    case MASTER_ENDING:
    case MASTER_DONE:
        break;
    }
}

void stop_after_failure(struct master *master)
{
    enter(master, MASTER_CLOSING);
}

void stop_draining(struct master *master)
{
    unsigned left = 0;
    for (const struct role *role = roles; role < roles + ROLE_COUNT; role++)
        left += role->drains ? child_count(master, role) : 0;
    if (left || master->reload.state != RELOAD_IDLE)
        return;
    stop_children(master, false, KEEPER_GRACE_MS);
    enter(master, MASTER_CLOSING);
}

void stop_closing(struct master *master)
{
    if (child_count(master, NULL))
        return;
    if (master->cut)
        log_notice("stopped; %" PRIu64 " requests and connections were cut", master->cut);
    else if (master->logs_run)
        log_notice("stopped");
    stop_children(master, true, LOGGER_GRACE_MS);
    enter(master, MASTER_ENDING);
}

void stop_ending(struct master *master)
{
    char text[100] = "stopped";
    if (!list_empty(&master->children))
        return;
    log_to(NULL, NULL);
    if (master->cut)
        snprintf(text, sizeof(text), "stopped; %" PRIu64 " requests and connections were cut", master->cut);
    listen_close(&master->listeners, true);
    control_close(&master->control);
    pidfile_remove(&master->pidfile);
    control_stop_done(&master->control, text);
    enter(master, MASTER_DONE);
}
