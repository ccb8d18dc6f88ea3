/* http2_answer: the answers on a client's HTTP/2 connection: the operations that an exchange offers its owner. */
#include <stdlib.h>

#include "worker/http/http2_fields.h"
#include "worker/http/http2_server_state.h"

struct http2_exchange *http2_exchange_of_face(const struct exchange *exchange)
{
    return (struct http2_exchange *)((char *)(uintptr_t)exchange - offsetof(struct http2_exchange, exchange));
}

static nghttp2_session *library_of(const struct http2_exchange *exchange)
{
    return exchange->server->session.library;
}

static struct str status_text(unsigned status, char text[3])
{
    text[0] = (char)('0' + status / 100 % 10);
    text[1] = (char)('0' + status / 10 % 10);
    text[2] = (char)('0' + status % 10);
    return (struct str){text, 3};
}

enum { OWN_FIELDS = 3 }; /* :status, content-length, date */

/* As HTTP/1 does: a length where there is one to tell; DATA is delimited by its frames. */
static size_t add_length(struct http2_exchange *exchange, const struct response_head *head, nghttp2_nv *list)
{
    bool none = head->body == BODY_NONE && !exchange->out_nothing;
    if (!none && (head->body != BODY_LENGTH || head->status == 204))
        return 0;
    struct buf text = buf_on(exchange->length, sizeof exchange->length);
    buf_u64(&text, none ? 0 : head->length);
    *list = http2_field(STR("content-length"), buf_str(&text));
    return 1;
}

static void respond(struct exchange *ours, const struct response_head *head, bool last)
{
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    nghttp2_nv *list = arena_alloc(ours->arena, (head->fields.count + OWN_FIELDS) * sizeof *list);
    size_t count = 0;
    bool tunnel = head->status == 101; /* which here is a 200 to the CONNECT (RFC 8441, section 5) */
    ours->response_started = true;
    exchange->out_nothing = !tunnel && response_bodyless(ours->head->method, head->status);
    list[count++] = http2_field(STR(":status"), status_text(tunnel ? 200 : head->status, exchange->status));
    count += http2_fields_list(&head->fields, list + count);
    if (!fields_get(&head->fields, FIELD_DATE))
        list[count++] = http2_field(STR("date"), service_date(ours->service));
    if (tunnel)
        http2_server_tunnel(exchange);
    else
        count += add_length(exchange, head, list + count);
    bool body = !last && !exchange->out_nothing;
    nghttp2_data_provider source = http2_stream_source(&exchange->stream);
    nghttp2_submit_response(library_of(exchange), exchange->stream.id, list, count, body ? &source : NULL);
    if (last)
        http2_stream_write(&exchange->stream, NULL, 0, true);
    else
        http2_session_settle_later(&exchange->server->session);
}

/* Its texts may be gone when it is sent: the library copies them. */
static void interim(struct exchange *ours, const struct response_head *head)
{
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    nghttp2_nv *list = malloc((head->fields.count + 1) * sizeof *list);
    char status[3];
    size_t count = 0;
    if (!list)
        abort();
    list[count++] = http2_field(STR(":status"), status_text(head->status, status));
    count += http2_fields_list(&head->fields, list + count);
    for (size_t i = 0; i < count; i++)
        list[i].flags &= (uint8_t)~NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    nghttp2_submit_headers(library_of(exchange), NGHTTP2_FLAG_NONE, exchange->stream.id, NULL, list, count,
                           NULL);
    free(list);
    http2_session_settle_later(&exchange->server->session);
}

void http2_answer_trailers(struct exchange *ours, const struct fields *trailers)
{
    http2_exchange_of_face(ours)->stream.trailers = trailers;
}

void http2_answer_write(struct exchange *ours, const char *data, size_t length, bool last)
{
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    if (exchange->out_nothing)
        length = 0;
    if (length || last)
        http2_stream_write(&exchange->stream, data, length, last);
}

static void read_body(struct exchange *ours, bool on)
{
    static const struct response_head go_on = {.status = 100};
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    if (ours->body_done || exchange->body_failed)
        return;
    if (on && !exchange->continued && !ours->response_started) {
        if (exchange->received == 0) /* a body that is there already needs no invitation */
            interim(ours, &go_on);
        exchange->continued = true;
    }
    if (on && exchange->pace_in)
        exchange->pace_in->window_began = 0; /* reading was stopped: that was not the client's time */
    http2_stream_read(&exchange->stream, on);
    http2_exchange_set_timer(exchange);
}

static void abort_exchange(struct exchange *ours)
{
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    http2_session_pull(&exchange->server->session); /* RST_STREAM would go before what waits */
    http2_exchange_end(exchange, exchange->malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
}

uint64_t http2_answer_sent(const struct exchange *ours)
{
    return http2_exchange_of_face(ours)->stream.sent;
}

void http2_answer_destination(const struct exchange *ours, struct address *address)
{
    const struct http2_server *server = http2_exchange_of_face(ours)->server;
    admission_destination(&server->admission, server->connection.source.fd, address);
}

const struct exchange_ops http2_answer_ops = {
    .destination = http2_answer_destination,
    .sent = http2_answer_sent,
    .respond = respond,
    .interim = interim,
    .write = http2_answer_write,
    .trailers = http2_answer_trailers,
    .read = read_body,
    .abort = abort_exchange,
};
