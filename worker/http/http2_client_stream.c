/* http2_client_stream: the exchanges on an endpoint's HTTP/2 connection: a request on its way out, its answer as it comes. Called
 * through struct client by their owners, by nghttp2 from within http2_session_feed(), and by http2_stream.c.
 */
#include <stdlib.h>

#include "shared/base/log.h"
#include "worker/http/field_line.h"
#include "worker/http/http2_client_state.h"

enum {
    FIELDS_MAX = 1000,
    INTERIM_MAX = 16,
};

static const struct http2_limits limits = {.max_head = HTTP2_ANSWER_HEAD, .max_fields = FIELDS_MAX};

static struct http2_call *of_face(struct client *client)
{
    return CONTAINER_OF(client, struct http2_call, client);
}

static struct http2_call *of_stream(struct http2_stream *stream)
{
    return CONTAINER_OF(stream, struct http2_call, stream);
}

static struct http2_call *of_id(nghttp2_session *library, int32_t id)
{
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(library, id);
    return stream ? of_stream(stream) : NULL;
}

static struct loop *loop_of(const struct http2_call *call)
{
    return call->connection->connection.net->loop;
}

static bool is_owned(const struct http2_call *call)
{
    return call->client.owner != NULL;
}

/* --- life --- */

void http2_call_free(struct http2_call *call)
{
    struct http2_client *client = call->connection;
    if (client->incoming == call)
        client->incoming = NULL;
    http2_stream_close(&call->stream);
    if (!call->closed && call->stream.id)
        nghttp2_session_set_stream_user_data(client->session.library, call->stream.id, NULL);
    list_remove(&call->link);
    free(call->sent_trailers);
    loop_free_later(loop_of(call), call);
}

/* It has no owner any more. What the library still has of it is given up with `code`. */
void http2_call_end(struct http2_call *call, uint32_t code)
{
    struct http2_client *client = call->connection;
    bool whole = call->stream.end_received && call->stream.last_written;
    call->client.owner = NULL;
    timer_clear(&loop_of(call)->timers, &call->timer);
    loop_undefer(&call->later);
    list_remove(&call->link);
    client->open--;
    if (whole && !call->closed && call->stream.pending == 0) {
        /* Its last frame may be waiting; then the library closes it. */
        list_push_back(&client->streams, &call->link);
    } else if (call->closed || !call->stream.id) {
        http2_call_free(call);
    } else {
        http2_stream_close(&call->stream);
        list_push_back(&client->streams, &call->link);
        nghttp2_submit_rst_stream(client->session.library, NGHTTP2_FLAG_NONE, call->stream.id, code);
    }
    http2_session_settle_later(&client->session);
    http2_client_offer(client);
}

void http2_call_fail(struct http2_call *call, enum client_failure failure, const char *detail, uint32_t code)
{
    void *owner = call->client.owner;
    const struct client_events *events = call->client.events;
    http2_call_end(call, code);
    events->on_failed(owner, failure, detail);
}

bool http2_call_unused(const struct http2_call *call)
{
    return call->phase == HTTP2_CALL_REQUEST && call->reused && call->connection->received == call->began_at;
}

/* Why an endpoint ended a stream, by the code (RFC 9113, section 7). */
static const char *reset_detail(uint32_t code)
{
    switch (code) {
    case NGHTTP2_NO_ERROR:
        return "it ended the stream without an answer (NO_ERROR)";
    case NGHTTP2_CANCEL:
        return "it reset the stream (CANCEL)";
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return "it reset the stream (ENHANCE_YOUR_CALM)";
    case NGHTTP2_PROTOCOL_ERROR:
        return "it reset the stream (PROTOCOL_ERROR)";
    case NGHTTP2_INTERNAL_ERROR:
        return "it reset the stream (INTERNAL_ERROR)";
    case NGHTTP2_HTTP_1_1_REQUIRED:
        return "it wants HTTP/1.1 (HTTP_1_1_REQUIRED): say protocol = \"http/1.1\"";
    case NGHTTP2_REFUSED_STREAM:
        return "it refused the stream (REFUSED_STREAM)";
    default:
        return "it reset the stream";
    }
}

