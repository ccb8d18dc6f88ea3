/* The timer wheel, by example and against a model that is a plain array. */
#include "tests/unit/unit.h"

#include "shared/base/random.h"
#include "worker/loop/timer.h"

static struct timers timers;
static unsigned fired;

static void count_one(struct timer *timer)
{
    (void)timer;
    fired++;
}

static int set_up(void **state)
{
    (void)state;
    timers_init(&timers, 1000);
    fired = 0;
    return 0;
}

static void test_never_early_and_in_time(void **state)
{
    (void)state;
    for (uint64_t deadline = 1001; deadline < 1050; deadline++) {
        set_up(NULL);
        struct timer timer;
        timer_init(&timer, count_one);
        timer_set(&timers, &timer, deadline);
        uint64_t now = 1000;
        while (!fired)
            timers_run(&timers, ++now);
        assert_in_range(now, deadline, deadline + TIMER_TICK_MS);
        assert_int_equal(timer.deadline, 0);
        assert_int_equal(timers.count, 0);
    }
}

static void test_waits(void **state)
{
    (void)state;
    struct timer a, b;
    timer_init(&a, count_one);
    timer_init(&b, count_one);
    assert_int_equal(timers_wait(&timers, 1000), -1);
    timer_set(&timers, &a, 5000);
    assert_int_equal(timers_wait(&timers, 1000), 4000);
    timer_set(&timers, &b, 2000);
    assert_int_equal(timers_wait(&timers, 1000), 1000);
    assert_int_equal(timers_wait(&timers, 3000), 0);
    timer_clear(&timers, &b);
    assert_int_equal(timers_wait(&timers, 1000), 4000);
    timer_clear(&timers, &a);
    timer_clear(&timers, &a);
    timer_set(&timers, &a, 1009); /* one wake-up, when it is due for certain: no look before */
    assert_int_equal(timers_wait(&timers, 1000), 2 * TIMER_TICK_MS);
    timer_clear(&timers, &a);
    assert_int_equal(timers_wait(&timers, 1000), -1);
    timers_run(&timers, 10000);
    assert_int_equal(fired, 0);
}

static void test_later_is_a_store(void **state)
{
    (void)state;
    struct timer timer;
    timer_init(&timer, count_one);
    timer_set(&timers, &timer, 2000);
    uint64_t queued = timer.queued;
    timer_set(&timers, &timer, 9000);
    assert_int_equal(timer.queued, queued);
    timers_run(&timers, 2000);
    assert_int_equal(fired, 0);
    assert_int_equal(timers_wait(&timers, 2000), 7000); /* put right */
    timer_set(&timers, &timer, 3000);                   /* earlier moves it */
    assert_int_equal(timers_wait(&timers, 2000), 1000);
    timers_run(&timers, 3000);
    assert_int_equal(fired, 1);
}

static void test_pause(void **state)
{
    (void)state;
    struct timer timer;
    timer_init(&timer, count_one);
    timer_set(&timers, &timer, 2000);
    timer_pause(&timer);
    timers_run(&timers, 3000);
    assert_int_equal(fired, 0);
    assert_int_equal(timers.count, 0);
    timer_set(&timers, &timer, 4000);
    timer_pause(&timer);
    timer_set(&timers, &timer, 4100);
    timers_run(&timers, 4000);
    assert_int_equal(fired, 0);
    timers_run(&timers, 4104);
    assert_int_equal(fired, 1);
}

static void test_beyond_the_span(void **state)
{
    (void)state;
    const uint64_t span = (uint64_t)TIMER_SLOTS * TIMER_TICK_MS, deadline = 1000 + 5 * span + 3;
    struct timer timer;
    timer_init(&timer, count_one);
    timer_set(&timers, &timer, deadline);
    uint64_t now = 1000;
    unsigned turns = 0;
    while (!fired) {
        int wait = timers_wait(&timers, now);
        assert_true(wait > 0);
        now += (unsigned)wait;
        timers_run(&timers, now);
        turns++;
    }
    assert_in_range(now, deadline, deadline + TIMER_TICK_MS);
    assert_in_range(turns, 5, 7);
    timer_set(&timers, &timer, UINT64_MAX);
    assert_true(timers_wait(&timers, now) > 0);
    timer_clear(&timers, &timer);
}

static void test_a_long_stall(void **state)
{
    (void)state;
    struct timer all[100];
    for (unsigned i = 0; i < 100; i++) {
        timer_init(&all[i], count_one);
        timer_set(&timers, &all[i], 1000 + i * 1000);
    }
    timers_run(&timers, 10000000);
    assert_int_equal(fired, 100);
    assert_int_equal(timers_wait(&timers, 10000000), -1);
}

/* Callbacks that meddle with timers of the slot being run. */
static struct timer meddled[4];

static void clear_next(struct timer *timer)
{
    fired++;
    timer_clear(&timers, timer + 1);
    timer_set(&timers, timer + 2, 1500);
    timer_set(&timers, timer, 1016); /* itself, which is not run twice in a tick */
    timer_clear(&timers, timer);
    timer->expire = NULL;
}

static void test_meddling(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        timer_init(&meddled[i], i ? count_one : clear_next);
        timer_set(&timers, &meddled[i], 1010);
    }
    timers_run(&timers, 1016);
    assert_int_equal(fired, 2); /* the first and the last */
    assert_int_equal(timers.count, 1);
    timers_run(&timers, 1504);
    assert_int_equal(fired, 3);
    assert_int_equal(timers.count, 0);
}

