/* http2_client_tunnel: extended CONNECT to an endpoint (RFC 8441), and the stream after its 2xx: DATA is another protocol's bytes,
 * END_STREAM the end of one direction. The tables take the place of those of an ordinary exchange. Called by
 * http2_client_stream.c.
 */
#include "worker/http/http2_client_state.h"

static struct http2_call *of_face(struct client *client)
{
    return CONTAINER_OF(client, struct http2_call, client);
}

static struct http2_call *of_stream(struct http2_stream *stream)
{
    return CONTAINER_OF(stream, struct http2_call, stream);
}

/* --- CONNECT --- */

static bool is_taken(const struct http2_client *client)
{
    return nghttp2_session_get_remote_settings(client->session.library,
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
}

static void refused(struct http2_call *call)
{
    http2_call_fail(call, CLIENT_MALFORMED,
                    "it takes no extended CONNECT (RFC 8441), which tunnels over HTTP/2 begin with",
                    NGHTTP2_CANCEL);
}

static void on_later(struct deferred *deferred)
{
    refused(CONTAINER_OF(deferred, struct http2_call, later));
}

static void submit(struct http2_call *call)
{
    struct http2_client *client = call->connection;
    nghttp2_data_provider source = http2_stream_source(&call->stream);
    call->stream.id = nghttp2_submit_request(client->session.library, NULL, call->waiting,
                                             call->waiting_count, &source, &call->stream);
    call->waiting = NULL;
    http2_session_settle_later(&client->session);
}

void http2_call_connect(struct http2_call *call, nghttp2_nv *list, size_t count)
{
    struct http2_client *client = call->connection;
    call->waiting = list;
    call->waiting_count = count;
    if (!client->settled)
        return;
    if (is_taken(client)) {
        submit(call);
        return;
    }
    call->later.run = on_later; /* not from within the owner's call */
    loop_defer(client->connection.net->loop, &call->later);
}

static struct http2_call *first_waiting(const struct http2_client *client)
{
    LIST_EACH(link, &client->exchanges)
    {
        struct http2_call *call = CONTAINER_OF(link, struct http2_call, link);
        if (call->waiting && list_empty(&call->later.link))
            return call;
    }
    return NULL;
}

void http2_call_settled(struct http2_client *client)
{
    client->settled = true;
    for (struct http2_call *call; (call = first_waiting(client));) {
        if (is_taken(client))
            submit(call);
        else
            refused(call);
    }
}

/* --- the stream's events --- */

static void on_data(struct http2_stream *stream, const char *data, size_t length)
{
    struct http2_call *call = of_stream(stream);
    call->client.events->on_body(call->client.owner, data, length, false);
}

static void drop_failure(void *owner, enum client_failure failure, const char *detail)
{
    (void)owner;
    (void)failure;
    (void)detail;
}

/* Both have ended: the owner is done with it, when our last is with the endpoint the stream is too. */
static void both_ended(struct http2_call *call)
{
    static const struct client_events nobody = {.on_failed = drop_failure};
    struct loop *loop = call->connection->connection.net->loop;
    if (call->stream.pending == 0 || call->closed) {
        http2_call_end(call, NGHTTP2_NO_ERROR);
        return;
    }
    call->lone = true;
    call->sent_seen = call->stream.sent;
    timer_set(&loop->timers, &call->timer, loop->now_ms + call->timeouts.idle);
    call->client.events = &nobody;
}

static void on_end(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    void *owner = call->client.owner;
    const struct client_events *events = call->client.events;
    if (!call->sending)
        both_ended(call);
    events->on_body(owner, NULL, 0, true);
}

static void on_blocked(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    if (call->sending)
        call->client.events->on_blocked(call->client.owner);
}

static void on_drained(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    if (call->sending)
        call->client.events->on_drained(call->client.owner);
}

static void on_sent(struct http2_stream *stream)
{
    struct http2_call *call = of_stream(stream);
    if (call->lone)
        http2_call_end(call, NGHTTP2_NO_ERROR);
}

static const struct http2_stream_events tunnel_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_sent = on_sent,
};

/* Reset, or ended by both; then what is held has yet to be read. */
void http2_call_tunnel_closed(struct http2_call *call, const char *detail)
{
    if (call->lone)
        http2_call_end(call, NGHTTP2_NO_ERROR);
    else if (!call->stream.end_received || (call->sending && call->stream.end_told))
        http2_call_fail(call, CLIENT_CLOSED, detail, NGHTTP2_NO_ERROR);
}

/* --- for the owner --- */

static void send_bytes(struct client *face, const char *data, size_t length, bool last)
{
    struct http2_call *call = of_face(face);
    if (call->closed && !call->stream.end_received)
        return; /* its end is about to be told */
    if (last)
        call->sending = false;
    call->connection->writing = true;
    if (length || last)
        http2_stream_write(&call->stream, data, length, last);
    call->connection->writing = false;
    if (last && call->stream.end_told)
        both_ended(call);
}

static void no_trailers(struct client *face, const struct fields *trailers)
{
    (void)face;
    (void)trailers;
}

static void read_on(struct client *face, bool on)
{
    http2_stream_read(&of_face(face)->stream, on);
}

/* What the owner has said last goes before the stream is reset. */
static void abandon(struct client *face)
{
    struct http2_call *call = of_face(face);
    struct http2_session *session = &call->connection->session;
    if (!call->sending && !call->closed && !session->busy)
        http2_session_flush(session);
    http2_call_end(call, NGHTTP2_CANCEL);
}

static const struct client_ops tunnel_ops = {
    .trailers = no_trailers,
    .send_body = send_bytes,
    .read = read_on,
    .abandon = abandon,
};

void http2_call_tunnel(struct http2_call *call, bool last)
{
    struct response_head *head = call->head;
    head->status = 101;
    head->body = BODY_NONE;
    call->tunnel = call->sending = true;
    call->client.ops = &tunnel_ops;
    call->stream.events = &tunnel_events;
    timer_pause(&call->timer);
    if (!last) {
        call->client.events->on_head(call->client.owner, head, false);
        return;
    }
    call->stream.reading = false; /* the end is told when the owner has the head */
    call->client.events->on_head(call->client.owner, head, false);
    if (call->client.owner) {
        http2_stream_received_end(&call->stream);
        http2_stream_read(&call->stream, true);
    }
}
