/* Log rings: order, wrapping, fullness, the dead, and garbage; and that nobody sleeps over a line. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/shared.h"

enum { SLOTS = 3, RING = 4096, LINES = 200000, ANSWER_MS = 20000 };

static struct arena *arena;
static struct shared shared;
static struct logs *logs;

static int set_up_ring(size_t ring)
{
    const char *why;
    struct segment_plan plan = {.slots = SLOTS, .log_ring = ring, .size_at_most = 1 << 24};
    arena = arena_new(4096);
    int rc = shared_create(&shared, &plan, arena, &why);
    logs = shared.logs;
    return rc;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_ring(RING);
}

static int set_up_large(void **state)
{
    (void)state;
    return set_up_ring(65536);
}

static int tear_down(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

static void lines_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct logs_line line;
    assert_false(logs_peek(logs, 1, &line));
    assert_true(logs_append(logs, 1, LOG_ERROR, LEVEL_WARNING, STR("first\n")));
    assert_true(logs_append(logs, 1, LOG_ACCESS, LEVEL_INFO, STR("")));
    assert_true(logs_append(logs, 1, LOG_ACCESS, LEVEL_ERROR, STR("the third one\n")));
    assert_false(logs_peek(logs, 0, &line));

    assert_true(logs_peek(logs, 1, &line));
    assert_true(logs_peek(logs, 1, &line)); /* the same one, until it is consumed */
    assert_int_equal(line.target, LOG_ERROR);
    assert_int_equal(line.level, LEVEL_WARNING);
    assert_true(str_eq(line.text, STR("first\n")));
    logs_consume(logs, 1);
    assert_true(logs_peek(logs, 1, &line));
    assert_int_equal(line.text.length, 0);
    logs_consume(logs, 1);
    assert_true(logs_peek(logs, 1, &line));
    assert_int_equal(line.target, LOG_ACCESS);
    assert_int_equal(line.level, LEVEL_ERROR);
    assert_true(str_eq(line.text, STR("the third one\n")));
    logs_consume(logs, 1);
    assert_false(logs_peek(logs, 1, &line));
    assert_int_equal(logs_dropped(logs, 1), 0);
}

static void a_reservation_is_given_back_in_part(void **state)
{
    (void)state;
    struct logs_line line;
    for (unsigned i = 0; i < 100; i++) {
        char *room = logs_reserve(logs, 0, 1000);
        assert_non_null(room);
        memset(room, 'x', 1000);                     /* all of it may be written to */
        assert_non_null(logs_reserve(logs, 0, 500)); /* given up: nothing was committed */
        room = logs_reserve(logs, 0, 1000);
        int length = snprintf(room, 1000, "line %u\n", i);
        logs_commit(logs, 0, LOG_ACCESS, LEVEL_INFO, (size_t)length);
        assert_true(logs_peek(logs, 0, &line));
        assert_int_equal(line.text.length, length);
        assert_int_equal(strtoul(line.text.data + 5, NULL, 10), i);
        logs_consume(logs, 0);
    }
}

/* Line `i`, of a length and with bytes that follow from i. */
static size_t make_line(char *out, uint32_t i)
{
    size_t length = sizeof(i) + (i * 2654435761u >> 8) % 900;
    memcpy(out, &i, sizeof(i));
    for (size_t k = sizeof(i); k < length; k++)
        out[k] = (char)(i + k);
    return length;
}

static uint32_t check_line(struct str text)
{
    uint32_t i;
    char expected[1000];
    assert_true(text.length >= sizeof(i));
    memcpy(&i, text.data, sizeof(i));
    assert_int_equal(text.length, make_line(expected, i));
    assert_memory_equal(text.data, expected, text.length);
    return i;
}

static void it_wraps_at_every_place(void **state)
{
    (void)state;
    char text[1000];
    struct logs_line line;
    uint32_t next = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(logs_append(logs, 2, i & 1, i % 5, (struct str){text, make_line(text, i)}));
        if (i < 2)
            continue; /* two lines stay in it */
        assert_true(logs_peek(logs, 2, &line));
        assert_int_equal(check_line(line.text), next);
        assert_int_equal(line.target, next & 1);
        assert_int_equal(line.level, next % 5);
        next++;
        logs_consume(logs, 2);
    }
    assert_int_equal(logs_dropped(logs, 2), 0);
}

