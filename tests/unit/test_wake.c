/* Mailboxes: letters arrive, in order and with one write of the eventfd; full ones become a rescan; and whoever is
 * killed while it writes takes nothing from the others. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/shm/shared.h"

enum { SLOTS = 3, CELLS = 64, WRITERS = 3, LETTERS = 30000, ANSWER_MS = 20000 };

static struct arena *arena;
static struct shared shared;
static struct wake *wake;

static int set_up(void **state)
{
    (void)state;
    const char *why;
    struct segment_plan plan = {.slots = SLOTS, .log_ring = 4096, .size_at_most = 1 << 20};
    arena = arena_new(4096);
    wake = &shared.wake;
    return shared_create(&shared, &plan, arena, &why);
}

static int tear_down(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

/* How often the eventfd was written since it was read. */
static uint64_t writes(unsigned slot)
{
    uint64_t count = 0;
    return read(wake->fds[slot], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void letters_arrive_in_order(void **state)
{
    (void)state;
    struct wake_letter letter;
    assert_false(wake_next(wake, 1, &letter));
    for (uint64_t i = 0; i < 10; i++)
        slot_wake(wake, 1, WAKE_LOGS, (uint32_t)i + 0xfffffff0u, i << 60 | 0xabcdef0123456 | i);
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(wake_next(wake, 1, &letter));
        assert_int_equal(letter.reason, WAKE_LOGS);
        assert_int_equal(letter.index, (uint32_t)i + 0xfffffff0u);
        assert_int_equal(letter.serial, i << 60 | 0xabcdef0123456 | i);
    }
    assert_false(wake_next(wake, 1, &letter));
    assert_false(wake_next(wake, 0, &letter));
    assert_int_equal(writes(0), 0);
}

static void the_eventfd_is_written_once(void **state)
{
    (void)state;
    struct wake_letter letter;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 10; i++)
            slot_wake(wake, 1, WAKE_LOGS, i, 0);
        assert_int_equal(writes(1), 1);
        while (wake_next(wake, 1, &letter))
            ;
    }
}

static void a_full_mailbox_becomes_a_rescan(void **state)
{
    (void)state;
    struct wake_letter letter;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < CELLS + 10; i++)
            slot_wake(wake, 2, WAKE_LOGS, i, 0);
        assert_true(wake_next(wake, 2, &letter));
        assert_int_equal(letter.reason, WAKE_RESCAN);
        for (unsigned i = 0; i < CELLS; i++) {
            assert_true(wake_next(wake, 2, &letter));
            assert_int_equal(letter.reason, WAKE_LOGS);
            assert_int_equal(letter.index, i);
        }
        assert_false(wake_next(wake, 2, &letter));
    }
    slot_wake(wake, 2, WAKE_RESCAN, 0, 0);
    assert_true(wake_next(wake, 2, &letter));
    assert_int_equal(letter.reason, WAKE_RESCAN);
    assert_false(wake_next(wake, 2, &letter));
}

static void an_unknown_slot_is_ignored(void **state)
{
    (void)state;
    slot_wake(wake, SLOTS, WAKE_LOGS, 0, 0);
    slot_wake(wake, UINT32_MAX, WAKE_LOGS, 0, 0);
}

/* A claim is the first word of a mailbox, raised: one that is never filled is what a killed writer leaves. */
static void a_claim_of_the_dead_holds_nobody_up(void **state)
{
    (void)state;
    struct wake_letter letter;
    _Atomic uint64_t *claimed = segment_zone(&shared.segment, &wake_kind, NULL);
    for (unsigned round = 0; round < 3 * CELLS; round++) {
        slot_wake(wake, 0, WAKE_LOGS, 1, round);
        atomic_fetch_add(claimed, 1);
        slot_wake(wake, 0, WAKE_LOGS, 2, round);
        assert_true(wake_next(wake, 0, &letter) && letter.reason == WAKE_LOGS && letter.index == 1);
        assert_true(wake_next(wake, 0, &letter) && letter.reason == WAKE_RESCAN);
        assert_true(wake_next(wake, 0, &letter) && letter.reason == WAKE_LOGS && letter.index == 2);
        assert_int_equal(letter.serial, round);
        assert_false(wake_next(wake, 0, &letter));
    }
}

