/* Limits: the arithmetic, on a clock of the test's own, and then exactness: processes that contend, that are killed, and whose
 * clocks are read long before they act. */
#include "shared/base/clock.h"

/* 0: the real clock. */
static uint64_t clock_now;

static uint64_t test_clock(void)
{
    return clock_now ? clock_now : clock_monotonic_ns();
}

static void zone_step(const char *name);
#define PAIRS_STEP(name) zone_step(name)
#define clock_monotonic_ns test_clock
#include "shared/shm/limits.c"
#include "shared/shm/pairs.c"
#undef clock_monotonic_ns
#include "tests/unit/zone.h"

#define MS NS_PER_MS
#define S NS_PER_SECOND

static struct lock_caller self;
static uint64_t key;

static int open_it(void **state)
{
    (void)state;
    zone_open(2 * SEGMENT_PAGE); /* small: keys that collide are soon found */
    self = zone_caller();
    key = pairs_key(shared.limits, "k", 1);
    clock_now = 1000 * S;
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    zone_close();
    return 0;
}

static struct limits_outcome charge_it(const struct limit_terms *terms, uint64_t cost)
{
    return limits_charge(shared.limits, &self, key, terms, cost);
}

static void expect(const struct limit_terms *terms, enum count_verdict verdict, uint64_t wait, uint64_t left)
{
    struct limits_outcome outcome = charge_it(terms, 1);
    assert_int_equal(outcome.verdict, verdict);
    assert_int_equal(outcome.wait, wait);
    assert_int_equal(outcome.remaining, left);
}

static void a_bucket_fills_and_drains(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(10, S, 3, false);
    assert_int_equal(terms.interval, 100 * MS);
    expect(&terms, COUNT_ADMITTED, 0, 2);
    expect(&terms, COUNT_ADMITTED, 0, 1);
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_REFUSED, 100 * MS, 0);
    clock_now += 99 * MS;
    expect(&terms, COUNT_REFUSED, 1 * MS, 0);
    clock_now += 1 * MS;
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_REFUSED, 100 * MS, 0);
    clock_now += 250 * MS;
    expect(&terms, COUNT_ADMITTED, 0, 1);
    clock_now += 3600 * S; /* a pause gains no more than the bucket holds */
    expect(&terms, COUNT_ADMITTED, 0, 2);
    expect(&terms, COUNT_ADMITTED, 0, 1);
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_REFUSED, 100 * MS, 0);
}

static void rates_without_whole_intervals_fill_their_bucket(void **state)
{
    (void)state;
    const uint64_t rates[][2] = {
        {3, S}, {7, S}, {999983, S}, {LIMITS_FASTEST, S}, {1000, 60 * S}, {1000000, 86400 * S}};
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct limit_terms terms = limit_terms_of(rates[i][0], rates[i][1], 1000, false);
        key = pairs_key(shared.limits, &i, sizeof i);
        for (unsigned j = 0; j < 1000; j++)
            assert_int_equal(charge_it(&terms, 1).verdict, COUNT_ADMITTED);
        assert_int_equal(charge_it(&terms, 1).verdict, COUNT_REFUSED);
        /* never too fast, and not slower than by a thousandth */
        assert_true((unsigned __int128)terms.interval * rates[i][0] >= rates[i][1]);
        assert_true((unsigned __int128)terms.interval * rates[i][0] * 999 <=
                    (unsigned __int128)rates[i][1] * 1000);
    }
}

static void costs(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(10, S, 10, false);
    struct limits_outcome outcome = charge_it(&terms, 7);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_int_equal(outcome.charged, 700 * MS);
    assert_int_equal(outcome.remaining, 3);
    outcome = charge_it(&terms, 4);
    assert_int_equal(outcome.verdict, COUNT_REFUSED);
    assert_int_equal(outcome.wait, 100 * MS);
    assert_int_equal(outcome.remaining, 3);
    outcome = charge_it(&terms, 0);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_int_equal(outcome.charged, 0);
    assert_int_equal(outcome.remaining, 3);
    assert_int_equal(charge_it(&terms, 11).verdict, COUNT_NEVER);
    assert_int_equal(charge_it(&terms, UINT64_MAX).verdict, COUNT_NEVER);
    assert_int_equal(charge_it(&terms, 3).verdict, COUNT_ADMITTED);
    key = pairs_key(shared.limits, "other", 5);
    assert_int_equal(charge_it(&terms, 0).verdict, COUNT_ADMITTED);
    assert_int_equal(pairs_word(shared.limits, key), 0); /* nothing to keep for it */
}

