/* wake: how one process wakes another: a mailbox a slot, with an eventfd made before any fork.
 *
 * The only cross-process wake-up. A full mailbox becomes one "rescan": nothing is lost, the receiver looks at all
 * that could concern it.
 */
#ifndef SHM_WAKE_H
#define SHM_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "shared/shm/segment.h"

enum wake_reason { WAKE_RESCAN, WAKE_LOGS };

struct wake_letter {
    uint32_t reason; /* enum wake_reason */
    uint32_t index;
    uint64_t serial;
};

struct wake_zone; /* the mailboxes */
extern const struct zone_kind wake_kind;

struct wake {
    struct wake_zone *zone;
    unsigned count;
    int *fds; /* an eventfd a slot, non-blocking, close-on-exec */
};

/* Makes the eventfds. 0, or -1 with errno. Master, before any fork. */
int wake_open(struct wake *wake, struct wake_zone *zone, unsigned slots);
void wake_close(struct wake *wake);

/* With eventfds that are there already: of another program's processes, whose zone this is. As wake_open(). */
int wake_adopt(struct wake *wake, struct wake_zone *zone, const int *fds, unsigned slots);

/* Any process, any time; never blocks. An unknown slot is ignored. */
void slot_wake(struct wake *wake, unsigned slot, enum wake_reason reason, uint32_t index, uint64_t serial);

/* Owner: the next letter of one's own mailbox; false: none. Reading the eventfd is the owner's: first that, then all
 * letters, until false; only then the next letter writes the eventfd again. */
bool wake_next(struct wake *wake, unsigned slot, struct wake_letter *letter);

#endif
