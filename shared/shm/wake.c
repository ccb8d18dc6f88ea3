/* wake: mailboxes with many writers and one reader, no lock.
 *
 * A mailbox is a ring of cells with sequence numbers (after D. Vyukov's bounded queue). A cell whose sequence is its
 * position is free for that position; position + 1: a letter is in it; position + WAKE_CELLS: free for the next lap.
 * Any process may be killed at any point of it:
 *
 * - A writer claims a position, then fills the cell. If it dies in between (or is merely slow), the reader gives the
 *   cell to the next lap and takes a rescan for the letter; a slow writer finds that its cell was taken, and asks for
 *   a rescan itself. Every word of a cell carries its position, so that what two writers mixed is seen as no letter.
 * - The eventfd is written once in each `epoch`, which the reader moves on as it finds the mailbox empty. The writer
 *   notes `signalled` after the write: one that dies in between leaves only a needless second write to the next.
 */
#include "shared/shm/wake.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAKE_CELLS = 64, WAKE_TRIES = 1000, WAKE_SPINS = 200 };

/* tag: the low bits of the position. word[0]: tag 24, reason 8, index 32; word[1]: tag 32, low half of serial;
 * word[2]: tag 32, high half of serial. */
struct wake_cell {
    _Atomic uint64_t sequence;
    _Atomic uint64_t word[3];
};

struct wake_mailbox {
    alignas(64) _Atomic uint64_t tail;      /* the next position to claim: the writers' */
    alignas(64) _Atomic uint64_t head;      /* the next to read: the reader's */
    _Atomic uint64_t epoch;                 /* the reader's */
    alignas(64) _Atomic uint64_t signalled; /* the last epoch in which the eventfd was written */
    _Atomic uint32_t rescan;
    alignas(64) struct wake_cell cell[WAKE_CELLS];
};

/* As many as there are slots; struct wake knows their number. */
struct wake_zone {
    struct wake_mailbox first;
};

static struct wake_mailbox *mailbox_of(struct wake_zone *zone, unsigned slot)
{
    return &zone->first + slot;
}

_Static_assert(sizeof(struct wake_cell) == 32, "the mailbox's layout is part of the zone's version");
_Static_assert(sizeof(struct wake_mailbox) == 3 * 64 + WAKE_CELLS * 32, "the mailbox's layout, likewise");
_Static_assert((WAKE_CELLS & (WAKE_CELLS - 1)) == 0, "positions wrap at a power of two");

static size_t wake_size(const struct segment_plan *plan)
{
    return plan->slots * sizeof(struct wake_mailbox);
}

/* Every cell free for the lap that begins at `position`. */
static void mailbox_reset(struct wake_mailbox *mailbox, uint64_t position)
{
    for (unsigned i = 0; i < WAKE_CELLS; i++)
        atomic_store(&mailbox->cell[(position + i) % WAKE_CELLS].sequence, position + i);
    atomic_store(&mailbox->tail, position);
    atomic_store(&mailbox->head, position);
}

static void wake_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)size;
    for (unsigned i = 0; i < plan->slots; i++) {
        struct wake_mailbox *mailbox = mailbox_of(zone, i);
        mailbox_reset(mailbox, 0);
        atomic_store(&mailbox->epoch, 1); /* not `signalled`: the first letter writes */
    }
}

const struct zone_kind wake_kind = {
    .name = "wake",
    .version = 1,
    .size = wake_size,
    .init = wake_init,
};

int wake_open(struct wake *wake, struct wake_zone *zone, unsigned slots)
{
    *wake = (struct wake){.zone = zone, .fds = calloc(slots ? slots : 1, sizeof(int))};
    if (!wake->fds) {
        errno = ENOMEM;
        return -1;
    }
    for (; wake->count < slots; wake->count++) {
        wake->fds[wake->count] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (wake->fds[wake->count] < 0) {
            int error = errno;
            wake_close(wake);
            errno = error;
            return -1;
        }
    }
    return 0;
}

int wake_adopt(struct wake *wake, struct wake_zone *zone, const int *fds, unsigned slots)
{
    *wake = (struct wake){.zone = zone, .count = slots, .fds = calloc(slots ? slots : 1, sizeof(int))};
    if (!wake->fds) {
        *wake = (struct wake){0};
        errno = ENOMEM;
        return -1;
    }
    memcpy(wake->fds, fds, slots * sizeof(int));
    return 0;
}

void wake_close(struct wake *wake)
{
    for (unsigned i = 0; i < wake->count; i++)
        close(wake->fds[i]);
    free(wake->fds);
    *wake = (struct wake){0};
}

