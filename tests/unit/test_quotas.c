/* Quotas: the calendar, what happens when the wall clock jumps, and that no window gives more than it has. */
#include "shared/base/clock.h"

/* 0: the real clock. */
static uint64_t wall_now;

static uint64_t test_clock(void)
{
    return wall_now ? wall_now : clock_wall_ns();
}

#define clock_wall_ns test_clock
#include "shared/shm/quotas.c"
#undef clock_wall_ns
#include "tests/unit/zone.h"

static struct lock_caller self;
static uint64_t key;

static int open_it(void **state)
{
    (void)state;
    zone_open(2 * SEGMENT_PAGE);
    self = zone_caller();
    key = pairs_key(shared.quotas, "k", 1);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    zone_close();
    return 0;
}

static void at(const char *time)
{
    uint64_t seconds;
    assert_true(clock_parse(str_of(time), &seconds));
    wall_now = seconds * NS_PER_SECOND;
}

static void assert_end(enum quota_window window, const char *time, const char *end)
{
    uint64_t seconds, expected;
    assert_true(clock_parse(str_of(time), &seconds));
    assert_true(clock_parse(str_of(end), &expected));
    assert_int_equal(quota_window_end(window, seconds / 60) * 60, expected);
}

static void windows_are_the_calendar_s(void **state)
{
    (void)state;
    assert_end(QUOTA_MINUTE, "2026-11-24T13:59:59Z", "2026-11-24T14:00:00Z");
    assert_end(QUOTA_MINUTE, "2026-11-24T14:00:00Z", "2026-11-24T14:01:00Z");
    assert_end(QUOTA_HOUR, "2026-11-24T13:59:59Z", "2026-11-24T14:00:00Z");
    assert_end(QUOTA_HOUR, "2026-11-24T14:00:00Z", "2026-11-24T15:00:00Z");
    assert_end(QUOTA_DAY, "2026-12-31T23:59:00Z", "2027-01-01");
    assert_end(QUOTA_DAY, "2027-01-01T00:00:00Z", "2027-01-02");
    assert_end(QUOTA_WEEK, "2026-11-29T23:59:00Z", "2026-11-30"); /* a Sunday, a Monday */
    assert_end(QUOTA_WEEK, "2026-11-30T00:00:00Z", "2026-12-07");
    assert_end(QUOTA_WEEK, "1970-01-01", "1970-01-05");
    assert_end(QUOTA_MONTH, "2026-11-30T23:59:00Z", "2026-12-01");
    assert_end(QUOTA_MONTH, "2026-12-01", "2027-01-01");
    assert_end(QUOTA_MONTH, "2028-02-01", "2028-03-01");
    assert_end(QUOTA_MONTH, "2028-02-29T12:00:00Z", "2028-03-01");
    assert_end(QUOTA_MONTH, "2100-02-28T12:00:00Z", "2100-03-01");
}

static struct quotas_outcome charge_it(const struct quota_terms *terms, uint64_t cost)
{
    return quotas_charge(shared.quotas, &self, key, terms, cost);
}

static void expect(const struct quota_terms *terms, enum count_verdict verdict, uint64_t remaining,
                   uint64_t left)
{
    struct quotas_outcome outcome = charge_it(terms, 1);
    assert_int_equal(outcome.verdict, verdict);
    assert_int_equal(outcome.remaining, remaining);
    assert_int_equal(outcome.left, left);
    assert_false(outcome.reset);
}

static void a_window_gives_what_it_has(void **state)
{
    (void)state;
    const struct quota_terms terms = {3, QUOTA_HOUR};
    at("2026-11-24T13:10:00Z");
    expect(&terms, COUNT_ADMITTED, 2, 3000);
    expect(&terms, COUNT_ADMITTED, 1, 3000);
    assert_int_equal(charge_it(&terms, 2).verdict, COUNT_REFUSED);
    assert_int_equal(charge_it(&terms, 0).remaining, 1);
    assert_int_equal(charge_it(&terms, 4).verdict, COUNT_NEVER);
    expect(&terms, COUNT_ADMITTED, 0, 3000);
    expect(&terms, COUNT_REFUSED, 0, 3000);
    at("2026-11-24T13:59:59Z");
    expect(&terms, COUNT_REFUSED, 0, 1);
    at("2026-11-24T14:00:00Z");
    expect(&terms, COUNT_ADMITTED, 2, 3600);
    at("2027-11-24T14:00:00Z"); /* years later */
    expect(&terms, COUNT_ADMITTED, 2, 3600);
}

static void what_was_charged_is_given_back_in_its_window_only(void **state)
{
    (void)state;
    const struct quota_terms terms = {2, QUOTA_MINUTE};
    at("2026-11-24T13:10:00Z");
    struct quotas_outcome first = charge_it(&terms, 1);
    expect(&terms, COUNT_ADMITTED, 0, 60);
    quotas_refund(shared.quotas, &self, key, &terms, &first);
    expect(&terms, COUNT_ADMITTED, 0, 60);
    at("2026-11-24T13:11:00Z");
    expect(&terms, COUNT_ADMITTED, 1, 60);
    quotas_refund(shared.quotas, &self, key, &terms, &first);
    expect(&terms, COUNT_ADMITTED, 0, 60);
    expect(&terms, COUNT_REFUSED, 0, 60);
}

