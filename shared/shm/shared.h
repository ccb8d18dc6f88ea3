/* shared: a process's view of the segment, all zones looked up once. */
#ifndef SHM_SHARED_H
#define SHM_SHARED_H

#include "shared/shm/cells.h"
#include "shared/shm/concurrency.h"
#include "shared/shm/keys.h"
#include "shared/shm/logs.h"
#include "shared/shm/overrides.h"
#include "shared/shm/pairs.h"
#include "shared/shm/segment.h"
#include "shared/shm/slots.h"
#include "shared/shm/staples.h"
#include "shared/shm/stats.h"
#include "shared/shm/tickets.h"
#include "shared/shm/tokens.h"
#include "shared/shm/wake.h"

struct snapshot;

struct shared {
    struct segment segment;
    struct slots *slots;
    struct logs *logs;
    struct stats *stats;
    struct wake wake;
    struct cells *upstreams, *endpoints, *names, *staples, *keys;
    struct pairs *limits, *quotas;
    struct concurrency *concurrency;
    struct overrides *overrides;
    struct tickets *tickets;
    struct tokens *tokens;
};

/* The segment with all its zones and the eventfds. 0, or -1 and `*why` in `arena`. Master, once. */
int shared_create(struct shared *shared, const struct segment_plan *plan, struct arena *arena,
                  const char **why);
void shared_destroy(struct shared *shared);

/* As segment_measure(), snapshot_write() and snapshot_load(), of all zones. */
uint64_t shared_measure(const struct segment_plan *plan,
                        void (*tell)(void *context, const char *name, uint64_t size), void *context);
int shared_save(const struct shared *shared, const char *path);
void shared_load(struct shared *shared, const struct snapshot *snapshot, struct arena *arena,
                 const char **cold);

/* Tells each zone's name, size, and how full it is (NULL: that can't be said). */
void shared_zones(const struct shared *shared,
                  void (*tell)(void *context, const char *name, uint64_t size, const struct zone_use *use),
                  void *context);

/* The process of that slot is dead: what it held is let go. Master. */
void shared_release(struct shared *shared, unsigned slot);
/* What a master of another program left to this one. */
struct shared_found {
    const int *segments; /* memfds, the newest first */
    unsigned segment_count;
    const int *wake; /* the eventfds, one a slot */
    unsigned wake_count;
};

/* What of it isn't as this program makes it, and starts cold. */
struct shared_change {
    const char *text; /* "stats (its version is 3, was 2)", in the arena; NULL: nothing */
    bool processes;   /* also slots, mailboxes and log rings: older processes use their own */
};

/* Takes over the segments and, but for change->processes, the eventfds: zones that fit are used as they are, for the
 * others a further segment is made. `trial`: that is left out, and all is found out but whether there is memory for it.
 * plan->slots is that of what was found. 0, or -1 and `*why`; the segments' descriptors are owned either way. */
int shared_adopt(struct shared *shared, const struct shared_found *found, const struct segment_plan *plan,
                 bool trial, struct shared_change *change, struct arena *arena, const char **why);

/* Sends this process's log_*() lines to its ring. */
struct shared_log {
    struct shared *shared;
    unsigned slot;
};
void shared_log_start(struct shared_log *log);

/* Wakes the logger if it wants to be: by who has written to the ring himself, once a turn. */
void shared_log_flush(struct shared *shared, unsigned slot);

#endif
