/* A hand-off: its messages; and two workers in one process that hand a connection over, or one of them played by the test,
 * which dies or talks nonsense at each step. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>

#include "shared/base/channel.h"
#include "worker/http/http1_server.h"
#include "worker/net/handoff.h"
#include "worker/request/site.h"
#include "worker/role/handover.h"
#include "worker/role/takeover.h"

/* --- messages --- */

static struct address ip(const char *text)
{
    struct address address;
    const char *why;
    assert_true(address_parse(str_of(text), &address, &why));
    return address;
}

static struct handoff_record a_record(void)
{
    return (struct handoff_record){.listener = 7,
                                   .left_ms = 1234,
                                   .requests = 99,
                                   .kind = HANDOFF_HTTP1,
                                   .flags = HANDOFF_GREETED | HANDOFF_DESTINATION | HANDOFF_HEAD_BEGUN,
                                   .peer = ip("[2001:db8::1]:99"),
                                   .destination = ip("192.0.2.1:80"),
                                   .held = STR("GET / HT")};
}

static void messages_are_read_as_written(void **state)
{
    (void)state;
    char memory[1024];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = a_record(), got;
    struct handoff_listener listener = {ip("0.0.0.0:80"), handoff_rights("0660", NULL, "www")}, got_listener;
    struct handoff_head head;
    enum handoff_verdict verdict;
    handoff_put_head(&out, HANDOFF_BATCH, 0);
    handoff_put_record(&out, &record);
    handoff_put_listener(&out, &listener);
    handoff_put_verdict(&out, HANDOFF_FULL);
    handoff_set_number(&out, 5);
    struct str in = buf_str(&out);
    assert_true(handoff_get_head(&in, &head));
    assert_int_equal(head.verb, HANDOFF_BATCH);
    assert_int_equal(head.number, 5);
    assert_true(handoff_get_record(&in, &got));
    assert_int_equal(got.listener, 7);
    assert_int_equal(got.left_ms, 1234);
    assert_int_equal(got.requests, 99);
    assert_int_equal(got.kind, HANDOFF_HTTP1);
    assert_int_equal(got.flags, record.flags);
    assert_true(address_eq(&got.peer, &record.peer));
    assert_true(address_eq(&got.destination, &record.destination));
    assert_str(got.held, "GET / HT");
    assert_true(handoff_get_listener(&in, &got_listener));
    assert_true(address_eq(&got_listener.address, &listener.address));
    assert_true(got_listener.rights == listener.rights);
    assert_true(handoff_get_verdict(&in, &verdict));
    assert_int_equal(verdict, HANDOFF_FULL);
    assert_int_equal(in.length, 0);
}

static void rights_differ_by_each_part(void **state)
{
    (void)state;
    uint64_t usual = handoff_rights("0660", "a", NULL);
    assert_true(usual == handoff_rights("0660", "a", NULL));
    assert_true(usual != handoff_rights("0666", "a", NULL));
    assert_true(usual != handoff_rights("0660", NULL, "a"));
    assert_true(usual != handoff_rights("0660", "a", "a"));
}

static void what_is_cut_is_not_read(void **state)
{
    (void)state;
    char memory[1024];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = a_record(), got;
    handoff_put_record(&out, &record);
    for (size_t length = 0; length < out.length; length++) {
        char *copy = malloc(length + 1); /* of its own: no look beyond its end */
        assert_non_null(copy);
        memcpy(copy, out.data, length);
        struct str in = {copy, length};
        assert_false(handoff_get_record(&in, &got));
        free(copy);
    }
    struct buf small = buf_on(memory, out.length - 1);
    handoff_put_record(&small, &record);
    assert_true(small.overflow);
}

static void strange_addresses_are_not_read(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 2, 8, 15, 27, sizeof(struct sockaddr_un) + 1, UINT32_MAX};
    char memory[1024] = {0};
    struct handoff_listener listener;
    sa_family_t families[] = {AF_INET, AF_INET6, AF_PACKET};
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(memory, &lengths[i], sizeof lengths[i]);
        for (unsigned j = 0; j < 3; j++) {
            memcpy(memory + 4, &families[j], sizeof families[j]);
            struct str in = {memory, sizeof memory};
            if (families[j] == AF_INET && lengths[i] == 27)
                continue; /* long enough for that one */
            assert_false(handoff_get_listener(&in, &listener));
        }
    }
}

/* --- workers --- */

struct side {
    struct worker worker;
    struct accepting accepting;
    struct handover handover;
    struct takeover takeover;
    struct shared shared;
    struct stats_row stats;
    struct settings settings;
    struct listener_settings listener;
    void *listeners[1];
    struct router *routers[1];
    struct site site;
    struct arena *arena;
    struct bound bound;
    int inbox[2];
    bool alone, empty;
    unsigned answered;
};

static struct side old, new;
static struct slots *slots;
static int listening, client;
static struct address address;

static void on_request(struct exchange *exchange)
{
    struct side *side = exchange->service->owner;
    struct response_head head = {.status = exchange->refusal ? exchange->refusal : 200, .body = BODY_NONE};
    side->answered++;
    exchange->ops->respond(exchange, &head, true);
}

static void on_sent(struct exchange *exchange)
{
    (void)exchange;
}

static const struct exchange_events events = {
    .on_request = on_request, .on_sent = on_sent, .on_gone = on_sent};

