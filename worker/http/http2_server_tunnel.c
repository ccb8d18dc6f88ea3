/* http2_server_tunnel: a stream of a client's after its extended CONNECT was answered (RFC 8441): DATA is another protocol's bytes,
 * END_STREAM the end of one direction, RST_STREAM with CANCEL what RST is to TCP. Its tables take the place of an ordinary
 * exchange's: no time-out of a body or an answer holds.
 */
#include "worker/http/http2_server_state.h"

/* Both sides have ended: so has the stream, and the library is about to say so, or did. */
static void end_if_over(struct http2_exchange *exchange)
{
    if (!exchange->all_sent || !exchange->exchange.body_done)
        return;
    exchange->owned = false;
    exchange->server->service->events->on_sent(&exchange->exchange);
    if (exchange->closed)
        http2_exchange_free(exchange);
}

/* --- the stream's events --- */

static void on_data(struct http2_stream *stream, const char *data, size_t length)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    exchange->server->service->events->on_body(&exchange->exchange, data, length, false);
}

static void on_end(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    exchange->exchange.body_done = true;
    exchange->server->service->events->on_body(&exchange->exchange, NULL, 0, true);
    end_if_over(exchange);
}

static void on_blocked(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    exchange->server->service->events->on_blocked(&exchange->exchange);
}

static void on_drained(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    exchange->server->service->events->on_drained(&exchange->exchange);
}

static void on_sent(struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_of(stream);
    if (exchange->all_sent)
        return;
    exchange->all_sent = true;
    end_if_over(exchange);
}

static const struct http2_stream_events tunnel_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_sent = on_sent,
};

/* Reset, or ended by both: then what is held is still to be read, or our last to be sent. */
void http2_server_tunnel_closed(struct http2_exchange *exchange)
{
    if (!exchange->stream.end_sent || !exchange->stream.end_received)
        http2_exchange_gone(exchange, "client", NGHTTP2_NO_ERROR);
}

/* --- the exchange's operations --- */

static void read_bytes(struct exchange *ours, bool on)
{
    if (!ours->body_done)
        http2_stream_read(&http2_exchange_of_face(ours)->stream, on);
}

/* What was written goes out before the stream's end, as far as the client takes it. */
static void abort_tunnel(struct exchange *ours)
{
    struct http2_exchange *exchange = http2_exchange_of_face(ours);
    struct http2_session *session = &exchange->server->session;
    if (ours->orderly && !exchange->closed && !session->busy) {
        http2_stream_write(&exchange->stream, NULL, 0, true);
        http2_session_flush(session);
    }
    http2_exchange_end(exchange, ours->orderly ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
}

static const struct exchange_ops tunnel_ops = {
    .destination = http2_answer_destination,
    .sent = http2_answer_sent,
    .write = http2_answer_write,
    .trailers = http2_answer_trailers,
    .read = read_bytes,
    .abort = abort_tunnel,
};

void http2_server_tunnel(struct http2_exchange *exchange)
{
    exchange->tunnel = true;
    exchange->exchange.ops = &tunnel_ops;
    exchange->stream.events = &tunnel_events;
    timer_pause(&exchange->timer);
}
