/* lock: a lock word in the segment that can be taken from the dead.
 *
 * It holds who has it: a slot, and when that slot's process was started, which tells it from a later one in the same slot.
 * What it protects must be sound after each step of its holder.
 */
#ifndef SHM_LOCK_H
#define SHM_LOCK_H

#include <stdbool.h>

#include "shared/shm/slots.h"

struct lock {
    _Atomic uint64_t holder; /* 0: free; else the name of who has it */
};

/* Who takes locks: a process, for all its life. */
struct lock_caller {
    const struct slots *slots;
    unsigned slot;
    uint64_t name;
};

struct lock_caller lock_caller(const struct slots *slots, unsigned slot);

/* How often a caller looks: one that can try again later, one that can't. */
enum { LOCK_TRIES = 64, LOCK_TRIES_LAST = 4096 };

/* The lock, at once or after `tries` looks at it; false: somebody who lives has it still. Never waits. */
bool lock_take(struct lock *lock, const struct lock_caller *caller, unsigned tries);

void lock_drop(struct lock *lock);

#endif
