/* logs: a ring of lines a slot; its owner appends, the logger drains.
 *
 * One producer, one consumer, no lock, no system call. Full: the line is dropped and counted. The ring outlives its
 * process: what a crashed worker had written is still drained.
 */
#ifndef SHM_LOGS_H
#define SHM_LOGS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "shared/base/str.h"
#include "shared/shm/segment.h"

enum log_target { LOG_ERROR, LOG_ACCESS, LOG_TARGETS };

enum { LOG_LINE_MAX = 16384 }; /* bytes of a line; logs_append() cuts a longer one */

struct logs; /* the zone */
extern const struct zone_kind logs_kind;

/* Owner. Room for a line of at most `size` bytes: written to directly, then committed with its true length. NULL:
 * full, and it was counted as dropped. The memory is contiguous. */
char *logs_reserve(struct logs *logs, unsigned slot, size_t size);
void logs_commit(struct logs *logs, unsigned slot, enum log_target target, unsigned level, size_t length);

/* Reserve, copy, commit. */
bool logs_append(struct logs *logs, unsigned slot, enum log_target target, unsigned level, struct str line);

/* True when the logger should be woken: there is something, and it said that it sleeps (this takes the flag); or it
 * rests between two drains while the ring is more than half full (once a drain, over all slots). */
bool logs_wants_wake(struct logs *logs, unsigned slot);

/* The slot to wake: that of the logger; before there was one, a slot that doesn't exist. */
unsigned logs_reader(const struct logs *logs);

/* Logger. The oldest line that is not consumed yet; false: none. Valid until logs_consume(). What is found in the
 * ring is bounds-checked: a broken ring is emptied and counted as dropped. */
struct logs_line {
    enum log_target target;
    unsigned level;
    struct str text;
};
bool logs_peek(struct logs *logs, unsigned slot, struct logs_line *line);
void logs_consume(struct logs *logs, unsigned slot);

/* Logger: "I sleep now: wake me" for all slots, or "I am awake". Who says that it sleeps looks at all rings again. */
void logs_sleeping(struct logs *logs, bool sleeping);

/* Logger, at its start: its own slot. */
void logs_set_reader(struct logs *logs, unsigned slot);

/* Lines dropped of a slot, since ever; a broken ring counts as one. */
uint64_t logs_dropped(const struct logs *logs, unsigned slot);

/* Logger: those that were not reported yet, by this logger or one before it; and: now they are. */
uint64_t logs_unreported(const struct logs *logs, unsigned slot);
void logs_reported(struct logs *logs, unsigned slot, uint64_t lines);

#endif