static void again(struct timer *timer)
{
    fired++;
    timer_set(&timers, timer, 1); /* long past */
}

static void test_past_deadlines_run_at_the_next_tick(void **state)
{
    (void)state;
    struct timer timer;
    timer_init(&timer, again);
    timer_set(&timers, &timer, 1);
    for (unsigned i = 1; i <= 10; i++) {
        timers_run(&timers, 1000 + i * TIMER_TICK_MS);
        assert_int_equal(fired, i);
        assert_int_equal(timers_wait(&timers, 1000 + i * TIMER_TICK_MS), TIMER_TICK_MS);
    }
    timer_clear(&timers, &timer);
}

static void free_it(struct timer *timer)
{
    fired++;
    free(timer);
}

static void test_owner_freed_by_its_callback(void **state)
{
    (void)state;
    struct timer *timer = malloc(sizeof(*timer));
    assert_non_null(timer);
    timer_init(timer, free_it);
    timer_set(&timers, timer, 1010);
    timers_run(&timers, 1016);
    assert_int_equal(fired, 1);
}

/* The model: when each timer is set for, and the first tick at which it must have fired. */
enum { TIMERS = 50 };

static struct model {
    struct random random;
    uint64_t now;
    struct timer timer[TIMERS];
    uint64_t deadline[TIMERS]; /* 0: not set */
    uint64_t due[TIMERS];
    unsigned fired;
} model;

static void model_act(void)
{
    unsigned i = (unsigned)random_below(&model.random, TIMERS);
    switch (random_below(&model.random, 8)) {
    case 0:
        timer_clear(&timers, &model.timer[i]);
        model.deadline[i] = 0;
        return;
    case 1:
        timer_pause(&model.timer[i]);
        model.deadline[i] = 0;
        return;
    default: {
        static const uint64_t spans[] = {10, 100, 3000, 40000, 200000};
        uint64_t span = spans[random_below(&model.random, 5)];
        uint64_t deadline = model.now + random_below(&model.random, span);
        if (random_below(&model.random, 10) == 0)
            deadline -= random_below(&model.random, 1000);
        uint64_t tick = (deadline + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
        timer_set(&timers, &model.timer[i], deadline);
        model.deadline[i] = deadline;
        model.due[i] = tick > timers.tick ? tick : timers.tick + 1;
    }
    }
}

static void model_expire(struct timer *timer)
{
    size_t i = (size_t)(timer - model.timer);
    assert_int_not_equal(model.deadline[i], 0);  /* was set */
    assert_true(model.deadline[i] <= model.now); /* is not early */
    assert_int_equal(timer->deadline, 0);
    model.deadline[i] = 0;
    model.fired++;
    for (uint64_t n = random_below(&model.random, 4); n > 0; n--)
        model_act();
}

static void model_check(void)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < TIMERS; i++) {
        assert_true(model.timer[i].deadline == model.deadline[i]);
        if (!model.deadline[i])
            continue;
        assert_true(model.due[i] > model.now / TIMER_TICK_MS); /* is not late */
        if (model.due[i] < next)
            next = model.due[i];
    }
    int wait = timers_wait(&timers, model.now);
    if (next == UINT64_MAX) {
        assert_true(wait == -1 || wait > 0); /* a paused one may be queued still */
    } else {
        assert_true(wait > 0);
        assert_true(model.now + (unsigned)wait <= next * TIMER_TICK_MS); /* does not oversleep */
    }
    unsigned queued = 0;
    for (size_t i = 0; i < TIMERS; i++)
        queued += model.timer[i].queued != 0;
    assert_int_equal(timers.count, queued);
    for (unsigned i = 0; i < TIMER_SLOTS; i++)
        assert_int_equal(timers.used[i / 64] >> (i % 64) & 1, !list_empty(&timers.slot[i]));
}

static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        memset(&model, 0, sizeof(model));
        model.random = (struct random){{seed, seed * 7, 3, 4}};
        model.now = 100000 + seed;
        timers_init(&timers, model.now);
        for (size_t i = 0; i < TIMERS; i++)
            timer_init(&model.timer[i], model_expire);
        for (unsigned turn = 0; turn < 2000; turn++) {
            for (uint64_t n = random_below(&model.random, 5); n > 0; n--)
                model_act();
            static const uint64_t steps[] = {1, 8, 20, 100, 1000, 70000};
            int wait = timers_wait(&timers, model.now);
            if (wait > 0 && random_below(&model.random, 2))
                model.now += (unsigned)wait;
            else
                model.now += random_below(&model.random, steps[random_below(&model.random, 6)]);
            timers_run(&timers, model.now);
            model_check();
        }
        assert_true(model.fired > 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_never_early_and_in_time, set_up),
        cmocka_unit_test_setup(test_waits, set_up),
        cmocka_unit_test_setup(test_later_is_a_store, set_up),
        cmocka_unit_test_setup(test_pause, set_up),
        cmocka_unit_test_setup(test_beyond_the_span, set_up),
        cmocka_unit_test_setup(test_a_long_stall, set_up),
        cmocka_unit_test_setup(test_meddling, set_up),
        cmocka_unit_test_setup(test_past_deadlines_run_at_the_next_tick, set_up),
        cmocka_unit_test_setup(test_owner_freed_by_its_callback, set_up),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
