/* slots: a line of the segment for each process: who it is, how it is, what it holds.
 *
 * The master takes and frees slots; the owner writes the rest. Everybody reads. Readers check what they read.
 */
#ifndef SHM_SLOTS_H
#define SHM_SLOTS_H

#include <stdalign.h>
#include <stdatomic.h>

#include "shared/shm/segment.h"

enum slot_state {
    SLOT_FREE,
    SLOT_STARTING, /* taken, process not READY */
    SLOT_READY,    /* waits for GO */
    SLOT_SERVING,
    SLOT_DRAINING,
    SLOT_DEAD, /* process gone, its log ring not drained yet: the logger frees it */
};

struct slot {
    alignas(64) _Atomic uint32_t state; /* enum slot_state */
    _Atomic uint32_t pid;
    _Atomic uint32_t role;   /* index into the master's table of roles */
    _Atomic uint32_t number; /* worker 0, 1, … */
    _Atomic uint64_t generation;
    _Atomic uint64_t started; /* wall clock, ns */
    _Atomic uint64_t
        heartbeat; /* monotonic, ns: written once a turn of the owner's loop, at most each 100 ms */
    _Atomic uint32_t connections; /* of clients, open now */
    _Atomic uint32_t requests;    /* in progress now */
    _Atomic uint32_t tunnels;     /* of those: that have become tunnels */
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

struct slots {
    uint32_t count;
    uint32_t reserved[SEGMENT_PAGE / sizeof(uint32_t) - 1]; /* the frozen page */
    struct slot slot[];
};

extern const struct zone_kind slots_kind;

/* A free slot becomes STARTING for the caller to fill: its index, or -1 when all are taken. Master only. */
int slots_take(struct slots *slots, uint32_t role, uint32_t number, uint64_t generation);

/* A slot becomes that of a process which doesn't see it: one of an older program. Master only. */
void slots_note(struct slots *slots, unsigned index, uint32_t role, uint32_t number, uint64_t generation,
                uint32_t pid, uint64_t started);

const char *slot_state_name(uint32_t state);

#endif
