/* logs: the rings. One producer and one consumer each; positions run freely, on cache lines of their own.
 *
 * A record is a header of 8 bytes, the line, and padding to 8 bytes; it never wraps: where the room to the end of the
 * ring is too little, a skip record fills it. The consumer trusts nothing in the ring: the producer may have died
 * anywhere, or have written over it. It reads a header once, checks that copy, and stays within the ring whatever the
 * positions are.
 */
#include "shared/shm/logs.h"

#include <assert.h>
#include <stdalign.h>

#include "shared/base/log.h"

struct log_record {
    uint32_t length; /* bytes of the line */
    uint8_t target;  /* enum log_target */
    uint8_t level;   /* enum log_level */
    uint16_t kind;
};
_Static_assert(sizeof(struct log_record) == 8, "records are aligned to their header");

enum { RECORD_LINE = 0x6c47, RECORD_SKIP = 0x735a, RING_AT_LEAST = 4096 };

struct log_ring {
    alignas(64) _Atomic uint64_t head; /* the producer's: where the next record begins */
    _Atomic uint64_t dropped;          /* lines that found no room */
    uint64_t reserved_at;              /* position of the record that is being written … */
    uint64_t reserved_size;            /* … and room for its line */
    uint64_t tail_seen;                /* tail as last read: spares the consumer's cache line */
    alignas(64) _Atomic uint64_t tail; /* the consumer's: the oldest record */
    _Atomic uint64_t broken;           /* how often the ring was found broken and emptied */
    uint64_t peeked;                   /* bytes of the record at tail */
    uint64_t reported;                 /* of dropped and broken */
    alignas(64) char data[];
};

/* What processes tell each other about the logger. */
struct log_reader {
    alignas(64) _Atomic uint32_t slot;
    alignas(64) _Atomic uint32_t sleeping;
    _Atomic uint32_t
        pressed; /* a ring was more than half full since the last drain, and the logger was woken */
};

struct logs {
    uint32_t slots;
    uint32_t reserved;
    uint64_t ring;   /* bytes of a ring; a power of two */
    uint64_t stride; /* from one slot's ring to the next */
    alignas(SEGMENT_PAGE) struct log_reader reader;
    char rings[];
};
_Static_assert(offsetof(struct logs, reader) == SEGMENT_PAGE, "the sizes have the frozen page to themselves");
_Static_assert(offsetof(struct logs, rings) % 64 == 0, "rings begin on a cache line");
_Static_assert(sizeof(struct log_ring) == 128, "the ring's layout is part of the zone's version");

static uint64_t stride_of(const struct segment_plan *plan)
{
    return sizeof(struct log_ring) + plan->log_ring;
}

static size_t logs_size(const struct segment_plan *plan)
{
    size_t size;
    assert(plan->log_ring >= RING_AT_LEAST && (plan->log_ring & (plan->log_ring - 1)) == 0);
    if (__builtin_mul_overflow(stride_of(plan), plan->slots, &size) ||
        __builtin_add_overflow(size, sizeof(struct logs), &size))
        return SIZE_MAX;
    return size;
}

static void logs_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)size;
    struct logs *logs = zone;
    logs->slots = plan->slots;
    logs->ring = plan->log_ring;
    logs->stride = stride_of(plan);
    atomic_store(&logs->reader.slot, UINT32_MAX);
}

const struct zone_kind logs_kind = {
    .name = "logs",
    .version = 1,
    .size = logs_size,
    .init = logs_init,
    .frozen = true,
};

static struct log_ring *ring_of(const struct logs *logs, unsigned slot)
{
    assert(slot < logs->slots);
    return (struct log_ring *)(logs->rings + slot * logs->stride);
}

static uint64_t align8(uint64_t size)
{
    return (size + 7) & ~(uint64_t)7;
}

static void record_write(struct log_ring *ring, uint64_t offset, struct log_record record)
{
    memcpy(ring->data + offset, &record, sizeof(record));
}

