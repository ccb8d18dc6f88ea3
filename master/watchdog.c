/* watchdog: called by the loop each turn. Processes note a heartbeat in their slots, once a second, from a timer of their
 * loop: who doesn't for `watchdog` hangs, or was stopped. It gets SIGABRT, which leaves a core, and what no signal but
 * SIGKILL reaches, that a second later.
 *
 * One at a time, the longest silent first: the others may only wait for it, and are given time to show that. While the
 * master itself did not run, the machine slept or the container was frozen, nobody's heart is to be blamed.
 */
#include "master/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

/* A turn of the loop takes a second at most. */
enum { STOOD_STILL_MS = 1500, KILL_MS = 1000, RECOVER_MS = 2000 };

uint64_t watchdog_since(uint64_t since, uint64_t looked, uint64_t now)
{
    return now - looked > STOOD_STILL_MS ? now : since;
}

/* Whether it notes heartbeats that this program can read. */
static bool is_watched(const struct master *master, const struct child *child)
{
    return child->role->watched && child->set == master->upgrade.set &&
           (child->state == CHILD_SERVING || child->state == CHILD_DRAINING);
}

/* How long it has been silent, milliseconds. */
static uint64_t silence(const struct master *master, const struct child *child)
{
    const struct slot *slot = &master->shared.slots->slot[child->slot];
    uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed) / NS_PER_MS;
    beat = beat > master->watchdog.since ? beat : master->watchdog.since;
    beat = beat > child->go_at ? beat : child->go_at;
    return master->now > beat ? master->now - beat : 0;
}

void watchdog_look(struct master *master)
{
    struct watchdog *watchdog = &master->watchdog;
    struct child *worst = NULL;
    uint64_t longest = 0;
    watchdog->since = watchdog_since(watchdog->since, watchdog->looked, master->now);
    watchdog->looked = master->now;
    int64_t limit = master->crew ? master->crew->generation->settings->watchdog : 0;
    if (limit == 0 || watchdog->child)
        return;
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        uint64_t silent = is_watched(master, child) ? silence(master, child) : 0;
        if (silent <= longest)
            continue;
        worst = child;
        longest = silent;
    }
    if (longest < (uint64_t)limit)
        return;
    log_error("%s shows no sign of life for %" PRIu64 ".%" PRIu64 " s (watchdog): it is ended",
              child_name(worst).text, longest / 1000, longest / 100 % 10);
    watchdog->child = worst;
    if (kill(worst->pid, SIGABRT) && errno != ESRCH)
        log_error("%s can't be ended: %m", child_name(worst).text);
    worst->state = CHILD_STOPPING;
    worst->kill_at = master->now + KILL_MS;
}

void watchdog_gone(struct master *master, const struct child *child)
{
    struct watchdog *watchdog = &master->watchdog;
    if (watchdog->child != child)
        return;
    watchdog->child = NULL;
    /* Who only waited for it beats again before it is looked at. */
    const struct generation *generation = master->crew ? master->crew->generation : NULL;
    uint64_t limit = generation ? (uint64_t)generation->settings->watchdog : 0;
    uint64_t early = master->now + RECOVER_MS > limit ? master->now + RECOVER_MS - limit : 0;
    watchdog->since = watchdog->since > early ? watchdog->since : early;
}
