/* http2_server_stream: what comes on the streams of a client's connection: heads, bodies, trailers, resets; and the life of
 * an exchange. Called by nghttp2, from within http2_session_feed(), and by http2_stream.c.
 */
#include "shared/base/log.h"
#include "worker/http/http2_server_state.h"

enum { FIELDS_BOMB = 16 }; /* a list this many times as large as is taken is not a mistake */

static struct http2_server *server_of(void *session)
{
    return http2_server_of(session);
}

static struct http2_exchange *exchange_of_id(nghttp2_session *library, int32_t id)
{
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(library, id);
    return stream ? http2_exchange_of(stream) : NULL;
}

static struct pace_rules rules_of(const struct http2_exchange *exchange)
{
    const struct http_service *service = exchange->server->service;
    return (struct pace_rules){service->send_timeout, service->least_rate, service->least_rate_window};
}

static struct loop *loop_of(const struct http2_exchange *exchange)
{
    return exchange->server->service->net->loop;
}

/* --- the end of an exchange --- */

void http2_exchange_free(struct http2_exchange *exchange)
{
    struct http2_server *server = exchange->server;
    struct arena *arena = exchange->exchange.arena;
    if (server->incoming == exchange)
        server->incoming = NULL;
    if (!exchange->closed)
        nghttp2_session_set_stream_user_data(server->session.library, exchange->stream.id, NULL);
    timer_clear(&loop_of(exchange)->timers, &exchange->timer);
    http2_stream_close(&exchange->stream);
    list_remove(&exchange->link);
    service_arena_give(server->service, &arena); /* and with it the exchange */
    http2_server_idle(server);
}

void http2_exchange_end(struct http2_exchange *exchange, uint32_t code)
{
    struct http2_server *server = exchange->server;
    exchange->owned = false;
    if (exchange->closed) {
        http2_exchange_free(exchange);
        return;
    }
    timer_clear(&loop_of(exchange)->timers, &exchange->timer);
    http2_stream_close(&exchange->stream);
    nghttp2_submit_rst_stream(server->session.library, NGHTTP2_FLAG_NONE, exchange->stream.id, code);
    http2_session_settle_later(&server->session);
}

void http2_exchange_gone(struct http2_exchange *exchange, const char *why, uint32_t code)
{
    exchange->exchange.gone = why;
    exchange->server->service->events->on_gone(&exchange->exchange);
    http2_exchange_end(exchange, code);
}

/* --- the client's pace --- */

void http2_exchange_set_timer(struct http2_exchange *exchange)
{
    struct timers *timers = &loop_of(exchange)->timers;
    uint64_t now = loop_of(exchange)->now_ms;
    const struct http2_stream *stream = &exchange->stream;
    if (stream->blocked && exchange->pace_out) {
        struct pace_rules rules = rules_of(exchange);
        timer_set(timers, &exchange->timer, now + pace_next(exchange->pace_out, &rules, now));
    } else if (stream->reading && !exchange->exchange.body_done && !exchange->body_failed &&
               !exchange->exchange.unhurried) {
        timer_set(timers, &exchange->timer, now + exchange->server->service->body_timeout);
    } else {
        timer_pause(&exchange->timer);
    }
}

/* A window, or the socket, is full: from now on the client must take some of the answer. */
static void on_blocked(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    if (!exchange->pace_out)
        exchange->pace_out = arena_alloc(exchange->exchange.arena, sizeof *exchange->pace_out);
    pace_begin(exchange->pace_out, loop_of(exchange)->now_ms, stream->sent);
    http2_exchange_set_timer(exchange);
    exchange->server->service->events->on_blocked(&exchange->exchange);
}

static void on_drained(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    http2_exchange_set_timer(exchange);
    exchange->server->service->events->on_drained(&exchange->exchange);
}

/* Why the client is given up, or NULL. */
static const char *answer_late(struct http2_exchange *exchange)
{
    struct pace_rules rules = rules_of(exchange);
    switch (pace_look(exchange->pace_out, &rules, loop_of(exchange)->now_ms, exchange->stream.sent)) {
    case PACE_STALLED:
        stat_add(exchange->server->service->net->stats, STAT_HTTP2_STALLED, 1);
        return "send_timeout";
    case PACE_SLOW:
        stat_add(exchange->server->service->net->stats, STAT_SLOW_ANSWERS, 1);
        return "least_rate";
    case PACE_GOOD:
        break;
    }
    return NULL;
}

