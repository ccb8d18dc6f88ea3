/* Slots: taken by the master, freed by the logger, read by all. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/shm/shared.h"

enum { SLOTS = 4, ROUNDS = 20000 };

static struct arena *arena;
static struct shared shared;

static int set_up(void **state)
{
    (void)state;
    const char *why;
    struct segment_plan plan = {.slots = SLOTS, .log_ring = 4096, .size_at_most = 1 << 20};
    arena = arena_new(4096);
    return shared_create(&shared, &plan, arena, &why);
}

static int tear_down(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

static void taken_until_there_is_none(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(slots_take(shared.slots, 3, i, 42), i);
    assert_int_equal(slots_take(shared.slots, 3, 9, 42), -1);

    struct slot *slot = &shared.slots->slot[2];
    assert_int_equal(slot->state, SLOT_STARTING);
    assert_int_equal(slot->role, 3);
    assert_int_equal(slot->number, 2);
    assert_int_equal(slot->generation, 42);
    assert_true(clock_wall_ns() - slot->started < 60 * NS_PER_SECOND);
    assert_true(clock_monotonic_ns() - slot->heartbeat < 60 * NS_PER_SECOND);
}

static void a_freed_one_begins_anew(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SLOTS; i++)
        slots_take(shared.slots, 3, i, 42);
    struct slot *slot = &shared.slots->slot[1];
    slot->pid = 77;
    slot->connections = 5;
    slot->requests = 6;
    slot->state = SLOT_DEAD; /* still the logger's */
    assert_int_equal(slots_take(shared.slots, 1, 0, 43), -1);
    slot->state = SLOT_FREE;
    assert_int_equal(slots_take(shared.slots, 1, 0, 43), 1);
    assert_int_equal(slot->pid, 0);
    assert_int_equal(slot->connections, 0);
    assert_int_equal(slot->requests, 0);
    assert_int_equal(slot->generation, 43);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(slot_state_name(SLOT_FREE), "free");
    assert_string_equal(slot_state_name(SLOT_DRAINING), "draining");
    assert_string_equal(slot_state_name(SLOT_DEAD), "dead");
    assert_string_equal(slot_state_name(SLOT_DEAD + 1), "unknown");
    assert_string_equal(slot_state_name(UINT32_MAX), "unknown");
}

/* The logger: drains the ring, then frees the slot. */
static void *free_the_dead(void *context)
{
    (void)context;
    for (unsigned freed = 0; freed < ROUNDS;)
        for (unsigned i = 0; i < SLOTS; i++) {
            uint32_t state = SLOT_DEAD;
            struct logs_line line;
            if (atomic_load_explicit(&shared.slots->slot[i].state, memory_order_acquire) != SLOT_DEAD)
                continue;
            while (logs_peek(shared.logs, i, &line))
                logs_consume(shared.logs, i);
            if (atomic_compare_exchange_strong(&shared.slots->slot[i].state, &state, SLOT_FREE))
                freed++;
        }
    return NULL;
}

static void the_ring_goes_with_the_slot(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_the_dead, NULL), 0);
    for (unsigned done = 0; done < ROUNDS;) {
        int slot = slots_take(shared.slots, 3, 0, done);
        if (slot < 0)
            continue;
        assert_true(logs_append(shared.logs, (unsigned)slot, LOG_ERROR, 0, STR("one\n")));
        assert_true(logs_append(shared.logs, (unsigned)slot, LOG_ERROR, 0, STR("and another line\n")));
        atomic_store_explicit(&shared.slots->slot[slot].state, SLOT_DEAD, memory_order_release);
        done++;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(logs_dropped(shared.logs, i), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(taken_until_there_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_freed_one_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(states_have_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ring_goes_with_the_slot, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
