/* http2_client: a connection to an endpoint that speaks HTTP/2: its life, from the preface to its end, and what its pool may do
 * with it. The exchanges on it are in http2_client_stream.c.
 */
#include "worker/http/http2_client.h"

#include <errno.h>
#include <stdlib.h>

#include "worker/http/http2_client_state.h"
#include "worker/net/tls.h"

enum {
    EXCHANGES_MAX = 1 << 29, /* on a connection: streams have numbers below 2^31, every other one */
    WINDOW_MAX = 1 << 30,    /* bytes, of all streams of a connection together */
};

static struct http2_client *client_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct http2_client, connection);
}

static struct http2_client *of_kept(struct client_connection *kept)
{
    return CONTAINER_OF(kept, struct http2_client, kept);
}

/* --- what the pool may do with it --- */

static uint32_t streams_max(const struct http2_client *client)
{
    uint32_t theirs = client->rules.expected;
    if (client->settled)
        theirs = nghttp2_session_get_remote_settings(client->session.library,
                                                     NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return theirs < client->rules.streams ? theirs : client->rules.streams;
}

static enum http2_offer offer_of(const struct http2_client *client)
{
    if (client->leaving || client->doubted || client->connection.closed ||
        client->kept.exchanges >= EXCHANGES_MAX)
        return HTTP2_OFFER_NONE;
    if (client->open == 0)
        return HTTP2_OFFER_IDLE;
    return client->open < streams_max(client) ? HTTP2_OFFER_SHARED : HTTP2_OFFER_NONE;
}

void http2_client_offer(struct http2_client *client)
{
    const struct client_pool_events *events = client->kept.pool_events;
    enum http2_offer offer = offer_of(client);
    client->kept.most = streams_max(client);
    if (client->leaving && client->open == 0) {
        http2_session_give_up(&client->session);
        connection_timeout(&client->connection, client->connect_timeout); /* should it take nothing more */
    }
    if (offer == client->offer)
        return;
    client->offer = offer;
    if (offer == HTTP2_OFFER_IDLE) {
        events->on_idle(client->kept.pool, &client->kept);
        return;
    }
    if (client->settled && client->open)
        connection_no_timeout(&client->connection);
    if (offer == HTTP2_OFFER_SHARED && events->on_room)
        events->on_room(client->kept.pool, &client->kept);
    else if (offer == HTTP2_OFFER_NONE && events->on_full)
        events->on_full(client->kept.pool, &client->kept);
}

void http2_client_leave(struct http2_client *client)
{
    client->leaving = true;
    http2_client_offer(client);
}

static struct client *take(struct client_connection *kept, void *owner, const struct client_events *events,
                           const struct client_timeouts *timeouts)
{
    return &http2_call_begin(of_kept(kept), owner, events, timeouts)->client;
}

static void keep(struct client_connection *kept, uint64_t idle_timeout_ms)
{
    struct connection *connection = &of_kept(kept)->connection;
    kept->idle_ms = connection->net->loop->now_ms;
    if (of_kept(kept)->settled) /* else it is still waited for */
        connection_timeout(connection, idle_timeout_ms);
}

/* Politely, and not on the caller's stack: it may be the library's. */
static void leave(struct client_connection *kept)
{
    struct http2_client *client = of_kept(kept);
    if (!client->leaving && client->connected)
        nghttp2_submit_goaway(client->session.library, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    http2_session_settle_later(&client->session);
    http2_client_leave(client);
}

static const struct client_connection_ops kept_ops = {.take = take, .keep = keep, .close = leave};

/* --- the end --- */

static struct http2_call *first_whole(const struct http2_client *client)
{
    LIST_EACH(link, &client->exchanges)
    {
        struct http2_call *call = CONTAINER_OF(link, struct http2_call, link);
        if (call->stream.end_received && !call->stream.end_told)
            return call;
    }
    return NULL;
}

/* Answers that came to their end are handed over, wanted yet or not: no more than their windows is held. */
static void hand_over_whole(struct http2_client *client)
{
    for (struct http2_call *call; (call = first_whole(client));) {
        call->stream.reading = true;
        http2_stream_feed_held(&call->stream);
    }
}

/* Those in progress fail. First of all the pool learns, so that none of them comes back. Of what is said in client->why each
 * has a copy, as it may ask later. */
static void close_client(struct http2_client *client, enum client_failure failure, const char *detail)
{
    if (client->connection.closed)
        return;
    http2_client_leave(client);
    client->kept.pool_events->on_closed(client->kept.pool, &client->kept);
    hand_over_whole(client);
    while (!list_empty(&client->exchanges)) {
        struct http2_call *call = CONTAINER_OF(client->exchanges.next, struct http2_call, link);
        enum client_failure why =
            failure == CLIENT_CLOSED && http2_call_unused(call) ? CLIENT_CLOSED_UNUSED : failure;
        const char *text = detail != client->why ? detail
                           : call->arena         ? arena_strdup(call->arena, detail)
                                                 : "it violates HTTP/2";
        http2_call_fail(call, why, text, NGHTTP2_CANCEL);
    }
    while (!list_empty(&client->streams))
        http2_call_free(CONTAINER_OF(client->streams.next, struct http2_call, link));
    http2_session_close(&client->session);
    connection_close(&client->connection, false);
}

static void on_over(struct http2_session *session, int error)
{
    struct http2_client *client = http2_client_of(session);
    if (!client->settled)
        close_client(client, CLIENT_CONNECT, "it doesn't speak HTTP/2");
    else
        close_client(client, CLIENT_MALFORMED,
                     client->why[0] ? client->why
                     : error        ? nghttp2_strerror(error)
                                    : "its frames are not HTTP/2");
}

/* --- events of the connection --- */

static struct http2_call *first_unconnected(const struct http2_client *client)
{
    LIST_EACH(link, &client->exchanges)
    {
        struct http2_call *call = CONTAINER_OF(link, struct http2_call, link);
        if (!call->client.connected)
            return call;
    }
    return NULL;
}

/* Its first SETTINGS came: those who waited may send, as many as it takes; the others go elsewhere. Any of them may end, or end
 * others; those that begin meanwhile are connected. */
static void tell_settled(struct http2_client *client)
{
    uint32_t begun = 0, most = streams_max(client);
    client->told = true;
    connection_no_timeout(&client->connection);
    if (client->open == 0 && !client->leaving)
        client->kept.pool_events->on_idle(client->kept.pool, &client->kept);
    for (struct http2_call *call; (call = first_unconnected(client));) {
        call->client.connected = true;
        if (client->leaving || begun++ >= most)
            http2_call_fail(call, CLIENT_REFUSED, "it takes no more streams at a time", NGHTTP2_CANCEL);
        else
            call->client.events->on_connected(call->client.owner);
    }
}

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http2_client *client = client_of(connection);
    client->received += length;
    if (client->doubted) {
        client->doubted = false;
        connection_no_timeout(connection);
        http2_client_offer(client);
    }
    http2_session_feed(&client->session, data, length);
    if (client->settled && !client->told)
        tell_settled(client);
    return length;
}

static void on_eof(struct connection *connection)
{
    struct http2_client *client = client_of(connection);
    if (client->settled)
        close_client(client, CLIENT_CLOSED, "it closed the connection before the answer was complete");
    else
        close_client(client, CLIENT_CONNECT,
                     "it closed the connection before it had said anything in HTTP/2");
}

static void on_error(struct connection *connection, int error)
{
    struct http2_client *client = client_of(connection);
    const char *why = connection_error(connection, error);
    close_client(client, client->settled ? CLIENT_CLOSED : CLIENT_CONNECT, why);
}

/* How many streams it takes, and that it speaks HTTP/2 at all, its SETTINGS say: they are waited for. */
static void on_connected(struct connection *connection)
{
    struct http2_client *client = client_of(connection);
    if (connection->tls && connection->tls->peer.protocol != TLS_PROTOCOL_HTTP2) {
        if (client->older)
            *client->older = true;
        close_client(client, client->older ? CLIENT_REFUSED : CLIENT_CONNECT,
                     "it doesn't agree to speak HTTP/2 (ALPN)");
        return;
    }
    client->connected = true;
    http2_session_settle_later(&client->session);
}

static void on_drained(struct connection *connection)
{
    http2_session_settle_later(&client_of(connection)->session);
}

static void on_timeout(struct connection *connection)
{
    struct http2_client *client = client_of(connection);
    if (!client->settled)
        close_client(client, CLIENT_CONNECT_TIMEOUT,
                     connection->securing ? "its TLS handshake wasn't done within the connect time-out"
                     : client->connected  ? "its SETTINGS didn't come within the connect time-out"
                                          : "no connection within the connect time-out");
    else if (client->leaving && client->open == 0)
        close_client(client, CLIENT_CLOSED, "it takes nothing more");
    else
        leave(
            &client
                 ->kept); /* idle too long, or silent: those who still wait on it have time-outs of their own */
}

void http2_client_doubt(struct http2_client *client)
{
    if (client->doubted || client->leaving)
        return;
    client->doubted = true;
    nghttp2_submit_ping(client->session.library, NGHTTP2_FLAG_NONE, NULL);
    http2_client_offer(client);
    connection_timeout(&client->connection, client->connect_timeout);
}

static const struct connection_events connection_events = {
    .reads_on = true,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_error = on_error,
    .on_connected = on_connected,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
};

/* --- life --- */

static const struct http2_side side = {
    .set_callbacks = http2_call_callbacks,
    .on_over = on_over,
};

static void open_session(struct http2_client *client)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, client->rules.window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_ANSWER_HEAD},
    };
    /* So much that those that wait for their clients don't stop the others. */
    uint64_t all = (uint64_t)client->rules.window * client->rules.streams;
    http2_session_open(&client->session, &client->connection, &side, settings,
                       sizeof settings / sizeof *settings, all < WINDOW_MAX ? (uint32_t)all : WINDOW_MAX);
}

struct client *http2_client_open(const struct client_target *target, const struct http2_client_rules *rules,
                                 void *owner, const struct client_events *events,
                                 const struct client_timeouts *timeouts)
{
    struct http2_client *client = malloc(sizeof *client);
    if (!client)
        return NULL;
    memset(client, 0, sizeof *client);
    if (connection_open(&client->connection, target->net, target->address, target->tls, &connection_events) <
        0) {
        int saved = errno;
        free(client);
        errno = saved;
        return NULL;
    }
    client->secure = target->tls != NULL;
    client->older = target->older;
    client->rules = *rules;
    client->connect_timeout = timeouts->connect;
    list_init(&client->exchanges);
    list_init(&client->streams);
    client->kept = (struct client_connection){
        .ops = &kept_ops,
        .pool_events = target->pool_events,
        .pool = target->pool,
        .epoch = target->epoch,
        .opened_ms = target->net->loop->now_ms,
    };
    list_init(&client->kept.link);
    open_session(client);
    struct http2_call *call = http2_call_begin(client, owner, events, timeouts);
    connection_timeout(&client->connection, timeouts->connect);
    return &call->client;
}