/* What a writer leaves that was overtaken, and then wrote over the letter of another: words of two letters. */
static void a_mixed_letter_is_none(void **state)
{
    (void)state;
    struct wake_letter letter;
    unsigned char *zone = segment_zone(&shared.segment, &wake_kind, NULL);
    for (unsigned word = 0; word < 3; word++) {
        slot_wake(wake, 0, WAKE_LOGS, 1, 2);
        zone[3 * 64 + word * 32 + 8 + word * 8 + 5] ^= 1; /* in the tag of the word in its cell */
        assert_true(wake_next(wake, 0, &letter));
        assert_int_equal(letter.reason, WAKE_RESCAN);
        assert_false(wake_next(wake, 0, &letter));
    }
}

static void write_without_end(void)
{
    for (uint64_t i = 0;; i++)
        slot_wake(wake, 0, WAKE_LOGS, (uint32_t)i, i << 32 | (uint32_t)i);
}

static void writers_may_be_killed(void **state)
{
    (void)state;
    struct wake_letter letter;
    for (unsigned round = 0; round < 60; round++) {
        pid_t pid[WRITERS];
        for (unsigned i = 0; i < WRITERS; i++)
            if ((pid[i] = fork()) == 0)
                write_without_end();
        /* A letter is the index twice, so one that was mixed would be seen. */
        for (unsigned i = 0; i < 2000;)
            if (wake_next(wake, 0, &letter) && letter.reason == WAKE_LOGS) {
                assert_int_equal(letter.serial, (uint64_t)letter.index << 32 | letter.index);
                i++;
            }
        for (unsigned i = 0; i < WRITERS; i++)
            kill(pid[i], SIGKILL);
        for (unsigned i = 0; i < WRITERS; i++)
            assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
        while (wake_next(wake, 0, &letter))
            ;
        writes(0);
        /* All of its room is there, and it wakes. */
        for (unsigned i = 0; i < CELLS; i++)
            slot_wake(wake, 0, WAKE_LOGS, i, i);
        assert_int_equal(writes(0), 1);
        for (unsigned i = 0; i < CELLS; i++) {
            assert_true(wake_next(wake, 0, &letter));
            assert_int_equal(letter.reason, WAKE_LOGS);
            assert_int_equal(letter.index, i);
        }
        assert_false(wake_next(wake, 0, &letter));
    }
}

struct writer {
    unsigned index;
    _Atomic uint64_t sent; /* rises before the letter is put */
    _Atomic uint64_t seen; /* what the reader had of `sent` when it was last told to look */
    bool in_step;          /* waits for the answer to each letter: the reader goes to sleep each time */
    pthread_t thread;
};
static struct writer writer[WRITERS];

static void *write_letters(void *context)
{
    struct writer *self = context;
    for (uint64_t i = 1; i <= LETTERS; i++) {
        atomic_store_explicit(&self->sent, i, memory_order_relaxed);
        slot_wake(wake, 1, WAKE_LOGS, self->index, i);
        while (self->in_step && atomic_load(&self->seen) < i)
            ;
        /* Each other letter comes as the reader finds that there are no more, and before it sleeps. */
        for (unsigned spin = 0; self->in_step && i % 2 && spin < i % 300; spin++)
            atomic_load(&self->seen);
    }
    return NULL;
}

static void see(struct writer *of)
{
    atomic_store(&of->seen, atomic_load_explicit(&of->sent, memory_order_relaxed));
}