static void delays(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(10, S, 2, false);
    terms.delay = 250 * MS;
    expect(&terms, COUNT_ADMITTED, 0, 1);
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_ADMITTED, 100 * MS, 0);
    expect(&terms, COUNT_ADMITTED, 200 * MS, 0);
    expect(&terms, COUNT_REFUSED, 50 * MS, 0); /* 300 ms would be too long */
    clock_now += 50 * MS;
    expect(&terms, COUNT_ADMITTED, 250 * MS, 0);
}

static void refunds(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(10, S, 2, false);
    struct limits_outcome first = charge_it(&terms, 1), second = charge_it(&terms, 1);
    limits_refund(shared.limits, &self, key, &first);
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_REFUSED, 100 * MS, 0);
    clock_now += 150 * MS; /* half of the second's is paid off */
    limits_refund(shared.limits, &self, key, &second);
    assert_int_equal(pairs_word(shared.limits, key), clock_now);
    clock_now += S;
    limits_refund(shared.limits, &self, key, &second);
    expect(&terms, COUNT_ADMITTED, 0, 1);
    /* What was paid off long ago is no credit against what others were charged since. */
    limits_refund(shared.limits, &self, key, &first);
    expect(&terms, COUNT_ADMITTED, 0, 0);
    expect(&terms, COUNT_REFUSED, 100 * MS, 0);
    key = pairs_key(shared.limits, "none", 4);
    limits_refund(shared.limits, &self, key, &first);
    assert_int_equal(pairs_word(shared.limits, key), 0);
}

static void bytes(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(1 << 20, S, 1 << 20, true);
    struct limits_outcome look = limits_look(shared.limits, key, &terms);
    assert_int_equal(look.verdict, COUNT_ADMITTED);
    assert_int_equal(look.remaining, 1 << 20);
    assert_true(limits_debit(shared.limits, &self, key, &terms, 1 << 19));
    look = limits_look(shared.limits, key, &terms);
    assert_int_equal(look.verdict, COUNT_ADMITTED);
    assert_int_equal(look.remaining, 1 << 19);
    assert_true(limits_debit(shared.limits, &self, key, &terms, 3 << 20)); /* overdrawn */
    look = limits_look(shared.limits, key, &terms);
    assert_int_equal(look.verdict, COUNT_REFUSED);
    assert_int_equal(look.remaining, 0);
    assert_int_equal(look.wait, 2500 * MS + 1);
    clock_now += look.wait;
    assert_int_equal(limits_look(shared.limits, key, &terms).verdict, COUNT_ADMITTED);
    assert_true(limits_debit(shared.limits, &self, key, &terms, 0));
    /* However much it is, arrival times don't come to their end. */
    for (unsigned i = 0; i < 10; i++)
        assert_true(limits_debit(shared.limits, &self, key, &terms, UINT64_MAX));
    assert_int_equal(limits_look(shared.limits, key, &terms).verdict, COUNT_REFUSED);
    assert_true(pairs_word(shared.limits, key) <= clock_now + LONGEST);
    struct limit_terms fast = limit_terms_of((uint64_t)1 << 40, S, 1 << 20, true); /* less than a ns a byte */
    key = pairs_key(shared.limits, "fast", 4);
    assert_true(limits_debit(shared.limits, &self, key, &fast, 1 << 19));
    assert_in_range(limits_look(shared.limits, key, &fast).remaining, (1 << 19) - 1100, (1 << 19) + 1100);
}

/* A limit's terms change: nobody starts afresh, and nobody waits longer than the new bucket drains. */
static void changed_terms(void **state)
{
    (void)state;
    struct limit_terms slow = limit_terms_of(10, 3600 * S, 10, false),
                       quick = limit_terms_of(100, S, 50, false);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(charge_it(&slow, 1).verdict, COUNT_ADMITTED);
    expect(&quick, COUNT_REFUSED, 10 * MS, 0); /* an hour is owed: the bucket is full */
    clock_now += 10 * MS;
    expect(&quick, COUNT_ADMITTED, 0, 0);
    clock_now += 500 * MS;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(charge_it(&quick, 1).verdict, COUNT_ADMITTED);
    struct limit_terms half = limit_terms_of(50, S, 50, false); /* 500 ms are owed, of 1 s that may be */
    struct limits_outcome outcome = charge_it(&half, 1);
    assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    assert_int_equal(outcome.remaining, 24);
}

