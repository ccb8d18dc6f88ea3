/* A listening socket in a loop: whom it takes, when it waits, and that it comes back. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/unit.h"

#include "worker/net/acceptor.h"

static struct loop loop;
static struct net net;
static struct stats_row stats;
static struct acceptor acceptor;

static struct {
    enum room room;
    bool gives_up; /* something, when there is no descriptor */
    unsigned accepted, asked, exhausted;
    int error;
} told;

static void on_accept(struct acceptor *from, int fd, const struct address *peer)
{
    assert_ptr_equal(from, &acceptor);
    assert_int_equal(peer->any.sa_family, AF_INET);
    told.accepted++;
    close(fd);
}

static enum room room(struct acceptor *from)
{
    assert_ptr_equal(from, &acceptor);
    told.asked++;
    return told.room;
}

static bool on_exhausted(struct acceptor *from, int error)
{
    assert_ptr_equal(from, &acceptor);
    told.exhausted++;
    told.error = error;
    return told.gives_up;
}

static const struct acceptor_events events = {
    .on_accept = on_accept, .room = room, .on_exhausted = on_exhausted};

static struct sockaddr_in where;

static int setup(void **state)
{
    (void)state;
    memset(&told, 0, sizeof told);
    memset(&acceptor, 0, sizeof acceptor);
    assert_int_equal(loop_init(&loop, NULL), 0);
    assert_int_equal(net_init(&net, &loop, &stats), 0);
    socklen_t size = sizeof where;
    where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&where, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &size), 0);
    acceptor.source.fd = fd; /* for acceptor_open() */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    acceptor_close(&acceptor);
    net_close(&net);
    loop_close(&loop);
    return 0;
}

static void open_acceptor(void)
{
    acceptor_open(&acceptor, &net, acceptor.source.fd, &events);
}

/* A client whose connection waits in the queue. */
static int knock(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

/* Turns until so many were accepted. */
static void turn_until_accepted(unsigned count)
{
    while (told.accepted < count)
        loop_turn(&loop, -1);
    assert_int_equal(told.accepted, count);
}

static void test_accepts(void **state)
{
    (void)state;
    open_acceptor();
    int first = knock(), second = knock();
    turn_until_accepted(2);
    assert_int_equal(told.asked, 2);
    close(first);
    close(second);
}

/* A listener that can't be watched is not lost: nothing would ever come to remind of it. */
static void test_watched_later(void **state)
{
    (void)state;
    int epoll = loop.epoll;
    loop.epoll = -1;
    open_acceptor();
    assert_false(acceptor.in_loop);
    acceptor_resume(&acceptor); /* in vain again */
    assert_false(acceptor.in_loop);
    loop.epoll = epoll;
    int client = knock();
    turn_until_accepted(1);
    assert_true(acceptor.in_loop);
    close(client);
}

static void test_no_room(void **state)
{
    (void)state;
    open_acceptor();
    int client = knock();
    told.room = ROOM_FULL;
    loop_turn(&loop, -1);
    assert_int_equal(told.asked, 1);
    assert_false(acceptor.in_loop);
    assert_int_equal(timers_wait(&loop.timers, loop.now_ms), -1); /* it waits to be told */
    told.room = ROOM_LATER;
    acceptor_resume(&acceptor);
    loop_turn(&loop, -1);
    assert_int_equal(told.asked, 2);
    assert_false(acceptor.in_loop);
    told.room = ROOM; /* and this time it comes back by itself */
    turn_until_accepted(1);
    close(client);
}

/* Leaves no descriptor for one more; gives the limit that was. */
static rlim_t take_descriptors(void)
{
    struct rlimit limit;
    int next = dup(loop.epoll);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void give_descriptors(rlim_t before)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_no_descriptor(void **state)
{
    (void)state;
    open_acceptor();
    int client = knock();
    rlim_t before = take_descriptors();
    told.gives_up = true;
    loop_turn(&loop, -1);
    assert_int_equal(told.exhausted, 1);
    assert_int_equal(told.error, EMFILE);
    assert_true(acceptor.in_loop); /* it is tried again at once */
    told.gives_up = false;
    loop_turn(&loop, -1);
    assert_int_equal(told.exhausted, 2);
    assert_false(acceptor.in_loop);
    give_descriptors(before);
    turn_until_accepted(1);
    close(client);
}

static void test_finishes(void **state)
{
    (void)state;
    open_acceptor();
    int clients[5];
    for (unsigned i = 0; i < 5; i++)
        clients[i] = knock();
    told.room = ROOM_FULL; /* what waits is taken all the same */
    acceptor_finish(&acceptor);
    assert_int_equal(told.accepted, 5);
    assert_int_equal(told.asked, 0);
    assert_true(acceptor.closed);
    acceptor_resume(&acceptor);
    assert_false(acceptor.in_loop);
    for (unsigned i = 0; i < 5; i++)
        close(clients[i]);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accepts),       TEST(test_watched_later), TEST(test_no_room),
        TEST(test_no_descriptor), TEST(test_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