/* A piece of the body came: whether they come too slowly. */
static bool body_slow(struct http2_exchange *exchange)
{
    uint64_t now = loop_of(exchange)->now_ms, bytes = exchange->exchange.bytes_in;
    struct pace_rules rules = rules_of(exchange);
    if (!rules.rate || exchange->exchange.unhurried)
        return false;
    if (!exchange->pace_in)
        exchange->pace_in = arena_zalloc(exchange->exchange.arena, sizeof *exchange->pace_in);
    if (!exchange->pace_in->window_began) {
        pace_begin(exchange->pace_in, now, bytes);
        return false;
    }
    if (pace_look(exchange->pace_in, &rules, now, bytes) != PACE_SLOW)
        return false;
    stat_add(exchange->server->service->net->stats, STAT_SLOW_BODIES, 1);
    return true;
}

/* The body can't be read to its end: what still comes of it is dropped. */
static void body_error(struct http2_exchange *exchange, unsigned status, const char *detail, bool malformed)
{
    exchange->body_failed = true;
    exchange->malformed |= malformed;
    http2_stream_read(&exchange->stream, false);
    http2_exchange_set_timer(exchange);
    exchange->server->service->events->on_body_error(&exchange->exchange, status, detail);
}

static void on_timer(struct timer *timer)
{
    struct http2_exchange *exchange = CONTAINER_OF(timer, struct http2_exchange, timer);
    if (!exchange->stream.blocked) {
        body_error(exchange, 408, "the request's body took too long", false);
        return;
    }
    const char *late = answer_late(exchange);
    if (late)
        http2_exchange_gone(exchange, late, NGHTTP2_CANCEL);
    else
        http2_exchange_set_timer(exchange);
}

/* --- the body --- */

static void on_data(struct http2_stream *stream, const char *data, size_t length)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    http2_exchange_set_timer(exchange);
    exchange->server->service->events->on_body(&exchange->exchange, data, length, false);
}

static void on_end(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    exchange->exchange.body_done = true;
    http2_exchange_set_timer(exchange);
    exchange->server->service->events->on_body(&exchange->exchange, NULL, 0, true);
}

static void on_sent(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    struct http2_server *server = exchange->server;
    server->service->events->on_sent(&exchange->exchange);
    http2_abuse_earn_request(&server->budgets);
    /* Also when both sides have ended it: it was malformed all the same (RFC 9113, section 8.1.1). */
    if (exchange->malformed && exchange->closed)
        nghttp2_submit_rst_stream(server->session.library, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_PROTOCOL_ERROR);
    if (exchange->malformed)
        http2_session_settle_later(&server->session);
    /* The answer is whole; what the client still sends is not wanted (RFC 9113, section 8.1). */
    http2_exchange_end(exchange, exchange->malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR);
}

static const struct http2_stream_events stream_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_sent = on_sent,
};

static int on_data_chunk(nghttp2_session *library, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t length, void *user_data)
{
    struct http2_exchange *exchange = exchange_of_id(library, id);
    (void)flags;
    if (!exchange || !exchange->owned || exchange->body_failed) {
        http2_session_drop(user_data, id, length);
        return 0;
    }
    const struct http_service *service = exchange->server->service;
    const struct request_head *head = exchange->exchange.head;
    exchange->received += length;
    exchange->exchange.bytes_in += length;
    if (exchange->tunnel) {
        http2_stream_receive(&exchange->stream, (const char *)data, length);
        return 0;
    }
    if (head->body == BODY_LENGTH && exchange->received > head->length)
        body_error(exchange, 400, "the request's body is longer than Content-Length says", true);
    else if (service->max_body && exchange->received > service->max_body)
        body_error(exchange, 413, "the request's body is larger than is taken", false);
    else if (body_slow(exchange))
        body_error(exchange, 408, "the request's body came below the least rate", false);
    else {
        http2_stream_receive(&exchange->stream, (const char *)data, length);
        return 0;
    }
    http2_session_drop(user_data, id, length);
    return 0;
}

