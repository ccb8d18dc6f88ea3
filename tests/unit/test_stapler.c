/* When OCSP responses are asked for again. */
#include "tests/unit/unit.h"
#include "worker/service/stapler.h"

enum { MINUTE = 60000, HOUR = 3600000 };

static void test_next(void **state)
{
    (void)state;
    assert_int_equal(stapler_next(1000000, 1000000 + 4 * 3600), 2 * HOUR);
    assert_int_equal(stapler_next(1000000, 1000000 + 7 * 86400), 12 * HOUR);
    assert_int_equal(stapler_next(1000000, 1000000 + 60), MINUTE);
    assert_int_equal(stapler_next(1000000, 900000), MINUTE);
    assert_int_equal(stapler_next(1000000, 253402300799), 12 * HOUR);
}

static void test_again(void **state)
{
    (void)state;
    assert_int_equal(stapler_again(1), MINUTE);
    assert_int_equal(stapler_again(2), 2 * MINUTE);
    assert_int_equal(stapler_again(5), 16 * MINUTE);
    assert_int_equal(stapler_again(7), HOUR);
    assert_int_equal(stapler_again(4000000000u), HOUR);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_next), cmocka_unit_test(test_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
