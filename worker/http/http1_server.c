/* http1_server: a client's connection that speaks HTTP/1: its life, and the reading of requests. Answering is in
 * http1_answer.c.
 */
#include "worker/http/http1_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/http/http1_server_state.h"
#include "worker/http/http2_server.h"

enum {
    LINGER_MS = 2000,       /* how long a client that is refused may go on sending */
    LINGER_BYTES = 1 << 20, /* and how much */
    VERSION_MS = 1000,      /* how long one that says nothing may show that it speaks HTTP/2 */
};

void http1_server_close(struct http1_server *server, bool reset)
{
    struct http_service *service = server->service;
    if (server->connection.closed)
        return;
    service_arena_give(service, &server->exchange.arena);
    connection_close(&server->connection, reset);
    service->connection_count--;
    if (service->on_closed)
        service->on_closed(service, &server->admission);
}

void http1_server_gone(struct http1_server *server, const char *why)
{
    bool cut = server->phase == PHASE_ACTIVE && server->exchange.response_started;
    server->exchange.gone = why;
    if (server->phase == PHASE_ACTIVE)
        server->service->events->on_gone(&server->exchange);
    http1_server_close(server, cut);
}

/* What an exchange waits for of its client: to take more of the answer, or to send more of the body. */
void http1_server_set_timer(struct http1_server *server)
{
    struct connection *connection = &server->connection;
    if (connection->blocked) {
        http1_pace_answer(server);
    } else if (!connection->stopped && !server->exchange.body_done) {
        connection_timeout(connection, server->service->body_timeout);
    } else {
        connection_no_timeout(connection);
    }
}

/* --- the end of an exchange --- */

static void await_request(struct http1_server *server)
{
    struct http_service *service = server->service;
    bool last = service->draining || server->stays;
    server->phase = PHASE_HEAD;
    server->scan = (struct head_scan){0, 0};
    server->head_begun = false;
    connection_timeout(&server->connection, last ? HTTP1_DRAIN_IDLE_MS : service->keepalive_timeout);
    http1_server_leave(server); /* before what is held is looked at: that goes with it */
    connection_start(&server->connection);
}

static void linger(struct http1_server *server)
{
    server->phase = PHASE_LINGER;
    server->left = LINGER_BYTES;
    connection_shutdown(&server->connection);
    if (server->connection.eof) {
        http1_server_close(server, false);
        return;
    }
    connection_timeout(&server->connection, LINGER_MS);
    connection_start(&server->connection);
}

/* The rest of a body that was not wanted is read, so that the connection can be kept. */
static void discard(struct http1_server *server)
{
    server->phase = PHASE_DISCARD;
    connection_timeout(&server->connection, server->service->body_timeout);
    connection_start(&server->connection);
}

/* The kernel has the whole answer. */
static void finish(struct http1_server *server)
{
    struct exchange *exchange = &server->exchange;
    server->service->events->on_sent(exchange);
    service_arena_give(server->service, &exchange->arena);
    if (server->keep_alive && exchange->body_done)
        await_request(server);
    else if (server->keep_alive)
        discard(server);
    else if (!exchange->body_done || connection_has_unread(&server->connection))
        linger(server);
    else
        http1_server_close(server, false);
}

void http1_server_complete(struct http1_server *server)
{
    server->response_done = true;
    if (!server->keep_alive)
        connection_end(&server->connection);
    if (connection_flush(&server->connection))
        finish(server);
}

/* --- reading --- */

void http1_server_begin(struct http1_server *server)
{
    struct http_service *service = server->service;
    struct exchange *exchange = &server->exchange;
    http1_server_rejoin(server);
    server->phase = PHASE_ACTIVE;
    server->sent_before = connection_sent(&server->connection);
    server->framing = FRAMING_NONE;
    server->chunked = NULL;
    server->trailers = NULL;
    server->pace_in = server->pace_out = NULL;
    server->requests++;
    server->keep_alive = server->out_chunked = server->out_nothing = server->response_done = false;
    server->last = false;
    server->continued = true;
    exchange->ops = &http1_answer_ops;
    exchange->owner = NULL;
    exchange->arena = service_arena_take(service);
    exchange->head = arena_alloc(exchange->arena, sizeof *exchange->head);
    exchange->refusal = 0;
    exchange->bytes_in = 0;
    exchange->body_done = true;
    exchange->response_started = exchange->orderly = false;
    connection_stop(&server->connection);
    connection_no_timeout(&server->connection);
}