static void cell_write(struct wake_cell *cell, uint64_t position, uint32_t reason, uint32_t index,
                       uint64_t serial)
{
    uint64_t tag = position << 32;
    atomic_store_explicit(&cell->word[0], position << 40 | (uint64_t)(reason & 0xff) << 32 | index,
                          memory_order_relaxed);
    atomic_store_explicit(&cell->word[1], tag | (serial & 0xffffffff), memory_order_relaxed);
    atomic_store_explicit(&cell->word[2], tag | serial >> 32, memory_order_relaxed);
}

/* False: it is not the letter of that position, or not wholly. */
static bool cell_read(const struct wake_cell *cell, uint64_t position, struct wake_letter *letter)
{
    uint64_t word[3];
    for (unsigned i = 0; i < 3; i++)
        word[i] = atomic_load_explicit(&cell->word[i], memory_order_relaxed);
    if (word[0] >> 40 != (position & 0xffffff) || word[1] >> 32 != (position & 0xffffffff) ||
        word[2] >> 32 != (position & 0xffffffff))
        return false;
    letter->reason = word[0] >> 32 & 0xff;
    letter->index = (uint32_t)word[0];
    letter->serial = (word[1] & 0xffffffff) | word[2] << 32;
    return true;
}

/* False: it is full, or in a state that no writer makes. */
static bool mailbox_put(struct wake_mailbox *mailbox, uint32_t reason, uint32_t index, uint64_t serial)
{
    uint64_t position = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
    for (unsigned i = 0; i < WAKE_TRIES; i++) {
        struct wake_cell *cell = &mailbox->cell[position % WAKE_CELLS];
        uint64_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
        if (sequence == position) {
            if (!atomic_compare_exchange_weak(&mailbox->tail, &position, position + 1))
                continue;
            cell_write(cell, position, reason, index, serial);
            return atomic_compare_exchange_strong(&cell->sequence, &sequence, position + 1);
        }
        if ((int64_t)(sequence - position) < 0)
            return false;
        position = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
    }
    return false;
}

void slot_wake(struct wake *wake, unsigned slot, enum wake_reason reason, uint32_t index, uint64_t serial)
{
    if (slot >= wake->count)
        return;
    struct wake_mailbox *mailbox = mailbox_of(wake->zone, slot);
    if (reason == WAKE_RESCAN || !mailbox_put(mailbox, reason, index, serial))
        atomic_store(&mailbox->rescan, 1);
    /* Sequentially consistent: the letter, then the epoch; and the reader: the epoch, then its second look. One of the
     * two sees the other. */
    uint64_t epoch = atomic_load(&mailbox->epoch);
    if (atomic_load(&mailbox->signalled) == epoch)
        return;
    uint64_t one = 1;
    ssize_t rc = write(wake->fds[slot], &one, sizeof(one));
    assert(rc == sizeof(one) || errno == EAGAIN); /* EAGAIN: 2^64 wake-ups are not read yet */
    (void)rc;
    atomic_store(&mailbox->signalled, epoch);
}

static struct wake_letter rescan_letter(void)
{
    return (struct wake_letter){.reason = WAKE_RESCAN};
}

/* The letter at the head, or a rescan in place of one that can't be read; false: none. */
static bool mailbox_get(struct wake_mailbox *mailbox, struct wake_letter *letter)
{
    if (atomic_load(&mailbox->rescan) && atomic_exchange(&mailbox->rescan, 0)) {
        *letter = rescan_letter();
        return true;
    }
    uint64_t head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
    uint64_t tail = atomic_load(&mailbox->tail);
    if (head == tail)
        return false;
    struct wake_cell *cell = &mailbox->cell[head % WAKE_CELLS];
    uint64_t sequence = atomic_load(&cell->sequence);
    for (unsigned i = 0; sequence == head && i < WAKE_SPINS; i++)
        sequence = atomic_load(&cell->sequence);
    bool abandoned =
        sequence == head && atomic_compare_exchange_strong(&cell->sequence, &sequence, head + WAKE_CELLS);
    if (abandoned) {
        *letter = rescan_letter();
    } else if (tail - head > WAKE_CELLS || sequence != head + 1) {
        *letter = rescan_letter();
        mailbox_reset(mailbox, tail); /* memory that a broken process wrote over */
        return true;
    } else {
        if (!cell_read(cell, head, letter))
            *letter = rescan_letter();
        atomic_store_explicit(&cell->sequence, head + WAKE_CELLS, memory_order_release);
    }
    atomic_store_explicit(&mailbox->head, head + 1, memory_order_relaxed);
    return true;
}

bool wake_next(struct wake *wake, unsigned slot, struct wake_letter *letter)
{
    assert(slot < wake->count);
    struct wake_mailbox *mailbox = mailbox_of(wake->zone, slot);
    if (mailbox_get(mailbox, letter))
        return true;
    atomic_store(&mailbox->epoch, atomic_load_explicit(&mailbox->epoch, memory_order_relaxed) + 1);
    return mailbox_get(mailbox, letter);
}
