/* The giving side of a hand-off, to a worker that takes, and to one played by the test, which dies or talks nonsense. */
#include "tests/unit/handoff.h"

/* The old one learns of one successor, with this inbox, and drains. */
static void drain(int inbox)
{
    struct channel_message message = {.verb = CHANNEL_SUCCESSORS, .fd_count = 1, .fds = {dup(inbox)}};
    handover_told(&old.handover, &message);
    assert_int_equal(message.fds[0], -1);
    handover_begin(&old.handover);
    turn();
}

static void from_one_to_the_other(void **state)
{
    (void)state;
    assert_true(is_served_by(&old));
    takeover_start(&new.takeover);
    drain(new.inbox[1]);
    assert_true(old.empty);
    assert_false(old.alone);
    assert_int_equal(accepting_count(&old.accepting), 0);
    assert_int_equal(accepting_count(&new.accepting), 1);
    assert_true(is_served_by(&new));
}

static void a_begun_head_goes_with_it(void **state)
{
    (void)state;
    char text[100];
    takeover_start(&new.takeover);
    say("GET / HTTP/1.1\r\nHo");
    turn();
    drain(new.inbox[1]);
    say("st: a\r\n\r\n");
    turn();
    assert_int_equal(new.answered, 1);
    assert_true(recv(client, text, sizeof text, MSG_DONTWAIT) > 0);
    assert_memory_equal(text, "HTTP/1.1 200", 12);
}

static void nobody_takes(void **state)
{
    (void)state;
    handover_begin(&old.handover);
    turn();
    assert_true(old.alone);
    assert_false(is_served_by(&old));
}

static void an_inbox_that_is_gone(void **state)
{
    (void)state;
    close(new.inbox[0]);
    new.inbox[0] = -1;
    drain(new.inbox[1]);
    assert_true(old.alone);
    assert_false(is_served_by(&old));
}

static void another_listener(void **state)
{
    (void)state;
    new.listener.proxy_protocol = PROXY_ACCEPT_ON;
    takeover_start(&new.takeover);
    drain(new.inbox[1]);
    assert_int_equal(accepting_count(&new.accepting), 0);
    assert_false(old.alone);
    assert_false(is_served_by(&old));
}

static void others_are_told_later(void **state)
{
    (void)state;
    new.listener.proxy_protocol = PROXY_ACCEPT_ON;
    takeover_start(&new.takeover);
    drain(new.inbox[1]);
    new.listener.proxy_protocol = PROXY_ACCEPT_OFF;
    drain(new.inbox[1]);
    assert_true(is_served_by(&new));
}

/* --- the successor played by the test --- */

/* The end of the pair that the old one offered. */
static int take_offer(void)
{
    struct channel_message message;
    assert_int_equal(channel_receive(new.inbox[0], &message), 1);
    assert_int_equal(message.verb, CHANNEL_OFFER);
    assert_int_equal(message.number, HANDOFF_VERSION);
    assert_int_equal(message.fd_count, 1);
    return message.fds[0];
}

static void answer(int pair, enum handoff_verb verb, uint32_t number, const char *verdicts, size_t count)
{
    char memory[200];
    struct buf out = buf_on(memory, sizeof memory);
    handoff_put_head(&out, verb, number);
    buf_add(&out, verdicts, count);
    assert_int_equal(handoff_send(pair, buf_str(&out), NULL, 0), 0);
    turn();
}

/* Up to the BATCH; the descriptor in it. */
static int meet(int pair)
{
    int fd;
    assert_int_equal(hear(pair, &fd).verb, HANDOFF_HELLO);
    answer(pair, HANDOFF_WELCOME, 1, NULL, 0);
    struct handoff_head head = hear(pair, &fd);
    assert_int_equal(head.verb, HANDOFF_BATCH);
    assert_int_equal(head.number, 1);
    assert_true(fd >= 0);
    return fd;
}

static void it_dies_before_it_took(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* nobody looks, as nobody's it is */
    turn();
    assert_int_equal(old.answered, 0);
    close(fd);
    close(pair);
    turn();
    assert_int_equal(old.answered, 1);
    takeover_start(&new.takeover); /* who comes in its place */
    turn();
    assert_int_equal(accepting_count(&new.accepting), 1);
    char text[1000];
    assert_true(recv(client, text, sizeof text, MSG_DONTWAIT) > 0);
    assert_true(is_served_by(&new));
}

