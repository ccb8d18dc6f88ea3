/* The breaker's word and its window, as several processes use it. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "shared/shm/shared.h"
#include "shared/shm/upstreams.h"
#include "tests/unit/unit.h"

enum { SLOT = 3, OTHER = 4, NOW = 1000000 };

static struct breaker_cell *cell;
static struct breaker_rules rules;

static int set_up(void **state)
{
    (void)state;
    rules = (struct breaker_rules){
        .errors = 3, .volume = 10, .window = 10000, .open = 1000, .open_most = 8000, .probe = 500};
    cell = mmap(NULL, sizeof *cell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(cell, MAP_FAILED);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(cell, sizeof *cell);
    return 0;
}

static uint64_t opened_ms, ticket, left;

static enum breaker_cause bad(uint64_t now)
{
    struct breaker_result result = {.began_ms = now};
    return breaker_bad(cell, &rules, now, &result, &opened_ms);
}

static bool good(uint64_t now)
{
    struct breaker_result result = {.began_ms = now};
    return breaker_good(cell, &rules, now, &result);
}

static enum breaker_gate ask(uint64_t now)
{
    return breaker_ask(cell, &rules, SLOT, now, &ticket, &left);
}

static enum breaker_cause probe_bad(uint64_t now, uint64_t of)
{
    struct breaker_result result = {.ticket = of};
    return breaker_bad(cell, &rules, now, &result, &opened_ms);
}

static bool probe_good(uint64_t now, uint64_t of)
{
    struct breaker_result result = {.ticket = of};
    return breaker_good(cell, &rules, now, &result);
}

/* Opens it by failures in a row. */
static void trip(uint64_t now)
{
    for (unsigned i = 1; i < rules.errors; i++)
        assert_int_equal(bad(now), BREAKER_STAYS);
    assert_int_equal(bad(now), BREAKER_BY_ERRORS);
}

static void failures_must_be_in_a_row(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(bad(NOW), BREAKER_STAYS);
        assert_int_equal(bad(NOW), BREAKER_STAYS);
        assert_false(good(NOW));
    }
    assert_int_equal(breaker_view(cell).state, BREAKER_CLOSED);
    assert_true(breaker_passes(cell));
    trip(NOW);
    assert_int_equal(opened_ms, 1000);
    assert_false(breaker_passes(cell));
}

static void it_is_open_for_its_time_and_then_one_goes(void **state)
{
    (void)state;
    trip(NOW);
    assert_int_equal(ask(NOW), BREAKER_SHUT);
    assert_int_equal(left, 1000);
    assert_int_equal(ask(NOW + 999), BREAKER_SHUT);
    assert_int_equal(left, 1);
    assert_int_equal(ask(NOW + 1000), BREAKER_PROBE);
    assert_int_equal(breaker_view(cell).count, SLOT);
    uint64_t first = ticket;
    assert_int_equal(ask(NOW + 1100), BREAKER_SHUT);
    assert_int_equal(left, 400);
    assert_true(probe_good(NOW + 1200, first));
    assert_int_equal(ask(NOW + 1200), BREAKER_PASS);
    assert_int_equal(ticket, 0);
}

static void open_times_double_and_are_forgotten(void **state)
{
    (void)state;
    uint64_t now = NOW, expected = 1000;
    trip(now);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(opened_ms, expected);
        now += opened_ms;
        assert_int_equal(ask(now), BREAKER_PROBE);
        assert_int_equal(probe_bad(now, ticket), BREAKER_BY_PROBE);
        expected = expected * 2 < 8000 ? expected * 2 : 8000;
    }
    now += opened_ms;
    assert_int_equal(ask(now), BREAKER_PROBE);
    assert_true(probe_good(now, ticket));
    trip(now + 100); /* soon after */
    assert_int_equal(opened_ms, 8000);
    now += 100 + opened_ms;
    assert_int_equal(ask(now), BREAKER_PROBE);
    assert_true(probe_good(now, ticket));
    trip(now + 8001);
    assert_int_equal(opened_ms, 1000);
}

static void jitter_and_retry_after_lengthen_it(void **state)
{
    (void)state;
    rules.jitter = 0.5;
    rules.errors = 1;
    struct breaker_result result = {.began_ms = NOW, .chance = 0.5};
    assert_int_equal(breaker_bad(cell, &rules, NOW, &result, &opened_ms), BREAKER_BY_ERRORS);
    assert_int_equal(opened_ms, 1250);
    uint64_t now = NOW + opened_ms;
    assert_int_equal(ask(now), BREAKER_PROBE);
    result = (struct breaker_result){.ticket = ticket, .retry_after_ms = 6000};
    assert_int_equal(breaker_bad(cell, &rules, now, &result, &opened_ms), BREAKER_BY_PROBE);
    assert_int_equal(opened_ms, 6000);
    now += opened_ms;
    assert_int_equal(ask(now), BREAKER_PROBE);
    result = (struct breaker_result){.ticket = ticket, .retry_after_ms = 86400000};
    assert_int_equal(breaker_bad(cell, &rules, now, &result, &opened_ms), BREAKER_BY_PROBE);
    assert_int_equal(opened_ms, 8000);
}

