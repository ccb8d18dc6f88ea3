/* The PROXY header on a socket: all of it is taken and nothing behind it, however it comes. */
#include <errno.h>
#include <sys/socket.h>

#include "tests/unit/unit.h"

#include "worker/net/greeting.h"

static struct loop loop;
static struct net net;
static struct stats_row stats;
static struct greeter greeter;

static struct {
    unsigned greeted, refused;
    int fd;
    struct proxy_header header;
    struct address peer;
    const char *why;
    void *gate;
} told;

static void on_greeted(struct greeter *from, void *gate, int fd, const struct address *peer,
                       const struct proxy_header *header)
{
    assert_ptr_equal(from, &greeter);
    told.greeted++;
    told.fd = fd;
    told.header = *header;
    told.peer = *peer;
    told.gate = gate;
}

static void on_refused(struct greeter *from, void *gate, const struct address *peer, const char *why)
{
    assert_ptr_equal(from, &greeter);
    told.refused++;
    told.why = why;
    told.peer = *peer;
    told.gate = gate;
}

static int setup(void **state)
{
    (void)state;
    memset(&told, 0, sizeof told);
    assert_int_equal(loop_init(&loop, NULL), 0);
    assert_int_equal(net_init(&net, &loop, &stats), 0);
    greeter_init(&greeter, &net, 200);
    greeter.on_greeted = on_greeted;
    greeter.on_refused = on_refused;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    greeter_close(&greeter);
    assert_int_equal(greeter.count, 0);
    net_close(&net);
    loop_close(&loop);
    return 0;
}

/* The two ends; `before` is there when it is opened. */
static int greet(struct str before)
{
    int ends[2];
    struct address peer = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    if (before.length)
        assert_int_equal(write(ends[0], before.data, before.length), before.length);
    greeting_open(&greeter, &greet, ends[1], &peer);
    return ends[0];
}

static void say(int fd, struct str words)
{
    assert_int_equal(write(fd, words.data, words.length), words.length);
}

/* What is behind the header is still in the socket. */
static void check_rest(int fd, const char *rest)
{
    char text[64];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0) {
        assert_int_equal(errno, EAGAIN);
        n = 0;
    }
    assert_str(((struct str){text, (size_t)n}), rest);
}

static void check_greeted(int near, const char *rest)
{
    assert_int_equal(told.greeted, 1);
    assert_int_equal(told.refused, 0);
    assert_ptr_equal(told.gate, &greet);
    assert_int_equal(told.peer.in.sin_addr.s_addr, htonl(0x7f000001));
    assert_int_equal(greeter.count, 0);
    check_rest(told.fd, rest);
    close(told.fd);
    close(near);
}

#define LINE "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"
#define BINARY "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x0a\0\0\1\x0a\0\0\2\x04\xd2\0\x50\4\0\0"