/* What follows in the stream is not to be understood either: it is read past (linger), so that the answer arrives. */
static void deny(struct exchange *exchange, unsigned status, const char *detail)
{
    exchange->refusal = status;
    exchange->refusal_detail = detail;
    exchange->body_done = false;
}

/* A request that can't be read is a request that is answered, and the last one. */
static void refuse(struct http1_server *server, unsigned status, const char *detail)
{
    struct exchange *exchange = &server->exchange;
    http1_server_begin(server);
    memset(exchange->head, 0, sizeof *exchange->head);
    exchange->head->method = METHOD_OTHER;
    exchange->head->version = 11;
    deny(exchange, status, detail);
    server->service->events->on_request(exchange);
}

static void refuse_client(struct http1_server *server)
{
    const struct refusal *refusal = server->admission.refusal;
    refuse(server, refusal->status, refusal->detail);
}

/* `more`: bytes of the body came with the head, and need no invitation. */
static void begin_body(struct http1_server *server, const struct parse_result *parsed, bool more)
{
    struct exchange *exchange = &server->exchange;
    const struct request_head *head = exchange->head;
    server->framing = parsed->framing;
    server->left = head->length;
    exchange->body_done =
        parsed->framing == FRAMING_NONE || (parsed->framing == FRAMING_LENGTH && head->length == 0);
    server->continued = !head->expect_continue || more;
    if (parsed->framing == FRAMING_CHUNKED) {
        server->chunked = arena_alloc(exchange->arena, sizeof *server->chunked);
        chunked_init(server->chunked);
    }
}

static void dispatch(struct http1_server *server, const char *data, size_t length, bool more)
{
    struct exchange *exchange = &server->exchange;
    struct http_service *service = server->service;
    struct parse_result parsed;
    unsigned lines = server->scan.lines;
    http1_server_begin(server);
    /* What the request says must outlast the scratch buffer. */
    char *copy = arena_alloc(exchange->arena, length);
    memcpy(copy, data, length);
    exchange->bytes_in = server->head_length = (uint32_t)length;
    if (lines > service->max_fields + 1) {
        memset(exchange->head, 0, sizeof *exchange->head);
        deny(exchange, 431, "the request has more header fields than are taken");
    } else if (!parse_request(copy, length, lines, exchange->arena, exchange->head, &parsed)) {
        deny(exchange, parsed.status, parsed.detail);
    } else {
        begin_body(server, &parsed, more);
        struct request_head *head = exchange->head;
        if (exchange->tls)
            head->scheme = STR("https");
        if (head->method_text.length + head->target.length + sizeof "  HTTP/1.1" >
            service->max_line) /* CRLF and all */
            deny(exchange, 414, "the request line is longer than is taken");
        else if (service->max_body && head->length > service->max_body)
            deny(exchange, 413, "the request's body is larger than is taken");
    }
    service->events->on_request(exchange);
}

/* Of a head that is not whole `length` bytes are here. False: they are too many, and the request is answered. */
static bool await_more(struct http1_server *server, size_t length)
{
    const struct http_service *service = server->service;
    bool in_line = server->scan.lines == 0;
    if (in_line && length >= service->max_line)
        refuse(server, 414, "the request line is longer than is taken");
    else if (length >= service->max_head)
        refuse(server, 431, "the header fields are larger than is taken");
    else if (!server->head_begun) { /* from the first byte on; more bytes don't move it */
        server->head_begun = true;
        connection_timeout(&server->connection, service->header_timeout);
    }
    return server->phase == PHASE_HEAD;
}

/* The client speaks HTTP/2 (RFC 9113, section 3.3): the connection goes to http2_server.c with all that came on it. */
static void become_http2(struct http1_server *server, const char *data, size_t length)
{
    struct http_service *service = server->service;
    struct admission admission = server->admission;
    struct address peer = server->peer;
    const void *listener = server->exchange.listener;
    struct tls *tls;
    int fd = connection_release(&server->connection, &tls);
    if (http2_server_take(service, fd, tls, &peer, listener, &admission, (struct str){data, length}))
        return;
    service->connection_count--;
    if (service->on_closed)
        service->on_closed(service, &admission);
}

static bool is_preface(const struct http1_server *server, struct str head)
{
    return server->admission.http2 && server->requests == 0 && str_eq(head, STR(HTTP2_PREFACE_HEAD));
}

