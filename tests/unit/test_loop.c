/* The loop: events, what callbacks may do to each other, deferred work, timers, sleeping. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "shared/base/clock.h"
#include "worker/loop/loop.h"

static struct loop loop;

static int set_up(void **state)
{
    (void)state;
    return loop_init(&loop, &loop);
}

static int tear_down(void **state)
{
    (void)state;
    loop_close(&loop);
    return 0;
}

/* A source that counts its events. It stands first, so that loop_free_later() writes over it. */
struct counter {
    struct source source;
    unsigned events;
    uint32_t last;
    struct counter *other;
};

static void on_count(struct source *source, uint32_t events)
{
    struct counter *counter = (struct counter *)source;
    uint64_t value;
    counter->events++;
    counter->last = events;
    if (events & EPOLLIN)
        assert_int_equal(read(source->fd, &value, sizeof(value)), sizeof(value));
}

static void ready(struct counter *counter, void (*on_event)(struct source *source, uint32_t events))
{
    memset(counter, 0, sizeof(*counter));
    counter->source.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(counter->source.fd >= 0);
    counter->source.on_event = on_event;
    assert_int_equal(loop_add(&loop, &counter->source, EPOLLIN), 0);
}

static void done(struct counter *counter)
{
    loop_remove(&loop, &counter->source);
    close(counter->source.fd);
}

static void test_events(void **state)
{
    (void)state;
    struct counter counter;
    ready(&counter, on_count);
    loop_turn(&loop, -1);
    assert_int_equal(counter.events, 1);
    assert_int_equal(counter.last, EPOLLIN);
    loop_turn(&loop, 0);
    assert_int_equal(counter.events, 1);
    loop_change(&loop, &counter.source, EPOLLOUT);
    loop_turn(&loop, -1);
    assert_int_equal(counter.last, EPOLLOUT);
    loop_change(&loop, &counter.source, EPOLLOUT); /* no change */
    assert_int_equal(counter.source.events, EPOLLOUT);
    loop_change(&loop, &counter.source, 0);
    loop_turn(&loop, 0);
    assert_int_equal(counter.events, 2);
    loop_remove(&loop, &counter.source);
    counter.source.on_event = on_count;
    assert_int_equal(loop_add(&loop, &counter.source, EPOLLOUT), 0); /* again */
    loop_turn(&loop, 0);
    assert_int_equal(counter.events, 3);
    done(&counter);
    struct source bad = {.fd = -1, .on_event = on_count};
    assert_int_equal(loop_add(&loop, &bad, EPOLLIN), -1);
    assert_int_equal(errno, EBADF);
}

static void on_event_kills_other(struct source *source, uint32_t events)
{
    struct counter *counter = (struct counter *)source, *other = counter->other;
    on_count(source, events);
    done(other);
    loop_free_later(&loop, other);
    counter->other = NULL;
}

/* Whichever of the two comes first ends the other, whose event lies in the same batch. */
static void test_removed_within_the_batch(void **state)
{
    (void)state;
    struct counter *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
    assert_non_null(a);
    assert_non_null(b);
    ready(a, on_event_kills_other);
    ready(b, on_event_kills_other);
    a->other = b;
    b->other = a;
    loop_turn(&loop, -1); /* the other's event would be a use after free, and read a closed descriptor */
    struct counter *left = a->other ? NULL : a;
    if (!left)
        left = b;
    assert_int_equal(left->events, 1);
    done(left);
    free(left);
}

static void test_more_events_than_a_batch(void **state)
{
    (void)state;
    enum { MANY = 600 };
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < MANY + 32)
        limit.rlim_cur = MANY + 32;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    static struct counter all[MANY];
    for (size_t i = 0; i < MANY; i++)
        ready(&all[i], on_count);
    loop_turn(&loop, -1);
    loop_turn(&loop, -1);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(all[i].events, 1);
        done(&all[i]);
    }
}

/* Deferred work */
struct work {
    struct deferred deferred;
    unsigned ran;
    struct work *other;
};

static char order[16];
static size_t steps;

static void run_work(struct deferred *deferred)
{
    ((struct work *)deferred)->ran++;
}

static void run_again(struct deferred *deferred)
{
    run_work(deferred);
    loop_defer(&loop, deferred);
}

static void run_undefers_other(struct deferred *deferred)
{
    run_work(deferred);
    loop_undefer(&((struct work *)deferred)->other->deferred);
}

static void work_init(struct work *work, void (*run)(struct deferred *deferred))
{
    memset(work, 0, sizeof(*work));
    list_init(&work->deferred.link);
    work->deferred.run = run;
}

static void test_deferred(void **state)
{
    (void)state;
    struct work once, again, undefers, undeferred;
    work_init(&once, run_work);
    work_init(&again, run_again);
    work_init(&undefers, run_undefers_other);
    work_init(&undeferred, run_work);
    undefers.other = &undeferred;
    loop_defer(&loop, &once.deferred);
    loop_defer(&loop, &once.deferred);
    loop_defer(&loop, &again.deferred);
    loop_defer(&loop, &undefers.deferred);
    loop_defer(&loop, &undeferred.deferred);
    loop_turn(&loop, -1); /* does not sleep */
    assert_int_equal(once.ran, 1);
    assert_int_equal(again.ran, 1); /* its second run is the next turn's */
    assert_int_equal(undefers.ran, 1);
    assert_int_equal(undeferred.ran, 0);
    loop_turn(&loop, -1);
    loop_turn(&loop, -1);
    assert_int_equal(once.ran, 1);
    assert_int_equal(again.ran, 3);
    loop_undefer(&again.deferred);
    loop_undefer(&again.deferred);
    loop_turn(&loop, 0);
    assert_int_equal(again.ran, 3);
}

