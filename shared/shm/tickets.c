/* tickets: the zone. Written by master/ticket_keys.c, read by worker/net/tls_tickets.c. */
#include "shared/shm/tickets.h"

#include <stdalign.h>
#include <string.h>

enum { WORDS = sizeof(struct ticket_keys) / sizeof(uint64_t) };
_Static_assert(sizeof(struct ticket_keys) % sizeof(uint64_t) == 0, "whole words");

struct tickets {
    alignas(64) struct twin twin;
    alignas(64) _Atomic uint64_t words[2 * WORDS];
};

static size_t size(const struct segment_plan *plan)
{
    (void)plan;
    return sizeof(struct tickets);
}

static void init(void *zone, size_t size_, const struct segment_plan *plan)
{
    (void)zone; /* it is all zero */
    (void)size_;
    (void)plan;
}

const struct zone_kind tickets_kind = {
    .name = "tickets",
    .version = 1,
    .size = size,
    .init = init,
};

void tickets_publish(struct tickets *tickets, const struct ticket_keys *keys)
{
    /* Twice: then no retired key stays in the buffer that isn't current. */
    twin_write(&tickets->twin, tickets->words, keys, WORDS);
    twin_write(&tickets->twin, tickets->words, keys, WORDS);
}

bool tickets_changed(const struct tickets *tickets, uint64_t seen)
{
    return twin_changed(&tickets->twin, seen);
}

bool tickets_read(const struct tickets *tickets, struct ticket_keys *keys, uint64_t *seen)
{
    struct ticket_keys copy;
    uint64_t serial;
    bool whole = twin_read(&tickets->twin, tickets->words, &copy, WORDS, &serial) && copy.count > 0 &&
                 copy.count <= TICKET_KEYS;
    if (whole) {
        *keys = copy;
        *seen = serial;
    }
    explicit_bzero(&copy, sizeof copy);
    return whole;
}