static void body_end(struct http2_exchange *exchange)
{
    const struct request_head *head = exchange->exchange.head;
    if (!exchange->owned || exchange->body_failed)
        return;
    if (head->body == BODY_LENGTH && exchange->received != head->length)
        body_error(exchange, 400, "the request's body is shorter than Content-Length says", true);
    else
        http2_stream_received_end(&exchange->stream);
}

/* --- heads --- */

static struct http2_exchange *begin(struct http2_server *server, int32_t id)
{
    struct http_service *service = server->service;
    struct arena *arena = service_arena_take(service);
    struct http2_exchange *exchange = arena_zalloc(arena, sizeof *exchange);
    exchange->server = server;
    exchange->exchange = (struct exchange){.ops = &http2_answer_ops,
                                           .service = service,
                                           .arena = arena,
                                           .head = arena_zalloc(arena, sizeof(struct request_head)),
                                           .peer = &server->peer,
                                           .listener = server->listener,
                                           .tls = server->tls};
    timer_init(&exchange->timer, on_timer);
    list_push_back(&server->exchanges, &exchange->link);
    http2_stream_open(&exchange->stream, &server->session, id, &stream_events);
    http2_head_begin(&exchange->reading, arena, &exchange->exchange.head->fields, &server->limits, false);
    nghttp2_session_set_stream_user_data(server->session.library, id, &exchange->stream);
    return exchange;
}

/* A header block that an exchange waits for is whole when on_frame() says so. Of a stream that was closed meanwhile the library
 * says nothing: its block has to come all the same, and is as good as here when its last frame has begun. */
static void follow_block(struct http2_server *server, const nghttp2_frame_hd *frame)
{
    if (frame->type != NGHTTP2_HEADERS && frame->type != NGHTTP2_CONTINUATION)
        return;
    if (frame->type == NGHTTP2_HEADERS) {
        server->block_stream = frame->stream_id;
        server->block_orphan = false;
    }
    server->block_ends = frame->flags & NGHTTP2_FLAG_END_HEADERS;
    if (server->block_ends && server->block_orphan)
        http2_server_head_timer(server, false);
}

static void orphan_block(struct http2_server *server, int32_t stream)
{
    if (server->block_stream != stream || !server->head_deadline)
        return;
    server->block_orphan = true;
    if (server->block_ends)
        http2_server_head_timer(server, false);
}

static int on_begin_frame(nghttp2_session *library, const nghttp2_frame_hd *frame, void *user_data)
{
    struct http2_server *server = server_of(user_data);
    follow_block(server, frame);
    struct http2_abuse_limits limits = http2_server_abuse_limits(server);
    (void)library;
    http2_server_abused(
        server, http2_abuse_frame(&server->budgets, &limits, frame, server->service->net->loop->now_ms));
    return 0;
}

/* A frame of a type that we don't know is ignored (RFC 9113, section 4.1), but for its cost. */
static int on_unknown_frame(nghttp2_session *library, void **payload, const nghttp2_frame_hd *frame,
                            void *user_data)
{
    (void)library;
    (void)payload;
    (void)frame;
    (void)user_data;
    return NGHTTP2_ERR_CANCEL;
}

static int on_begin_headers(nghttp2_session *library, const nghttp2_frame *frame, void *user_data)
{
    struct http2_server *server = server_of(user_data);
    server->incoming = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        server->incoming = begin(server, frame->hd.stream_id);
    } else {
        struct http2_exchange *exchange = exchange_of_id(library, frame->hd.stream_id);
        if (exchange && exchange->owned && !exchange->body_failed) {
            http2_head_begin(&exchange->reading, exchange->exchange.arena, &exchange->exchange.head->trailers,
                             &server->limits, true);
            server->incoming = exchange;
        }
    }
    http2_server_head_timer(server, true);
    return 0;
}

static int on_header(nghttp2_session *library, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    struct http2_server *server = server_of(user_data);
    (void)library;
    (void)frame;
    (void)flags;
    if (!server->incoming)
        return 0;
    struct http2_head *reading = &server->incoming->reading;
    http2_head_field(reading, (struct str){(const char *)name, name_length},
                     (struct str){(const char *)value, value_length});
    if (reading->size > (uint64_t)FIELDS_BOMB * server->limits.max_head)
        http2_server_abused(server, HTTP2_ABUSE_FIELDS);
    return 0;
}

