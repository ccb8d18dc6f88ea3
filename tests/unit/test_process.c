/* What every child does alike: the orders of the master, wake-ups, and life without a master. A child is forked for
 * each test; it answers each callback with a message of its own on the channel, or on a pipe once that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/base/title.h"
#include "worker/role/process.h"

enum { SLOTS = 2, SLOT = 1, ANSWER_MS = 20000 };
enum {
    SAID_GO = 'g',
    SAID_DRAIN = 'd',
    SAID_STOP = 's',
    SAID_REOPEN = 'r',
    SAID_WAKE = 'w',
    SAID_ORPHAN = 'o'
};

static struct arena *arena;
static struct shared shared;
static struct settings settings = {.pidfile = "/run/gatehouse/test.pid", .drain_timeout = 1234};
static struct generation generation = {.number = 3, .settings = &settings};
static int channel; /* the master's end */
static int heard;   /* what the child says: a letter and a number */
static pid_t child;

struct saying {
    char what;
    uint64_t number;
};

/* In the child. */
static int mouth;

static void say(char what, uint64_t number)
{
    struct saying saying = {what, number};
    if (write(mouth, &saying, sizeof(saying)) != sizeof(saying))
        _exit(3);
}

static void on_go(struct member *member)
{
    say(SAID_GO, member->slot->state);
}

static void on_drain(struct member *member, uint64_t timeout_ms)
{
    (void)member;
    say(SAID_DRAIN, timeout_ms);
}

static void on_stop(struct member *member)
{
    say(SAID_STOP, 0);
    member->loop->stop = true;
}

/* Takes the first descriptor. */
static void on_reopen(struct member *member, struct channel_message *message)
{
    (void)member;
    int fd = message->fds[0];
    message->fds[0] = -1;
    say(SAID_REOPEN, message->fd_count);
    if (write(fd, "taken", 5) != 5)
        _exit(3);
    close(fd);
}

static void on_wake(struct member *member)
{
    struct wake_letter letter;
    while (wake_next(&member->process->shared->wake, member->process->slot, &letter))
        say(SAID_WAKE, letter.serial);
}

static void sink(void *context, enum log_level level, const char *line, size_t length)
{
    (void)context, (void)level;
    if (memmem(line, length, "the master is gone", 18))
        say(SAID_ORPHAN, 0);
}

static int child_main(int channel_end, bool quiet)
{
    struct process process = {.role = "worker",
                              .number = 7,
                              .slot = SLOT,
                              .shared = &shared,
                              .generation = &generation,
                              .channel = channel_end};
    struct loop loop;
    struct member member = {
        .on_go = on_go, .on_drain = on_drain, .on_stop = on_stop, .on_reopen = on_reopen, .on_wake = on_wake};
    if (quiet)
        member = (struct member){0};
    log_to(sink, NULL);
    signal(SIGTERM, SIG_IGN);
    if (loop_init(&loop, NULL) < 0 || member_join(&member, &process, &loop) < 0)
        return 2;
    member_ready(&member);
    loop_run(&loop);
    loop_close(&loop);
    return 0;
}

static int start(bool quiet)
{
    const char *why;
    int ends[2], pipe_ends[2];
    struct segment_plan plan = {.slots = SLOTS, .log_ring = 4096, .size_at_most = 1 << 20};
    arena = arena_new(4096);
    if (shared_create(&shared, &plan, arena, &why) < 0 || channel_pair(ends) < 0 || pipe(pipe_ends) < 0)
        return -1;
    slots_take(shared.slots, 0, 0, 0);
    slots_take(shared.slots, ROLE_WORKER, 7, 3);
    shared.slots->slot[SLOT].heartbeat = 0;
    slot_wake(&shared.wake, SLOT, WAKE_LOGS, 0, 666); /* to the slot's last owner */
    child = fork();
    if (child == 0) {
        close(ends[0]);
        close(pipe_ends[0]);
        mouth = pipe_ends[1];
        _exit(child_main(ends[1], quiet));
    }
    close(ends[1]);
    close(pipe_ends[1]);
    channel = ends[0];
    heard = pipe_ends[0];
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return start(false);
}

static int set_up_quiet(void **state)
{
    (void)state;
    return start(true);
}