static void a_full_ring_drops_and_counts(void **state)
{
    (void)state;
    struct logs_line line;
    struct str ten = STR("123456789\n");
    unsigned kept = 0;
    while (logs_append(logs, 1, LOG_ACCESS, 0, ten))
        kept++;
    assert_int_equal(kept, RING / (8 + 16)); /* header, line and padding */
    assert_int_equal(logs_dropped(logs, 1), 1);
    assert_null(logs_reserve(logs, 1, 100));
    assert_int_equal(logs_dropped(logs, 1), 2);
    assert_int_equal(logs_unreported(logs, 1), 2);
    logs_reported(logs, 1, 2);
    assert_int_equal(logs_unreported(logs, 1), 0);

    assert_true(logs_peek(logs, 1, &line));
    logs_consume(logs, 1);
    assert_true(logs_append(logs, 1, LOG_ACCESS, 0, ten));
    assert_false(logs_append(logs, 1, LOG_ACCESS, 0, ten));
    for (; logs_peek(logs, 1, &line); kept--) {
        assert_true(str_eq(line.text, ten));
        logs_consume(logs, 1);
    }
    assert_int_equal(kept, 0);
    assert_int_equal(logs_dropped(logs, 1), 3);
    assert_int_equal(logs_unreported(logs, 1), 1);
}

static void a_line_too_long_is_cut(void **state)
{
    (void)state;
    static char text[LOG_LINE_MAX + 100];
    struct logs_line line;
    memset(text, 'a', sizeof(text));
    for (unsigned i = 0; i < 20; i++) { /* wherever it begins, an empty ring has room for it */
        assert_true(logs_append(logs, 0, LOG_ERROR, 0, (struct str){text, sizeof(text)}));
        assert_true(logs_peek(logs, 0, &line));
        assert_int_equal(line.text.length, LOG_LINE_MAX);
        logs_consume(logs, 0);
    }
    assert_null(logs_reserve(logs, 0, LOG_LINE_MAX + 1));
    assert_int_equal(logs_dropped(logs, 0), 1);
}

static void produce(uint32_t lines)
{
    char text[1000];
    for (uint32_t i = 0; i < lines; i++)
        logs_append(logs, 1, LOG_ACCESS, 0, (struct str){text, make_line(text, i)});
}

static void between_processes_nothing_is_lost_or_mixed(void **state)
{
    (void)state;
    struct logs_line line;
    pid_t pid = fork();
    if (pid == 0) {
        produce(LINES);
        _exit(0);
    }
    uint64_t got = 0, next = 0;
    for (bool gone = false;;) {
        if (logs_peek(logs, 1, &line)) {
            uint32_t i = check_line(line.text);
            assert_true(i >= next);
            next = (uint64_t)i + 1;
            got++;
            logs_consume(logs, 1);
        } else if (gone)
            break;
        else
            gone = waitpid(pid, NULL, WNOHANG) == pid;
    }
    assert_true(got > 0);
    assert_int_equal(got + logs_dropped(logs, 1), LINES);
}

static void what_the_dead_wrote_is_drained(void **state)
{
    (void)state;
    struct logs_line line;
    for (unsigned round = 0; round < 100; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            produce(UINT32_MAX);
            _exit(0);
        }
        for (unsigned i = 0; i < 50; i++) {
            while (!logs_peek(logs, 1, &line))
                ;
            check_line(line.text);
            logs_consume(logs, 1);
        }
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        for (; logs_peek(logs, 1, &line); logs_consume(logs, 1))
            check_line(line.text);
        /* The slot's next owner goes on in it. */
        assert_true(logs_append(logs, 1, LOG_ERROR, 0, STR("next")));
        assert_true(logs_peek(logs, 1, &line) && str_eq(line.text, STR("next")));
        logs_consume(logs, 1);
    }
}

/* The producer's position stands behind the frozen page and the line of the reader. */
static void a_position_that_nobody_wrote(void **state)
{
    (void)state;
    struct logs_line line;
    unsigned char *zone = segment_zone(&shared.segment, &logs_kind, NULL);
    _Atomic uint64_t *head = (_Atomic uint64_t *)(zone + SEGMENT_PAGE + 128);
    logs_append(logs, 0, LOG_ERROR, 0, STR("12345678"));
    assert_int_equal(*head, 16);
    *head += 2 * RING; /* the same place in the ring, and a whole line at the tail */
    assert_false(logs_peek(logs, 0, &line));
    assert_int_equal(logs_dropped(logs, 0), 1);
    assert_true(logs_append(logs, 0, LOG_ERROR, 0, STR("and on")));
    assert_true(logs_peek(logs, 0, &line) && str_eq(line.text, STR("and on")));
}

