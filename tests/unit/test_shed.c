/* When a worker counts as overloaded. */
#include "tests/unit/unit.h"
#include "worker/request/shed.h"

#define MS UINT64_C(1000000)

static struct shed shed;
static uint64_t now_ms;

static void begin(int64_t lag_ms, int64_t memory)
{
    static struct shed_settings settings;
    settings = (struct shed_settings){.lag = lag_ms, .memory = memory, .hold = 1000};
    shed_init(&shed, &settings);
    now_ms = 1000;
}

/* Turns that work so long, one after the other without sleep; `full` ones leave something over. */
static void work(unsigned turns, uint64_t ms, bool full, unsigned of)
{
    for (unsigned i = 0; i < turns; i++) {
        shed_turn(&shed, ms * MS, 0, 0, full, of);
        now_ms += ms;
        shed_judge(&shed, now_ms);
    }
}

/* The loop sleeps, and looks now and then. */
static void rest(unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 100) {
        shed_turn(&shed, 0, 100 * MS, 0, false, 1);
        now_ms += 100;
        shed_judge(&shed, now_ms);
    }
}

static void short_turns_are_no_lag(void **state)
{
    (void)state;
    begin(50, 0);
    work(1000, 5, false, 1);
    assert_int_equal(shed.level, SHED_NOBODY);
    assert_true(shed.lag > 4 * MS && shed.lag < 6 * MS);
    work(1, 60, false, 1); /* one alone is smoothed away */
    assert_int_equal(shed.level, SHED_NOBODY);
}

static void long_turns_are(void **state)
{
    (void)state;
    begin(50, 0);
    work(10, 80, false, 1);
    assert_int_equal(shed.level, SHED_LOW);
    work(10, 150, false, 1);
    assert_int_equal(shed.level, SHED_NORMAL);
}

/* What a turn has no room for waits for the next ones too, but no longer than until all had their turn. */
static void what_is_left_over_waits_longer(void **state)
{
    (void)state;
    begin(50, 0);
    work(100, 10, true, 1);
    assert_int_equal(shed.level, SHED_NOBODY);
    work(100, 10, true, 8);
    assert_int_equal(shed.level, SHED_LOW);
    assert_true(shed.lag < 81 * MS);
    work(100, 10, true, 20);
    assert_int_equal(shed.level, SHED_NORMAL);
    work(100, 10, false, 20); /* all that is ready is taken: it doesn't wait for others */
    assert_true(shed.lag < 12 * MS);
}

static void sleep_is_no_lag_but_oversleeping_is(void **state)
{
    (void)state;
    begin(50, 0);
    shed_turn(&shed, 0, 5000 * MS, 0, false, 1);
    assert_true(shed.lag < MS);
    shed_turn(&shed, 0, 1500 * MS, 500 * MS, false, 1);
    shed_judge(&shed, now_ms);
    assert_int_equal(shed.level, SHED_NORMAL);
    assert_true(shed.lag > 490 * MS);
}

/* It goes on for `hold`, and while the lag is above half of the bound; then it is left step by step. */
static void it_does_not_flap(void **state)
{
    (void)state;
    begin(50, 0);
    work(10, 150, false, 1);
    assert_int_equal(shed.level, SHED_NORMAL);
    work(40, 60, false, 1); /* above half of twice 50 */
    assert_int_equal(shed.level, SHED_NORMAL);
    rest(900);
    assert_int_equal(shed.level, SHED_NORMAL);
    rest(200);
    assert_int_equal(shed.level, SHED_LOW);
    work(100, 30, false, 1); /* above half of 50 */
    assert_int_equal(shed.level, SHED_LOW);
    rest(1300);
    assert_int_equal(shed.level, SHED_NOBODY);
    rest(5000);
    assert_int_equal(shed.level, SHED_NOBODY);
}

static void memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t has;
        enum shed_level level;
    } steps[] = {{900, SHED_NOBODY},  {1001, SHED_LOW}, {920, SHED_LOW}, {1251, SHED_NORMAL},
                 {1130, SHED_NORMAL}, {1120, SHED_LOW}, {905, SHED_LOW}, {890, SHED_NOBODY}};
    begin(0, 1000);
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        shed.memory = steps[i].has;
        now_ms += 1001;
        shed_judge(&shed, now_ms);
        assert_int_equal(shed.level, steps[i].level);
    }
}

static void off(void **state)
{
    (void)state;
    begin(0, 0);
    shed.memory = UINT64_MAX;
    work(10, 5000, true, 100);
    assert_int_equal(shed.level, SHED_NOBODY);
    assert_false(shed_is_on(shed.settings));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_turns_are_no_lag),
        cmocka_unit_test(long_turns_are),
        cmocka_unit_test(what_is_left_over_waits_longer),
        cmocka_unit_test(sleep_is_no_lag_but_oversleeping_is),
        cmocka_unit_test(it_does_not_flap),
        cmocka_unit_test(memory),
        cmocka_unit_test(off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