/* By the library. What was never sent, as the endpoint went away, is as good as refused. A body that its owner doesn't want yet is
 * there still. */
static void was_closed(struct http2_call *call)
{
    const char *why = reset_detail(call->code);
    bool unread = call->code == NGHTTP2_REFUSED_STREAM || call->stream.sent == 0;
    if (call->tunnel)
        http2_call_tunnel_closed(call, why);
    else if (!call->stream.end_received)
        http2_call_fail(call, unread && call->phase != HTTP2_CALL_BODY ? CLIENT_REFUSED : CLIENT_CLOSED, why,
                        NGHTTP2_NO_ERROR);
}

/* --- time-outs --- */

static void await(struct http2_call *call, uint64_t ms)
{
    if (ms)
        timer_set(&loop_of(call)->timers, &call->timer, loop_of(call)->now_ms + ms);
    else
        timer_pause(&call->timer);
}

/* As HTTP/1's: while the owner has stopped the answer, or is to bring more of the request, it is not the endpoint that is
 * waited for. */
static void set_timer(struct http2_call *call)
{
    if (!is_owned(call) || (call->closed && !call->stream.end_received))
        return;
    bool awaits_owner = call->sending && !call->stream.blocked && call->phase != HTTP2_CALL_BODY;
    if (call->phase == HTTP2_CALL_NEW || !call->stream.reading || awaits_owner)
        timer_pause(&call->timer);
    else if (call->phase == HTTP2_CALL_BODY || call->stream.blocked)
        await(call, call->timeouts.idle);
    else
        await(call, call->timeouts.response);
}

static void on_timeout(struct timer *timer)
{
    struct http2_call *call = CONTAINER_OF(timer, struct http2_call, timer);
    struct http2_client *client = call->connection;
    if (call->closed && !call->stream.end_received) {
        was_closed(call);
        return;
    }
    if (call->stream.blocked && call->stream.sent != call->sent_seen) { /* slow, but not stalled */
        call->sent_seen = call->stream.sent;
        set_timer(call);
        return;
    }
    http2_client_doubt(client); /* it may be the whole connection that is dead */
    const char *why = call->stream.blocked ? "it takes no more of the request"
                      : call->phase == HTTP2_CALL_BODY
                          ? "no more of the answer's body within the idle time-out"
                          : "no answer within the response time-out";
    http2_call_fail(call, CLIENT_TIMEOUT, why, NGHTTP2_CANCEL);
}

/* --- the answer's body --- */

static void on_data(struct http2_stream *stream, const char *data, size_t length)
{
    struct http2_call *call = of_stream(stream);
    set_timer(call);
    call->client.events->on_body(call->client.owner, data, length, false);
}

static void on_end(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    void *owner = call->client.owner;
    const struct client_events *events = call->client.events;
    if (call->trailers && call->trailers->count)
        events->on_trailers(owner, call->trailers);
    if (!is_owned(call))
        return;
    http2_call_end(call, NGHTTP2_NO_ERROR);
    events->on_body(owner, NULL, 0, true);
}

static void on_blocked(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    call->sent_seen = stream->sent;
    set_timer(call);
    if (call->sending)
        call->client.events->on_blocked(call->client.owner);
}

static void on_drained(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    set_timer(call);
    if (call->sending)
        call->client.events->on_drained(call->client.owner);
}

static void on_sent(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    if (is_owned(call))
        set_timer(call);
}

static const struct http2_stream_events stream_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_sent = on_sent,
};

static void malformed(struct http2_call *call, const char *detail)
{
    http2_call_fail(call, CLIENT_MALFORMED, detail, NGHTTP2_PROTOCOL_ERROR);
}

static int on_data_chunk(nghttp2_session *library, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t length, void *user_data)
{
    struct http2_call *call = of_id(library, id);
    (void)flags;
    if (!call || !is_owned(call)) {
        http2_session_drop(user_data, id, length);
        return 0;
    }
    const struct response_head *head = call->head;
    call->received += length;
    if (call->tunnel) {
        http2_stream_receive(&call->stream, (const char *)data, length);
        return 0;
    }
    if (call->phase == HTTP2_CALL_BODY && !(head->body == BODY_LENGTH && call->received > head->length) &&
        !response_bodyless(call->method, head->status)) {
        http2_stream_receive(&call->stream, (const char *)data, length);
        return 0;
    }
    http2_session_drop(user_data, id, length);
    malformed(call, call->phase == HTTP2_CALL_BODY ? "its answer's body is longer than its head says"
                                                   : "its answer's body comes before its head");
    return 0;
}