static void a_late_probe_is_taken_over_and_says_nothing_then(void **state)
{
    (void)state;
    trip(NOW);
    assert_int_equal(ask(NOW + 1000), BREAKER_PROBE);
    uint64_t first = ticket;
    assert_int_equal(ask(NOW + 1500), BREAKER_TAKEN);
    uint64_t second = ticket;
    assert_int_equal(probe_bad(NOW + 1501, first), BREAKER_STAYS);
    breaker_give_back(cell, first, NOW + 1501);
    assert_false(probe_good(NOW + 1501, first));
    assert_int_equal(breaker_view(cell).state, BREAKER_HALF_OPEN);
    assert_true(probe_good(NOW + 1502, second));
}

static void a_probe_is_given_back(void **state)
{
    (void)state;
    trip(NOW);
    assert_int_equal(ask(NOW + 1000), BREAKER_PROBE);
    breaker_give_back(cell, ticket, NOW + 1001);
    assert_int_equal(ask(NOW + 1001), BREAKER_PROBE);
    breaker_release(cell, OTHER);
    assert_int_equal(ask(NOW + 1001), BREAKER_SHUT);
    breaker_release(cell, SLOT);
    assert_int_equal(ask(NOW + 1001), BREAKER_PROBE);
    assert_int_equal(probe_bad(NOW + 1001, ticket), BREAKER_BY_PROBE);
    assert_int_equal(opened_ms, 2000);
    breaker_release(cell, SLOT); /* it has none */
    assert_int_equal(ask(NOW + 1002), BREAKER_SHUT);
}

static void what_began_before_it_closed_says_nothing(void **state)
{
    (void)state;
    trip(NOW);
    assert_int_equal(bad(NOW + 1), BREAKER_STAYS); /* was under way when it opened */
    assert_int_equal(ask(NOW + 1000), BREAKER_PROBE);
    assert_false(good(NOW + 1000)); /* another call's answer */
    assert_int_equal(breaker_view(cell).state, BREAKER_HALF_OPEN);
    assert_true(probe_good(NOW + 1000, ticket));
    for (unsigned i = 0; i < 10; i++) {
        struct breaker_result late = {.began_ms = NOW - 1};
        assert_int_equal(breaker_bad(cell, &rules, NOW + 1001, &late, &opened_ms), BREAKER_STAYS);
    }
    trip(NOW + 1001);
}

static void a_share_of_enough_calls_opens_it(void **state)
{
    (void)state;
    rules.errors = 0;
    rules.ratio = 0.5;
    uint32_t calls, failed;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(bad(NOW), BREAKER_STAYS);
    for (unsigned i = 0; i < 5; i++)
        good(NOW);
    breaker_sum(cell, &rules, NOW, &calls, &failed);
    assert_int_equal(calls, 9);
    assert_int_equal(failed, 4);
    assert_int_equal(bad(NOW), BREAKER_BY_RATIO);
    assert_int_equal(ask(NOW + 1000), BREAKER_PROBE);
    assert_true(probe_good(NOW + 1000, ticket));
    breaker_sum(cell, &rules, NOW + 1000, &calls, &failed);
    assert_int_equal(calls, 0); /* forgotten */
}

static void the_window_moves_on(void **state)
{
    (void)state;
    rules.errors = 0;
    rules.ratio = 0.5;
    uint32_t calls, failed;
    for (uint64_t i = 0; i < 30; i++)
        good(NOW + i * 1000);
    breaker_sum(cell, &rules, NOW + 29000, &calls, &failed);
    assert_int_equal(calls, BREAKER_BUCKETS);
    breaker_sum(cell, &rules, NOW + 34000, &calls, &failed);
    assert_int_equal(calls, BREAKER_BUCKETS - 5);
    breaker_sum(cell, &rules, NOW + 39000, &calls, &failed);
    assert_int_equal(calls, 0);
    for (unsigned i = 0; i < (1 << 20) + 10; i++) /* more than a bucket holds */
        good(NOW + 50000);
    breaker_sum(cell, &rules, NOW + 50000, &calls, &failed);
    assert_in_range(calls, 1 << 19, 1 << 20);
}