static void deny(struct http2_exchange *exchange, unsigned status, const char *detail)
{
    exchange->exchange.refusal = status;
    exchange->exchange.refusal_detail = detail;
    exchange->body_failed = true;
}

static void dispatch(struct http2_exchange *exchange, bool last)
{
    struct http2_server *server = exchange->server;
    const struct http_service *service = server->service;
    struct request_head *head = exchange->exchange.head;
    bool good = http2_head_end(&exchange->reading, head, server->tls ? STR("https") : STR("http"), last);
    exchange->exchange.bytes_in = exchange->reading.size;
    exchange->exchange.body_done = last;
    exchange->continued = !head->expect_continue;
    exchange->malformed = exchange->reading.malformed;
    const struct refusal *refusal = server->admission.refusal;
    if (refusal)
        deny(exchange, refusal->status, refusal->detail);
    else if (!good)
        deny(exchange, exchange->reading.status, exchange->reading.detail);
    else if (service->max_body && head->length > service->max_body)
        deny(exchange, 413, "the request's body is larger than is taken");
    exchange->owned = true;
    http2_server_counted(server);
    service->events->on_request(&exchange->exchange);
}

/* Only the last block of a stream may be a trailer section (RFC 9113, section 8.1). */
static void trailers(struct http2_exchange *exchange, bool last)
{
    const struct http2_head *reading = &exchange->reading;
    exchange->exchange.bytes_in += reading->size;
    if (!last)
        body_error(exchange, 400, "fields in the midst of the body", true);
    else if (reading->status)
        body_error(exchange, reading->status == 431 ? 400 : reading->status, reading->detail,
                   reading->malformed);
    else
        body_end(exchange);
}

static int on_frame(nghttp2_session *library, const nghttp2_frame *frame, void *user_data)
{
    struct http2_server *server = server_of(user_data);
    struct http2_exchange *exchange = server->incoming;
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        server->incoming = NULL;
        http2_server_head_timer(server, false);
        if (exchange && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            dispatch(exchange, last);
        else if (exchange)
            trailers(exchange, last);
        break;
    case NGHTTP2_DATA:
        exchange = last ? exchange_of_id(library, frame->hd.stream_id) : NULL;
        if (exchange)
            body_end(exchange);
        break;
    case NGHTTP2_SETTINGS:
        if (!server->greeted) /* it speaks HTTP/2 indeed: from now on it may take its time for a request */
            http2_server_idle(server);
        server->greeted = true;
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            http2_server_ponged(server);
        break;
    default:
        break;
    }
    return 0;
}

/* A head of ours that the library can't make: it is larger than fits. */
static int on_frame_not_sent(nghttp2_session *library, const nghttp2_frame *frame, int error, void *user_data)
{
    struct http2_exchange *exchange =
        frame->hd.type == NGHTTP2_HEADERS ? exchange_of_id(library, frame->hd.stream_id) : NULL;
    (void)user_data;
    if (!exchange || !exchange->owned)
        return 0;
    log_error("an answer's head can't be sent by HTTP/2: %s: the stream was reset", nghttp2_strerror(error));
    http2_exchange_gone(exchange, "too_large", NGHTTP2_INTERNAL_ERROR);
    return 0;
}

/* Both sides have ended it, or one has reset it. */
static int on_stream_closed(nghttp2_session *library, int32_t id, uint32_t code, void *user_data)
{
    struct http2_exchange *exchange = exchange_of_id(library, id);
    (void)code;
    orphan_block(server_of(user_data), id);
    if (!exchange)
        return 0;
    exchange->closed = true;
    if (!exchange->owned)
        http2_exchange_free(exchange);
    else if (exchange->tunnel)
        http2_server_tunnel_closed(exchange);
    else if (!exchange->stream.end_sent)
        http2_exchange_gone(exchange, "client", NGHTTP2_NO_ERROR);
    return 0; /* else on_sent comes */
}

void http2_server_stream_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
}