static bool may_be_preface(const char *data, size_t length)
{
    size_t most = sizeof HTTP2_PREFACE_HEAD - 1;
    return memcmp(data, HTTP2_PREFACE_HEAD, length < most ? length : most) == 0;
}

/* Returns what it took of the bytes. */
static size_t read_head(struct http1_server *server, const char *data, size_t length)
{
    struct http_service *service = server->service;
    size_t skipped = 0, end;
    /* An empty line or two before a request is let pass (RFC 9112, section 2.2). */
    while (server->scan.scanned == 0 && skipped < 4 && length - skipped >= 2 && data[skipped] == '\r' &&
           data[skipped + 1] == '\n')
        skipped += 2;
    data += skipped;
    length -= skipped;
    if (length == 0)
        return skipped;
    if (server->admission.refusal && !may_be_preface(data, length)) {
        refuse_client(server);
        return skipped + length;
    }
    switch (
        head_find_end(&server->scan, data, length < service->max_head ? length : service->max_head, &end)) {
    case HEAD_WHOLE:
        if (is_preface(server, (struct str){data, end})) {
            become_http2(server, data, length);
            return skipped + length;
        }
        dispatch(server, data, end, end < length);
        return skipped + end;
    case HEAD_MALFORMED:
        refuse(server, 400, "a line of the head doesn't end with CRLF, or begins with a space");
        return skipped + length;
    case HEAD_MORE:
        return await_more(server, length) ? skipped : skipped + length;
    }
    return skipped;
}

/* The body can't be read to its end: nothing more is, until the answer is sent. */
static void body_error(struct http1_server *server, unsigned status, const char *detail)
{
    server->last = true;
    connection_stop(&server->connection);
    server->service->events->on_body_error(&server->exchange, status, detail);
}

static void body_bytes(struct http1_server *server, const char *data, size_t length)
{
    struct exchange *exchange = &server->exchange;
    exchange->bytes_in += length;
    if (exchange->body_done) {
        connection_stop(&server->connection);
        if (!server->connection.blocked)
            http1_server_set_timer(server);
    }
    if (!exchange->body_done && http1_pace_body_slow(server))
        body_error(server, 408, "the request's body came below the least rate");
    else if (server->phase == PHASE_ACTIVE)
        server->service->events->on_body(exchange, data, length, exchange->body_done);
}

static size_t read_length(struct http1_server *server, const char *data, size_t length)
{
    if (length > server->left)
        length = (size_t)server->left;
    server->left -= length;
    server->exchange.body_done = server->left == 0;
    body_bytes(server, data, length);
    return length;
}

static size_t read_chunked(struct http1_server *server, const char *data, size_t length)
{
    struct exchange *exchange = &server->exchange;
    struct http_service *service = server->service;
    struct str input = {data, length}, piece;
    switch (chunked_next(server->chunked, &input, &piece)) {
    case CHUNKED_DATA:
        server->left += piece.length;
        if (service->max_body && server->left > service->max_body)
            body_error(server, 413, "the request's body is larger than is taken");
        else
            body_bytes(server, piece.data, piece.length);
        break;
    case CHUNKED_TRAILERS:
        chunked_collect(server->chunked, arena_alloc(exchange->arena, CHUNKED_TRAILER_MAX));
        break;
    case CHUNKED_END:
        exchange->body_done = true;
        parse_trailers(chunked_trailers(server->chunked), true, exchange->arena, &exchange->head->trailers);
        body_bytes(server, NULL, 0);
        break;
    case CHUNKED_MORE:
        break;
    case CHUNKED_ERROR:
        body_error(server, 400, chunked_error(server->chunked));
        return length;
    }
    return length - input.length;
}

static size_t read_discarded(struct http1_server *server, size_t length)
{
    size_t taken = length < server->left ? length : (size_t)server->left;
    server->left -= taken;
    if (server->left > 0)
        return taken;
    if (server->phase == PHASE_LINGER) {
        http1_server_close(server, true);
        return length;
    }
    server->exchange.body_done = true;
    await_request(server);
    return taken;
}

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http1_server *server = server_of(connection);
    size_t taken = 0;
    stat_add(server->service->net->stats, STAT_BYTES_IN, length - connection->held_length);
    while (taken < length && !connection->stopped && !connection->closed) {
        size_t step = 0;
        switch (server->phase) {
        case PHASE_HEAD:
            step = read_head(server, data + taken, length - taken);
            if (step == 0)
                return taken;
            break;
        case PHASE_ACTIVE:
            if (!connection->blocked)
                http1_server_set_timer(server);
            step = server->framing == FRAMING_CHUNKED ? read_chunked(server, data + taken, length - taken)
                                                      : read_length(server, data + taken, length - taken);
            break;
        case PHASE_DISCARD:
        case PHASE_LINGER:
            step = read_discarded(server, length - taken);
            break;
        }
        taken += step;
    }
    return taken;
}

