/* Overrides: what one process sets, the others read whole. */
#include <pthread.h>
#include <stdio.h>

#include "shared/shm/overrides.h"
#include "tests/unit/lone_zone.h"

enum { ROUNDS = 20000 };

static struct overrides *overrides;
static struct override read_into[OVERRIDES_MAX];

static int set_up(void **state)
{
    (void)state;
    overrides = lone_zone_open(&overrides_kind);
    return 0;
}

static void set_change_take_away(void **state)
{
    (void)state;
    uint64_t serial, before = overrides_serial(overrides);
    assert_int_equal(overrides_read(overrides, read_into, &serial), 0);
    assert_int_equal(overrides_set(overrides, STR("log.level"), "debug", "notice"), 0);
    assert_true(overrides_serial(overrides) != before);
    assert_int_equal(overrides_set(overrides, STR("a"), "1", "2"), 0);
    assert_int_equal(overrides_set(overrides, STR("log.level"), "info", "notice"), 0);
    assert_int_equal(overrides_read(overrides, read_into, &serial), 2);
    assert_string_equal(read_into[0].name, "a");
    assert_string_equal(read_into[1].name, "log.level");
    assert_string_equal(read_into[1].value, "info");
    assert_string_equal(read_into[1].before, "notice");
    assert_int_equal(overrides_set(overrides, STR("a"), NULL, NULL), 0);
    assert_int_equal(overrides_set(overrides, STR("never"), NULL, NULL), 0);
    assert_int_equal(overrides_read(overrides, read_into, &serial), 1);
    assert_int_equal(serial, overrides_serial(overrides));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char name[OVERRIDE_NAME + 1];
    uint64_t serial;
    for (unsigned i = 0; i < OVERRIDES_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(overrides_set(overrides, str_of(name), "1", "2"), 0);
    }
    assert_int_equal(overrides_set(overrides, STR("one more"), "1", "2"), -1);
    assert_int_equal(overrides_set(overrides, STR("n7"), "3", "2"), 0);
    assert_int_equal(overrides_set(overrides, STR("n8"), NULL, NULL), 0);
    assert_int_equal(overrides_set(overrides, STR("one more"), "1", "2"), 0);
    assert_int_equal(overrides_read(overrides, read_into, &serial), OVERRIDES_MAX);
    memset(name, 'x', OVERRIDE_NAME);
    name[OVERRIDE_NAME] = 0;
    assert_int_equal(overrides_set(overrides, str_of(name), "1", "2"), -1);
    name[OVERRIDE_VALUE] = 0;
    assert_int_equal(overrides_set(overrides, STR("n7"), name, "2"), -1);
    assert_int_equal(overrides_set(overrides, STR("n7"), "2", name), -1);
}

/* Both carry the same number, always. */
static void *write_pairs(void *unused)
{
    char text[OVERRIDE_VALUE];
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof text, "%u", i);
        overrides_set(overrides, STR("pair"), text, text);
    }
    return unused;
}

static void a_reader_never_sees_half_of_a_change(void **state)
{
    (void)state;
    pthread_t writer;
    unsigned seen = 0, last = 0;
    uint64_t serial;
    assert_int_equal(pthread_create(&writer, NULL, write_pairs, NULL), 0);
    while (last < ROUNDS - 1) {
        int count = overrides_read(overrides, read_into, &serial);
        if (count != 1)
            continue;
        assert_string_equal(read_into[0].value, read_into[0].before);
        unsigned number = (unsigned)atoi(read_into[0].value);
        assert_true(number >= last);
        last = number;
        seen++;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(seen > 0);
}

#define OVERRIDES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        OVERRIDES_TEST(set_change_take_away),
        OVERRIDES_TEST(what_does_not_fit_is_refused),
        OVERRIDES_TEST(a_reader_never_sees_half_of_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
