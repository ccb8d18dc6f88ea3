/* The budget of retries: its bound, over any span and by all processes. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "shared/shm/budget.h"
#include "tests/unit/unit.h"

enum { NOW = 5000000 };

static _Atomic uint64_t *budget;
static struct budget_rules rules;
static struct payer payer;

static int set_up(void **state)
{
    (void)state;
    rules = (struct budget_rules){.ratio = 0.2, .minimum = 0, .window = 10000};
    payer = (struct payer){0, 0};
    budget = mmap(NULL, sizeof *budget, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(budget, MAP_FAILED);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(budget, sizeof *budget);
    return 0;
}

static void calls(unsigned count, uint64_t now)
{
    for (unsigned i = 0; i < count; i++)
        budget_call(budget, &rules, now, &payer);
}

static unsigned take_all(uint64_t now)
{
    unsigned taken = 0;
    while (budget_take(budget, &rules, now, &payer))
        taken++;
    return taken;
}

static void a_share_of_the_calls(void **state)
{
    (void)state;
    assert_int_equal(take_all(NOW), 0);
    calls(4, NOW);
    assert_int_equal(take_all(NOW), 0);
    calls(2, NOW);
    assert_int_equal(take_all(NOW), 1);
    calls(1000, NOW);
    assert_in_range(take_all(NOW), 199, 200);
}

static void so_many_a_second_whatever_the_calls(void **state)
{
    (void)state;
    rules.ratio = 0;
    rules.minimum = 10;
    assert_int_equal(take_all(NOW), 10); /* a second's worth to begin with */
    assert_int_equal(take_all(NOW + 50), 0);
    unsigned taken = 0;
    for (uint64_t ms = 10; ms <= 10000; ms += 10)
        taken += take_all(NOW + ms);
    assert_in_range(taken, 95, 100);
}

static void what_is_not_used_fades(void **state)
{
    (void)state;
    calls(1000, NOW);
    assert_in_range((int)budget_left(budget, &rules, NOW), 193, 200); /* the last of them are not paid yet */
    assert_in_range((int)budget_left(budget, &rules, NOW + 10000), 60, 75);
    assert_int_equal((int)budget_left(budget, &rules, NOW + 100000), 0);
    rules.minimum = 10;
    assert_in_range((int)budget_left(budget, &rules, NOW + 1000000), 99, 100); /* a window's worth */
}

static void nothing_is_none(void **state)
{
    (void)state;
    rules.ratio = 0;
    calls(1000, NOW);
    assert_int_equal(take_all(NOW + 1000), 0);
}

static void clocks_that_are_behind_do_no_harm(void **state)
{
    (void)state;
    calls(100, NOW);
    calls(100, NOW - 5);
    assert_in_range(take_all(NOW - 10), 38, 40);
    assert_int_equal(take_all(NOW + 1), 0);
}

/* All fails, at any rate: what goes out is bounded by what came in. */
static void a_storm_is_bounded(void **state)
{
    (void)state;
    static const unsigned rates[] = {1, 7, 100, 2500}; /* calls in 10 ms */
    rules.minimum = 10;
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(budget, 0);
        payer = (struct payer){0, 0};
        unsigned made = 0, taken = 0;
        for (uint64_t ms = 0; ms < 20000; ms += 10) {
            calls(rates[i], NOW + ms);
            made += rates[i];
            for (unsigned j = 0; j < rates[i]; j++)
                taken += budget_take(budget, &rules, NOW + ms, &payer);
            assert_true(taken <= 0.2 * made + 10 * (ms / 1000.0 + 1));
        }
        assert_true(taken >= 0.19 * made);
    }
}

enum { CHILDREN = 6, EACH = 5000 };

/* Processes that pay and take at once, one of which is killed on the way. */
static void processes_share_it(void **state)
{
    (void)state;
    _Atomic unsigned *taken =
        mmap(NULL, 2 * sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[CHILDREN];
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i])
            continue;
        for (unsigned j = 0; j < EACH || i == 0; j++) {
            budget_call(budget, &rules, NOW, &payer);
            atomic_fetch_add(&taken[1], 1);
            if (budget_take(budget, &rules, NOW, &payer))
                atomic_fetch_add(&taken[0], 1);
        }
        _exit(0);
    }
    for (unsigned i = CHILDREN; i-- > 0;) {
        int status;
        if (i == 0)
            kill(children[0], SIGKILL);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    }
    unsigned made = atomic_load(&taken[1]);
    assert_true(made >= (CHILDREN - 1) * EACH);
    assert_true(atomic_load(&taken[0]) <= 0.2 * (made + 1));
    assert_true(atomic_load(&taken[0]) >= 0.19 * made - 1);
    munmap(taken, 2 * sizeof *taken);
}

#define BUDGET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BUDGET_TEST(a_share_of_the_calls),
        BUDGET_TEST(so_many_a_second_whatever_the_calls),
        BUDGET_TEST(what_is_not_used_fades),
        BUDGET_TEST(nothing_is_none),
        BUDGET_TEST(clocks_that_are_behind_do_no_harm),
        BUDGET_TEST(a_storm_is_bounded),
        BUDGET_TEST(processes_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