/* Nothing is lost: what was sent before a letter or a rescan is seen by it, and no sleep is without end. */
static void no_letter_is_lost(void **state)
{
    bool in_step = *state != NULL;
    unsigned writers = in_step ? 1 : WRITERS; /* the letters of another one would wake the reader, too */
    for (unsigned i = 0; i < writers; i++) {
        writer[i].index = i;
        writer[i].in_step = in_step;
        writer[i].sent = writer[i].seen = 0;
        assert_int_equal(pthread_create(&writer[i].thread, NULL, write_letters, &writer[i]), 0);
    }
    for (unsigned done = 0; done < writers;) {
        struct pollfd fd = {.fd = wake->fds[1], .events = POLLIN};
        assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
        writes(1);
        struct wake_letter letter;
        while (wake_next(wake, 1, &letter)) {
            if (letter.reason == WAKE_LOGS) {
                assert_true(letter.index < writers);
                see(&writer[letter.index]);
                assert_true(atomic_load(&writer[letter.index].seen) >= letter.serial);
                continue;
            }
            for (unsigned i = 0; i < writers; i++)
                see(&writer[i]);
        }
        done = 0;
        for (unsigned i = 0; i < writers; i++)
            done += atomic_load(&writer[i].seen) == LETTERS;
    }
    for (unsigned i = 0; i < writers; i++)
        assert_int_equal(pthread_join(writer[i].thread, NULL), 0);
}

static volatile sig_atomic_t signals;
static uint64_t signal_sent, signal_seen; /* this thread's and its handler's */

static void write_a_letter(int number)
{
    (void)number;
    signals++;
    signal_sent++;
    slot_wake(wake, 0, WAKE_LOGS, 1, 0);
}

/* A letter at any instruction of the reader's: it is seen in the same turn, or the eventfd says that there is more. */
static void a_letter_at_any_moment(void **state)
{
    (void)state;
    struct wake_letter letter;
    sigset_t alarm;
    struct itimerval often = {{0, 20}, {0, 20}}, never = {0};
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    signals = 0;
    signal_sent = signal_seen = 0;
    signal(SIGALRM, write_a_letter);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    uint64_t end = clock_monotonic_ns() + ANSWER_MS * NS_PER_MS;
    while (signals < 5000 && clock_monotonic_ns() < end) {
        slot_wake(wake, 0, WAKE_LOGS, 0, 0);
        writes(0);
        bool rescan = false;
        while (wake_next(wake, 0, &letter)) {
            signal_seen += letter.reason == WAKE_LOGS && letter.index == 1;
            rescan |= letter.reason == WAKE_RESCAN;
        }
        sigprocmask(SIG_BLOCK, &alarm, NULL);
        if (rescan) { /* signals came faster than letters were read: the mailbox was full, and some are in the rescan */
            while (wake_next(wake, 0, &letter))
                ;
            signal_seen = signal_sent;
        }
        if (signal_sent != signal_seen) {
            struct pollfd fd = {.fd = wake->fds[0], .events = POLLIN};
            assert_int_equal(poll(&fd, 1, 0), 1);
        }
        sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    assert_true(signals > 0);
}

static void a_mailbox_of_garbage_mends(void **state)
{
    (void)state;
    size_t size;
    unsigned char *zone = segment_zone(&shared.segment, &wake_kind, &size);
    struct wake_letter letter;
    srand(4711);
    for (unsigned round = 0; round < 500; round++) {
        for (size_t i = 0; i < size / SLOTS; i++)
            if (round % 2 || rand() % 16 == 0)
                zone[i] = (unsigned char)rand();
        for (unsigned i = 0; i < 100; i++)
            slot_wake(wake, 0, WAKE_LOGS, i, i);
        unsigned letters = 0;
        for (; wake_next(wake, 0, &letter); letters++)
            assert_true(letters <= 3 * CELLS);
        assert_true(letters > 0);
        slot_wake(wake, 0, WAKE_LOGS, 5, 55);
        assert_true(wake_next(wake, 0, &letter));
        while (wake_next(wake, 0, &letter))
            ;
    }
}

int main(void)
{
    static bool in_step;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(letters_arrive_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_eventfd_is_written_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_mailbox_becomes_a_rescan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_slot_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_claim_of_the_dead_holds_nobody_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mixed_letter_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_may_be_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_letter_at_any_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mailbox_of_garbage_mends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_letter_is_lost, set_up, tear_down),
        {"no_letter_is_lost, in step", no_letter_is_lost, set_up, tear_down, &in_step},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