static int tear_down(void **state)
{
    (void)state;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    if (channel >= 0)
        close(channel);
    close(heard);
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

static void expect(char what, uint64_t number)
{
    struct saying saying;
    struct pollfd fd = {.fd = heard, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    assert_int_equal(read(heard, &saying, sizeof(saying)), sizeof(saying));
    assert_int_equal(saying.what, what);
    assert_int_equal(saying.number, number);
}

static struct channel_message receive(void)
{
    struct channel_message message;
    struct pollfd fd = {.fd = channel, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    assert_int_equal(channel_receive(channel, &message), 1);
    return message;
}

static void expect_ready(void)
{
    assert_int_equal(receive().verb, CHANNEL_READY);
    assert_int_equal(shared.slots->slot[SLOT].state, SLOT_READY);
}

static void expect_exit(int status)
{
    int got;
    assert_int_equal(waitpid(child, &got, 0), child);
    child = 0;
    assert_true(WIFEXITED(got));
    assert_int_equal(WEXITSTATUS(got), status);
}

static void the_life_of_a_child(void **state)
{
    (void)state;
    struct slot *slot = &shared.slots->slot[SLOT];
    expect_ready();
    channel_tell(channel, CHANNEL_GO, 0);
    expect(SAID_GO, SLOT_SERVING);
    assert_true(slot->heartbeat > 0);
    slot_wake(&shared.wake, SLOT, WAKE_LOGS, 0, 5); /* the first letter of its own */
    expect(SAID_WAKE, 5);
    channel_tell(channel, 999, 0); /* an order of a newer master */
    channel_tell(channel, CHANNEL_DRAIN, 5000);
    expect(SAID_DRAIN, 5000);
    assert_int_equal(slot->state, SLOT_DRAINING);
    channel_tell(channel, CHANNEL_DRAIN, 100); /* once */
    channel_tell(channel, CHANNEL_GO, 0);      /* too late: not told, a process that drains takes nothing */
    channel_tell(channel, CHANNEL_STOP, 0);
    expect(SAID_STOP, 0);
    expect_exit(0);
}

static void descriptors_not_taken_are_closed(void **state)
{
    (void)state;
    int first[2], second[2];
    char text[8];
    expect_ready();
    assert_int_equal(pipe(first), 0);
    assert_int_equal(pipe(second), 0);
    struct channel_message message = {.verb = CHANNEL_REOPEN, .fd_count = 2, .fds = {first[1], second[1]}};
    assert_int_equal(channel_send(channel, &message), 0);
    message.verb = 998;
    assert_int_equal(channel_send(channel, &message), 0);
    close(first[1]);
    close(second[1]);
    expect(SAID_REOPEN, 2);
    /* Both end once nobody has their other end: read() waits for that. */
    assert_int_equal(read(first[0], text, sizeof(text)), 5);
    assert_int_equal(read(first[0], text, sizeof(text)), 0);
    assert_int_equal(read(second[0], text, sizeof(text)), 0);
    close(first[0]);
    close(second[0]);
}

static void without_callbacks(void **state)
{
    (void)state;
    expect_ready();
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    struct channel_message message = {.verb = CHANNEL_REOPEN, .fd_count = 1, .fds = {ends[1]}};
    assert_int_equal(channel_send(channel, &message), 0);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    slot_wake(&shared.wake, SLOT, WAKE_LOGS, 0, 1);
    channel_tell(channel, CHANNEL_GO, 0);
    channel_tell(channel, CHANNEL_DRAIN, 0);
    expect_exit(0);
    assert_int_equal(shared.slots->slot[SLOT].state, SLOT_DRAINING);
}

/* "gatehouse: worker 7 (orphan of …)", padded with NULs. */
static void assert_title(const char *expected)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)child);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    assert_true(length > 0);
    text[length] = '\0';
    assert_string_equal(text, expected);
}

static void an_orphan_serves_on(void **state)
{
    (void)state;
    expect_ready();
    channel_tell(channel, CHANNEL_GO, 0);
    expect(SAID_GO, SLOT_SERVING);
    assert_int_equal(kill(child, SIGTERM), 0); /* ignored as long as there is a master */
    channel_tell(channel, CHANNEL_GO, 0);
    expect(SAID_GO, SLOT_SERVING);
    close(channel);
    channel = -1;
    expect(SAID_ORPHAN, 0);
    assert_title("gatehouse: worker 7 (orphan of /run/gatehouse/test.pid)");
    slot_wake(&shared.wake, SLOT, WAKE_LOGS, 0, 8);
    expect(SAID_WAKE, 8);
    assert_int_equal(shared.slots->slot[SLOT].state, SLOT_SERVING);
    assert_int_equal(kill(child, SIGTERM), 0);
    expect(SAID_DRAIN, 1234);
    assert_int_equal(shared.slots->slot[SLOT].state, SLOT_DRAINING);
}

static void an_orphan_before_go_ends(void **state)
{
    (void)state;
    expect_ready();
    close(channel);
    channel = -1;
    expect(SAID_ORPHAN, 0);
    expect(SAID_STOP, 0);
    expect_exit(0);
}

/* What the master said before it died is obeyed first. */
static void last_orders_count(void **state)
{
    (void)state;
    expect_ready();
    channel_tell(channel, CHANNEL_GO, 0);
    channel_tell(channel, CHANNEL_DRAIN, 77);
    close(channel);
    channel = -1;
    expect(SAID_GO, SLOT_SERVING);
    expect(SAID_DRAIN, 77);
    expect(SAID_ORPHAN, 0);
}

static void a_failure_is_told(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    struct process process = {.channel = ends[1]};
    member_failed(&process, "no %s on %d", "socket", 80);
    struct channel_message message;
    assert_int_equal(channel_receive(ends[0], &message), 1);
    assert_int_equal(message.verb, CHANNEL_FAILED);
    assert_string_equal(message.text, "no socket on 80");
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    title_init(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_life_of_a_child, set_up, tear_down),
        cmocka_unit_test_setup_teardown(descriptors_not_taken_are_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_callbacks, set_up_quiet, tear_down),
        cmocka_unit_test_setup_teardown(an_orphan_serves_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_orphan_before_go_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_orders_count, set_up, tear_down),
        cmocka_unit_test(a_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
