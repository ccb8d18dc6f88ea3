/* health: the state of an endpoint, probe by probe; when probes come. */
#include "shared/base/clock.h"
#include "tests/unit/unit.h"
#include "worker/upstream/health.h"
#include "worker/upstream/spread.h"

static struct endpoint_cell cell;
static struct health_settings settings;
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    memset(&cell, 0, sizeof cell);
    settings = (struct health_settings){.interval = 2000, .timeout = 1000, .rise = 2, .fall = 3};
    now = 1000000;
    return 0;
}

/* A probe each interval: '+' good, '-' failed; the state after each: '?' unknown, 'u' up, 'd' down, 'U' and 'D' when it came
 * to that by this probe. */
static void probes(const char *results, const char *states)
{
    for (; *results; results++, states++) {
        unsigned streak;
        now += 2000;
        enum health_change change = health_judge(&cell, &settings, *results == '+', now, &streak);
        char seen = "?ud"[health_state_of(&cell)];
        if (change != HEALTH_SAME)
            seen = change == HEALTH_WENT_UP ? 'U' : 'D';
        if (seen != *states)
            fail_msg("at \"%s\": %c and not \"%s\"", results, seen, states);
        assert_int_equal(health_is_down(&cell, now), seen == 'd' || seen == 'D');
        assert_int_equal(health_probed_at(&cell), now);
    }
}

static void test_rise_and_fall(void **state)
{
    (void)state;
    health_open(&cell, &settings, now);
    assert_false(health_is_down(&cell, now));
    probes("+--+--+---", "UuuuuuuuuD");
    assert_int_equal(cell.changed_at, now);
    assert_int_equal(cell.up_since, 0);
    probes("+-+-++", "dddddU");
    assert_int_equal(cell.up_since, now);
    settings.rise = settings.fall = 1;
    probes("-+-+", "DUDU");
}

/* The first one decides alone, whatever the endpoint was till then. */
static void test_start(void **state)
{
    (void)state;
    health_open(&cell, &settings, now);
    probes("-", "D");
    setup(NULL);
    settings.start = HEALTH_START_DOWN;
    health_open(&cell, &settings, now);
    assert_true(health_is_down(&cell, now));
    health_open(&cell, &settings, now); /* another process */
    assert_true(health_is_down(&cell, now));
    probes("+", "U");
    assert_int_equal(cell.up_since, 0); /* it wasn't away */
}

/* Without probes it isn't down for ever; and what is old counts for nothing at a start. */
static void test_runs_out(void **state)
{
    (void)state;
    uint64_t valid = 3 * 2000 + 1000 + 60000;
    health_open(&cell, &settings, now);
    probes("+---", "UuuD");
    assert_true(health_is_down(&cell, now + valid - 1));
    assert_false(health_is_down(&cell, now + valid));
    health_open(&cell, &settings, now + valid - 1);
    assert_int_equal(health_state_of(&cell), HEALTH_DOWN);
    assert_true(health_is_down(&cell, now + valid - 1));
    settings.start = HEALTH_START_DOWN;
    health_open(&cell, &settings, now + valid);
    assert_int_equal(health_state_of(&cell), HEALTH_UNKNOWN);
    assert_true(health_is_down(&cell, now + valid));
}

/* A keeper that dies between its two stores: the next probe puts it right. */
static void test_torn(void **state)
{
    (void)state;
    health_open(&cell, &settings, now);
    probes("+---", "UuuD");
    cell.down_until = 0;
    probes("-", "d");
    probes("++", "dU");
    cell.down_until = UINT64_MAX;
    probes("+", "u");
}

static void test_spread(void **state)
{
    (void)state;
    struct random random = {{1, 2, 3, 4}};
    /* 100 a second, while the interval allows it. */
    assert_int_equal(spread_first(0, 1, 100, 5000), 0);
    assert_int_equal(spread_first(0, 50, 100, 5000), 0);
    assert_int_equal(spread_first(49, 50, 100, 5000), 490);
    assert_int_equal(spread_first(999, 1000, 100, 5000), 4995);
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t pause = spread_jitter(&random, 5000, 10);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
        assert_int_equal(spread_jitter(&random, 5000, 0), 5000);
    }
    assert_in_range(least, 4500, 4510);
    assert_in_range(most, 4990, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rise_and_fall, setup), cmocka_unit_test_setup(test_start, setup),
        cmocka_unit_test_setup(test_runs_out, setup),      cmocka_unit_test_setup(test_torn, setup),
        cmocka_unit_test_setup(test_spread, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