static void test_at_once(void **state)
{
    (void)state;
    static const struct str headers[] = {{LINE, sizeof LINE - 1},
                                         {LINE "GET", sizeof LINE + 2},
                                         {BINARY, sizeof BINARY - 1},
                                         {BINARY "GET", sizeof BINARY + 2}};
    for (unsigned i = 0; i < 4; i++) {
        memset(&told, 0, sizeof told);
        int near = greet(headers[i]);
        assert_true(told.header.known);
        assert_int_equal(ntohs(told.header.source.in.sin_port), 1234);
        check_greeted(near, i % 2 ? "GET" : "");
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    static const struct str headers[] = {{LINE "GET", sizeof LINE + 2}, {BINARY "GET", sizeof BINARY + 2}};
    for (unsigned i = 0; i < 2; i++) {
        memset(&told, 0, sizeof told);
        int near = greet((struct str){headers[i].data, 1});
        for (size_t at = 1; at < headers[i].length - 3; at++) {
            assert_int_equal(told.greeted, 0);
            assert_int_equal(greeter.count, 1);
            say(near, (struct str){headers[i].data + at, 1});
            loop_turn(&loop, -1);
        }
        assert_int_equal(told.greeted, 1);
        say(near, STR("GET"));
        check_greeted(near, "GET");
    }
}

/* In two pieces, cut at each place, the second with what follows. */
static void test_in_two(void **state)
{
    (void)state;
    static const struct str header = {BINARY "GET", sizeof BINARY + 2};
    for (size_t at = 0; at < header.length; at++) {
        memset(&told, 0, sizeof told);
        int near = greet((struct str){header.data, at});
        say(near, str_from(header, at));
        while (!told.greeted)
            loop_turn(&loop, -1);
        check_greeted(near, "GET");
    }
}

static void check_refused(int near, const char *why)
{
    char byte;
    assert_int_equal(told.greeted, 0);
    assert_int_equal(told.refused, 1);
    assert_int_equal(greeter.count, 0);
    if (why)
        assert_non_null(strstr(told.why, why));
    else
        assert_null(told.why);
    if (near >= 0) {
        ssize_t n = read(near, &byte, 1);
        assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
        close(near);
    }
}

static void test_refused(void **state)
{
    (void)state;
    check_refused(greet(STR("GET / HTTP/1.1\r\n\r\n")), "doesn't begin with a header");
    memset(&told, 0, sizeof told);
    int near = greet(STR("PROXY TCP4 "));
    say(near, STR("10.0.0.1 10.0.0.2 0 99999\r\n"));
    loop_turn(&loop, -1);
    check_refused(near, "the destination's port");
}

static void test_ends(void **state)
{
    (void)state;
    int near = greet(STR(""));
    close(near);
    loop_turn(&loop, -1);
    check_refused(-1, NULL);
    memset(&told, 0, sizeof told);
    near = greet(STR("PROX"));
    shutdown(near, SHUT_WR);
    loop_turn(&loop, -1);
    check_refused(near, "ended within the header");
}

static void test_time_out(void **state)
{
    (void)state;
    int near = greet(STR(""));
    while (!told.refused)
        loop_turn(&loop, -1);
    check_refused(near, "no header came in time");
    memset(&told, 0, sizeof told);
    near = greet(STR("PROXY"));
    while (!told.refused)
        loop_turn(&loop, -1);
    check_refused(near, "end didn't come in time");
}

static void test_closing(void **state)
{
    (void)state;
    int first = greet(STR("")), second = greet(STR("PROXY "));
    assert_int_equal(greeter.count, 2);
    greeter_close(&greeter);
    assert_int_equal(greeter.count, 0);
    assert_int_equal(told.refused, 0);
    close(first);
    close(second);
    loop_turn(&loop, 0);
}

/* It is handed over to a greeter that is the same one here. */
static void test_handing_over(void **state)
{
    (void)state;
    struct greeting_parcel parcel;
    int near = greet((struct str){LINE, 10});
    loop_turn(&loop, 0);
    struct greeting *greeting = greeting_first(&greeter);
    assert_non_null(greeting);
    greeting_suspend(greeting, &parcel);
    assert_null(greeting_first(&greeter));
    assert_int_equal(greeter.count, 1);
    assert_ptr_equal(parcel.gate, &greet);
    assert_str(parcel.read, "PROXY TCP4");
    assert_in_range(parcel.left_ms, 1, 200);
    say(near, (struct str){LINE "GET" + 10, sizeof LINE - 1 - 10 + 3});
    loop_turn(&loop, 0);
    assert_int_equal(told.greeted, 0);
    parcel.fd = dup(parcel.fd);
    struct greeting *other = greeting_take(&greeter, &parcel);
    assert_non_null(other);
    assert_int_equal(greeter.count, 2);
    greeting_done(greeting);
    assert_int_equal(told.refused, 1);
    assert_null(told.why);
    assert_int_equal(told.greeted, 0); /* not before the next turn */
    told.refused = 0;
    loop_turn(&loop, 0);
    check_greeted(near, "GET");
}

static void test_handed_over_in_vain(void **state)
{
    (void)state;
    struct greeting_parcel parcel;
    int near = greet((struct str){LINE, 10});
    struct greeting *greeting = greeting_first(&greeter);
    greeting_suspend(greeting, &parcel);
    greeting_resume(greeting, false);
    assert_ptr_equal(greeting_first(&greeter), greeting);
    greeting_suspend(greeting, &parcel);
    say(near, (struct str){LINE + 10, sizeof LINE - 1 - 10});
    greeting_resume(greeting, true);
    assert_null(greeting_first(&greeter));
    loop_turn(&loop, 0);
    check_greeted(near, "");
}

static void test_time_out_after_handing_over(void **state)
{
    (void)state;
    struct greeting_parcel parcel;
    int near = greet(STR("PROXY"));
    struct greeting *greeting = greeting_first(&greeter);
    greeting_suspend(greeting, &parcel);
    greeting_resume(greeting, true);
    while (!told.refused)
        loop_turn(&loop, -1);
    check_refused(near, "end didn't come in time");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_at_once),
        TEST(test_byte_by_byte),
        TEST(test_in_two),
        TEST(test_refused),
        TEST(test_ends),
        TEST(test_time_out),
        TEST(test_closing),
        TEST(test_handing_over),
        TEST(test_handed_over_in_vain),
        TEST(test_time_out_after_handing_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