/* Keys with the same two buckets. */
static void find_colliding(uint64_t *found, unsigned count)
{
    for (uint64_t i = 0, have = 0; have < count; i++) {
        uint64_t one = pairs_key(shared.limits, &i, sizeof i);
        if (have == 0 || (bucket_of(shared.limits, one, 0) == bucket_of(shared.limits, found[0], 0) &&
                          bucket_of(shared.limits, one, 1) == bucket_of(shared.limits, found[0], 1)))
            found[have++] = one;
    }
}

static void a_full_bucket_evicts_only_what_is_paid_off(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(1, S, 1, false);
    uint64_t colliding[2 * OF_BUCKET + 1];
    find_colliding(colliding, 2 * OF_BUCKET + 1);
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++) {
        key = colliding[i];
        expect(&terms, COUNT_ADMITTED, 0, 0);
        clock_now += MS;
    }
    key = colliding[2 * OF_BUCKET];
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_FULL);
    clock_now += S - 2 * OF_BUCKET * MS - 1;
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_FULL);
    clock_now += 1; /* the first has paid */
    expect(&terms, COUNT_ADMITTED, 0, 0);
    key = colliding[0]; /* nothing was forgotten that matters: but there is no room for it now */
    assert_int_equal(charge_it(&terms, 1).verdict, COUNT_FULL);
    for (unsigned i = 1; i < 2 * OF_BUCKET; i++) {
        key = colliding[i];
        assert_int_equal(charge_it(&terms, 1).verdict, COUNT_REFUSED);
    }
}

static void a_second_passes(const char *name)
{
    if (strcmp(name, "locked") == 0)
        clock_now += S;
}

/* Between a charge's look at the clock and its insertion the key may have been charged by others, paid that off, and lost its
 * pair: the insertion goes by the time that it is then. */
static void an_insertion_looks_at_the_clock_again(void **state)
{
    (void)state;
    struct limit_terms terms = limit_terms_of(1, S, 1, false);
    uint64_t before = clock_now;
    at_step = a_second_passes;
    assert_int_equal(charge_it(&terms, 1).now, before + S);
    at_step = NULL;
    assert_int_equal(pairs_word(shared.limits, key), before + 2 * S);
}

/* --- exactness --- */

enum { PROCESSES = 4, KEYS = 2 * OF_BUCKET };

static uint64_t keys[KEYS];
static struct limit_terms race_terms;
static unsigned race_keys;
static uint64_t race_until;

/* What one process was admitted, and when it was first and last. */
struct tally_of {
    _Atomic uint64_t count, first, last;
};
static struct tally_of (*tallies)[KEYS];

static enum count_verdict charge_once(const struct lock_caller *caller, struct tally_of *own, unsigned which)
{
    struct limits_outcome outcome = limits_charge(shared.limits, caller, keys[which], &race_terms, 1);
    if (outcome.verdict == COUNT_ADMITTED) {
        if (!own[which].count)
            own[which].first = outcome.now;
        own[which].last = outcome.now;
        own[which].count++;
    }
    return outcome.verdict;
}

static void race(const struct lock_caller *caller, void *context)
{
    struct tally_of *own = tallies[*(unsigned *)context];
    while (!atomic_load(&board->go))
        sched_yield();
    for (unsigned i = 0; clock_monotonic_ns() < race_until; i++)
        charge_once(caller, own, i % race_keys);
}

/* All processes on the same keys for `ns`. `while_racing`: what goes on meanwhile. */
static void run_race(unsigned count, uint64_t ns,
                     void (*while_racing)(pid_t pids[], struct lock_caller callers[]))
{
    pid_t pids[PROCESSES];
    struct lock_caller callers[PROCESSES];
    static unsigned numbers[PROCESSES];
    clock_now = 0;
    race_keys = count;
    race_until = clock_monotonic_ns() + ns;
    for (unsigned i = 0; i < PROCESSES; i++) {
        numbers[i] = i;
        pids[i] = zone_fork(&callers[i], race, &numbers[i]);
    }
    atomic_store(&board->go, 1);
    if (while_racing)
        while_racing(pids, callers);
    for (unsigned i = 0; i < PROCESSES; i++)
        waitpid(pids[i], NULL, 0);
}

/* What was admitted of a key, against what may be: in the words of limits.h. */
static void assert_exact(unsigned which, bool saturated)
{
    uint64_t count = 0, first = UINT64_MAX, last = 0;
    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct tally_of *own = &tallies[i][which];
        count += own->count;
        if (own->count && own->first < first)
            first = own->first;
        if (own->last > last)
            last = own->last;
    }
    assert_true(count > 0);
    uint64_t most = race_terms.burst + (last - first) * race_terms.count / race_terms.period;
    if (count > most || (saturated && (double)count < 0.999 * (double)most - 1))
        fail_msg("key %u: %llu were admitted in %.6f s, of %llu", which, (unsigned long long)count,
                 (double)(last - first) / 1e9, (unsigned long long)most);
}

