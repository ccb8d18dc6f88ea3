/* lone_zone: a segment that has one zone only, for tests that need nobody else: no slots, no processes (those: zone.h). */
#ifndef TESTS_UNIT_LONE_ZONE_H
#define TESTS_UNIT_LONE_ZONE_H

#include "shared/shm/segment.h"
#include "tests/unit/unit.h"

/* Of the running test. */
static struct arena *arena;
static struct segment segment;

static inline void *lone_zone_open(const struct zone_kind *kind)
{
    const struct zone_kind *const kinds[] = {kind, NULL};
    const struct segment_plan plan = {.slots = 1, .size_at_most = 1 << 20};
    const char *why;
    arena = arena_new(4096);
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);
    return segment_zone(&segment, kind, NULL);
}

static inline int tear_down(void **state)
{
    (void)state;
    segment_destroy(&segment);
    arena_free(&arena);
    return 0;
}

#endif