char *logs_reserve(struct logs *logs, unsigned slot, size_t size)
{
    struct log_ring *ring = ring_of(logs, slot);
    uint64_t head = align8(atomic_load_explicit(&ring->head, memory_order_relaxed));
    uint64_t offset = head & (logs->ring - 1), room = logs->ring - offset;
    uint64_t need = sizeof(struct log_record) + align8(size <= LOG_LINE_MAX ? size : logs->ring);
    uint64_t skip = need > room ? room : 0;
    /* A tail that no consumer wrote makes the ring look full; never larger than it is. */
    if (head - ring->tail_seen > logs->ring || logs->ring - (head - ring->tail_seen) < skip + need) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        uint64_t used = head - ring->tail_seen;
        if (used > logs->ring || logs->ring - used < skip + need) {
            atomic_store_explicit(&ring->dropped,
                                  atomic_load_explicit(&ring->dropped, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
            return NULL;
        }
    }
    if (skip) {
        record_write(ring, offset, (struct log_record){.length = 0, .kind = RECORD_SKIP});
        offset = 0;
    }
    ring->reserved_at = head + skip;
    ring->reserved_size = size;
    return ring->data + offset + sizeof(struct log_record);
}

void logs_commit(struct logs *logs, unsigned slot, enum log_target target, unsigned level, size_t length)
{
    struct log_ring *ring = ring_of(logs, slot);
    assert(length <= ring->reserved_size && target < LOG_TARGETS && level <= LEVEL_DEBUG);
    record_write(ring, ring->reserved_at & (logs->ring - 1),
                 (struct log_record){(uint32_t)length, (uint8_t)target, (uint8_t)level, RECORD_LINE});
    atomic_store_explicit(&ring->head, ring->reserved_at + sizeof(struct log_record) + align8(length),
                          memory_order_release);
}

bool logs_append(struct logs *logs, unsigned slot, enum log_target target, unsigned level, struct str line)
{
    if (line.length > LOG_LINE_MAX)
        line.length = LOG_LINE_MAX;
    char *room = logs_reserve(logs, slot, line.length);
    if (!room)
        return false;
    memcpy(room, line.data, line.length);
    logs_commit(logs, slot, target, level, line.length);
    return true;
}

bool logs_wants_wake(struct logs *logs, unsigned slot)
{
    struct log_ring *ring = ring_of(logs, slot);
    /* Read and written, on one's own cache line: so the commit comes before the look at `sleeping`, as the logger says
     * that it sleeps before it looks at the rings. One of the two sees the other. */
    uint64_t head = atomic_fetch_or(&ring->head, 0);
    uint64_t used = head - atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (used == 0)
        return false;
    if (atomic_load(&logs->reader.sleeping) && atomic_exchange(&logs->reader.sleeping, 0))
        return true;
    return used > logs->ring / 2 && !atomic_load(&logs->reader.pressed) &&
           !atomic_exchange(&logs->reader.pressed, 1);
}

unsigned logs_reader(const struct logs *logs)
{
    return atomic_load_explicit(&logs->reader.slot, memory_order_relaxed);
}

void logs_set_reader(struct logs *logs, unsigned slot)
{
    atomic_store_explicit(&logs->reader.slot, slot, memory_order_relaxed);
}

void logs_sleeping(struct logs *logs, bool sleeping)
{
    atomic_store(&logs->reader.pressed, 0);
    atomic_exchange(&logs->reader.sleeping, sleeping);
}

/* Empties it: all up to `head` is given up. */
static bool ring_broken(struct log_ring *ring, uint64_t head)
{
    atomic_store_explicit(&ring->broken, atomic_load_explicit(&ring->broken, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&ring->tail, head, memory_order_release);
    return false;
}

bool logs_peek(struct logs *logs, unsigned slot, struct logs_line *line)
{
    struct log_ring *ring = ring_of(logs, slot);
    uint64_t head = align8(atomic_load(&ring->head));
    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        uint64_t used = head - tail;
        if (used == 0)
            return false;
        if (used > logs->ring || (tail & 7))
            return ring_broken(ring, head);
        /* From here on at least 8 bytes are in the ring at `offset`, and `limit` bytes may be read. */
        uint64_t offset = tail & (logs->ring - 1), room = logs->ring - offset;
        uint64_t limit = used < room ? used : room;
        struct log_record record;
        memcpy(&record, ring->data + offset, sizeof(record));
        if (record.kind == RECORD_SKIP && used >= room) {
            atomic_store_explicit(&ring->tail, tail + room, memory_order_release);
            continue;
        }
        if (record.kind != RECORD_LINE || record.target >= LOG_TARGETS || record.level > LEVEL_DEBUG ||
            record.length > LOG_LINE_MAX || sizeof(record) + align8(record.length) > limit)
            return ring_broken(ring, head);
        ring->peeked = sizeof(record) + align8(record.length);
        *line = (struct logs_line){
            record.target, record.level, {ring->data + offset + sizeof(record), record.length}};
        return true;
    }
}

void logs_consume(struct logs *logs, unsigned slot)
{
    struct log_ring *ring = ring_of(logs, slot);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + ring->peeked, memory_order_release);
}

uint64_t logs_dropped(const struct logs *logs, unsigned slot)
{
    const struct log_ring *ring = ring_of(logs, slot);
    return atomic_load_explicit(&ring->dropped, memory_order_relaxed) +
           atomic_load_explicit(&ring->broken, memory_order_relaxed);
}

uint64_t logs_unreported(const struct logs *logs, unsigned slot)
{
    return logs_dropped(logs, slot) - ring_of(logs, slot)->reported;
}

void logs_reported(struct logs *logs, unsigned slot, uint64_t lines)
{
    ring_of(logs, slot)->reported += lines;
}
