/* lock: taking a lock word, and telling the dead from the living. Called by the zones that insert under a lock. */
#include "shared/shm/lock.h"

#include <errno.h>
#include <signal.h>

enum { SLOT_BITS = 16 };

static uint64_t name_of(const struct slots *slots, unsigned slot)
{
    uint64_t started = atomic_load_explicit(&slots->slot[slot].started, memory_order_relaxed);
    return started << SLOT_BITS | (slot + 1);
}

struct lock_caller lock_caller(const struct slots *slots, unsigned slot)
{
    return (struct lock_caller){slots, slot, name_of(slots, slot)};
}

/* Whether the master has buried it, or its slot has another owner by now. */
static bool is_buried(const struct slots *slots, uint64_t holder)
{
    uint64_t slot = (holder & ((1u << SLOT_BITS) - 1)) - 1;
    if (slot >= slots->count)
        return true; /* nobody's name */
    uint32_t state = atomic_load_explicit(&slots->slot[slot].state, memory_order_acquire);
    return state == SLOT_FREE || state == SLOT_DEAD || name_of(slots, (unsigned)slot) != holder;
}

/* Whether it is gone, though no master is there that would have buried it: the orphans of a killed one. */
static bool is_gone(const struct slots *slots, uint64_t holder)
{
    const struct slot *slot = &slots->slot[(holder & ((1u << SLOT_BITS) - 1)) - 1];
    pid_t pid = (pid_t)atomic_load_explicit(&slot->pid, memory_order_relaxed);
    return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

static inline void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

bool lock_take(struct lock *lock, const struct lock_caller *caller, unsigned tries)
{
    const struct slots *slots = caller->slots;
    uint64_t holder = 0;
    for (unsigned i = 0; i < tries; i++) {
        holder = 0;
        if (atomic_compare_exchange_strong(&lock->holder, &holder, caller->name))
            return true;
        if (is_buried(slots, holder) && atomic_compare_exchange_strong(&lock->holder, &holder, caller->name))
            return true;
        pause_a_little();
    }
    return holder && !is_buried(slots, holder) && is_gone(slots, holder) &&
           atomic_compare_exchange_strong(&lock->holder, &holder, caller->name);
}

void lock_drop(struct lock *lock)
{
    atomic_store_explicit(&lock->holder, 0, memory_order_release);
}