static void it_dies_again_and_again(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(old.alone);
        close(take_offer());
        turn();
    }
    assert_true(old.alone);
    assert_false(is_served_by(&old));
}

static void what_is_taken_is_not_ours(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    answer(pair, HANDOFF_TAKEN, 1, "\0", 1);
    assert_true(old.empty);
    close(pair);
    say("x");
    turn();
    assert_int_equal(old.answered, 0);
    char text[10];
    assert_int_equal(read(fd, text, sizeof text), 1);
    close(fd);
}

static void no_verdict_is_taken(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    answer(pair, HANDOFF_TAKEN, 1, "\xff", 1);
    assert_true(old.empty);
    close(fd);
    close(pair);
}

static void a_full_one(void **state)
{
    (void)state;
    static const char full = HANDOFF_FULL;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    close(fd);
    answer(pair, HANDOFF_TAKEN, 1, &full, 1);
    assert_true(old.alone);
    assert_false(is_served_by(&old));
    close(pair);
}

static void what_comes_unasked(void **state)
{
    (void)state;
    static const uint32_t verbs[] = {HANDOFF_TAKEN, HANDOFF_BATCH, 77};
    for (unsigned i = 0; i < 3; i++) {
        drain(new.inbox[1]);
        int pair = take_offer(), fd;
        assert_int_equal(hear(pair, &fd).verb, HANDOFF_HELLO);
        answer(pair, verbs[i], 1, "\0", 1);
        char text[10];
        assert_int_equal(recv(pair, text, sizeof text, MSG_DONTWAIT), 0); /* the old one is gone */
        close(pair);
        close(take_offer()); /* and offers anew */
    }
    struct channel_message none = {.verb = CHANNEL_SUCCESSORS};
    handover_told(&old.handover, &none);
    turn();
    assert_true(old.alone);
    assert_false(is_served_by(&old));
}

/* It may have taken them by then: only its answer, or its end, tells whose they are. */
static void nonsense_while_an_answer_is_due(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    answer(pair, HANDOFF_WELCOME, 1, NULL, 0);
    char text[200] = {0};
    assert_int_equal(send(pair, text, sizeof text, 0), sizeof text);
    say("x");
    turn();
    assert_int_equal(read(fd, text, sizeof text), 1); /* nobody else did */
    answer(pair, HANDOFF_TAKEN, 1, "\0", 1);
    assert_true(old.empty);
    close(fd);
    close(pair);
}

/* Others are told while an answer is due: it is waited for. */
static void an_answer_that_is_late(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    takeover_start(&new.takeover);
    drain(new.inbox[1]);
    assert_int_equal(accepting_count(&new.accepting), 0);
    answer(pair, HANDOFF_TAKEN, 1, "\1", 1); /* the configuration between had no such listener */
    close(fd);
    close(pair);
    turn();
    assert_int_equal(accepting_count(&new.accepting), 1);
    assert_true(is_served_by(&new));
}

static void cut_under_way(void **state)
{
    (void)state;
    drain(new.inbox[1]);
    int pair = take_offer(), fd = meet(pair);
    assert_int_equal(handover_end(&old.handover), 1);
    assert_true(old.empty);
    say("x");
    char text[10];
    assert_int_equal(read(fd, text, sizeof text), 1); /* it lives */
    close(fd);
    close(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKERS(from_one_to_the_other),
        WORKERS(a_begun_head_goes_with_it),
        WORKERS(nobody_takes),
        WORKERS(an_inbox_that_is_gone),
        WORKERS(another_listener),
        WORKERS(others_are_told_later),
        WORKERS(it_dies_before_it_took),
        WORKERS(it_dies_again_and_again),
        WORKERS(what_is_taken_is_not_ours),
        WORKERS(no_verdict_is_taken),
        WORKERS(a_full_one),
        WORKERS(what_comes_unasked),
        WORKERS(nonsense_while_an_answer_is_due),
        WORKERS(an_answer_that_is_late),
        WORKERS(cut_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
