/* segment: the memory that all processes share, one memfd with a directory of named zones.
 *
 * Made by the master before any fork; every child has it mapped at the same place by inheritance, but no pointer is
 * ever stored in it: offsets and indexes only. A newer program that takes over maps what it finds, and adds a second
 * segment for the zones that it wants otherwise: it goes before the first, whose zones of the same names it hides.
 */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/error.h"

enum { SEGMENT_ZONES = 32, SEGMENT_NAME = 24, SEGMENT_PAGE = 4096 };

/* What the sizes of the zones follow from. */
struct segment_plan {
    unsigned slots;       /* processes at most, the dead that are not drained yet included */
    size_t log_ring;      /* bytes of a slot's log ring; a power of two */
    size_t size_at_most;  /* state.size */
    unsigned upstreams;   /* cells of that zone: state.upstreams */
    unsigned endpoints;   /* state.endpoints */
    size_t limits;        /* bytes of that zone: state.limits */
    size_t quotas;        /* state.quotas */
    size_t concurrency;   /* state.concurrency */
    size_t tokens;        /* state.tokens */
    unsigned names;       /* state.names */
    unsigned staples;     /* state.staples */
    unsigned keys;        /* state.key_sets */
    const uint64_t *seed; /* two words: of a snapshot; NULL: random */
};

/* For what is loaded from a snapshot. */
struct zone_time {
    int64_t shift_ns;               /* to be added to the monotonic times in it */
    uint64_t monotonic_ns, wall_ns; /* now */
};

/* How full a zone is, in what it is for. */
struct zone_use {
    uint64_t used, room;
    const char *of; /* "keys" … */
};

struct zone_kind {
    const char *name;
    uint32_t version; /* raised when the layout changes */
    size_t (*size)(const struct segment_plan *plan);
    void (*init)(void *zone, size_t size, const struct segment_plan *plan);
    /* A process is dead: what it held is let go. Master; it takes no lock. NULL: a process holds nothing in it. */
    void (*release)(void *zone, unsigned slot);
    /* For snapshots (snapshot.h); NULL: the zone is not saved. Processes go on writing to the zone meanwhile: words are
     * read one by one. `out` has room for `size` bytes, the zone's own size; returns how many were written. */
    size_t (*save)(const void *zone, void *out, size_t size);
    /* Into a zone that is fresh. `data` is whole, and aligned to eight bytes; what it says is checked. False: it makes no
     * sense, and the zone is cold. */
    bool (*load)(void *zone, const void *data, size_t size, const struct zone_time *time);
    struct zone_use (*use)(const void *zone); /* for the status; NULL: it isn't of a kind that can be full */
    bool frozen; /* its first page holds what never changes: see segment_freeze() */
};

struct segment {
    int fd;
    char *base;
    size_t size;
    struct segment *older; /* of an earlier program: the zones that this one doesn't have. NULL: none */
};

/* Reserves all of it (no sparse page). 0, or -1 and `*why` in words, in `arena`. `kinds` is ended by NULL. */
int segment_create(struct segment *segment, const struct zone_kind *const *kinds,
                   const struct segment_plan *plan, struct arena *arena, const char **why);

/* A size as a user writes it, rounded up: "12K", "300M". */
struct segment_size_text {
    char text[32];
};
struct segment_size_text segment_size_text(uint64_t size);

/* Tells the zones' names and sizes, and returns the sum of all: nothing is made. 0: beyond all memory. */
uint64_t segment_measure(const struct zone_kind *const *kinds, const struct segment_plan *plan,
                         void (*tell)(void *context, const char *name, uint64_t size), void *context);
/* Maps one that another program made, from its memfd, which it owns from here on, also on failure. 0, or -1 and `*why`. Its
 * header, its directory and its bounds are checked; a zone is looked at when it is asked for. `older` becomes a part
 * of it. */
int segment_open(struct segment *segment, int fd, struct segment *older, struct arena *arena,
                 const char **why);

/* How the zone of that name is to what this program would make. */
enum segment_fit {
    SEGMENT_FITS,
    SEGMENT_OTHER_LAYOUT, /* of another version, or there is none */
    SEGMENT_OTHER_SIZE,   /* of this version: by other settings */
};

/* `*how`: what is different, in words, in `arena`. */
enum segment_fit segment_fit(const struct segment *segment, const struct zone_kind *kind,
                             const struct segment_plan *plan, struct arena *arena, const char **how);

/* Puts a new segment with these zones before the present one; what was taken from that is as it was. As
 * segment_create(). */
int segment_extend(struct segment *segment, const struct zone_kind *const *kinds,
                   const struct segment_plan *plan, struct arena *arena, const char **why);

/* The memory of zones that newer ones hide is given back: nobody uses them any more. A segment without any other zone is
 * unmapped here; processes that were forked before keep their mapping of it. */
void segment_trim(struct segment *segment);

/* Of a zone that was found, not made: its first page can only be read from now on. */
void segment_refreeze(const struct segment *segment, const struct zone_kind *kind);

/* The zone, or NULL if there is none of that name and version. `size` may be NULL. */
void *segment_zone(const struct segment *segment, const struct zone_kind *kind, size_t *size);

/* The key of hash_keyed() that all processes share: two words. */
const uint64_t *segment_seed(const struct segment *segment);

/* The first page of a zone that says so holds what never changes (counts, sizes), and can only be read once it is made, so
 * that a process gone wild can't lead the others out of bounds. */
void segment_freeze(void *page);

void segment_destroy(struct segment *segment);

#endif