/* A zone on the heap, where the sanitizer sees each byte read beyond it. */
static void garbage_never_leads_out_of_bounds(void **state)
{
    (void)state;
    const struct segment_plan plan = {.slots = 1, .log_ring = RING};
    size_t size = logs_kind.size(&plan);
    void *zone = NULL;
    assert_int_equal(posix_memalign(&zone, SEGMENT_PAGE, size), 0);
    memset(zone, 0, size);
    logs_kind.init(zone, size, &plan);
    unsigned char *bytes = zone;
    uint64_t sum = 0;
    srand(815);
    for (unsigned round = 0; round < 20000; round++) {
        /* Some rounds break everything behind the frozen page, some a byte here and there. */
        for (unsigned i = 0; i < 40; i++)
            logs_append(zone, 0, LOG_ERROR, 0, (struct str){"0123456789abcdef", 1 + (size_t)rand() % 16});
        size_t all = size - SEGMENT_PAGE;
        if (round % 64 == 0)
            for (size_t i = SEGMENT_PAGE; i < size; i++)
                bytes[i] = (unsigned char)rand();
        for (unsigned i = 0, hits = (unsigned)rand() % 50; i < hits; i++)
            bytes[SEGMENT_PAGE + (size_t)rand() % (round % 2 ? 512 : all)] = (unsigned char)(rand() >> 5);
        struct logs_line line;
        for (unsigned lines = 0; logs_peek(zone, 0, &line); lines++) {
            assert_true(lines <= RING / 8);
            const char *begin = line.text.data, *end = begin + line.text.length;
            assert_true(begin >= (char *)zone + SEGMENT_PAGE && end <= (char *)zone + size && begin <= end);
            assert_true(line.target < LOG_TARGETS && line.level <= LEVEL_DEBUG);
            for (const char *byte = begin; byte < end; byte++)
                sum += (unsigned char)*byte;
            logs_consume(zone, 0);
        }
        logs_wants_wake(zone, 0);
        logs_dropped(zone, 0);
    }
    /* Whatever was done to it, it works again. */
    struct logs_line line;
    while (logs_peek(zone, 0, &line))
        logs_consume(zone, 0);
    logs_append(zone, 0, LOG_ERROR, 0,
                STR("a")); /* may find a tail that nobody wrote, then the ring looks full */
    while (logs_peek(zone, 0, &line))
        logs_consume(zone, 0);
    assert_true(logs_append(zone, 0, LOG_ERROR, 0, STR("well")));
    assert_true(logs_peek(zone, 0, &line) && str_eq(line.text, STR("well")));
    assert_true(sum > 0);
    mprotect(zone, SEGMENT_PAGE, PROT_READ | PROT_WRITE);
    free(zone);
}

static void garbage_while_it_is_read(void **state)
{
    (void)state;
    size_t size;
    unsigned char *zone = segment_zone(&shared.segment, &logs_kind, &size);
    pid_t pid = fork();
    if (pid == 0) {
        srand(42);
        for (unsigned i = 0;; i++) {
            logs_append(logs, 0, LOG_ACCESS, 1, (struct str){"0123456789abcdef", i % 17});
            if (i % 4 == 0)
                zone[SEGMENT_PAGE + (size_t)rand() % (size - SEGMENT_PAGE)] = (unsigned char)(rand() >> 5);
        }
    }
    struct logs_line line;
    uint64_t lines = 0;
    uint64_t end = clock_monotonic_ns() + ANSWER_MS * NS_PER_MS;
    while ((lines < 10000 || logs_dropped(logs, 0) < 100) && clock_monotonic_ns() < end)
        if (logs_peek(logs, 0, &line)) {
            const unsigned char *begin = (const unsigned char *)line.text.data;
            assert_true(begin >= zone + SEGMENT_PAGE && begin + line.text.length <= zone + size);
            logs_consume(logs, 0);
            lines++;
        }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(lines > 0);
    assert_true(logs_dropped(logs, 0) > 0);
}

