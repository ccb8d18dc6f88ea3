/* p2c, in a world of the test's own: calls in progress, a clock, endpoints with given latencies. */
#include "tests/unit/cluster.h"

enum { PEERS = 8, CALLS = 100000 };
#define MS NS_PER_MS

/* An endpoint of the world: how long it takes, and how often it fails (of 1000), and after what time then. */
struct peer {
    uint64_t latency;
    unsigned fails;
    uint64_t failure;
};

struct running {
    struct endpoint *endpoint;
    uint64_t began, end;
    bool failed;
};

/* `parallel` calls at all times, each followed by the next after `idle` ns, until there were CALLS. Latencies vary by a
 * tenth. */
static void run(const struct peer *peers, unsigned parallel, uint64_t idle)
{
    static struct running running[256];
    memset(running, 0, sizeof running);
    memset(picks, 0, sizeof picks);
    for (unsigned done = 0; done < CALLS;) {
        unsigned next = 0;
        for (unsigned i = 1; i < parallel; i++)
            if (running[i].end < running[next].end)
                next = i;
        struct running *call = &running[next];
        if (call->end > worker.loop.now)
            pass(call->end - worker.loop.now);
        if (call->endpoint) {
            add_load(call->endpoint, -1);
            balancers[BALANCE_P2C]->observe(call->endpoint, worker.loop.now - call->began,
                                            call->failed ? OUTCOME_FAILED : OUTCOME_ANSWERED);
            call->endpoint = NULL;
            call->end = worker.loop.now + idle;
            done++;
            if (idle)
                continue;
        }
        struct endpoint *endpoint = pick_for((struct choice){0});
        const struct peer *peer = &peers[index_of(endpoint)];
        add_load(endpoint, 1);
        bool failed = random_below(&worker.random, 1000) < peer->fails;
        uint64_t latency = failed ? peer->failure : peer->latency;
        latency = latency * 9 / 10 + random_below(&worker.random, latency / 5);
        *call = (struct running){endpoint, worker.loop.now, worker.loop.now + latency, failed};
    }
    for (unsigned i = 0; i < cluster->count; i++)
        set_load(&cluster->endpoints[i], 0);
}

static void test_equals_share_by_weight(void **state)
{
    (void)state;
    static const struct peer peers[] = {
        {.latency = 10 * MS}, {.latency = 10 * MS}, {.latency = 10 * MS}, {.latency = 10 * MS}};
    static const unsigned weights[] = {1, 2, 3, 4};
    cluster_make(BALANCE_P2C, 4, NULL);
    run(peers, 64, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], CALLS, 0.25, 5);
    cluster_make(BALANCE_P2C, 4, weights);
    run(peers, 200, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], CALLS, (i + 1) / 10.0, 10);
}

/* Costs are equal when (a + 1) × 10 ms is (b + 1) × 30 ms; of 30 calls in progress that is 23 and 7, and as those at the
 * faster take a third of the time, it gets 23 × 3 / 7 = 10 times as many. */
static void test_faster_gets_more(void **state)
{
    (void)state;
    static const struct peer peers[] = {{.latency = 10 * MS}, {.latency = 30 * MS}};
    cluster_make(BALANCE_P2C, 2, NULL);
    run(peers, 30, 0); /* from the seed, 30 ms, to what they are */
    run(peers, 30, 0);
    double factor = (double)picks[0] / picks[1];
    if (factor < 8.5 || factor > 12)
        fail_msg("%u and %u: %g times as many", picks[0], picks[1], factor);
}

/* One call at a time: the slow one is only looked at now and then. */
static void test_slow_one_is_avoided(void **state)
{
    (void)state;
    static const struct peer peers[] = {
        {.latency = 10 * MS}, {.latency = 10 * MS}, {.latency = 1000 * MS}, {.latency = 10 * MS}};
    cluster_make(BALANCE_P2C, 4, NULL);
    run(peers, 1, 0);
    assert_in_range(picks[2], 1, CALLS / 500);
}

/* Failures that come in a tenth of the usual time: without a penalty they would draw nearly everything. */
static void test_fast_failures_do_not_attract(void **state)
{
    (void)state;
    static const struct peer refusing[] = {
        {.latency = 10 * MS}, {.latency = 10 * MS, .fails = 1000, .failure = MS}, {.latency = 10 * MS}};
    for (unsigned parallel = 1; parallel <= 64; parallel *= 8) {
        cluster_make(BALANCE_P2C, 3, NULL);
        run(refusing, parallel, 0);
        assert_in_range(picks[1], 1, CALLS / 200);
    }
    /* Half of them is enough to be avoided. */
    static const struct peer half[] = {
        {.latency = 10 * MS}, {.latency = 10 * MS, .fails = 500, .failure = MS}, {.latency = 10 * MS}};
    cluster_make(BALANCE_P2C, 3, NULL);
    run(half, 16, 0);
    assert_in_range(picks[1], 1, CALLS / 15);
}

/* An error that the application gives everywhere, now and then, shifts little. */
static void test_common_failures_shift_little(void **state)
{
    (void)state;
    static const struct peer peers[] = {{.latency = 10 * MS, .fails = 50, .failure = MS},
                                        {.latency = 10 * MS, .fails = 50, .failure = MS},
                                        {.latency = 10 * MS, .fails = 50, .failure = MS},
                                        {.latency = 10 * MS, .fails = 50, .failure = MS}};
    cluster_make(BALANCE_P2C, 4, NULL);
    run(peers, 64, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], CALLS, 0.25, 20);
}