static void bytes(void **state)
{
    (void)state;
    const struct quota_terms terms = {1000, QUOTA_MINUTE};
    at("2026-11-24T13:10:00Z");
    assert_int_equal(quotas_look(shared.quotas, key, &terms).verdict, COUNT_ADMITTED);
    assert_int_equal(pairs_word(shared.quotas, key), 0);
    assert_true(quotas_debit(shared.quotas, &self, key, &terms, 999));
    assert_int_equal(quotas_look(shared.quotas, key, &terms).remaining, 1);
    assert_true(quotas_debit(shared.quotas, &self, key, &terms, 5000));
    assert_int_equal(quotas_look(shared.quotas, key, &terms).verdict, COUNT_REFUSED);
    assert_true(quotas_debit(shared.quotas, &self, key, &terms, 0));
    for (unsigned i = 0; i < 3; i++) /* a count doesn't run over into the window */
        assert_true(quotas_debit(shared.quotas, &self, key, &terms, UINT64_MAX));
    assert_int_equal(quotas_look(shared.quotas, key, &terms).verdict, COUNT_REFUSED);
    at("2026-11-24T13:11:00Z");
    assert_int_equal(quotas_look(shared.quotas, key, &terms).verdict, COUNT_ADMITTED);
}

/* A clock that goes back a little: the window that was begun goes on, and no old one is given again. */
static void time_does_not_move_back(void **state)
{
    (void)state;
    const struct quota_terms terms = {1, QUOTA_MINUTE};
    at("2026-11-24T13:10:30Z");
    expect(&terms, COUNT_ADMITTED, 0, 30);
    at("2026-11-24T13:11:10Z");
    expect(&terms, COUNT_ADMITTED, 0, 50);
    at("2026-11-24T13:10:20Z");
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_REFUSED);
    uint64_t first = key;
    key = pairs_key(shared.quotas, "another", 7); /* nor one in which this key had nothing yet */
    struct quotas_outcome outcome = charge_it(&terms, 1);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_int_equal(outcome.end, quota_window_end(QUOTA_MINUTE, test_clock() / NS_PER_SECOND / 60 + 1));
    key = first;
    at("2026-11-24T13:11:59Z");
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_REFUSED);
    at("2026-11-24T13:12:00Z");
    expect(&terms, COUNT_ADMITTED, 0, 60);
}

/* A clock that was wrong: by more than an hour, the future that it made is void. */
static void a_window_in_the_future_begins_anew(void **state)
{
    (void)state;
    const struct quota_terms terms = {2, QUOTA_DAY};
    at("2027-03-01T00:00:00Z");
    expect(&terms, COUNT_ADMITTED, 1, 86400);
    expect(&terms, COUNT_ADMITTED, 0, 86400);
    at("2026-11-24T13:10:30Z");
    struct quotas_outcome outcome = charge_it(&terms, 1);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_true(outcome.reset);
    assert_int_equal(outcome.remaining, 1);
    outcome = charge_it(&terms, 1);
    assert_false(outcome.reset);
    assert_int_equal(outcome.remaining, 0);
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_REFUSED);
}

/* --- contention --- */

enum { PROCESSES = 4 };

static const struct quota_terms race_terms = {12345, QUOTA_MONTH};

static void race(const struct lock_caller *caller, void *context)
{
    uint64_t admitted = 0;
    while (!atomic_load(&board->go))
        sched_yield();
    for (unsigned i = 0; i < 10000; i++)
        admitted += quotas_charge(shared.quotas, caller, key, &race_terms, 1).verdict == COUNT_ADMITTED;
    atomic_store(&board->counts[*(unsigned *)context], admitted);
}

static void a_quota_is_exact(void **state)
{
    (void)state;
    pid_t pids[PROCESSES];
    struct lock_caller callers[PROCESSES];
    unsigned numbers[PROCESSES];
    uint64_t admitted = 0;
    wall_now = 0;
    for (unsigned i = 0; i < PROCESSES; i++) {
        numbers[i] = i;
        pids[i] = zone_fork(&callers[i], race, &numbers[i]);
    }
    atomic_store(&board->go, 1);
    for (unsigned i = 0; i < PROCESSES; i++) {
        waitpid(pids[i], NULL, 0);
        admitted += atomic_load(&board->counts[i]);
    }
    assert_int_equal(admitted, race_terms.limit);
}

#define QUOTA_TEST(test) cmocka_unit_test_setup_teardown(test, open_it, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(windows_are_the_calendar_s),
        QUOTA_TEST(a_window_gives_what_it_has),
        QUOTA_TEST(what_was_charged_is_given_back_in_its_window_only),
        QUOTA_TEST(bytes),
        QUOTA_TEST(time_does_not_move_back),
        QUOTA_TEST(a_window_in_the_future_begins_anew),
        QUOTA_TEST(a_quota_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