static void on_closed(struct http_service *service, const struct admission *admission)
{
    struct side *side = service->owner;
    accepting_left(&side->accepting, admission);
}

static void on_empty(void *owner)
{
    struct side *side = owner;
    side->empty = true;
}

static void on_alone(void *owner)
{
    struct side *side = owner;
    side->alone = true;
    http1_server_drain(&side->worker.service);
}

static void open_side(struct side *side, uint32_t slot)
{
    struct worker *worker = &side->worker;
    memset(side, 0, sizeof *side);
    side->arena = arena_new(4096);
    side->listener = (struct listener_settings){.name = "l", .address = address};
    side->listeners[0] = &side->listener;
    side->settings = (struct settings){
        .max_connections = 100, .client = {.header_timeout = 10000}, .listeners = {side->listeners, 1}};
    side->site = (struct site){.settings = &side->settings, .routers = side->routers};
    side->shared.slots = slots;
    worker->shared = &side->shared;
    worker->slot_index = slot;
    worker->site = &side->site;
    worker->stats = &side->stats;
    assert_int_equal(loop_init(&worker->loop, side), 0);
    assert_int_equal(net_init(&worker->net, &worker->loop, &side->stats), 0);
    worker->service = (struct http_service){.net = &worker->net,
                                            .events = &events,
                                            .owner = side,
                                            .on_closed = on_closed,
                                            .header_timeout = 10000,
                                            .keepalive_timeout = 10000,
                                            .body_timeout = 10000,
                                            .send_timeout = 10000,
                                            .max_line = 1000,
                                            .max_head = 1000,
                                            .max_fields = 10};
    list_init(&worker->service.connections);
    list_init(&worker->service.leaving);
    side->bound = (struct bound){&side->listener, dup(listening)};
    accepting_init(&side->accepting, worker, side->arena, &side->bound, 1);
    side->accepting.on_empty = on_empty;
    side->accepting.owner = side;
    assert_int_equal(channel_pair(side->inbox), 0);
    handover_init(&side->handover, &side->accepting);
    side->handover.on_alone = on_alone;
    side->handover.owner = side;
    takeover_init(&side->takeover, &side->accepting, side->inbox[0]);
    accepting_start(&side->accepting, &side->bound, 1);
}

static void close_side(struct side *side)
{
    takeover_stop(&side->takeover);
    handover_end(&side->handover);
    accepting_stop(&side->accepting);
    accepting_cut(&side->accepting);
    http1_server_cut(&side->worker.service);
    assert_int_equal(accepting_count(&side->accepting), 0);
    for (unsigned i = 0; i < side->worker.service.arena_count; i++)
        arena_free(&side->worker.service.arenas[i]);
    for (unsigned i = 0; i < 2; i++)
        if (side->inbox[i] >= 0)
            close(side->inbox[i]);
    net_close(&side->worker.net);
    loop_close(&side->worker.loop);
    arena_free(&side->arena);
}

/* Until nothing is left to do. */
static void turn(void)
{
    for (unsigned i = 0; i < 10; i++) {
        loop_turn(&old.worker.loop, 0);
        loop_turn(&new.worker.loop, 0);
    }
}

/* A client, with an idle connection to the old one. */
static int setup(void **state)
{
    (void)state;
    slots = calloc(1, sizeof *slots + 2 * sizeof(struct slot));
    assert_non_null(slots);
    slots->count = 2;
    address = ip("127.0.0.1:1");
    address.in.sin_port = 0; /* a free one */
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listening, &address.any, address.length), 0);
    assert_int_equal(getsockname(listening, &address.any, &address.length), 0);
    assert_int_equal(listen(listening, 10), 0);
    open_side(&old, 0);
    open_side(&new, 1);
    accepting_stop(&new.accepting);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, &address.any, address.length), 0);
    turn();
    assert_int_equal(accepting_count(&old.accepting), 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(client);
    close_side(&old);
    close_side(&new);
    close(listening);
    free(slots);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(client, text, strlen(text)), strlen(text));
}

/* A request is answered by `side`. Whether the connection goes on. */
static bool is_served_by(struct side *side)
{
    char text[1000];
    unsigned before = old.answered + new.answered, mine = side->answered;
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    turn();
    assert_int_equal(old.answered + new.answered, before + 1);
    assert_int_equal(side->answered, mine + 1);
    ssize_t got = recv(client, text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(got > 0);
    text[got] = '\0';
    assert_non_null(strstr(text, "HTTP/1.1 200"));
    return strstr(text, "Connection: close") == NULL;
}

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

/* The next message: its head, and the first descriptor, or -1. */
static struct handoff_head hear(int pair, int *fd)
{
    static char memory[NET_IN];
    int fds[HANDOFF_BATCH_MAX];
    unsigned fd_count;
    struct str message;
    struct handoff_head head;
    assert_int_equal(handoff_receive(pair, memory, sizeof memory, &message, fds, &fd_count), 1);
    assert_true(handoff_get_head(&message, &head));
    assert_true(fd_count <= 1);
    *fd = fd_count ? fds[0] : -1;
    return head;
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

/* --- the predecessor played by the test --- */

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

#define WORKERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_as_written),
        cmocka_unit_test(rights_differ_by_each_part),
        cmocka_unit_test(what_is_cut_is_not_read),
        cmocka_unit_test(strange_addresses_are_not_read),
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
        WORKERS(an_answer_that_is_late),
        WORKERS(cut_under_way),
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