/* One that failed for long is soon a full member again. */
static void test_recovers(void **state)
{
    (void)state;
    static const struct peer broken[] = {{.latency = 10 * MS}, {.fails = 1000, .failure = MS}};
    static const struct peer sound[] = {{.latency = 10 * MS}, {.latency = 10 * MS}};
    cluster_make(BALANCE_P2C, 2, NULL);
    run(broken, 16, 0);
    pass(60 * NS_PER_SECOND);
    run(sound, 16, 0);
    assert_share(picks[1], CALLS, 0.5, 5);
}

static double number(const _Atomic uint64_t *word)
{
    double number;
    uint64_t bits = *word;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static double latency_of(const struct endpoint *endpoint)
{
    return number(&endpoint->cell->latency);
}

/* The average: up at once, down with a time constant of 10 s, and no lower than is usual without answers. */
static void test_average(void **state)
{
    (void)state;
    cluster_make(BALANCE_P2C, 2, NULL);
    struct endpoint *endpoint = &cluster->endpoints[0];
    void (*observe)(struct endpoint *, uint64_t, enum outcome) = balancers[BALANCE_P2C]->observe;
    assert_true(latency_of(endpoint) == 0);
    observe(endpoint, 100 * MS, OUTCOME_ANSWERED);
    assert_true(latency_of(endpoint) == 100.0 * MS);
    observe(endpoint, 10 * MS, OUTCOME_ANSWERED); /* in the same turn: no time has passed */
    assert_true(latency_of(endpoint) == 100.0 * MS);
    pass(10 * NS_PER_SECOND);
    observe(endpoint, 10 * MS, OUTCOME_ANSWERED);
    double expected = 10.0 * MS + 90.0 * MS / 2.718281828;
    assert_true(latency_of(endpoint) > expected * 0.999 && latency_of(endpoint) < expected * 1.001);
    /* A failure is never an improvement, a client that leaves isn't either. */
    double before = latency_of(endpoint);
    observe(endpoint, 1, OUTCOME_LEFT);
    assert_true(latency_of(endpoint) == before);
    observe(endpoint, 500 * MS, OUTCOME_LEFT);
    assert_true(latency_of(endpoint) == 500.0 * MS);
    observe(endpoint, 1, OUTCOME_FAILED);
    assert_true(latency_of(endpoint) == 500.0 * MS);
    for (unsigned i = 0; i < 100; i++)
        observe(endpoint, 1, OUTCOME_FAILED);
    assert_true(latency_of(endpoint) > 1000.0 * MS && latency_of(endpoint) <= 10000.0 * MS);
    /* An answer in between: the next failure is the first in a row. */
    observe(endpoint, 1, OUTCOME_ANSWERED);
    pass(3600 * NS_PER_SECOND);
    observe(endpoint, 1, OUTCOME_FAILED);
    assert_true(latency_of(endpoint) == 2 * number(&cluster->cell->usual));
}

/* An endpoint that was left alone for a day does not get all of a burst. */
static void test_burst_after_rest(void **state)
{
    (void)state;
    cluster_make(BALANCE_P2C, 2, NULL);
    pass(86400 * NS_PER_SECOND);
    balancers[BALANCE_P2C]->observe(&cluster->endpoints[0], 28 * MS, OUTCOME_ANSWERED);
    for (unsigned i = 0; i < 100; i++)
        add_load(pick_for((struct choice){0}), 1);
    assert_in_range(picks[0], 40, 60);
}

/* One that came back lately has the part of its share that slow start gives it, as if its weight were that much less. */
static void test_slow_start(void **state)
{
    (void)state;
    static const struct peer peers[] = {
        {.latency = 10 * MS}, {.latency = 10 * MS}, {.latency = 10 * MS}, {.latency = 10 * MS}};
    static struct health_settings health;
    static struct slow_start_settings slow_start = {.window = 1 << 30, .aggression = 1, .least = 25};
    cluster_make(BALANCE_P2C, 4, NULL);
    upstream.health = &health;
    upstream.slow_start = &slow_start;
    cluster->endpoints[0].cell->up_since = worker.loop.now_ms;
    run(peers, 200, 0);
    assert_share(picks[0], CALLS, 0.25 / 3.25, 20);
    for (unsigned i = 1; i < 4; i++)
        assert_share(picks[i], CALLS, 1 / 3.25, 5);
    run(peers, 1, 0); /* no more than that when nothing else is in progress */
    assert_in_range(picks[0], 0, CALLS / 13);
    slow_start.window = 1; /* over */
    run(peers, 200, 0);
    assert_share(picks[0], CALLS, 0.25, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_equals_share_by_weight),
        CLUSTER_TEST(test_faster_gets_more),
        CLUSTER_TEST(test_slow_one_is_avoided),
        CLUSTER_TEST(test_fast_failures_do_not_attract),
        CLUSTER_TEST(test_common_failures_shift_little),
        CLUSTER_TEST(test_recovers),
        CLUSTER_TEST(test_average),
        CLUSTER_TEST(test_burst_after_rest),
        CLUSTER_TEST(test_slow_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
