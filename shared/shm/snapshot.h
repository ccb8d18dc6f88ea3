/* snapshot: what outlives the program, in a file (state.file): the cells of zones that can be saved, each with its
 * checksum, and the clocks of the moment.
 *
 * The file is trusted as far as its checksums go; what a zone loads it checks all the same. One that can't be used is
 * kept aside, as FILE.bad, and the zones start cold.
 *
 * The format (numbers as the machine has them; a file of another kind of machine is refused):
 *   header  magic, format, zones, boot id, monotonic and wall clock, the segment's hash seed, the header's checksum
 *   a zone  name, version, bytes, checksum; then the bytes, up to a multiple of eight
 */
#ifndef SHM_SNAPSHOT_H
#define SHM_SNAPSHOT_H

#include <stdbool.h>

#include "shared/shm/segment.h"

struct snapshot; /* one that was read */

/* Writes it beside `path`, makes sure that it is on the disk, and puts it in the place of the one before: a reader finds
 * the old or the new one, whole. Blocks. 0, or -1 with errno. */
int snapshot_write(const char *path, const struct segment *segment, const struct zone_kind *const *kinds);

/* NULL and `*why` NULL: there is none; NULL and `*why` (in `arena`): it can't be used, and why. */
struct snapshot *snapshot_read(const char *path, struct arena *arena, const char **why);
void snapshot_free(struct snapshot **snapshot);

/* The key of hash_keyed() that the saved keys were hashed with: two words. */
const uint64_t *snapshot_seed(const struct snapshot *snapshot);

/* Age by the wall clock, seconds; 0 when it lies in the future. */
uint64_t snapshot_age(const struct snapshot *snapshot);

/* Gives each zone what was saved of it. The names of zones that start cold, as the snapshot has another version of them or
 * they are torn, go to `*cold` (in `arena`), separated by ", "; NULL: none. */
void snapshot_load(const struct snapshot *snapshot, const struct segment *segment,
                   const struct zone_kind *const *kinds, struct arena *arena, const char **cold);

/* Moves one that can't be used out of the way, to `path`.bad. 0, or -1 with errno. */
int snapshot_set_aside(const char *path);

/* The clocks of this moment and this boot. */
struct snapshot_clock {
    uint64_t boot; /* which one; 0: unknown */
    uint64_t monotonic_ns, wall_ns;
};
void snapshot_clock_read(struct snapshot_clock *clock);

/* What is to be added to a monotonic time that was saved at `then`, so that it means the same at `now`. The wall clock
 * says how long the machine was off; one that went back counts as no time. Pure. */
int64_t snapshot_shift(const struct snapshot_clock *then, const struct snapshot_clock *now);

#endif
