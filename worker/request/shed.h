/* shed: whether a worker has more to do than it can, by how late its loop is and how much memory it has. Pure: time and
 * measurements are given to it.
 *
 * There are levels: from the first bound on requests of low importance are refused, beyond a second one the normal ones too.
 * A level is left when its measure is well below what it was entered at, and not before `hold`: so that it doesn't flap.
 */
#ifndef REQUEST_SHED_H
#define REQUEST_SHED_H

#include "shared/conf/settings.h"

enum shed_level { SHED_NOBODY, SHED_LOW, SHED_NORMAL };

struct shed {
    const struct shed_settings *settings;
    enum shed_level level;
    uint64_t since;   /* ms: the level was entered, or its reason last seen */
    uint64_t refused; /* requests, since level SHED_NOBODY */
    double lag;       /* ns: how late things are done, the moving average */
    double backlog;   /* ns: for how long what the last turns left over has waited */
    bool more;        /* the last turn left something over */
    uint64_t memory;  /* bytes */
};

static inline bool shed_is_on(const struct shed_settings *settings)
{
    return settings->lag || settings->memory;
}

void shed_init(struct shed *shed, const struct shed_settings *settings);

/* A turn of the loop: for how long the last one worked, this one slept, and longer than it meant to; whether it got as many
 * events as it can take, so that there may be more; in how many turns all would have their turn. ns. */
void shed_turn(struct shed *shed, uint64_t worked, uint64_t slept, uint64_t overslept, bool full,
               unsigned turns);

/* Comes to a level by what was measured. True: it is another one. */
bool shed_judge(struct shed *shed, uint64_t now_ms);

#endif
