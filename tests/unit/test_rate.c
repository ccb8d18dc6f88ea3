/* Rates from text, and what is said of those that aren't. */
#include "shared/base/clock.h"
#include "shared/conf/rate.h"
#include "tests/unit/unit.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void expect(const char *text, bool bytes, uint64_t count, uint64_t seconds, enum rate_unit unit)
{
    struct rate rate;
    assert_null(rate_parse(text, bytes, &rate, arena));
    assert_int_equal(rate.count, count);
    assert_int_equal(rate.period_ns, seconds * NS_PER_SECOND);
    assert_int_equal(rate.unit, unit);
}

static void refuse(const char *text, const char *words)
{
    struct rate rate;
    const char *why = rate_parse(text, false, &rate, arena);
    assert_non_null(why);
    if (!strstr(why, words))
        fail_msg("\"%s\" is told of by: %s", text, why);
}

static void good_ones(void **state)
{
    (void)state;
    expect("100/s", false, 100, 1, RATE_SECOND);
    expect("1/second", false, 1, 1, RATE_SECOND);
    expect("1000/m", false, 1000, 60, RATE_MINUTE);
    expect("1000/min", false, 1000, 60, RATE_MINUTE);
    expect("10K/minute", false, 10000, 60, RATE_MINUTE);
    expect("7/h", false, 7, 3600, RATE_HOUR);
    expect("7/hour", false, 7, 3600, RATE_HOUR);
    expect("1M/day", false, 1000000, 86400, RATE_DAY);
    expect("1M/d", true, 1 << 20, 86400, RATE_DAY);
    expect("3G/week", true, (uint64_t)3 << 30, 7 * 86400, RATE_WEEK);
    expect("2T/month", false, 2000000000000, 0, RATE_MONTH);
    expect("5/10s", false, 5, 10, RATE_SECOND);
    expect("5/1000h", false, 5, 3600000, RATE_HOUR);
    expect("9223372036854775807/s", false, INT64_MAX, 1, RATE_SECOND);
}

static void bad_ones(void **state)
{
    (void)state;
    refuse("", "says nothing of the time (write \"100/s\"");
    refuse("100", "says nothing of the time (write \"100/s\"");
    refuse("/s", "is not a count");
    refuse("-1/s", "is not a count");
    refuse(" 1/s", "is not a count");
    refuse("1.5/s", "is not a count");
    refuse("K/s", "is not a count");
    refuse("1k/s", "is not a count");
    refuse("1KM/s", "is not a count");
    refuse("9223372036854775808/s", "is not a count");
    refuse("9223372036854775807K/s", "is not a count");
    refuse("0/s", "lets nothing through");
    refuse("0K/s", "lets nothing through");
    refuse("1/", "is no unit of time");
    refuse("1/S", "is no unit of time");
    refuse("1/ms", "is no unit of time");
    refuse("1/s/s", "is no unit of time");
    refuse("1/0s", "is 1 to 1000");
    refuse("1/1001s", "is 1 to 1000");
    refuse("1/5", "is no unit of time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_ones), cmocka_unit_test(bad_ones)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