/* --- the other events of the connection --- */

/* The client sends no more. With half_close it may still wait for what it has asked for, and while reading is stopped the
 * rest of its body may be in the socket; parked, it is gone for sure. */
static void on_eof(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    bool waits = server->service->half_close && server->phase == PHASE_ACTIVE &&
                 (server->exchange.body_done || connection->stopped);
    if (!waits || connection->parked)
        http1_server_gone(server, "client");
}

static void on_error(struct connection *connection, int error)
{
    (void)error; /* a client may leave as it likes; the access log tells that it did */
    http1_server_gone(server_of(connection), "client");
}

static void on_blocked(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (server->phase != PHASE_ACTIVE)
        return; /* it is TLS that has something to say */
    http1_server_set_timer(server);
    if (!server->response_done)
        server->service->events->on_blocked(&server->exchange);
}

static void on_drained(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (server->phase != PHASE_ACTIVE)
        return;
    http1_server_set_timer(server);
    if (server->response_done)
        finish(server);
    else
        server->service->events->on_drained(&server->exchange);
}

static void on_timeout(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (server->phase == PHASE_HEAD && server->admission.refusal) {
        refuse_client(server);
    } else if (server->phase == PHASE_HEAD && server->head_begun) {
        refuse(server, 408, "the request's head took too long");
    } else if (connection->blocked && server->phase == PHASE_ACTIVE) {
        const char *late = http1_pace_late(server);
        if (late)
            http1_server_gone(server, late);
    } else if (server->phase == PHASE_ACTIVE) {
        body_error(server, 408, "the request's body took too long");
    } else {
        http1_server_gone(server, "idle");
    }
}

static const struct connection_events connection_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_error = on_error,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
};

/* --- life --- */

struct http1_server *http1_server_make(struct http_service *service, int fd, struct tls *tls,
                                       const struct address *peer, const void *listener,
                                       const struct admission *admission)
{
    struct http1_server *server = malloc(sizeof *server);
    if (!server) {
        tls_free(&tls);
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    memset(&server->exchange, 0, sizeof server->exchange);
    server->service = service;
    server->peer = *peer;
    server->admission = *admission;
    server->requests = 0;
    server->stays = tls && service->leave; /* a session can't be moved */
    server->refused_by = 0;
    server->exchange.service = service;
    server->exchange.peer = &server->peer;
    server->exchange.listener = listener;
    server->exchange.tls = tls ? &tls->peer : NULL;
    if (connection_adopt(&server->connection, service->net, fd, tls, &connection_events) < 0) {
        int saved = errno;
        free(server);
        errno = saved;
        return NULL;
    }
    list_push_back(&service->connections, &server->connection.link);
    service->connection_count++;
    await_request(server);
    connection_timeout(&server->connection, service->header_timeout);
    return server;
}

bool http1_server_open(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission)
{
    struct http1_server *server = http1_server_make(service, fd, tls, peer, listener, admission);
    if (!server)
        return false;
    stat_add(service->net->stats, STAT_CONNECTIONS, 1);
    if (admission->refusal && admission->http2)
        connection_timeout(&server->connection, VERSION_MS);
    else if (admission->refusal)
        refuse_client(server);
    return true;
}

void http1_server_drain(struct http_service *service)
{
    service->draining = true;
    http1_handoff_end(service);
    LIST_EACH(link, &service->connections)
    {
        struct http1_server *server = server_of(CONTAINER_OF(link, struct connection, link));
        if (server->phase == PHASE_HEAD && !server->head_begun)
            connection_timeout(&server->connection, HTTP1_DRAIN_IDLE_MS);
    }
}

unsigned http1_server_cut(struct http_service *service)
{
    unsigned idle = 0;
    http1_handoff_end(service);
    while (!list_empty(&service->connections)) {
        struct http1_server *server =
            server_of(CONTAINER_OF(service->connections.next, struct connection, link));
        idle += server->phase != PHASE_ACTIVE;
        http1_server_gone(server, "drain");
    }
    return idle;
}
