/* The watchdog: from when on silence counts. */
#include "tests/unit/unit.h"

#include "master/watchdog.h"

static void a_master_that_runs_counts_all_silence(void **state)
{
    (void)state;
    uint64_t since = 100, looked = 1000;
    for (unsigned i = 0; i < 100; i++, looked += 1000)
        since = watchdog_since(since, looked, looked + 1000);
    assert_int_equal(since, 100);
}

static void a_master_that_stood_still_begins_anew(void **state)
{
    (void)state;
    assert_int_equal(watchdog_since(100, 1000, 2500), 100);
    assert_int_equal(watchdog_since(100, 1000, 2501), 2501);
    assert_int_equal(watchdog_since(100, 1000, 86400000), 86400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_master_that_runs_counts_all_silence),
        cmocka_unit_test(a_master_that_stood_still_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
