/* slots: the zone's layout, and how the master takes a slot. */
#include "shared/shm/slots.h"

#include "shared/base/clock.h"

_Static_assert(offsetof(struct slots, slot) == SEGMENT_PAGE, "the slots begin behind the frozen page");

static size_t slots_size(const struct segment_plan *plan)
{
    return sizeof(struct slots) + plan->slots * sizeof(struct slot);
}

static void slots_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)size;
    struct slots *slots = zone;
    slots->count = plan->slots;
}

const struct zone_kind slots_kind = {
    .name = "slots",
    .version = 1,
    .size = slots_size,
    .init = slots_init,
    .frozen = true,
};

static void fill(struct slot *slot, uint32_t role, uint32_t number, uint64_t generation, uint32_t pid,
                 uint64_t started)
{
    atomic_store_explicit(&slot->pid, pid, memory_order_relaxed);
    atomic_store_explicit(&slot->role, role, memory_order_relaxed);
    atomic_store_explicit(&slot->number, number, memory_order_relaxed);
    atomic_store_explicit(&slot->generation, generation, memory_order_relaxed);
    atomic_store_explicit(&slot->started, started, memory_order_relaxed);
    atomic_store_explicit(&slot->heartbeat, clock_monotonic_ns(), memory_order_relaxed);
    atomic_store_explicit(&slot->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->tunnels, 0, memory_order_relaxed);
}

int slots_take(struct slots *slots, uint32_t role, uint32_t number, uint64_t generation)
{
    for (uint32_t i = 0; i < slots->count; i++) {
        struct slot *slot = &slots->slot[i];
        /* Acquire: the logger, which freed it, is done with the ring of its last owner. */
        if (atomic_load_explicit(&slot->state, memory_order_acquire) != SLOT_FREE)
            continue;
        fill(slot, role, number, generation, 0, clock_wall_ns());
        atomic_store_explicit(&slot->state, SLOT_STARTING, memory_order_release);
        return (int)i;
    }
    return -1;
}

void slots_note(struct slots *slots, unsigned index, uint32_t role, uint32_t number, uint64_t generation,
                uint32_t pid, uint64_t started)
{
    fill(&slots->slot[index], role, number, generation, pid, started);
    atomic_store_explicit(&slots->slot[index].state, SLOT_DRAINING, memory_order_release);
}

const char *slot_state_name(uint32_t state)
{
    static const char *const names[] = {
        [SLOT_FREE] = "free",       [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
        [SLOT_SERVING] = "serving", [SLOT_DRAINING] = "draining", [SLOT_DEAD] = "dead",
    };
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
