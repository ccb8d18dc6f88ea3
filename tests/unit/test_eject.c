/* eject: who is out and how long, what is looked at, and that the bound holds whatever others do at the same time. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "tests/unit/cluster.h"
#include "worker/upstream/eject.h"
#include "worker/upstream/outlier.h"
#include "worker/upstream/window.h"

static struct ejection_settings ejection;
static struct health_settings health;
static struct slow_start_settings slow_start;
static struct stats_row stats;
static struct outliers outliers;

/* `count` endpoints, of which `percent` may be out. */
static void make(unsigned count, double percent)
{
    cluster_make(BALANCE_ROUND_ROBIN, count, NULL);
    ejection = (struct ejection_settings){
        .consecutive = 5,
        .volume = 20,
        .window = 10000,
        .time = 30000,
        .max_time = 300000,
        .max_percent = percent,
    };
    upstream.ejection = &ejection;
    upstream.health = NULL;
    upstream.slow_start = NULL;
    memset(&stats, 0, sizeof stats);
    worker.stats = &stats;
    pass(3600 * NS_PER_SECOND);
    cluster_open();
    timers_init(&worker.loop.timers, worker.loop.now_ms);
    outliers_start(&outliers, &worker, arena);
}

static void calls(unsigned index, unsigned good, unsigned bad, uint64_t latency_ms)
{
    struct observation yes = {
        .outcome = OUTCOME_ANSWERED, .status = 200, .latency_ns = latency_ms * NS_PER_MS};
    struct observation no = {.outcome = OUTCOME_FAILED, .status = 500, .latency_ns = NS_PER_MS};
    for (unsigned i = 0; i < good; i++)
        endpoint_observe(&cluster->endpoints[index], &yes);
    for (unsigned i = 0; i < bad; i++)
        endpoint_observe(&cluster->endpoints[index], &no);
}

static bool is_out(unsigned index)
{
    return !endpoint_is_fit(&cluster->endpoints[index], worker.loop.now_ms);
}

static uint64_t time_left(unsigned index)
{
    return ejection_until(cluster->endpoints[index].cell->ejection) - worker.loop.now_ms;
}

static void pass_ms(uint64_t ms)
{
    pass(ms * NS_PER_MS);
}

static void test_in_a_row(void **state)
{
    (void)state;
    make(4, 50);
    calls(1, 0, 4, 1);
    calls(1, 1, 4, 1);
    assert_false(is_out(1));
    calls(1, 0, 1, 1);
    assert_true(is_out(1));
    assert_int_equal(time_left(1), 30000);
    for (unsigned i = 0; i < 100; i++)
        assert_int_not_equal(index_of(pick_for((struct choice){0})), 1);
    /* What comes in meanwhile, of calls before, counts for nothing. */
    calls(1, 0, 100, 1);
    assert_int_equal(time_left(1), 30000);
    pass_ms(29999);
    assert_true(is_out(1));
    pass_ms(1);
    assert_false(is_out(1));
    calls(1, 0, 4, 1);
    assert_false(is_out(1));
}

/* Heads come well, bodies don't come whole. */
static void test_broken_off(void **state)
{
    (void)state;
    make(4, 50);
    struct observation broken = {.outcome = OUTCOME_FAILED, .broke_off = true};
    for (unsigned i = 0; i < 9; i++) {
        calls(1, 1, 0, 1);
        endpoint_observe(&cluster->endpoints[1], &broken);
        if (i == 3)
            endpoint_completed(&cluster->endpoints[1]);
        assert_int_equal(is_out(1), i == 8);
    }
}