static void body_end(struct http2_call *call)
{
    const struct response_head *head = call->head;
    if (call->phase != HTTP2_CALL_BODY)
        malformed(call, "its answer ends before its head");
    else if (head->body == BODY_LENGTH && call->received != head->length &&
             !response_bodyless(call->method, head->status))
        malformed(call, "its answer's body is shorter than Content-Length says");
    else
        http2_stream_received_end(&call->stream);
}

/* --- heads --- */

static int on_begin_headers(nghttp2_session *library, const nghttp2_frame *frame, void *user_data)
{
    struct http2_client *client = http2_client_of(user_data);
    struct http2_call *call = of_id(library, frame->hd.stream_id);
    client->incoming = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS || !call || !is_owned(call))
        return 0;
    client->incoming = call;
    if (call->phase == HTTP2_CALL_BODY) {
        call->trailers = arena_zalloc(call->arena, sizeof *call->trailers);
        http2_head_begin(&call->reading, call->arena, call->trailers, &limits, true);
    } else {
        call->head = arena_zalloc(call->arena, sizeof *call->head);
        http2_head_begin_answer(&call->reading, call->arena, &call->head->fields, &limits);
    }
    return 0;
}

static int on_header(nghttp2_session *library, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    struct http2_call *call = http2_client_of(user_data)->incoming;
    (void)library;
    (void)frame;
    (void)flags;
    if (call && is_owned(call))
        http2_head_field(&call->reading, (struct str){(const char *)name, name_length},
                         (struct str){(const char *)value, value_length});
    return 0;
}

static void got_trailers(struct http2_call *call, bool last)
{
    if (!last)
        malformed(call, "fields in the midst of its answer's body");
    else if (call->reading.status)
        malformed(call, call->reading.status == 431 ? "its trailers are too large" : call->reading.detail);
    else
        body_end(call);
}

static void got_head(struct http2_call *call, bool last)
{
    void *owner = call->client.owner;
    const struct client_events *events = call->client.events;
    struct response_head *head = call->head;
    if (!http2_head_end_answer(&call->reading, head, call->method, last)) {
        malformed(call, call->reading.status == 431 ? "its head is too large" : call->reading.detail);
        return;
    }
    if (head->status < 200) {
        if (++call->interims > INTERIM_MAX)
            malformed(call, "it sends interim answers without end");
        else
            events->on_interim(owner, head);
        return;
    }
    call->phase = HTTP2_CALL_BODY;
    if (call->upgrade.length && head->status < 300) {
        http2_call_tunnel(call, last);
        return;
    }
    call->stream.end_received = last;
    if (last)
        http2_call_end(call, NGHTTP2_NO_ERROR);
    else
        set_timer(call);
    events->on_head(owner, head, last);
}

static int on_frame(nghttp2_session *library, const nghttp2_frame *frame, void *user_data)
{
    struct http2_client *client = http2_client_of(user_data);
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    struct http2_call *call;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        call = client->incoming;
        client->incoming = NULL;
        if (call && is_owned(call) && call->phase == HTTP2_CALL_BODY)
            got_trailers(call, last);
        else if (call && is_owned(call))
            got_head(call, last);
        break;
    case NGHTTP2_DATA:
        call = last ? of_id(library, frame->hd.stream_id) : NULL;
        if (call && is_owned(call))
            body_end(call);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            http2_call_settled(client);
        http2_client_offer(client); /* it may let less be open than before, or more */
        break;
    case NGHTTP2_GOAWAY:
        stat_add(client->connection.net->stats, STAT_UPSTREAM_GOAWAYS, 1);
        http2_client_leave(client);
        break;
    default:
        break;
    }
    return 0;
}

