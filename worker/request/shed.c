/* shed: called by worker/role/shedding.c, which measures. */
#include "worker/request/shed.h"

#define NS_PER_MS_ 1e6
#define SMOOTH_NS 100e6 /* what lasts less hardly counts */

void shed_init(struct shed *shed, const struct shed_settings *settings)
{
    *shed = (struct shed){.settings = settings};
}

static double part(double span)
{
    return span < SMOOTH_NS ? span / SMOOTH_NS : 1;
}

/* What became ready while a turn worked had to wait for its end; what a full turn had no room for, for that of the next as
 * well. While the loop sleeps nothing waits, unless it wasn't let run when it wanted to. */
void shed_turn(struct shed *shed, uint64_t worked, uint64_t slept, uint64_t overslept, bool full,
               unsigned turns)
{
    double now = (double)worked, late = (double)overslept, idle = (double)(slept - overslept);
    shed->backlog = shed->more ? shed->backlog + now : now;
    if (shed->backlog > now * turns)
        shed->backlog = now * turns;
    shed->more = full;
    shed->lag += (shed->backlog - shed->lag) * part(now);
    shed->lag -= shed->lag * part(idle);
    if (late > shed->lag)
        shed->lag += (late - shed->lag) * part(late);
}

/* --- levels --- */

/* Where a level begins: the second at twice the lag, and at a quarter more of memory. */
static double lag_bound(const struct shed *shed, enum shed_level level)
{
    return (double)shed->settings->lag * NS_PER_MS_ * (level == SHED_NORMAL ? 2 : 1);
}

static double memory_bound(const struct shed *shed, enum shed_level level)
{
    return (double)shed->settings->memory * (level == SHED_NORMAL ? 1.25 : 1);
}

static bool reaches(const struct shed *shed, enum shed_level level)
{
    return (shed->settings->lag && shed->lag > lag_bound(shed, level)) ||
           (shed->settings->memory && (double)shed->memory > memory_bound(shed, level));
}

/* Half of the lag, nine tenths of the memory. */
static bool keeps(const struct shed *shed, enum shed_level level)
{
    return (shed->settings->lag && shed->lag > lag_bound(shed, level) / 2) ||
           (shed->settings->memory && (double)shed->memory > memory_bound(shed, level) * 0.9);
}

bool shed_judge(struct shed *shed, uint64_t now_ms)
{
    enum shed_level before = shed->level;
    for (enum shed_level level = SHED_NORMAL; level > shed->level; level--)
        if (reaches(shed, level)) {
            shed->level = level;
            shed->since = now_ms;
        }
    if (shed->level == SHED_NOBODY)
        return false;
    if (keeps(shed, shed->level)) {
        shed->since = now_ms;
    } else if (now_ms >= shed->since + (uint64_t)shed->settings->hold) {
        shed->level--;
        shed->since = now_ms;
    }
    return shed->level != before;
}