/* What nobody waited for says nothing; what counts is a setting. */
static void test_what_counts(void **state)
{
    (void)state;
    static const struct {
        enum ejection_errors errors;
        unsigned status;
        bool counts;
    } cases[] = {
        {EJECTION_5XX, 500, true},      {EJECTION_5XX, 0, true},           {EJECTION_GATEWAY, 500, false},
        {EJECTION_GATEWAY, 501, false}, {EJECTION_GATEWAY, 502, true},     {EJECTION_GATEWAY, 503, true},
        {EJECTION_GATEWAY, 504, true},  {EJECTION_GATEWAY, 505, false},    {EJECTION_GATEWAY, 0, true},
        {EJECTION_CONNECTION, 0, true}, {EJECTION_CONNECTION, 503, false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(4, 50);
        ejection.errors = cases[i].errors;
        ejection.consecutive = 1;
        struct observation left = {.outcome = OUTCOME_LEFT};
        endpoint_observe(cluster->endpoints, &left);
        assert_false(is_out(0));
        struct observation failed = {
            .outcome = OUTCOME_FAILED, .status = cases[i].status, .latency_ns = NS_PER_MS};
        endpoint_observe(cluster->endpoints, &failed);
        assert_int_equal(is_out(0), cases[i].counts);
    }
}

static void test_time_grows_and_shrinks(void **state)
{
    (void)state;
    static const unsigned expected[] = {30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300};
    make(4, 50);
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        calls(2, 0, 5, 1);
        assert_int_equal(time_left(2), expected[i] * 1000);
        pass_ms(time_left(2));
    }
    /* One less for each window in which it behaved: 12 times before, 5 windows. */
    assert_int_equal(eject_times(cluster->endpoints[2].cell), 12);
    pass_ms(59999);
    calls(2, 0, 5, 1);
    assert_int_equal(time_left(2), 240000);
    pass_ms(240000 + 3600000);
    calls(2, 0, 5, 1);
    assert_int_equal(time_left(2), 30000);
}

static void test_how_many(void **state)
{
    (void)state;
    static const struct {
        unsigned count;
        double percent;
        unsigned out;
    } cases[] = {{10, 10, 1}, {10, 0, 1},  {10, 29, 2}, {10, 30, 3}, {10, 99, 9}, {10, 100, 10},
                 {2, 10, 1},  {2, 100, 2}, {1, 99, 0},  {1, 100, 1}, {3, 70, 2}};
    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
        make(cases[c].count, cases[c].percent);
        unsigned out = 0;
        for (unsigned i = 0; i < cases[c].count; i++) {
            calls(i, 0, 5, 1);
            out += is_out(i);
        }
        assert_int_equal(out, cases[c].out);
        assert_int_equal(stats.value[STAT_EJECTIONS], out);
        assert_int_equal(stats.value[STAT_EJECTIONS_SPARED], cases[c].count - out);
    }
}

/* What probes found down can't be relied on either. */
static void test_the_last_healthy_one(void **state)
{
    (void)state;
    make(3, 90);
    upstream.health = &health;
    health = (struct health_settings){.interval = 1000, .timeout = 1000};
    cluster_open();
    cluster->endpoints[0].cell->down_until = cluster->endpoints[1].cell->down_until = UINT64_MAX;
    calls(2, 0, 5, 1);
    assert_false(is_out(2));
    cluster->endpoints[0].cell->down_until = 0;
    pass_ms(1000);
    calls(2, 0, 5, 1);
    assert_true(is_out(2));
}

static void test_ratio(void **state)
{
    (void)state;
    make(4, 50);
    ejection.consecutive = 0;
    ejection.ratio = 25;
    for (unsigned i = 0; i < 4; i++)
        calls(0, 3, 1, 1); /* 16 calls say nothing yet */
    assert_false(is_out(0));
    calls(0, 3, 1, 1);
    assert_true(is_out(0));
    for (unsigned i = 0; i < 50; i++)
        calls(1, 4, 1, 1);
    assert_false(is_out(1));
    /* Errors of long ago don't count. */
    calls(2, 0, 19, 1);
    pass_ms(10000);
    calls(2, 0, 19, 1);
    assert_false(is_out(2));
    calls(2, 0, 1, 1);
    assert_true(is_out(2));
}

static void look(void)
{
    outliers_look(&outliers, cluster);
}

static void test_deviation(void **state)
{
    (void)state;
    make(10, 50);
    ejection.consecutive = 0;
    ejection.deviation = 1.9;
    for (unsigned i = 0; i < 10; i++)
        calls(i, i == 3 ? 15 : 20, i == 3 ? 5 : 0, 1);
    look();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(is_out(i), i == 3);
    /* All alike: what fails everywhere is nobody's fault. */
    make(10, 50);
    ejection.consecutive = 0;
    ejection.deviation = 1.9;
    for (unsigned i = 0; i < 10; i++)
        calls(i, 15, 5, 1);
    look();
    for (unsigned i = 0; i < 10; i++)
        assert_false(is_out(i));
    /* Many deviations, but next to nothing: 1 in 100. */
    make(10, 50);
    ejection.consecutive = 0;
    ejection.deviation = 1.9;
    for (unsigned i = 0; i < 10; i++)
        calls(i, 99, i == 3, 1);
    look();
    assert_false(is_out(3));
    /* Four say nothing of each other. */
    make(4, 50);
    ejection.consecutive = 0;
    ejection.deviation = 0.5;
    for (unsigned i = 0; i < 4; i++)
        calls(i, 20, i == 3 ? 20 : 0, 1);
    look();
    assert_false(is_out(3));
}