static int open_race(void **state)
{
    tallies =
        mmap(NULL, sizeof(*tallies) * PROCESSES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(tallies, MAP_FAILED);
    int result = open_it(state);
    find_colliding(keys, KEYS);
    return result;
}

static int close_race(void **state)
{
    munmap(tallies, sizeof(*tallies) * PROCESSES);
    return close_it(state);
}

static void one_contended_key(void **state)
{
    (void)state;
    race_terms = limit_terms_of(100000, S, 20000, false); /* a pause of all within 200 ms loses nothing */
    run_race(1, S, NULL);
    while (charge_once(&self, tallies[0], 0) == COUNT_ADMITTED) /* what a last pause left */
        continue;
    assert_exact(0, true);
}

static void keys_that_collide(void **state)
{
    (void)state;
    race_terms = limit_terms_of(30011, S, 7, false); /* they come and go: buckets are empty again and again */
    run_race(KEYS, S, NULL);
    for (unsigned i = 0; i < KEYS; i++)
        assert_exact(i, false);
}

/* One process is stopped and goes on with a clock that is long past, wherever it stood. */
static void stop_and_go(pid_t pids[], struct lock_caller callers[])
{
    (void)callers;
    while (test_clock() < race_until) {
        uint64_t until = test_clock() + 2 * MS;
        kill(pids[0], SIGSTOP);
        while (test_clock() < until)
            sched_yield();
        kill(pids[0], SIGCONT);
        until = test_clock() + MS;
        while (test_clock() < until)
            sched_yield();
    }
}

static void clocks_that_are_past(void **state)
{
    (void)state;
    race_terms = limit_terms_of(5000, S, 3, false); /* 600 µs: less than a stop */
    run_race(KEYS, S, stop_and_go);
    for (unsigned i = 0; i < KEYS; i++)
        assert_exact(i, false);
}

/* One process after the other is killed wherever it stands, and buried by its master. What it admitted and did not tell is
 * missing in the count, which can only be too small then: the bound from above is what must hold. */
static void kill_them(pid_t pids[], struct lock_caller callers[])
{
    static unsigned numbers[PROCESSES];
    for (unsigned i = 0; test_clock() < race_until; i++) {
        unsigned which = i % (PROCESSES - 1), status;
        uint64_t until = test_clock() + 3 * MS;
        while (test_clock() < until)
            sched_yield();
        kill(pids[which], SIGKILL);
        waitpid(pids[which], (int *)&status, 0);
        zone_bury(&callers[which]);
        atomic_store(&shared.slots->slot[callers[which].slot].state, SLOT_FREE);
        numbers[which] = which;
        pids[which] = zone_fork(&callers[which], race, &numbers[which]);
    }
}

static void deaths(void **state)
{
    (void)state;
    race_terms = limit_terms_of(20000, S, 3, false);
    run_race(KEYS, S, kill_them);
    for (unsigned i = 0; i < KEYS; i++)
        assert_exact(i, false);
    for (unsigned i = 0; i < KEYS; i++) { /* and nothing is stuck */
        struct limits_outcome outcome;
        do
            outcome = limits_charge(shared.limits, &self, keys[i], &race_terms, 1);
        while (outcome.verdict == COUNT_REFUSED);
        assert_int_equal(outcome.verdict, COUNT_ADMITTED);
    }
}

#define RATE_TEST(test) cmocka_unit_test_setup_teardown(test, open_it, close_it)
#define RACE_TEST(test) cmocka_unit_test_setup_teardown(test, open_race, close_race)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RATE_TEST(a_bucket_fills_and_drains),
        RATE_TEST(rates_without_whole_intervals_fill_their_bucket),
        RATE_TEST(costs),
        RATE_TEST(delays),
        RATE_TEST(refunds),
        RATE_TEST(bytes),
        RATE_TEST(changed_terms),
        RATE_TEST(a_full_bucket_evicts_only_what_is_paid_off),
        RATE_TEST(an_insertion_looks_at_the_clock_again),
        RACE_TEST(one_contended_key),
        RACE_TEST(keys_that_collide),
        RACE_TEST(clocks_that_are_past),
        RACE_TEST(deaths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
