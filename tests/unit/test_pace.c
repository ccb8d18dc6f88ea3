/* The pace of a client: no byte within the time-out, and too few within the window. */
#include "tests/unit/unit.h"

#include <sys/socket.h>

#include "worker/net/pace.h"

static const struct pace_rules rules = {.timeout = 1000, .rate = 100, .window = 5000};

static void test_time_out(void **state)
{
    (void)state;
    struct pace pace;
    const struct pace_rules without = {.timeout = 1000};
    pace_begin(&pace, 10000, 77);
    assert_int_equal(pace_next(&pace, &without, 10000), 1000);
    assert_int_equal(pace_look(&pace, &without, 10999, 77), PACE_GOOD);
    assert_int_equal(pace_next(&pace, &without, 10999), 1);
    assert_int_equal(pace_look(&pace, &without, 10999, 78), PACE_GOOD);
    assert_int_equal(pace_next(&pace, &without, 10999), 1000);
    assert_int_equal(pace_look(&pace, &without, 11999, 79), PACE_GOOD); /* it is looked at first */
    assert_int_equal(pace_look(&pace, &without, 12998, 79), PACE_GOOD);
    assert_int_equal(pace_look(&pace, &without, 12999, 79), PACE_STALLED);
    assert_int_equal(pace_next(&pace, &without, 20000), 0);
}

static void test_rate(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = 10000, bytes = 500;
    pace_begin(&pace, now, bytes);
    /* 1 byte less than the rate, but the window is not over. */
    for (int i = 0; i < 9; i++) {
        assert_int_equal(pace_look(&pace, &rules, now += 500, bytes += 50), PACE_GOOD);
        assert_int_equal(pace_next(&pace, &rules, now), now < 14000 ? 1000 : 15000 - now);
    }
    assert_int_equal(pace_look(&pace, &rules, now += 500, bytes + 50), PACE_GOOD);
    pace_begin(&pace, 10000, 500);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pace_look(&pace, &rules, 10000 + 999 * (uint64_t)(i + 1), 501 + (uint64_t)i),
                         PACE_GOOD);
    assert_int_equal(pace_look(&pace, &rules, 14995, 999), PACE_GOOD);
    assert_int_equal(pace_look(&pace, &rules, 15000, 999), PACE_SLOW);
    /* A kept window begins anew: what was before counts no more. */
    pace_begin(&pace, 10000, 0);
    for (now = 10500; now < 15000; now += 500)
        assert_int_equal(pace_look(&pace, &rules, now, now), PACE_GOOD);
    assert_int_equal(pace_look(&pace, &rules, 15000, 1000000), PACE_GOOD);
    for (now = 15500; now < 20000; now += 500)
        assert_int_equal(pace_look(&pace, &rules, now, 1000000 + (now - 15000) / 50), PACE_GOOD);
    assert_int_equal(pace_look(&pace, &rules, 20000, 1000100), PACE_SLOW);
}

/* What the peer has not read is not taken, though the socket has it. */
static void test_taken(void **state)
{
    (void)state;
    int ends[2];
    char data[3000];
    memset(data, 'x', sizeof data);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(pace_taken(ends[0], 5000000), 5000000);
    assert_int_equal(write(ends[0], data, sizeof data), sizeof data);
    uint64_t before = pace_taken(ends[0], 5000000);
    assert_true(before < 5000000);
    assert_int_equal(read(ends[1], data, sizeof data), sizeof data);
    assert_int_equal(pace_taken(ends[0], 5000000), 5000000);
    assert_int_equal(pace_taken(-1, 1), 1);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
