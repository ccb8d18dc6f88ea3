/* handoff: two workers in one process, an old one and a new one, and a client with an idle connection to the old one. The
 * unit tests of hand-offs include it.
 */
#ifndef TESTS_HANDOFF_H
#define TESTS_HANDOFF_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>

#include "shared/base/channel.h"
#include "worker/http/http1_server.h"
#include "worker/net/handoff.h"
#include "worker/request/site.h"
#include "worker/role/handover.h"
#include "worker/role/takeover.h"

static inline struct address ip(const char *text)
{
    struct address address;
    const char *why;
    assert_true(address_parse(str_of(text), &address, &why));
    return address;
}

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
    struct tls_server *tls[1];
    struct site site;
    struct arena *arena;
    struct bound bound;
    int inbox[2];
    bool alone, empty;
    unsigned answered;
};

__attribute__((unused)) static struct side old, new;
static struct slots *slots;
static int listening, client;
static struct address address;

static inline void on_request(struct exchange *exchange)
{
    struct side *side = exchange->service->owner;
    struct response_head head = {.status = exchange->refusal ? exchange->refusal : 200, .body = BODY_NONE};
    side->answered++;
    exchange->ops->respond(exchange, &head, true);
}

static inline void on_sent(struct exchange *exchange)
{
    (void)exchange;
}

static const struct exchange_events events = {
    .on_request = on_request, .on_sent = on_sent, .on_gone = on_sent};

static inline void on_closed(struct http_service *service, const struct admission *admission)
{
    struct side *side = service->owner;
    accepting_left(&side->accepting, admission);
}

static inline void on_empty(void *owner)
{
    struct side *side = owner;
    side->empty = true;
}

static inline void on_alone(void *owner)
{
    struct side *side = owner;
    side->alone = true;
    http1_server_drain(&side->worker.service);
}

static inline void open_side(struct side *side, uint32_t slot)
{
    struct worker *worker = &side->worker;
    memset(side, 0, sizeof *side);
    side->arena = arena_new(4096);
    side->listener = (struct listener_settings){.name = "l", .address = address};
    side->listeners[0] = &side->listener;
    side->settings = (struct settings){
        .max_connections = 100, .client = {.header_timeout = 10000}, .listeners = {side->listeners, 1}};
    side->site = (struct site){.settings = &side->settings, .routers = side->routers, .tls = side->tls};
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
    list_init(&worker->tunnels);
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

static inline void close_side(struct side *side)
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
static inline void turn(void)
{
    for (unsigned i = 0; i < 10; i++) {
        loop_turn(&old.worker.loop, 0);
        loop_turn(&new.worker.loop, 0);
    }
}

/* A client, with an idle connection to the old one. */
static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    (void)state;
    close(client);
    close_side(&old);
    close_side(&new);
    close(listening);
    free(slots);
    return 0;
}

static inline void say(const char *text)
{
    assert_int_equal(write(client, text, strlen(text)), strlen(text));
}

/* A request is answered by `side`. Whether the connection goes on. */
static inline bool is_served_by(struct side *side)
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

/* The next message: its head, and the first descriptor, or -1. */
static inline struct handoff_head hear(int pair, int *fd)
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

#define WORKERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