/* Both sides have ended it, one has reset it, or it was never opened. */
static int on_stream_closed(nghttp2_session *library, int32_t id, uint32_t code, void *user_data)
{
    struct http2_call *call = of_id(library, id);
    const struct http2_client *client = http2_client_of(user_data);
    if (!call)
        return 0;
    call->closed = true;
    call->code = code;
    if (!is_owned(call))
        http2_call_free(call);
    else if (client->writing)
        timer_set(&loop_of(call)->timers, &call->timer, loop_of(call)->now_ms);
    else
        was_closed(call);
    return 0;
}

static int on_invalid(nghttp2_session *library, int code, const char *text, size_t length, void *user_data)
{
    struct http2_client *client = http2_client_of(user_data);
    (void)library;
    (void)code;
    struct buf why = buf_on(client->why, sizeof client->why - 1);
    buf_add(&why, text, length < sizeof client->why - 1 ? length : sizeof client->why - 1);
    client->why[why.length] = '\0';
    return 0;
}

void http2_call_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_invalid);
}

/* --- the request --- */

static struct buf reserve(struct client *face)
{
    return connection_reserve(&of_face(face)->connection->connection, NET_READ);
}

#define BIT(field) ((uint64_t)1 << FIELD_##field)

/* Of a connection, or told otherwise (RFC 9113, section 8.2.2). */
static const uint64_t not_sent = BIT(HOST) | BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                 BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

enum { PSEUDO_FIELDS = 5 }; /* at most */

static nghttp2_nv pair(struct str name, struct str value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.data,
                        .value = (uint8_t *)(uintptr_t)value.data,
                        .namelen = name.length,
                        .valuelen = value.length,
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void lower(struct str name)
{
    char *data = (char *)(uintptr_t)name.data;
    for (size_t i = 0; i < name.length; i++)
        if (data[i] >= 'A' && data[i] <= 'Z')
            data[i] = (char)(data[i] | 0x20);
}

/* A line "Name: value" of a head that we wrote, without its end. */
static size_t add_line(struct str line, const struct client_order *order, nghttp2_nv *list)
{
    ptrdiff_t colon = str_index(line, ':');
    struct str name = {line.data, (size_t)colon}, value = str_from(line, (size_t)colon + 2);
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER && not_sent >> id & 1)
        return 0;
    if (order->websocket_key.length && str_case_eq(name, STR("Sec-WebSocket-Key"))) /* RFC 8441, section 5 */
        return 0;
    lower(name);
    *list = pair(name, value);
    if (id == FIELD_X_REQUEST_ID) /* new each time: it would only push others out of the endpoint's table */
        list->flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return 1;
}

static struct str cut_line(struct str *text)
{
    struct str line = str_cut(text, '\r');
    *text = str_from(*text, 1); /* the \n */
    return line;
}

/* The request line and Host, as pseudo-fields (RFC 9113, section 8.3.1); an upgrade is an extended CONNECT (RFC 8441, section
 * 4). */
static size_t add_start(struct str *text, bool secure, const struct client_order *order, nghttp2_nv *list)
{
    struct str line = cut_line(text), method = str_cut(&line, ' '), target = str_cut(&line, ' ');
    struct str host = cut_line(text); /* it comes second: see forward_line() */
    list[0] = pair(STR(":method"), method);
    list[1] = pair(STR(":scheme"), secure ? STR("https") : STR("http"));
    list[2] = pair(STR(":authority"), str_from(host, sizeof "Host: " - 1));
    list[3] = pair(STR(":path"), target);
    if (!order->upgrade.length)
        return 4;
    list[0] = pair(STR(":method"), STR("CONNECT"));
    list[4] = pair(STR(":protocol"), order->upgrade);
    return 5;
}