static void test_slow(void **state)
{
    (void)state;
    static const struct {
        unsigned count;
        unsigned latency[4];
        unsigned out; /* bits */
    } cases[] = {
        {3, {20, 62, 21}, 1 << 1},
        {3, {20, 61, 21}, 0},
        {2, {20, 60}, 1 << 1},
        {2, {2, 11}, 0}, /* not 10 ms more */
        {4, {20, 90, 20, 80}, 1 << 1 | 1 << 3},
        {4, {0, 10, 0, 9}, 1 << 1},
        {1, {1000}, 0},
    };
    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
        make(cases[c].count, 60);
        ejection.consecutive = 0;
        ejection.slow = 3;
        for (unsigned i = 0; i < cases[c].count; i++)
            calls(i, 20, 1, cases[c].latency[i]);
        look();
        for (unsigned i = 0; i < cases[c].count; i++)
            assert_int_equal(is_out(i), cases[c].out >> i & 1);
    }
}

static void test_return_is_told_once(void **state)
{
    (void)state;
    make(4, 50);
    calls(1, 0, 5, 1);
    look();
    assert_int_equal(stats.value[STAT_RETURNS], 0);
    pass_ms(30000);
    look();
    look();
    assert_int_equal(stats.value[STAT_RETURNS], 1);
    /* Not after a time in which nobody looked. */
    calls(1, 0, 5, 1);
    pass_ms(200000);
    look();
    assert_int_equal(stats.value[STAT_RETURNS], 1);
}

/* A mark whose owner died holds the others back for a second, and no longer. */
static void test_mark_without_an_owner(void **state)
{
    (void)state;
    make(2, 50);
    cluster->endpoints[0].cell->ejection |= 1 + worker.loop.now_ms / 128 % 1023;
    calls(1, 0, 5, 1);
    assert_false(is_out(1));
    calls(0, 0, 5, 1);
    assert_false(is_out(0));
    pass_ms(8 * 128);
    calls(1, 0, 5, 1);
    assert_true(is_out(1));
    assert_int_equal(cluster->endpoints[0].cell->ejection, 0);
    /* The endpoint's own, too. */
    make(2, 50);
    cluster->endpoints[0].cell->ejection |= 1 + worker.loop.now_ms / 128 % 1023;
    pass_ms(8 * 128);
    calls(0, 0, 5, 1);
    assert_true(is_out(0));
}

/* --- deaths --- */

#if defined(__SANITIZE_ADDRESS__)
enum { STRIDE = 11 }; /* many more instructions, that are not ours */
#else
enum { STRIDE = 1 };
#endif

/* A process that ejects the first endpoint, and is killed after so many instructions. True: it had ended before. */
static bool killed_after(unsigned instructions)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        eject(cluster->endpoints, "it is its turn");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (unsigned i = 0; i < instructions && WIFSTOPPED(status); i++) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    if (!WIFSTOPPED(status))
        return true;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return false;
}

/* Wherever it dies: it is out or it isn't, the bound holds at once, and after a second nothing of the dead is in the way. */
static void test_killed_at_any_instruction(void **state)
{
    (void)state;
    bool out = false;
    unsigned marks = 0;
    make(4, 25);
    for (unsigned n = 1; !out; n += STRIDE) {
        for (unsigned i = 0; i < 4; i++)
            cluster->endpoints[i].cell->ejection = 0;
        assert_false(killed_after(n));
        out = is_out(0);
        bool marked = !out && cluster->endpoints[0].cell->ejection;
        marks += marked;
        assert_int_equal(eject(&cluster->endpoints[1], "it is its turn"), !out && !marked);
        cluster->endpoints[1].spared_until = 0;
        if (!marked)
            continue;
        pass_ms(1024);
        assert_true(eject(&cluster->endpoints[1], "it is its turn"));
    }
    assert_true(marks > 0);
}

/* --- several processes --- */

enum { THREADS = 4, TURNS = 5000, HOSTS = 8, MAY = 1 };

struct process_like {
    pthread_t thread;
    struct worker worker;
    struct stats_row stats;
    struct arena *arena;
    uint64_t out; /* that this one ejected */
};

static _Atomic unsigned out_now, out_most;

/* Ejects one after the other, and brings back at once what it ejected. `out_now` is never more than are really out: it
 * counts them later, and lets them go sooner. */
