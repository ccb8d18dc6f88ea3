/* The taking side of a hand-off; the one that gives is played by the test, and dies or talks nonsense. */
#include "tests/unit/handoff.h"

static void offer_end(int end, uint64_t version)
{
    struct channel_message message = {.verb = CHANNEL_OFFER, .number = version, .fd_count = 1, .fds = {end}};
    assert_int_equal(channel_send(new.inbox[1], &message), 0);
}

static int offer(uint64_t version)
{
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    offer_end(ends[1], version);
    close(ends[1]);
    return ends[0];
}

static void hello(int pair, const struct address *of)
{
    char memory[200];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_listener listener = {*of, handoff_rights(NULL, NULL, NULL)};
    handoff_put_head(&out, HANDOFF_HELLO, 1);
    handoff_put_listener(&out, &listener);
    assert_int_equal(handoff_send(pair, buf_str(&out), NULL, 0), 0);
}

/* A second client's connection, as the old one had it. */
static int accepted(void)
{
    close(client);
    turn();
    accepting_stop(&old.accepting);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, &address.any, address.length), 0);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* A BATCH that says `count`, with `records` of them, less `cut` bytes. */
static void batch(int pair, int fd, uint32_t listener, uint32_t count, unsigned records, size_t cut)
{
    char memory[2000];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = {.listener = listener, .left_ms = 1000, .peer = ip("127.0.0.1:1")};
    handoff_put_head(&out, HANDOFF_BATCH, count);
    for (unsigned i = 0; i < records; i++)
        handoff_put_record(&out, &record);
    assert_int_equal(handoff_send(pair, (struct str){out.data, out.length - cut}, &fd, fd >= 0 ? 1 : 0), 0);
}

static bool is_closed(int pair)
{
    char text[200];
    ssize_t got;
    do
        got = recv(pair, text, sizeof text, MSG_DONTWAIT);
    while (got > 0 || (got < 0 && errno == ECONNRESET));
    return got == 0;
}

static void another_version(void **state)
{
    (void)state;
    takeover_start(&new.takeover);
    int pair = offer(HANDOFF_VERSION + 1);
    turn();
    assert_true(is_closed(pair));
    close(pair);
}

static void it_dies_after_it_gave(void **state)
{
    (void)state;
    int fd = accepted();
    takeover_start(&new.takeover);
    int pair = offer(HANDOFF_VERSION), none;
    hello(pair, &address);
    turn();
    struct handoff_head head = hear(pair, &none);
    assert_int_equal(head.verb, HANDOFF_WELCOME);
    assert_int_equal(head.number, 1);
    batch(pair, fd, 0, 1, 1, 0);
    close(fd);
    close(pair);
    turn();
    assert_int_equal(accepting_count(&new.accepting), 1);
    assert_true(is_served_by(&new));
}

/* Nothing is looked at before the answer is sent. */
static void the_answer_comes_first(void **state)
{
    (void)state;
    int fd = accepted();
    takeover_start(&new.takeover);
    int pair = offer(HANDOFF_VERSION), none;
    hello(pair, &address);
    turn();
    hear(pair, &none);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    batch(pair, fd, 0, 1, 1, 0);
    loop_turn(&new.worker.loop, 0);
    assert_int_equal(new.answered, 0);
    assert_int_equal(hear(pair, &none).verb, HANDOFF_TAKEN);
    close(fd);
    turn();
    assert_int_equal(new.answered, 1);
    close(pair);
}

/* Who can't hear the answer keeps what it gave. */
static void the_answer_can_not_be_sent(void **state)
{
    (void)state;
    int ends[2], fd = accepted();
    takeover_start(&new.takeover);
    assert_int_equal(channel_pair(ends), 0);
    offer_end(ends[1], HANDOFF_VERSION);
    hello(ends[0], &address);
    turn();
    while (send(ends[1], "x", 1, MSG_DONTWAIT) == 1)
        continue; /* until the socket's queue is full of what nobody reads */
    close(ends[1]);
    batch(ends[0], fd, 0, 1, 1, 0);
    turn();
    assert_true(is_closed(ends[0]));
    assert_int_equal(accepting_count(&new.accepting), 0);
    close(ends[0]);
    say("x");
    char text[10];
    assert_int_equal(read(fd, text, sizeof text), 1);
    close(fd);
}

static void nonsense(void **state)
{
    (void)state;
    int fd = accepted();
    takeover_start(&new.takeover);
    for (unsigned i = 0; i < 6; i++) {
        int pair = offer(HANDOFF_VERSION);
        if (i != 0) /* a BATCH before HELLO */
            hello(pair, &address);
        turn();
        if (i == 0)
            batch(pair, fd, 0, 1, 1, 0);
        else if (i == 1)
            batch(pair, fd, 0, 1, 1, 1);
        else if (i == 2)
            batch(pair, fd, 0, 1, 2, 0);
        else if (i == 3)
            batch(pair, fd, 0, HANDOFF_BATCH_MAX + 1, 1, 0);
        else if (i == 4)
            batch(pair, fd, 0, 0, 0, 0); /* a descriptor that belongs to none */
        else
            hello(pair, &address); /* twice */
        turn();
        assert_true(is_closed(pair));
        assert_int_equal(accepting_count(&new.accepting), 0);
        close(pair);
    }
    say("x");
    char text[10];
    assert_int_equal(read(fd, text, sizeof text), 1); /* and we have it still */
    close(fd);
}

static void unknown_listeners(void **state)
{
    (void)state;
    struct address other = ip("127.0.0.1:1");
    char answer_text[9];
    takeover_start(&new.takeover);
    for (uint32_t listener = 0; listener < 2; listener++) {
        int fd = accepted(), pair = offer(HANDOFF_VERSION), none;
        hello(pair, &other);
        turn();
        hear(pair, &none);
        batch(pair, fd, listener, 1, 1, 0);
        turn();
        assert_int_equal(recv(pair, answer_text, sizeof answer_text, MSG_DONTWAIT), 9);
        assert_int_equal(answer_text[8], HANDOFF_NO_LISTENER);
        assert_int_equal(accepting_count(&new.accepting), 0);
        close(fd);
        close(pair);
    }
}

/* The kernel gives fewer descriptors than were sent when there is no room for them. */
static void descriptors_that_are_missing(void **state)
{
    (void)state;
    char answer_text[10];
    int fd = accepted(), none;
    takeover_start(&new.takeover);
    int pair = offer(HANDOFF_VERSION);
    hello(pair, &address);
    turn();
    hear(pair, &none);
    batch(pair, fd, 0, 2, 2, 0);
    turn();
    assert_int_equal(recv(pair, answer_text, sizeof answer_text, MSG_DONTWAIT), 10);
    assert_int_equal(answer_text[8], HANDOFF_IS_TAKEN);
    assert_int_equal(answer_text[9], HANDOFF_FULL);
    assert_int_equal(accepting_count(&new.accepting), 1);
    close(fd);
    close(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKERS(another_version),
        WORKERS(it_dies_after_it_gave),
        WORKERS(the_answer_comes_first),
        WORKERS(the_answer_can_not_be_sent),
        WORKERS(nonsense),
        WORKERS(unknown_listeners),
        WORKERS(descriptors_that_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
