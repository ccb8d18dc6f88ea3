/* What is in flight: the cap holds over all processes, and what the dead held is let go, at whatever step they died. */
static void zone_step(const char *name);
#define CONCURRENCY_STEP(name) zone_step(name)
#include "shared/shm/concurrency.c"
#include "tests/unit/zone.h"

static int open_it(void **state)
{
    (void)state;
    zone_open(3 * SEGMENT_PAGE);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    zone_close();
    return 0;
}

static uint64_t key_number(uint64_t number)
{
    return concurrency_key(shared.concurrency, &number, sizeof number);
}

static struct concurrency_outcome enter_it(const struct lock_caller *caller, uint64_t key, uint64_t most)
{
    return concurrency_enter(shared.concurrency, caller, key, most);
}

static uint64_t in_flight(uint64_t key)
{
    struct lock_caller caller = {shared.slots, ZONE_SLOTS - 1, 1};
    struct concurrency_outcome outcome = enter_it(&caller, key, 0);
    assert_int_equal(outcome.verdict, COUNT_REFUSED);
    return outcome.in_flight;
}

static void the_sum_is_compared(void **state)
{
    (void)state;
    struct lock_caller one = zone_caller(), other = zone_caller();
    uint64_t key = key_number(1);
    struct concurrency_outcome first = enter_it(&one, key, 3), second = enter_it(&other, key, 3),
                               third = enter_it(&one, key, 3);
    assert_int_equal(first.verdict, COUNT_ADMITTED);
    assert_int_equal(first.in_flight, 1);
    assert_int_equal(second.in_flight, 2);
    assert_int_equal(third.in_flight, 3);
    assert_int_equal(enter_it(&other, key, 3).verdict, COUNT_REFUSED);
    assert_int_equal(enter_it(&one, key_number(2), 3).verdict, COUNT_ADMITTED);
    concurrency_leave(shared.concurrency, &one, first.cell);
    assert_int_equal(enter_it(&other, key, 3).verdict, COUNT_ADMITTED);
    assert_int_equal(enter_it(&one, key, 3).verdict, COUNT_REFUSED);
    assert_int_equal(enter_it(&one, key, 4).verdict, COUNT_ADMITTED); /* the cap was raised */
}

/* A bucket has eight cells; one that nobody holds goes to the next key. */
static void cells_go_to_who_needs_them(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t keys[OF_BUCKET + 1], bucket = 0;
    uint32_t cells[OF_BUCKET];
    for (uint64_t i = 0, found = 0; found < OF_BUCKET + 1; i++) {
        uint64_t key = key_number(i), of = (key >> 32) * shared.concurrency->buckets >> 32;
        if (i == 0)
            bucket = of;
        if (of == bucket)
            keys[found++] = key;
    }
    for (unsigned i = 0; i < OF_BUCKET; i++) {
        struct concurrency_outcome outcome = enter_it(&caller, keys[i], 1);
        assert_int_equal(outcome.verdict, COUNT_ADMITTED);
        cells[i] = outcome.cell;
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(cells[j], cells[i]);
    }
    assert_int_equal(enter_it(&caller, keys[OF_BUCKET], 1).verdict, COUNT_FULL);
    concurrency_leave(shared.concurrency, &caller, cells[3]);
    struct concurrency_outcome outcome = enter_it(&caller, keys[OF_BUCKET], 1);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_int_equal(outcome.cell, cells[3]);
    assert_int_equal(enter_it(&caller, keys[3], 1).verdict, COUNT_FULL);
    assert_int_equal(enter_it(&caller, keys[4], 1).verdict, COUNT_REFUSED);
}

static void a_process_counts_to_its_end(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t key = key_number(1);
    for (unsigned i = 0; i < UINT16_MAX; i++)
        assert_int_equal(enter_it(&caller, key, UINT64_MAX).verdict, COUNT_ADMITTED);
    assert_int_equal(enter_it(&caller, key, UINT64_MAX).verdict, COUNT_REFUSED);
    assert_int_equal(in_flight(key), UINT16_MAX);
}

static void enter_in_child(const struct lock_caller *caller, void *context)
{
    enter_it(caller, *(uint64_t *)context, 5);
}

static void a_death_leaves_nothing_held(void **state)
{
    (void)state;
    static const char *const steps[] = {"locked", "cell found", "room found", "entered", "dropped"};
    struct lock_caller living = zone_caller();
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint64_t key = key_number(i);
        struct lock_caller dead;
        stop_at = steps[i];
        pid_t pid = zone_fork(&dead, enter_in_child, &key);
        stop_at = NULL;
        zone_await_step(pid);
        if (i < 4) /* the lock is his while he lives */
            assert_int_equal(enter_it(&living, key, 5).verdict, COUNT_BUSY);
        zone_kill(pid);
        zone_bury(&dead);
        struct concurrency_outcome outcome = enter_it(&living, key, 5);
        assert_int_equal(outcome.verdict, COUNT_ADMITTED);
        assert_int_equal(outcome.in_flight, 1);
        atomic_store(&shared.slots->slot[dead.slot].state, SLOT_FREE);
    }
}

static void release_takes_what_is_the_dead_s_only(void **state)
{
    (void)state;
    struct lock_caller living = zone_caller(), dead = zone_caller();
    uint64_t key = key_number(1);
    for (unsigned i = 0; i < 3; i++) {
        enter_it(&living, key, 100);
        enter_it(&dead, key, 100);
        enter_it(&dead, key_number(2 + i), 100);
    }
    assert_int_equal(in_flight(key), 6);
    zone_bury(&dead);
    assert_int_equal(in_flight(key), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(in_flight(key_number(2 + i)), 0);
    concurrency_kind.release(shared.concurrency, UINT32_MAX); /* no such slot */
    assert_int_equal(in_flight(key), 3);
}

/* --- contention --- */

enum { PROCESSES = 4, ROUNDS = 20000, MOST = 3 };

static void come_and_go(const struct lock_caller *caller, void *context)
{
    uint64_t key = *(uint64_t *)context, refused = 0;
    while (!atomic_load(&board->go))
        sched_yield();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct concurrency_outcome outcome = enter_it(caller, key, MOST);
        if (outcome.verdict == COUNT_REFUSED)
            refused++;
        if (outcome.verdict != COUNT_ADMITTED)
            continue;
        /* `first` counts those inside, apart from what is tested. */
        if (atomic_fetch_add(&board->first[0], 1) + 1 > MOST)
            _exit(1);
        if (i % 16 == 0)
            sched_yield();
        atomic_fetch_sub(&board->first[0], 1);
        concurrency_leave(shared.concurrency, caller, outcome.cell);
    }
    _exit(0);
}

static void never_more_than_the_cap(void **state)
{
    (void)state;
    pid_t pids[PROCESSES + 1];
    struct lock_caller callers[PROCESSES + 1];
    uint64_t key = key_number(1);
    for (unsigned i = 0; i < PROCESSES + 1; i++)
        pids[i] = zone_fork(&callers[i], come_and_go, &key);
    atomic_store(&board->go, 1);
    for (unsigned i = 0; i < PROCESSES + 1; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(in_flight(key), 0);
}

#define CAP_TEST(test) cmocka_unit_test_setup_teardown(test, open_it, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAP_TEST(the_sum_is_compared),
        CAP_TEST(cells_go_to_who_needs_them),
        CAP_TEST(a_process_counts_to_its_end),
        CAP_TEST(a_death_leaves_nothing_held),
        CAP_TEST(release_takes_what_is_the_dead_s_only),
        CAP_TEST(never_more_than_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