static void *run(void *context)
{
    struct process_like *process = context;
    while (process->out < TURNS) {
        struct endpoint *endpoint =
            &process->worker.clusters->endpoints[random_below(&process->worker.random, HOSTS)];
        endpoint->spared_until = 0;
        if (!eject(endpoint, "it is its turn")) {
            if (out_now == MAY)
                sched_yield(); /* to who holds the others up */
            continue;
        }
        process->out++;
        unsigned out = ++out_now, most = out_most;
        while (out > most && !atomic_compare_exchange_weak(&out_most, &most, out))
            ;
        sched_yield();
        out_now--;
        endpoint->cell->ejection = 0;
    }
    return NULL;
}

static void test_bound_holds_among_processes(void **state)
{
    (void)state;
    static struct process_like processes[THREADS];
    make(HOSTS, 100.0 * MAY / HOSTS);
    for (unsigned i = 0; i < THREADS; i++) {
        struct process_like *process = &processes[i];
        *process = (struct process_like){.worker = worker, .arena = arena_new(1 << 14)};
        process->worker.stats = &process->stats;
        process->worker.random.state[0] += i;
        clusters_open(&process->worker, process->arena);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&processes[i].thread, NULL, run, &processes[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(processes[i].thread, NULL);
        assert_int_equal(processes[i].stats.value[STAT_EJECTIONS], processes[i].out);
        arena_free(&processes[i].arena);
    }
    assert_in_range(out_most, 1, MAY);
    for (unsigned i = 0; i < HOSTS; i++) /* no mark is left */
        assert_int_equal(cluster->endpoints[i].cell->ejection, 0);
}

/* --- slow start --- */

static double portion(void)
{
    return endpoint_portion(cluster->endpoints);
}

static void test_slow_start(void **state)
{
    (void)state;
    make(2, 50);
    slow_start = (struct slow_start_settings){.window = 10000, .aggression = 1, .least = 10};
    upstream.slow_start = &slow_start;
    assert_true(portion() == 1);
    calls(0, 0, 5, 1);
    pass_ms(30000);
    assert_true(portion() == 0.1);
    pass_ms(500);
    assert_true(portion() == 0.1);
    pass_ms(4500);
    assert_true(portion() == 0.5);
    slow_start.aggression = 2;
    assert_true(portion() > 0.707 && portion() < 0.708);
    pass_ms(5000);
    assert_true(portion() == 1);
    /* After it was down too, if it is probed. */
    cluster->endpoints[0].cell->up_since = worker.loop.now_ms - 2500;
    assert_true(portion() == 1);
    upstream.health = &health;
    assert_true(portion() == 0.5);
}

/* Every balancer gives it the part that it shall have. */
static void test_slow_start_in_balancers(void **state)
{
    (void)state;
    enum { PICKS = 100000 };
    slow_start = (struct slow_start_settings){.window = 1 << 30, .aggression = 1, .least = 25};
    for (int balance = BALANCE_ROUND_ROBIN; balance <= BALANCE_HASH; balance++) {
        if (balance == BALANCE_P2C)
            continue; /* its shares come of loads: test_p2c */
        make(4, 50);
        upstream.balance = balance;
        upstream.slow_start = &slow_start;
        cluster_open();
        calls(0, 0, 5, 1);
        pass_ms(30000);
        for (unsigned i = 0; i < PICKS; i++) {
            struct endpoint *endpoint = pick_for((struct choice){.key = random_next(&worker.random) | 1});
            if (balance == BALANCE_LEAST)
                add_load(endpoint, 1);
        }
        assert_share(picks[0], PICKS, 0.25 / 3.25, 6);
        for (unsigned i = 1; i < 4; i++)
            assert_share(picks[i], PICKS, 1 / 3.25, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_in_a_row),
        CLUSTER_TEST(test_broken_off),
        CLUSTER_TEST(test_what_counts),
        CLUSTER_TEST(test_time_grows_and_shrinks),
        CLUSTER_TEST(test_how_many),
        CLUSTER_TEST(test_the_last_healthy_one),
        CLUSTER_TEST(test_ratio),
        CLUSTER_TEST(test_deviation),
        CLUSTER_TEST(test_slow),
        CLUSTER_TEST(test_return_is_told_once),
        CLUSTER_TEST(test_mark_without_an_owner),
        CLUSTER_TEST(test_killed_at_any_instruction),
        CLUSTER_TEST(test_bound_holds_among_processes),
        CLUSTER_TEST(test_slow_start),
        CLUSTER_TEST(test_slow_start_in_balancers),
    };
    log_set_level(LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
