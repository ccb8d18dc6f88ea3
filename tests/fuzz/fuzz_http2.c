/* A client's HTTP/2 connection: whatever bytes come, in whatever pieces, the server neither breaks nor leaks, and an owner that
 * does all that an exchange allows is told of each end once. The first byte says what that owner does, the second how long
 * the pieces are; the preface is ours. */
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "worker/http/http2_server.h"
#include "worker/net/connection.h"

static struct loop loop;
static struct net net;
static struct stats_row stats;
static struct http_service service;
static unsigned begun, ended;
static uint8_t manner;

static struct response_head answer_head(unsigned status, enum body_kind body)
{
    return (struct response_head){.status = status, .body = body};
}

/* What the owner does with a request. */
enum { ANSWER_AT_ONCE, ANSWER_BODY, ECHO, ABORT, NEVER, INTERIM, LARGE, MANNERS };

static void answer(struct exchange *exchange, size_t size)
{
    static char body[65536];
    struct response_head head = answer_head(200, BODY_STREAM);
    exchange->ops->respond(exchange, &head, size == 0);
    if (size)
        exchange->ops->write(exchange, body, size, true);
}

static void on_request(struct exchange *exchange)
{
    struct response_head refused = answer_head(exchange->refusal, BODY_NONE),
                         interim = answer_head(103, BODY_NONE);
    const struct request_head *head = exchange->head;
    begun++;
    exchange->owner = exchange;
    CHECK(exchange->refusal == 0 || (exchange->refusal >= 400 && exchange->refusal_detail));
    CHECK(exchange->refusal || (head->path.length && head->method_text.length && head->authority.length));
    CHECK(!fields_get(&head->fields, FIELD_TRANSFER_ENCODING) &&
          !fields_get(&head->fields, FIELD_CONNECTION));
    for (unsigned i = 0; i < head->fields.count; i++) {
        struct str value = head->fields.items[i].value;
        CHECK(!value.length ||
              (!memchr(value.data, '\n', value.length) && !memchr(value.data, '\0', value.length)));
    }
    if (exchange->refusal) {
        exchange->ops->respond(exchange, &refused, true);
        return;
    }
    switch (manner % MANNERS) {
    case ANSWER_AT_ONCE:
        answer(exchange, 0);
        break;
    case ANSWER_BODY:
        answer(exchange, 5);
        break;
    case LARGE:
        answer(exchange, 65536);
        break;
    case ABORT:
        ended++;
        exchange->ops->abort(exchange);
        break;
    case INTERIM:
        exchange->ops->interim(exchange, &interim); /* fall through */
    case ECHO:
        exchange->ops->read(exchange, true);
        if (exchange->body_done)
            answer(exchange, 0);
        break;
    default:
        break;
    }
}

static void on_body(struct exchange *exchange, const char *data, size_t length, bool last)
{
    struct response_head head = answer_head(200, BODY_STREAM);
    if (!exchange->response_started)
        exchange->ops->respond(exchange, &head, false);
    if (last && exchange->head->trailers.count)
        exchange->ops->trailers(exchange, &exchange->head->trailers);
    exchange->ops->read(exchange, manner & 0x80);
    exchange->ops->write(exchange, data, length, last);
    exchange->ops->read(exchange, true);
}

static void on_body_error(struct exchange *exchange, unsigned status, const char *detail)
{
    struct response_head head = answer_head(status, BODY_NONE);
    CHECK(status >= 400 && detail);
    if (!exchange->response_started) {
        exchange->ops->respond(exchange, &head, true);
        return;
    }
    ended++;
    exchange->ops->abort(exchange);
}

static void on_end(struct exchange *exchange)
{
    CHECK(exchange->owner == exchange);
    ended++;
}

static void on_flow(struct exchange *exchange)
{
    CHECK(exchange->owner == exchange);
}

static const struct exchange_events events = {.on_request = on_request,
                                              .on_body = on_body,
                                              .on_body_error = on_body_error,
                                              .on_blocked = on_flow,
                                              .on_drained = on_flow,
                                              .on_sent = on_end,
                                              .on_gone = on_end};

static void start(void)
{
    CHECK(loop_init(&loop, NULL) == 0 && net_init(&net, &loop, &stats) == 0);
    log_level_now = LEVEL_ERROR;
    service = (struct http_service){.net = &net,
                                    .events = &events,
                                    .header_timeout = 10000,
                                    .keepalive_timeout = 10000,
                                    .body_timeout = 10000,
                                    .send_timeout = 10000,
                                    .max_line = 1024,
                                    .max_head = 4096,
                                    .max_fields = 40,
                                    .max_body = 100000,
                                    .http2_streams = 8,
                                    .http2_window = 65535,
                                    .http2_connection_window = 100000,
                                    .http2_resets = 20,
                                    .http2_overhead = 2000};
    list_init(&service.connections);
    list_init(&service.leaving);
    list_init(&service.http2_connections);
}

/* The client reads what it is sent, so that the server isn't blocked (but for manners from 0x40 on). */
static void drain(int fd)
{
    static char buffer[65536];
    while (!(manner & 0x40) && recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = HTTP2_PREFACE_HEAD "SM\r\n\r\n";
    static bool started;
    struct address peer = {.length = 0};
    struct admission admission = {.gate = NULL};
    int pair[2];
    if (size < 2)
        return 0;
    if (!started)
        start();
    started = true;
    manner = data[0];
    size_t piece = data[1] ? data[1] * 16u : size;
    begun = ended = 0;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    CHECK(http2_server_open(&service, pair[0], NULL, &peer, NULL, &admission));
    CHECK(send(pair[1], preface, sizeof preface - 1, 0) == sizeof preface - 1);
    for (data += 2, size -= 2; size && !list_empty(&service.http2_connections);) {
        size_t step = piece < size ? piece : size;
        ssize_t n = send(pair[1], data, step, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            break;
        data += n;
        size -= (size_t)n;
        loop_turn(&loop, 0);
        loop_turn(&loop, 0);
        drain(pair[1]);
    }
    unsigned more = 0;
    http2_server_cut(&service, &more);
    loop_turn(&loop, 0);
    close(pair[1]);
    CHECK(begun == ended);
    CHECK(service.connection_count == 0 && list_empty(&loop.deferred));
    for (unsigned i = 0; i < service.arena_count; i++)
        arena_free(&service.arenas[i]);
    service.arena_count = 0;
    return 0;
}