/* The lines are ours, and well-formed; they are copied, as the frame may be made when their memory is used again. */
static void send_head(struct client *face, const struct buf *head, const struct client_order *order,
                      struct arena *arena)
{
    struct http2_call *call = of_face(face);
    struct http2_client *client = call->connection;
    nghttp2_session *library = client->session.library;
    char *copy = arena_alloc(arena, head->length);
    memcpy(copy, head->data, head->length);
    struct str text = {copy, head->length};
    size_t lines = 0, count;
    for (size_t i = 0; i < text.length; i++)
        lines += text.data[i] == '\n';
    nghttp2_nv *list = arena_alloc(arena, (lines + PSEUDO_FIELDS) * sizeof *list);
    count = add_start(&text, client->secure, order, list);
    while (text.length > 2)
        count += add_line(cut_line(&text), order, list + count);
    client->kept.exchanges++;
    stat_add(client->connection.net->stats, STAT_UPSTREAM_STREAMS, 1);
    call->method = order->method;
    call->arena = arena;
    call->sending = order->body;
    call->phase = HTTP2_CALL_REQUEST;
    call->began_at = client->received;
    call->upgrade = order->upgrade;
    if (order->upgrade.length) {
        http2_call_connect(call, list, count);
        set_timer(call);
        return;
    }
    nghttp2_data_provider source = http2_stream_source(&call->stream);
    call->stream.id =
        nghttp2_submit_request(library, NULL, list, count, order->body ? &source : NULL, &call->stream);
    if (!order->body)
        http2_stream_write(&call->stream, NULL, 0, true);
    http2_session_settle_later(&client->session);
    set_timer(call);
}

static void set_trailers(struct client *face, const struct fields *trailers)
{
    struct http2_call *call = of_face(face);
    size_t size = sizeof *trailers + trailers->count * sizeof *trailers->items;
    for (unsigned i = 0; i < trailers->count; i++)
        size += trailers->items[i].name.length + trailers->items[i].value.length;
    struct fields *copy = malloc(size);
    if (!copy)
        abort();
    *copy = *trailers;
    copy->items = (struct field *)(copy + 1);
    char *text = (char *)(copy->items + trailers->count);
    for (unsigned i = 0; i < trailers->count; i++) {
        struct field *field = &copy->items[i];
        *field = trailers->items[i];
        field->line = false;
        field->name.data = memcpy(text, field->name.data, field->name.length);
        text += field->name.length;
        field->value.data = memcpy(text, field->value.data, field->value.length);
        text += field->value.length;
    }
    free(call->sent_trailers);
    call->stream.trailers = call->sent_trailers = copy;
}

static void send_body(struct client *face, const char *data, size_t length, bool last)
{
    struct http2_call *call = of_face(face);
    if (call->closed)
        return; /* its end is about to be told */
    if (last)
        call->sending = false;
    call->connection->writing = true;
    if (length || last)
        http2_stream_write(&call->stream, data, length, last);
    call->connection->writing = false;
    if (!call->stream.blocked)
        set_timer(call);
}

static void read_on(struct client *face, bool on)
{
    struct http2_call *call = of_face(face);
    http2_stream_read(&call->stream, on);
    set_timer(call);
}

static void patience(struct client *face, uint64_t response, uint64_t idle)
{
    struct http2_call *call = of_face(face);
    call->timeouts.response = response;
    call->timeouts.idle = idle;
    set_timer(call);
}

static void abandon(struct client *face)
{
    struct http2_call *call = of_face(face);
    if (is_owned(call))
        http2_call_end(call, NGHTTP2_CANCEL);
}

static const struct client_ops ops = {
    .reserve = reserve,
    .send = send_head,
    .trailers = set_trailers,
    .send_body = send_body,
    .read = read_on,
    .patience = patience,
    .abandon = abandon,
    .discard = abandon, /* the stream is reset: the connection is none the worse */
};

struct http2_call *http2_call_begin(struct http2_client *client, void *owner,
                                    const struct client_events *events,
                                    const struct client_timeouts *timeouts)
{
    struct http2_call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    call->client = (struct client){.ops = &ops, .owner = owner, .events = events, .connected = client->told};
    call->connection = client;
    call->timeouts = *timeouts;
    call->reused = client->kept.exchanges > 0;
    timer_init(&call->timer, on_timeout);
    list_init(&call->later.link);
    http2_stream_open(&call->stream, &client->session, 0, &stream_events);
    http2_stream_read(&call->stream, true);
    list_push_back(&client->exchanges, &call->link);
    client->open++;
    http2_client_offer(client);
    return call;
}