static void the_logger_is_woken_when_it_wants_to_be(void **state)
{
    (void)state;
    struct logs_line line;
    assert_int_equal(logs_reader(logs), UINT32_MAX);
    logs_set_reader(logs, 2);
    assert_int_equal(logs_reader(logs), 2);

    logs_append(logs, 0, LOG_ERROR, 0, STR("a"));
    assert_false(logs_wants_wake(logs, 0)); /* it is awake */
    logs_sleeping(logs, true);
    assert_false(logs_wants_wake(logs, 1)); /* there is nothing in this one */
    assert_true(logs_wants_wake(logs, 0));
    assert_false(logs_wants_wake(logs, 0)); /* once */
    logs_append(logs, 1, LOG_ERROR, 0, STR("a"));
    assert_false(logs_wants_wake(logs, 1));

    /* At rest between two drains: only for a ring that is more than half full, and once for all. */
    logs_sleeping(logs, false);
    for (unsigned slot = 0; slot < 2; slot++)
        while (logs_append(logs, slot, LOG_ERROR, 0, STR("a")))
            ;
    assert_true(logs_wants_wake(logs, 0));
    assert_false(logs_wants_wake(logs, 0));
    assert_false(logs_wants_wake(logs, 1));
    logs_sleeping(logs, false);
    assert_true(logs_wants_wake(logs, 1));
    while (logs_peek(logs, 1, &line))
        logs_consume(logs, 1);
    logs_sleeping(logs, false);
    assert_false(logs_wants_wake(logs, 1));
}

static _Atomic uint64_t consumed;

static void *produce_and_wake(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(logs_append(logs, 0, LOG_ACCESS, 0, STR("a line\n")));
        shared_log_flush(&shared, 0);
        if (i % 2)
            while (atomic_load(&consumed) <= i) /* in step: the consumer goes to sleep now and then */
                sched_yield();
    }
    return NULL;
}

static void nobody_sleeps_over_a_line(void **state)
{
    (void)state;
    pthread_t thread;
    struct logs_line line;
    atomic_store(&consumed, 0);
    logs_set_reader(logs, 2);
    assert_int_equal(pthread_create(&thread, NULL, produce_and_wake, NULL), 0);
    while (atomic_load(&consumed) < 20000) {
        while (logs_peek(logs, 0, &line)) {
            logs_consume(logs, 0);
            atomic_fetch_add(&consumed, 1);
        }
        logs_sleeping(logs, true);
        if (logs_peek(logs, 0, &line) || atomic_load(&consumed) == 20000)
            continue;
        struct pollfd fd = {.fd = shared.wake.fds[2], .events = POLLIN};
        struct wake_letter letter;
        uint64_t count;
        assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
        assert_int_equal(read(fd.fd, &count, sizeof(count)), sizeof(count));
        while (wake_next(&shared.wake, 2, &letter))
            ;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(logs_dropped(logs, 0), 0);
}

static void the_log_of_a_process_goes_to_its_ring(void **state)
{
    (void)state;
    struct logs_line line;
    struct shared_log log = {&shared, 1};
    shared_log_start(&log);
    log_set_process("worker");
    log_warning("%d %s", 7, "dwarfs");
    log_to(NULL, NULL);
    assert_true(logs_peek(logs, 1, &line));
    assert_int_equal(line.target, LOG_ERROR);
    assert_int_equal(line.level, LEVEL_WARNING);
    assert_true(str_ends(line.text, STR("]: 7 dwarfs\n")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_come_out_as_they_went_in),
        TEST(a_reservation_is_given_back_in_part),
        TEST(it_wraps_at_every_place),
        TEST(a_full_ring_drops_and_counts),
        cmocka_unit_test_setup_teardown(a_line_too_long_is_cut, set_up_large, tear_down),
        TEST(between_processes_nothing_is_lost_or_mixed),
        TEST(what_the_dead_wrote_is_drained),
        TEST(a_position_that_nobody_wrote),
        TEST(garbage_never_leads_out_of_bounds),
        TEST(garbage_while_it_is_read),
        TEST(the_logger_is_woken_when_it_wants_to_be),
        TEST(nobody_sleeps_over_a_line),
        TEST(the_log_of_a_process_goes_to_its_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
