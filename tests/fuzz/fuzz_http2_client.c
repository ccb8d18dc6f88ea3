/* An endpoint's HTTP/2 connection: whatever bytes come, in whatever pieces, the client neither breaks nor leaks, and each owner of
 * an exchange is told of its end once, or ends it itself. The first byte says what the owners do, the second how long the
 * pieces are.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "worker/http/http2_client.h"
#include "worker/net/connection.h"

enum { CALLS = 4 };

static struct loop loop;
static struct net net;
static struct stats_row stats;
static struct address address;
static int listener = -1;
static uint8_t manner;
static struct client_connection *pooled; /* that could have one more exchange */
static bool gone;

static struct exchange_owner {
    struct client *client; /* NULL: none now */
    struct arena *arena;
    unsigned began, ended;
    bool answered;
} owners[CALLS];

enum { LET_IT_BE = 0, ABANDON_AT_HEAD = 1, STOP_AND_GO = 2, WITH_BODY = 4, WITH_TRAILERS = 8 };

static void over(struct exchange_owner *owner)
{
    owner->ended++;
    owner->client = NULL;
}

static void send_one(struct exchange_owner *owner)
{
    static const char text[] =
        "POST /some/path?a=b HTTP/1.1\r\nHost: inner.example\r\nX-Request-Id: 1\r\nConnection: "
        "TE\r\nTE: trailers\r\nContent-Type: text/plain\r\n\r\n";
    static struct fields trailers;
    struct buf head = client_reserve(owner->client);
    bool body = manner & WITH_BODY;
    buf_add(&head, text, sizeof text - 1);
    struct client_order order = {.method = METHOD_POST, .body = body, .chunked = body};
    client_send(owner->client, &head, &order, owner->arena);
    if (!body)
        return;
    if (manner & WITH_TRAILERS)
        client_trailers(owner->client, &trailers);
    client_send_body(owner->client, "some", 4, false);
    client_send_body(owner->client, "more", 4, true);
}

static void on_connected(void *pointer)
{
    send_one(pointer);
}

static void check_fields(const struct fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct str value = fields->items[i].value;
        CHECK(!value.length ||
              (!memchr(value.data, '\n', value.length) && !memchr(value.data, '\0', value.length)));
    }
    CHECK(!fields_get(fields, FIELD_TRANSFER_ENCODING) && !fields_get(fields, FIELD_CONNECTION));
}

static void on_interim(void *pointer, const struct response_head *head)
{
    const struct exchange_owner *owner = pointer;
    CHECK(owner->client && !owner->answered && head->status >= 100 && head->status < 200);
}

static void on_head(void *pointer, struct response_head *head, bool last)
{
    struct exchange_owner *owner = pointer;
    CHECK(owner->client && !owner->answered && head->status >= 200 && head->status < 600);
    check_fields(&head->fields);
    owner->answered = true;
    if (last) {
        over(owner);
    } else if (manner & ABANDON_AT_HEAD) {
        client_abandon(owner->client);
        over(owner);
    } else if (manner & STOP_AND_GO) {
        client_read(owner->client, false);
    }
}

static void on_body(void *pointer, const char *data, size_t length, bool last)
{
    struct exchange_owner *owner = pointer;
    CHECK(owner->client && owner->answered && (length == 0 || data));
    if (last)
        over(owner);
}

static void on_trailers(void *pointer, const struct fields *trailers)
{
    const struct exchange_owner *owner = pointer;
    CHECK(owner->client && owner->answered);
    check_fields(trailers);
}

static void on_flow(void *pointer)
{
    const struct exchange_owner *owner = pointer;
    CHECK(owner->client);
}

static void on_failed(void *pointer, enum client_failure failure, const char *detail)
{
    struct exchange_owner *owner = pointer;
    (void)failure;
    CHECK(owner->client && detail && *detail);
    over(owner);
}

static const struct client_events events = {.on_connected = on_connected,
                                            .on_interim = on_interim,
                                            .on_head = on_head,
                                            .on_body = on_body,
                                            .on_trailers = on_trailers,
                                            .on_blocked = on_flow,
                                            .on_drained = on_flow,
                                            .on_failed = on_failed};

/* --- the pool --- */

static void on_room(void *pool, struct client_connection *connection)
{
    (void)pool;
    CHECK(!gone);
    pooled = connection;
}

static void on_full(void *pool, struct client_connection *connection)
{
    (void)pool, (void)connection;
    pooled = NULL;
}

static void on_closed(void *pool, struct client_connection *connection)
{
    on_full(pool, connection);
    gone = true;
}

static const struct client_pool_events pool_events = {
    .on_idle = on_room, .on_room = on_room, .on_full = on_full, .on_closed = on_closed};

/* The name is nobody's file: it goes with the process. */
static void start(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "fuzz-http2-client.%d", (int)getpid());
    CHECK(loop_init(&loop, NULL) == 0 && net_init(&net, &loop, &stats) == 0);
    address.un = name;
    address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, &address.any, address.length) == 0 && listen(listener, 8) == 0);
    log_level_now = LEVEL_ERROR;
}

static const struct client_timeouts timeouts = {10000, 10000, 10000};
static const struct http2_client_rules rules = {.streams = CALLS, .expected = CALLS, .window = 65535};

static void begin(struct exchange_owner *owner, const struct client_target *target)
{
    *owner = (struct exchange_owner){.arena = arena_new(4096), .began = 1};
    if (target)
        owner->client = http2_client_open(target, &rules, owner, &events, &timeouts);
    else if (pooled)
        owner->client = client_connection_take(pooled, owner, &events, &timeouts);
    if (!owner->client)
        owner->began = 0;
    else if (owner->client->connected)
        send_one(owner);
}

static void go_on(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        if (owners[i].client && owners[i].answered)
            client_read(owners[i].client, true);
}

static void end(void)
{
    loop_turn(&loop, 0);
    loop_turn(&loop, 0);
    for (unsigned i = 0; i < CALLS; i++) {
        if (owners[i].client) {
            client_abandon(owners[i].client);
            over(&owners[i]);
        }
        CHECK(owners[i].began == owners[i].ended);
    }
    if (pooled)
        client_connection_close(pooled);
}

static void feed(int fd, const uint8_t *data, size_t size, size_t piece)
{
    static char buffer[65536];
    while (size && !gone) {
        size_t step = piece < size ? piece : size;
        ssize_t n = send(fd, data, step, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            break;
        data += n;
        size -= (size_t)n;
        loop_turn(&loop, 0);
        go_on();
        loop_turn(&loop, 0);
        while (!(manner & 0x40) && recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
            continue;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (listener < 0)
        start();
    manner = data[0];
    size_t piece = data[1] ? data[1] * 16u : size;
    struct client_target target = {&net, &address, NULL, NULL, &pool_events, 0};
    pooled = NULL;
    gone = false;
    begin(&owners[0], &target);
    CHECK(owners[0].client);
    for (unsigned i = 1; i < CALLS; i++)
        begin(&owners[i], NULL);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    loop_turn(&loop, 0);
    feed(fd, data + 2, size - 2, piece);
    end();
    close(fd);
    for (unsigned turns = 0; !gone && turns < 8; turns++)
        loop_turn(&loop, 0);
    CHECK(gone && list_empty(&loop.deferred));
    loop_turn(&loop, 0);
    for (unsigned i = 0; i < CALLS; i++)
        arena_free(&owners[i].arena);
    return 0;
}