static void rules_that_changed_hold_for_the_open_one(void **state)
{
    (void)state;
    rules.open = rules.open_most = 3600000;
    trip(NOW);
    rules.open = 100;
    rules.open_most = 200;
    assert_int_equal(ask(NOW + 10), BREAKER_SHUT);
    assert_in_range(left, 1, 201);
    assert_int_equal(ask(NOW + 10 + left), BREAKER_PROBE);
}

static void words_that_are_none_are_taken(void **state)
{
    (void)state;
    atomic_store(&cell->word, UINT64_MAX);
    assert_int_equal(breaker_view(cell).state, BREAKER_CLOSED);
    assert_int_equal(ask(NOW), BREAKER_PASS);
}

/* --- several processes --- */

enum { CHILDREN = 8 };

/* Each asks at the same moment; how many got the probe. */
static unsigned contend(uint64_t now)
{
    _Atomic unsigned *start =
        mmap(NULL, sizeof *start, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned probes = 0;
    pid_t children[CHILDREN];
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i])
            continue;
        uint64_t mine, wait;
        atomic_fetch_add(start, 1);
        while (atomic_load(start) < CHILDREN)
            continue;
        enum breaker_gate gate = breaker_ask(cell, &rules, i, now, &mine, &wait);
        _exit(gate == BREAKER_PROBE ? 1 : gate == BREAKER_SHUT ? 0 : 2);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        probes += (unsigned)WEXITSTATUS(status);
    }
    munmap(start, sizeof *start);
    return probes;
}

static void of_many_that_contend_one_is_the_probe(void **state)
{
    (void)state;
    uint64_t now = NOW;
    trip(now);
    for (unsigned round = 0; round < 50; round++) {
        now += opened_ms;
        assert_int_equal(contend(now), 1);
        struct breaker_view view = breaker_view(cell);
        assert_int_equal(view.state, BREAKER_HALF_OPEN);
        assert_true(view.count < CHILDREN);
        breaker_release(cell, view.count);
        opened_ms = 0;
    }
}

static void failures_of_all_processes_are_one_row(void **state)
{
    (void)state;
    enum { EACH = 1000 };
    rules.errors = CHILDREN * EACH;
    unsigned opened = 0;
    for (unsigned i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child)
            continue;
        unsigned mine = 0;
        for (unsigned j = 0; j < EACH; j++)
            mine += bad(NOW) == BREAKER_BY_ERRORS;
        _exit((int)mine);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        opened += (unsigned)WEXITSTATUS(status);
    }
    assert_int_equal(opened, 1);
    assert_int_equal(breaker_view(cell).state, BREAKER_OPEN);
}

/* The zone, as the master has it: a dead process's probe is free. */
static void the_masters_release_frees_a_dead_ones_probe(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct shared shared;
    const char *why;
    struct segment_plan plan = {
        .slots = 8, .log_ring = 4096, .size_at_most = 1 << 24, .upstreams = 4, .endpoints = 1};
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    int index = cells_take(shared.upstreams, "u", 1, 1);
    struct breaker_cell *shared_cell = &upstreams_cell(shared.upstreams, (unsigned)index)->breaker,
                        *own = cell;
    cell = shared_cell;
    trip(NOW);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ask(NOW + 1000) != BREAKER_PROBE)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(ask(NOW + 1001), BREAKER_SHUT);
    shared_release(&shared, OTHER);
    assert_int_equal(ask(NOW + 1001), BREAKER_SHUT);
    shared_release(&shared, SLOT);
    assert_int_equal(ask(NOW + 1001), BREAKER_PROBE);
    cell = own;
    shared_destroy(&shared);
    arena_free(&arena);
}

#define BREAKER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BREAKER_TEST(failures_must_be_in_a_row),
        BREAKER_TEST(it_is_open_for_its_time_and_then_one_goes),
        BREAKER_TEST(open_times_double_and_are_forgotten),
        BREAKER_TEST(jitter_and_retry_after_lengthen_it),
        BREAKER_TEST(a_late_probe_is_taken_over_and_says_nothing_then),
        BREAKER_TEST(a_probe_is_given_back),
        BREAKER_TEST(what_began_before_it_closed_says_nothing),
        BREAKER_TEST(a_share_of_enough_calls_opens_it),
        BREAKER_TEST(the_window_moves_on),
        BREAKER_TEST(rules_that_changed_hold_for_the_open_one),
        BREAKER_TEST(words_that_are_none_are_taken),
        BREAKER_TEST(of_many_that_contend_one_is_the_probe),
        BREAKER_TEST(failures_of_all_processes_are_one_row),
        BREAKER_TEST(the_masters_release_frees_a_dead_ones_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
