/* Crew: how long a post stays vacant. */
#include "tests/unit/unit.h"

#include "master/crew.h"

static void early_deaths_double_the_wait(void **state)
{
    (void)state;
    static const unsigned expected[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
    unsigned backoff = 0;
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        backoff = crew_backoff(backoff, true);
        assert_int_equal(backoff, expected[i]);
    }
}

static void who_has_served_is_replaced_at_once(void **state)
{
    (void)state;
    assert_int_equal(crew_backoff(0, false), 0);
    assert_int_equal(crew_backoff(16000, false), 0);
    assert_int_equal(crew_backoff(crew_backoff(30000, false), true), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_deaths_double_the_wait),
        cmocka_unit_test(who_has_served_is_replaced_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
