/* The limit of calls in progress, and the quantile of times, as they learn. */
#include "shared/base/random.h"
#include "shared/shm/gradient.h"
#include "shared/shm/quantile.h"
#include "tests/unit/unit.h"

enum { NOW = 7000000 };

static struct gradient_cell cell;
static struct gradient_rules rules;
static uint64_t now;

static int set_up(void **state)
{
    (void)state;
    cell = (struct gradient_cell){.limit = 0};
    rules = (struct gradient_rules){
        .least = 5, .most = 200, .buffer = 0.25, .interval = 100, .probe = 60000, .jitter = 0};
    now = NOW;
    return 0;
}

/* So many intervals in which answers take that long. */
static void pass(unsigned intervals, uint64_t us)
{
    for (unsigned i = 0; i < intervals; i++) {
        now += 100;
        for (unsigned j = 0; j < 20; j++)
            gradient_add(&cell, &rules, now, now, us, 0);
    }
}

static void the_least_time_is_measured_first(void **state)
{
    (void)state;
    bool measuring;
    assert_int_equal(gradient_limit(&cell, &rules, now), 5);
    for (unsigned i = 0; i < GRADIENT_PROBES - 1; i++)
        gradient_add(&cell, &rules, now, now, 1000, 0);
    assert_int_equal(gradient_base(&cell, &measuring), 0);
    assert_true(measuring);
    gradient_add(&cell, &rules, now, now, 1000, 0);
    assert_int_equal(gradient_base(&cell, &measuring), 1000);
    assert_false(measuring);
}

static void it_rises_while_answers_are_quick_and_sinks_when_they_slow_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GRADIENT_PROBES; i++)
        gradient_add(&cell, &rules, now, now, 1000, 0);
    pass(40, 1000);
    assert_int_equal(gradient_limit(&cell, &rules, now), 200);
    pass(1, 1000);
    pass(1, 10000); /* reckoned when the next interval begins */
    pass(1, 10000);
    assert_in_range(gradient_limit(&cell, &rules, now), 100, 120);
    pass(40, 10000);
    uint32_t sunk = gradient_limit(&cell, &rules, now);
    assert_in_range(sunk, 5, 6);
    pass(40, 1200); /* within the buffer */
    assert_int_equal(gradient_limit(&cell, &rules, now), 200);
}

static void few_answers_say_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GRADIENT_PROBES; i++)
        gradient_add(&cell, &rules, now, now, 1000, 0);
    pass(10, 1000);
    uint32_t before = gradient_limit(&cell, &rules, now);
    pass(1, 1000);
    before = gradient_limit(&cell, &rules, now);
    now += 100;
    gradient_add(&cell, &rules, now, now, 900000, 0);
    uint32_t after = gradient_limit(&cell, &rules, now);
    now += 100;
    gradient_add(&cell, &rules, now, now, 900000, 0);
    assert_true(after >= before);
    assert_int_equal(gradient_limit(&cell, &rules, now), after);
}

static void the_least_time_is_measured_again(void **state)
{
    (void)state;
    bool measuring;
    for (unsigned i = 0; i < GRADIENT_PROBES; i++)
        gradient_add(&cell, &rules, now, now, 1000, 0);
    pass(40, 1000);
    now = NOW + 60000;
    assert_int_equal(gradient_limit(&cell, &rules, now), 5);
    for (unsigned i = 0; i < 2 * GRADIENT_PROBES; i++)
        gradient_add(&cell, &rules, now, now - 1, 9000, 0); /* they were among many */
    gradient_base(&cell, &measuring);
    assert_true(measuring);
    for (unsigned i = 0; i < GRADIENT_PROBES; i++)
        gradient_add(&cell, &rules, now, now, 3000, 0);
    assert_int_equal(gradient_base(&cell, &measuring), 3000);
    assert_int_equal(gradient_limit(&cell, &rules, now), 200); /* what it was */
    /* Other rules, and a time that lies far ahead under them. */
    rules.probe = 1000;
    assert_int_equal(gradient_limit(&cell, &rules, now), 5);
}

static void quantiles_are_found(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0.9, 0.95, 0.99};
    struct random random = {{1, 2, 3, 4}};
    for (unsigned i = 0; i < 4; i++) {
        _Atomic uint64_t quantile = 0;
        for (unsigned j = 0; j + 1 < QUANTILE_LEARNS; j++)
            quantile_add(&quantile, shares[i], random_below(&random, 10000));
        assert_int_equal(quantile_us(&quantile), 0);
        for (unsigned scale = 1; scale <= 100; scale *= 10) { /* and follow when things change */
            for (unsigned j = 0; j < 20000; j++)
                quantile_add(&quantile, shares[i], random_below(&random, 10000 * scale));
            double sum = 0;
            for (unsigned j = 0; j < 5000; j++) {
                quantile_add(&quantile, shares[i], random_below(&random, 10000 * scale));
                sum += (double)quantile_us(&quantile);
            }
            double expected = 10000.0 * scale * shares[i], found = sum / 5000;
            assert_true(found > expected * 0.9 && found < expected * 1.1);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_least_time_is_measured_first, set_up),
        cmocka_unit_test_setup(it_rises_while_answers_are_quick_and_sinks_when_they_slow_down, set_up),
        cmocka_unit_test_setup(few_answers_say_nothing, set_up),
        cmocka_unit_test_setup(the_least_time_is_measured_again, set_up),
        cmocka_unit_test(quantiles_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
