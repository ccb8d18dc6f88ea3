/* Counters: a row a process, summed by who reads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/shm/shared.h"

enum { SLOTS = 3, ADDS = 100000 };

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

static void every_counter_has_a_name_and_a_help(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        assert_non_null(stat_names[i]);
        assert_non_null(stat_help[i]);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(stat_names[i], stat_names[j]);
    }
    assert_string_equal(stat_names[STAT_STATUS_4XX], "status_4xx");
}

static void sums_run_over_all_slots(void **state)
{
    (void)state;
    assert_int_equal(stats_sum(shared.stats, STAT_REQUESTS), 0);
    stat_add(&shared.stats->row[0], STAT_REQUESTS, 1);
    stat_add(&shared.stats->row[0], STAT_REQUESTS, 2);
    stat_add(&shared.stats->row[SLOTS - 1], STAT_REQUESTS, UINT64_C(1) << 40);
    stat_add(&shared.stats->row[1], STAT_BYTES_IN, 7);
    assert_int_equal(stats_sum(shared.stats, STAT_REQUESTS), (UINT64_C(1) << 40) + 3);
    assert_int_equal(stats_sum(shared.stats, STAT_BYTES_IN), 7);
    assert_int_equal(stats_sum(shared.stats, STAT_CUT_CONNECTIONS), 0);
}

static void *add(void *row)
{
    for (unsigned i = 0; i < ADDS; i++)
        stat_add(row, STAT_BYTES_OUT, 3);
    return NULL;
}

static void a_reader_never_sees_them_fall(void **state)
{
    (void)state;
    pthread_t thread[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add, &shared.stats->row[i]), 0);
    uint64_t last = 0;
    while (last < UINT64_C(3) * ADDS * SLOTS) {
        uint64_t sum = stats_sum(shared.stats, STAT_BYTES_OUT);
        assert_true(sum >= last);
        last = sum;
    }
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(stats_sum(shared.stats, STAT_BYTES_OUT), UINT64_C(3) * ADDS * SLOTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_counter_has_a_name_and_a_help, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sums_run_over_all_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_never_sees_them_fall, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
