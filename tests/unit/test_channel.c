/* Messages between master and child: whole, with descriptors, and what a broken peer sends. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shared/base/channel.h"

struct pair {
    int ends[2];
};

static int set_up(void **state)
{
    static struct pair pair;
    *state = &pair;
    return channel_pair(pair.ends);
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 2; i++)
        if (pair->ends[i] >= 0)
            close(pair->ends[i]);
    return 0;
}

static void close_end(struct pair *pair, int which)
{
    close(pair->ends[which]);
    pair->ends[which] = -1;
}

static void test_message(void **state)
{
    struct pair *pair = *state;
    struct channel_message sent = {
        .verb = CHANNEL_FAILED, .flags = 5, .number = 1ull << 40, .text = "why: \xc3\xa9"};
    struct channel_message got;
    memset(&got, 0xff, sizeof(got));
    assert_int_equal(channel_receive(pair->ends[1], &got), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(channel_send(pair->ends[0], &sent), 0);
    assert_int_equal(channel_tell(pair->ends[0], CHANNEL_DRAIN, 7), 0);
    assert_int_equal(channel_receive(pair->ends[1], &got), 1);
    assert_int_equal(got.verb, CHANNEL_FAILED);
    assert_int_equal(got.flags, 5);
    assert_true(got.number == 1ull << 40);
    assert_int_equal(got.fd_count, 0);
    assert_int_equal(got.fds[0], -1);
    assert_string_equal(got.text, "why: \xc3\xa9");
    assert_int_equal(channel_receive(pair->ends[1], &got), 1);
    assert_int_equal(got.verb, CHANNEL_DRAIN);
    assert_int_equal(got.number, 7);
    assert_string_equal(got.text, "");
}

static void test_long_text_is_cut(void **state)
{
    struct pair *pair = *state;
    struct channel_message sent = {.verb = CHANNEL_CUT}, got;
    memset(sent.text, 'x', sizeof(sent.text)); /* without NUL */
    assert_int_equal(channel_send(pair->ends[0], &sent), 0);
    assert_int_equal(channel_receive(pair->ends[1], &got), 1);
    assert_int_equal(strlen(got.text), CHANNEL_TEXT - 1);
}

static void test_descriptors(void **state)
{
    struct pair *pair = *state;
    int pipes[2][2];
    assert_int_equal(pipe(pipes[0]), 0);
    assert_int_equal(pipe(pipes[1]), 0);
    struct channel_message got,
        sent = {.verb = CHANNEL_REOPEN, .fd_count = 2, .fds = {pipes[0][1], pipes[1][1]}};
    assert_int_equal(channel_send(pair->ends[0], &sent), 0);
    assert_int_equal(channel_receive(pair->ends[1], &got), 1);
    assert_int_equal(got.fd_count, 2);
    assert_int_equal(got.fds[2], -1);
    for (int i = 0; i < 2; i++) {
        struct stat a, b;
        assert_int_equal(fstat(got.fds[i], &a), 0);
        assert_int_equal(fstat(pipes[i][1], &b), 0);
        assert_int_equal(a.st_ino, b.st_ino); /* in their order */
        assert_int_not_equal(got.fds[i], pipes[i][1]);
        assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
        close(got.fds[i]);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void test_ends_are_close_on_exec_and_do_not_block(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(pair->ends[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(pair->ends[i], F_GETFL) & O_NONBLOCK);
    }
    int result;
    unsigned count = 0;
    while ((result = channel_tell(pair->ends[0], CHANNEL_GO, 0)) == 0)
        assert_true(++count < 100000);
    assert_int_equal(errno, EAGAIN);
    assert_true(count > 2);
}

static void test_peer_is_gone(void **state)
{
    struct pair *pair = *state;
    struct channel_message got;
    assert_int_equal(channel_tell(pair->ends[1], CHANNEL_READY, 1), 0);
    assert_int_equal(channel_tell(pair->ends[0], CHANNEL_GO, 2),
                     0); /* stays unread: a reset for the other end */
    close_end(pair, 1);
    assert_int_equal(channel_receive(pair->ends[0], &got), 1); /* what it said before is still heard */
    assert_int_equal(got.number, 1);
    assert_int_equal(channel_receive(pair->ends[0], &got), 0);
    assert_int_equal(channel_receive(pair->ends[0], &got), 0);
    assert_int_equal(channel_tell(pair->ends[0], CHANNEL_GO, 0), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_telling_one_that_left_unread(void **state)
{
    struct pair *pair = *state;
    assert_int_equal(channel_tell(pair->ends[0], CHANNEL_GO, 2), 0);
    close_end(pair, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(channel_tell(pair->ends[0], CHANNEL_GO, 0), -1);
        assert_int_equal(errno, EPIPE);
    }
}

static void refuse(struct pair *pair, const void *packet, size_t length)
{
    struct channel_message got;
    assert_int_equal(send(pair->ends[0], packet, length, 0), length);
    assert_int_equal(channel_receive(pair->ends[1], &got), -1);
    assert_int_equal(errno, EPROTO);
}

static void test_malformed(void **state)
{
    struct pair *pair = *state;
    uint32_t packet[512] = {CHANNEL_GO, 0, 0, 0, 0, 4}; /* verb, flags, number, fd_count, text_length */
    refuse(pair, packet, 1);
    refuse(pair, packet, 23);
    refuse(pair, packet, 24); /* its text is missing */
    refuse(pair, packet, 27);
    refuse(pair, packet, 29);
    refuse(pair, packet, sizeof(packet)); /* larger than any */
    packet[5] = CHANNEL_TEXT;
    refuse(pair, packet, 24 + CHANNEL_TEXT);
    packet[5] = UINT32_MAX;
    refuse(pair, packet, 24);
    packet[5] = 0;
    packet[4] = 1; /* its descriptor is missing */
    refuse(pair, packet, 24);
    packet[4] = 0;
    struct channel_message got;
    assert_int_equal(send(pair->ends[0], packet, 24, 0), 24);
    assert_int_equal(channel_receive(pair->ends[1], &got), 1); /* those before it do no harm */
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Descriptors of a message that is dropped are closed. */
static void test_unwanted_descriptors(void **state)
{
    struct pair *pair = *state;
    unsigned before = open_descriptors();
    for (int count = 1; count <= 6; count++) {
        uint32_t packet[6] = {CHANNEL_GO}; /* says that it has none */
        struct iovec data = {packet, sizeof(packet)};
        char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        for (int i = 0; i < count; i++)
            memcpy(CMSG_DATA(head) + (size_t)i * sizeof(int), &pair->ends[0], sizeof(int));
        assert_int_equal(sendmsg(pair->ends[0], &message, 0), sizeof(packet));
        struct channel_message got;
        assert_int_equal(channel_receive(pair->ends[1], &got), -1);
        assert_int_equal(errno, EPROTO);
        assert_int_equal(open_descriptors(), before);
    }
}

/* A program of another version must find these as they are. */
static void test_numbers_stay(void **state)
{
    (void)state;
    assert_int_equal(CHANNEL_READY, 1);
    assert_int_equal(CHANNEL_DRAIN, 4);
    assert_int_equal(CHANNEL_REOPEN, 6);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(test_message),
        WITH_PAIR(test_long_text_is_cut),
        WITH_PAIR(test_descriptors),
        WITH_PAIR(test_ends_are_close_on_exec_and_do_not_block),
        WITH_PAIR(test_peer_is_gone),
        WITH_PAIR(test_telling_one_that_left_unread),
        WITH_PAIR(test_malformed),
        WITH_PAIR(test_unwanted_descriptors),
        cmocka_unit_test(test_numbers_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