static void step(char c)
{
    assert_true(steps < sizeof(order) - 1);
    order[steps++] = c;
    order[steps] = '\0';
}

static struct work step_work;
static struct timer step_timer;

static void step_deferred(struct deferred *deferred)
{
    (void)deferred;
    step('d');
}

static void step_expire(struct timer *timer)
{
    (void)timer;
    step('t');
    loop_defer(&loop, &step_work.deferred);
}

static void step_event(struct source *source, uint32_t events)
{
    step('e');
    on_count(source, events);
    loop_defer(&loop, &step_work.deferred);
}

static void step_before(struct loop *which)
{
    assert_ptr_equal(which->owner, &loop);
    step('b');
}

static void test_order_of_a_turn(void **state)
{
    (void)state;
    steps = 0;
    struct counter counter;
    ready(&counter, step_event);
    work_init(&step_work, step_deferred);
    timer_init(&step_timer, step_expire);
    loop.before_wait = step_before;
    loop.timers.tick -= 2; /* as if the last turn had been a while ago: the timer is due */
    timer_set(&loop.timers, &step_timer, loop.now_ms - 2 * TIMER_TICK_MS);
    loop_turn(&loop, -1);
    assert_string_equal(order, "betd");
    done(&counter);
}

static void stop(struct timer *timer)
{
    (void)timer;
    loop.stop = true;
}

static void test_sleeps_until_a_timer(void **state)
{
    (void)state;
    struct timer timer;
    timer_init(&timer, stop);
    uint64_t begin = loop.now_ms;
    timer_set(&loop.timers, &timer, begin + 30);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    loop_run(&loop);
    getrusage(RUSAGE_SELF, &after);
    assert_true(loop.now_ms >= begin + 30);
    assert_true(loop.now_ms == loop.now / NS_PER_MS);
    assert_true(loop.wall_ns / NS_PER_SECOND + 2 >= (uint64_t)time(NULL));
    assert_true(clock_monotonic_ns() >= loop.now);
}

static unsigned turns;

static void count_turns(struct loop *which)
{
    (void)which;
    turns++;
}

static void test_idle_does_not_spin(void **state)
{
    (void)state;
    turns = 0;
    struct timer timer, cleared, far;
    timer_init(&timer, stop);
    timer_init(&cleared, stop);
    timer_init(&far, stop);
    loop.before_wait = count_turns;
    timer_set(&loop.timers, &timer, loop.now_ms + 60);
    timer_set(&loop.timers, &far, loop.now_ms + 10000000);
    for (unsigned i = 1; i < 60; i++) { /* slots that were used and are not any more */
        timer_set(&loop.timers, &cleared, loop.now_ms + i);
        timer_clear(&loop.timers, &cleared);
    }
    loop_run(&loop);
    assert_in_range(turns, 1, 3);
    timer_clear(&loop.timers, &far);
}

static void test_timeout_of_a_turn(void **state)
{
    (void)state;
    struct timer far;
    timer_init(&far, stop);
    timer_set(&loop.timers, &far, loop.now_ms + 10000000);
    uint64_t begin = loop.now_ms;
    loop_turn(&loop, 10); /* the shorter of the two */
    assert_true(loop.now_ms - begin >= 9);
    loop.stop = true;
    loop_turn(&loop, -1); /* one that is to stop does not sleep */
    timer_clear(&loop.timers, &far);
}

static struct counter *later;

static void free_later_then_look(struct deferred *deferred)
{
    (void)deferred;
    assert_int_equal(later->events, 77); /* still there: the turn has not ended */
}

static void test_free_later(void **state)
{
    (void)state;
    struct work work;
    work_init(&work, free_later_then_look);
    later = malloc(sizeof(*later));
    assert_non_null(later);
    later->events = 77;
    loop_free_later(&loop, later);
    loop_defer(&loop, &work.deferred);
    loop_turn(&loop, 0);
    loop_free_later(&loop, malloc(64)); /* freed by loop_close(): else the sanitizer tells */
}

static void close_then_remove(void *context)
{
    struct counter *counter = context;
    close(counter->source.fd);
    loop_remove(&loop, &counter->source);
}

static void test_closed_too_early(void **state)
{
    (void)state;
    struct counter counter;
    ready(&counter, on_count);
    assert_int_equal(dies_of(close_then_remove, &counter), SIGABRT);
    done(&counter);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_events),
        WITH_LOOP(test_removed_within_the_batch),
        WITH_LOOP(test_more_events_than_a_batch),
        WITH_LOOP(test_deferred),
        WITH_LOOP(test_order_of_a_turn),
        WITH_LOOP(test_sleeps_until_a_timer),
        WITH_LOOP(test_idle_does_not_spin),
        WITH_LOOP(test_timeout_of_a_turn),
        WITH_LOOP(test_free_later),
        WITH_LOOP(test_closed_too_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
