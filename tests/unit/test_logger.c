/* The logger, forked for each test: this process is its master and its workers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/title.h"
#include "worker/role/process.h"

enum { MASTER, LOGGER, FIRST, SECOND, SLOTS };
enum { RING = 65536, ANSWER_MS = 20000, FILE_MAX = 1 << 22 };

static struct arena *arena;
static struct shared shared;
static int channel; /* the master's end */
static pid_t logger;
static char folder[64];
static char text[FILE_MAX]; /* what was read last */

static const char *path_of(const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name);
}

static int log_open(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    return fd;
}

static const char *log_text(const char *name)
{
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    assert_true(length >= 0 && length < (ssize_t)sizeof(text) - 1);
    text[length] = '\0';
    return text;
}

static int set_up(void **state)
{
    (void)state;
    const char *why;
    struct segment_plan plan = {.slots = SLOTS, .log_ring = RING, .size_at_most = 1 << 20};
    arena = arena_new(65536);
    strcpy(folder, "/tmp/test_logger.XXXXXX");
    if (!mkdtemp(folder) || shared_create(&shared, &plan, arena, &why) < 0)
        return -1;
    slots_take(shared.slots, ROLE_MASTER, 0, 0);
    slots_take(shared.slots, ROLE_LOGGER, 0, 0);
    slots_take(shared.slots, ROLE_WORKER, 0, 1);
    slots_take(shared.slots, ROLE_WORKER, 1, 1);
    shared.slots->slot[MASTER].pid = (uint32_t)getpid();
    shared.slots->slot[FIRST].pid = 4001;
    shared.slots->slot[SECOND].pid = 4002;
    for (unsigned i = 0; i < SLOTS; i++)
        shared.slots->slot[i].state = SLOT_SERVING;
    channel = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (logger > 0) {
        kill(logger, SIGKILL);
        waitpid(logger, NULL, 0);
        logger = 0;
    }
    if (channel >= 0)
        close(channel);
    shared_destroy(&shared);
    const char *const names[] = {"error", "access", "error.1", "access.1", "syslog"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
    arena_free(&arena);
    return rmdir(folder);
}

/* Starts it with the two descriptors, which it gets for its own; returns when it is READY. */
static void start_ready(int error, bool error_syslog, int access)
{
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    shared.slots->slot[LOGGER].state = SLOT_STARTING;
    logger = fork();
    if (logger == 0) {
        struct process process = {.role = "logger",
                                  .slot = LOGGER,
                                  .shared = &shared,
                                  .channel = ends[1],
                                  .log_fds = {error, access},
                                  .log_syslog = {error_syslog, false}};
        close(ends[0]);
        signal(SIGTERM, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        log_set_process("logger");
        _exit(logger_main(&process));
    }
    close(ends[1]);
    if (error >= 0)
        close(error);
    if (access >= 0)
        close(access);
    channel = ends[0];
    shared.slots->slot[LOGGER].pid = (uint32_t)logger;
    struct channel_message message;
    struct pollfd fd = {.fd = channel, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    assert_int_equal(channel_receive(channel, &message), 1);
    assert_int_equal(message.verb, CHANNEL_READY);
}

/* The same, with GO. */
static void start(int error, bool error_syslog, int access)
{
    uint64_t begin = clock_monotonic_ns();
    start_ready(error, error_syslog, access);
    assert_int_equal(channel_tell(channel, CHANNEL_GO, 0), 0);
    while (shared.slots->slot[LOGGER].state != SLOT_SERVING || logs_reader(shared.logs) != LOGGER) {
        assert_true(clock_monotonic_ns() - begin < ANSWER_MS * NS_PER_MS);
        sched_yield();
    }
}

static void expect_exit(void)
{
    int status;
    assert_int_equal(waitpid(logger, &status, 0), logger);
    logger = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void stop(void)
{
    assert_int_equal(channel_tell(channel, CHANNEL_STOP, 0), 0);
    expect_exit();
}

/* A line of a worker; false: its ring is full. */
static bool put(unsigned slot, enum log_target target, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool put(unsigned slot, enum log_target target, const char *format, ...)
{
    char line[1000];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    bool done = logs_append(shared.logs, slot, target, LEVEL_NOTICE, (struct str){line, (size_t)length});
    shared_log_flush(&shared, slot);
    return done;
}

/* As put(), once there is room: the logger drains meanwhile. */
static void put_all(unsigned slot, enum log_target target, unsigned from, unsigned to)
{
    uint64_t begin = clock_monotonic_ns();
    for (unsigned i = from; i < to; i++)
        while (!put(slot, target, "line %u of slot %u\n", i, slot)) {
            assert_true(clock_monotonic_ns() - begin < ANSWER_MS * NS_PER_MS);
            sched_yield();
        }
}

/* The next bytes from a pipe or socket, waiting for them; 0: its end. */
static size_t next_bytes(int fd, char *out, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, ANSWER_MS), 1);
    ssize_t got = read(fd, out, size - 1);
    assert_true(got >= 0);
    out[got] = '\0';
    return (size_t)got;
}

/* Reads a pipe until the words came by. */
static void expect_words(int fd, const char *words)
{
    static char seen[65536];
    size_t length = 0;
    seen[0] = '\0';
    while (!strstr(seen, words)) {
        size_t got = next_bytes(fd, seen + length, sizeof(seen) - length);
        assert_true(got > 0);
        length += got;
    }
}

static void lines_reach_their_files_in_order(void **state)
{
    (void)state;
    start(log_open("error"), false, log_open("access"));
    assert_int_equal(logs_reader(shared.logs), LOGGER);
    put(FIRST, LOG_ERROR, "an error\n");
    put(FIRST, LOG_ACCESS, "no newline");
    put_all(FIRST, LOG_ACCESS, 0, 20000);
    put_all(SECOND, LOG_ACCESS, 0, 20000);
    put(MASTER, LOG_ERROR, "the master's\n");
    stop();
    log_text("error");
    /* Lines that waited for room were counted each time that they found none. */
    assert_true(strncmp(text, "an error\n", 9) == 0);
    assert_non_null(strstr(text, "\nthe master's\n"));
    char *line = (char *)log_text("access"), *end;
    assert_true(strncmp(line, "no newline\n", 11) == 0);
    unsigned next[SLOTS] = {0}, number, slot;
    for (line += 11; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(sscanf(line, "line %u of slot %u\n", &number, &slot), 2);
        assert_true(slot < SLOTS && number == next[slot]);
        next[slot]++;
    }
    assert_int_equal(next[FIRST], 20000);
    assert_int_equal(next[SECOND], 20000);
}

/* Another logger may read them still. */
static void without_go_it_leaves_the_rings_alone(void **state)
{
    struct logs_line line;
    (void)state;
    start_ready(log_open("error"), false, log_open("access"));
    put(FIRST, LOG_ERROR, "an error\n");
    stop();
    assert_int_equal(strlen(log_text("error")), 0);
    assert_true(logs_peek(shared.logs, FIRST, &line));
}

static void a_line_wakes_it(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(ends[1], false, -1);
    for (unsigned i = 0; i < 5; i++) {
        put(SECOND, LOG_ERROR, "line number %u\n", i);
        put(FIRST, LOG_ACCESS, "there is no access log\n");
        expect_words(ends[0], arena_printf(arena, "line number %u\n", i));
    }
    stop();
    assert_int_equal(next_bytes(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
}

static void reopen(int error, int access, uint32_t syslog)
{
    struct channel_message message = {.verb = CHANNEL_REOPEN, .flags = syslog};
    if (error >= 0) {
        message.flags |= 1;
        message.fds[message.fd_count++] = error;
    }
    if (access >= 0) {
        message.flags |= 2;
        message.fds[message.fd_count++] = access;
    }
    assert_int_equal(channel_send(channel, &message), 0);
    if (error >= 0)
        close(error);
    if (access >= 0)
        close(access);
}

static void reopening_loses_nothing(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(ends[1], false, log_open("access"));
    put(FIRST, LOG_ERROR, "before\n");
    put(FIRST, LOG_ACCESS, "before\n");
    reopen(log_open("error.1"), log_open("access.1"), 0);
    expect_words(ends[0], "before\n");
    assert_int_equal(next_bytes(ends[0], text, sizeof(text)), 0); /* the old one was closed */
    close(ends[0]);
    put(FIRST, LOG_ERROR, "behind\n");
    put(FIRST, LOG_ACCESS, "behind\n");
    stop();
    assert_string_equal(log_text("access"), "before\n");
    assert_string_equal(log_text("access.1"), "behind\n");
    assert_string_equal(log_text("error.1"), "behind\n");
}

static void the_log_that_is_not_sent_stays(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(log_open("error"), false, ends[1]);
    reopen(-1, log_open("access.1"), 0);
    assert_int_equal(next_bytes(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    struct channel_message message = {.verb = CHANNEL_REOPEN, .flags = 3}; /* without any descriptor */
    assert_int_equal(channel_send(channel, &message), 0);
    put(FIRST, LOG_ERROR, "still\n");
    put(FIRST, LOG_ACCESS, "new\n");
    stop();
    assert_non_null(strstr(log_text("error"), "still\n"));
    assert_non_null(strstr(text, "sent no descriptor for the error log"));
    assert_string_equal(log_text("access.1"), "new\n");
}

/* The number in "… N log lines of worker[4001] were dropped: …", summed over all such lines. */
static uint64_t dropped_in(const char *log, const char *who)
{
    uint64_t sum = 0;
    for (const char *at = log; (at = strstr(at, who)); at++) {
        const char *begin = at - 1;
        while (begin > log && begin[-1] != ' ')
            begin--;
        sum += strtoull(begin, NULL, 10);
    }
    return sum;
}

static void while_it_is_stopped_producers_go_on(void **state)
{
    (void)state;
    start(log_open("error"), false, log_open("access"));
    assert_int_equal(kill(logger, SIGSTOP), 0);
    assert_int_equal(waitpid(logger, NULL, WUNTRACED), logger);
    unsigned kept = 0;
    for (unsigned i = 0; i < 100000; i++)
        kept += put(FIRST, LOG_ACCESS, "line %u\n", i);
    assert_true(kept >= RING / 24 && kept < 5000);
    assert_int_equal(logs_dropped(shared.logs, FIRST), 100000 - kept);
    assert_int_equal(kill(logger, SIGCONT), 0);
    stop();
    assert_int_equal(
        dropped_in(log_text("error"), " log lines of worker[4001] were dropped: the log ring was full\n"),
        100000 - kept);
    assert_null(strstr(text, "worker[4002]"));
    unsigned lines = 0;
    log_text("access");
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, kept);
}

static void a_killed_one_is_followed_by_the_next(void **state)
{
    (void)state;
    start(log_open("error"), false, log_open("access"));
    kill(logger, SIGKILL);
    assert_int_equal(waitpid(logger, NULL, 0), logger);
    close(channel);
    unsigned kept = 0;
    while (put(FIRST, LOG_ACCESS, "line\n"))
        kept++;
    start(log_open("error"), false, log_open("access"));
    stop();
    close(channel);
    start(log_open("error"), false, log_open("access"));
    stop();
    log_text("error");
    /* Told once, not by each that comes. */
    assert_int_equal(dropped_in(text, " log lines of worker[4001] were dropped"), 1);
    assert_int_equal(strlen(log_text("access")), kept * strlen("line\n"));
}

static void the_dead_are_drained_and_freed(void **state)
{
    (void)state;
    start(log_open("error"), false, log_open("access"));
    /* It goes when all others are gone; until then it drains. */
    assert_int_equal(channel_tell(channel, CHANNEL_DRAIN, 0), 0);
    put(FIRST, LOG_ACCESS, "last words\n");
    shared.slots->slot[FIRST].state = SLOT_DEAD;
    put_all(SECOND, LOG_ACCESS, 0, 5000); /* more than its ring holds: so it runs */
    assert_int_equal(waitpid(logger, NULL, WNOHANG), 0);
    put(MASTER, LOG_ERROR, "we end\n");
    shared.slots->slot[SECOND].state = SLOT_DEAD;
    expect_exit();
    assert_int_equal(shared.slots->slot[FIRST].state, SLOT_FREE);
    assert_int_equal(shared.slots->slot[SECOND].state, SLOT_FREE);
    assert_int_equal(shared.slots->slot[MASTER].state, SLOT_SERVING);
    assert_non_null(strstr(log_text("error"), "we end\n"));
    assert_non_null(strstr(log_text("access"), "last words\n"));
    assert_non_null(strstr(text, "line 4999 of slot 3\n"));
}

static void draining_ends_in_time(void **state)
{
    (void)state;
    start(log_open("error"), false, -1);
    put(FIRST, LOG_ERROR, "here\n");
    assert_int_equal(channel_tell(channel, CHANNEL_DRAIN, 1), 0); /* FIRST and SECOND live on */
    expect_exit();
    assert_string_equal(log_text("error"), "here\n");
}

static void a_full_disk_is_survived_and_told(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(ends[1], false, open("/dev/full", O_WRONLY | O_CLOEXEC));
    put(FIRST, LOG_ACCESS, "one\n");
    put(FIRST, LOG_ACCESS, "two\n");
    expect_words(ends[0], "could not be written to the access log: No space left on device\n");
    put(FIRST, LOG_ACCESS, "three\n"); /* not told at once: once a minute is enough, or when it is over */
    reopen(-1, log_open("access.1"), 0);
    expect_words(ends[0], "lines could not be written to the access log: now it can be written again\n");
    stop();
    close(ends[0]);
}

/* A pipe that takes little, doesn't block, and is read slowly: writes are short or refused. */
static void short_writes_are_completed(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    start(log_open("error"), false, ends[1]);
    unsigned next = 0, put_next = 0, number;
    char part[100];
    size_t kept = 0;
    while (next < 20000) {
        while (put_next < 20000 && put(FIRST, LOG_ACCESS, "%09u\n", put_next))
            put_next++;
        kept += next_bytes(ends[0], part + kept, sizeof(part) - kept);
        size_t used = 0;
        for (; kept - used >= 10; used += 10) {
            assert_int_equal(sscanf(part + used, "%9u\n", &number), 1);
            assert_int_equal(number, next);
            assert_int_equal(part[used + 9], '\n');
            next++;
        }
        memmove(part, part + used, kept - used);
        kept -= used;
    }
    close(ends[0]);
    stop();
}

static int syslog_bind(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/syslog", folder);
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void syslog_gets_a_datagram_a_line(void **state)
{
    (void)state;
    struct sockaddr_un address;
    socklen_t size = sizeof(address);
    int error_ends[2], access_ends[2];
    assert_int_equal(pipe(error_ends), 0);
    assert_int_equal(pipe(access_ends), 0);
    start(error_ends[1], false, access_ends[1]);
    /* After the fork: the logger must not hold the daemon's end. */
    int server = syslog_bind(), fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    reopen(fd, -1, 1 << 8);
    assert_int_equal(next_bytes(error_ends[0], text, sizeof(text)), 0);
    put(FIRST, LOG_ERROR, "hello\n");
    next_bytes(server, text, sizeof(text));
    assert_string_equal(text, "<29>gatehouse[4001]: hello"); /* daemon, notice */
    logs_append(shared.logs, SECOND, LOG_ERROR, LEVEL_ERROR, STR("sorry\n"));
    shared_log_flush(&shared, SECOND);
    next_bytes(server, text, sizeof(text));
    assert_string_equal(text, "<27>gatehouse[4002]: sorry");
    /* The daemon is restarted. */
    close(server);
    server = syslog_bind();
    put(FIRST, LOG_ERROR, "again\n");
    next_bytes(server, text, sizeof(text));
    assert_string_equal(text, "<29>gatehouse[4001]: again");
    /* From syslog to a file. */
    reopen(log_open("error.1"), log_open("access.1"), 0);
    assert_int_equal(next_bytes(access_ends[0], text, sizeof(text)), 0);
    put(FIRST, LOG_ERROR, "in the file\n");
    stop();
    assert_string_equal(log_text("error.1"), "in the file\n");
    close(error_ends[0]);
    close(access_ends[0]);
    close(server);
}

static void an_orphan_stays_for_the_workers(void **state)
{
    (void)state;
    int ends[2], hold[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(hold), 0);
    /* A worker that lives until `hold` is closed. */
    pid_t worker = fork();
    if (worker == 0) {
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0);
    }
    close(hold[0]);
    fcntl(hold[1], F_SETFD, FD_CLOEXEC);
    shared.slots->slot[FIRST].pid = (uint32_t)worker;
    shared.slots->slot[SECOND].state = SLOT_FREE;
    start(ends[1], false, -1);
    int held = channel;
    channel = -1;
    close(held);
    expect_words(ends[0], "the master is gone");
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)logger);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(next_bytes(fd, text, sizeof(text)) > 0);
    close(fd);
    assert_string_equal(text, "gatehouse: logger 0 (orphan)");
    assert_int_equal(kill(logger, SIGTERM), 0);
    expect_words(ends[0], "told to drain by process");
    put(FIRST, LOG_ERROR, "it still logs\n");
    expect_words(ends[0], "it still logs\n");
    assert_int_equal(waitpid(logger, NULL, WNOHANG), 0);
    /* The logger inherited `hold`: the worker is told by a signal. */
    put(FIRST, LOG_ERROR, "and ends\n");
    kill(worker, SIGKILL);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    expect_exit();
    expect_words(ends[0], "and ends\n");
    close(hold[1]);
    close(ends[0]);
}

int main(int argc, char **argv)
{
    title_init(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_reach_their_files_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_go_it_leaves_the_rings_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_wakes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reopening_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_log_that_is_not_sent_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(while_it_is_stopped_producers_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_one_is_followed_by_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_dead_are_drained_and_freed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(draining_ends_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_survived_and_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_writes_are_completed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(syslog_gets_a_datagram_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_orphan_stays_for_the_workers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
