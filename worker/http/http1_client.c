/* http1_client: a connection to an endpoint that speaks HTTP/1. */
#include "worker/http/http1_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "worker/http/chunk_writer.h"
#include "worker/http/http1_client_state.h"
#include "worker/net/tls.h"

enum {
    HEAD_MAX = NET_READ - 4096,
    FIELDS_MAX = 1000,
    INTERIM_MAX = 16,
    RELAY_LEAST = 8192, /* bytes of a body: for less, a copy is cheaper */
};

static struct http1_client *of_kept(struct client_connection *kept)
{
    return CONTAINER_OF(kept, struct http1_client, kept);
}

void http1_client_close(struct http1_client *client, bool reset)
{
    if (client->connection.closed)
        return;
    client->kept.pool_events->on_closed(client->kept.pool, &client->kept);
    connection_close(&client->connection, reset);
}

void http1_client_fail(struct http1_client *client, enum client_failure failure, const char *detail)
{
    void *owner = client->client.owner;
    http1_client_close(client, false);
    if (client->phase != PHASE_IDLE)
        client->client.events->on_failed(owner, failure, detail);
}

static void await(struct connection *connection, uint64_t ms)
{
    if (ms)
        connection_timeout(connection, ms);
    else
        connection_no_timeout(connection);
}

/* What is waited for at present, and how long. While the owner has stopped the answer, or is to bring more
 * of the request, it is not the endpoint that is waited for. */
static void set_timer(struct http1_client *client)
{
    struct connection *connection = &client->connection;
    bool awaits_owner = client->sending && !connection->blocked && client->phase != PHASE_BODY;
    if (connection->stopped || awaits_owner)
        connection_no_timeout(connection);
    else if (client->phase == PHASE_BODY || connection->blocked)
        await(connection, client->timeouts.idle);
    else
        await(connection, client->timeouts.response);
}

/* --- an answer that nobody needs to see --- */

static void relay(struct client *face, struct connection *to)
{
    struct http1_client *client = http1_client_of_face(face);
    if (client->phase != PHASE_BODY || client->framing != FRAMING_LENGTH || client->left < RELAY_LEAST)
        return;
    client->large = true;
    client->relay = to;
    connection_read_raw(&client->connection, true);
}

static void stop_relaying(struct http1_client *client)
{
    client->relay = NULL;
    connection_read_raw(&client->connection, false);
}

/* --- the answer --- */

/* The exchange is over: the connection goes back, or away, before the owner hears of it. */
static void end_exchange(struct http1_client *client)
{
    if (!client->keep_alive || client->sending || client->connection.eof || client->connection.blocked) {
        http1_client_close(client, false);
        return;
    }
    stop_relaying(client);
    client->phase = PHASE_IDLE;
    client->arena = NULL;
    connection_no_timeout(&client->connection);
    connection_start(&client->connection); /* an idle one that says anything is closed */
    client->kept.pool_events->on_idle(client->kept.pool, &client->kept);
}

static void interim(struct http1_client *client, struct response_head *head)
{
    client->phase = PHASE_REQUEST;
    client->scan = (struct head_scan){0, 0};
    if (head->status == 101 && client->upgrade.length)
        http1_client_tunnel(client, head);
    else if (head->status == 101)
        http1_client_fail(client, CLIENT_MALFORMED, "it switched protocols without being asked");
    else if (++client->interims > INTERIM_MAX)
        http1_client_fail(client, CLIENT_MALFORMED, "it sends interim answers without end");
    else
        client->client.events->on_interim(client->client.owner, head);
}

static void got_head(struct http1_client *client, struct response_head *head, enum framing framing)
{
    void *owner = client->client.owner;
    const struct client_events *events = client->client.events;
    bool last = framing == FRAMING_NONE || (framing == FRAMING_LENGTH && head->length == 0);
    client->framing = framing;
    client->large = client->connection.brief = false;
    client->keep_alive = head->keep_alive && framing != FRAMING_EOF;
    client->left = head->length;
    client->phase = PHASE_BODY;
    if (framing == FRAMING_CHUNKED)
        chunked_init(&client->chunked);
    if (last)
        end_exchange(client);
    else
        set_timer(client);
    events->on_head(owner, head, last);
}

/* Returns what it took. */
static size_t read_head(struct http1_client *client, const char *data, size_t length)
{
    size_t end;
    switch (head_find_end(&client->scan, data, length < HEAD_MAX ? length : HEAD_MAX, &end)) {
    case HEAD_MALFORMED:
        http1_client_fail(client, CLIENT_MALFORMED,
                          "a line of its head doesn't end with CRLF, or begins with a space");
        return length;
    case HEAD_MORE:
        client->phase = PHASE_HEAD;
        client->connection.brief = false;
        if (length >= HEAD_MAX)
            http1_client_fail(client, CLIENT_MALFORMED, "its head is too large");
        return length >= HEAD_MAX ? length : 0;
    case HEAD_WHOLE:
        break;
    }
    if (client->scan.lines > FIELDS_MAX + 1) { /* short lines cost more memory than they have bytes */
        http1_client_fail(client, CLIENT_MALFORMED, "its head has more fields than are taken");
        return length;
    }
    struct parse_result parsed;
    struct response_head *head = arena_alloc(client->arena, sizeof *head);
    char *copy = arena_alloc(client->arena, end);
    memcpy(copy, data, end);
    if (!parse_response(copy, end, client->scan.lines, client->method, client->arena, head, &parsed))
        http1_client_fail(client, CLIENT_MALFORMED, parsed.detail);
    else if (head->status < 200)
        interim(client, head);
    else
        got_head(client, head, parsed.framing);
    return end;
}

static size_t read_length(struct http1_client *client, const char *data, size_t length)
{
    void *owner = client->client.owner;
    const struct client_events *events = client->client.events;
    if (length > client->left)
        length = (size_t)client->left;
    client->left -= length;
    bool last = client->left == 0;
    if (last)
        end_exchange(client);
    events->on_body(owner, data, length, last);
    return length;
}

static void on_readable(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    void *owner = client->client.owner;
    const struct client_events *events = client->client.events;
    size_t length = connection_relay(connection, client->relay, client->left);
    if (length == 0)
        return;
    client->left -= length;
    if (client->left) {
        set_timer(client);
        return;
    }
    end_exchange(client);
    events->on_body(owner, NULL, 0, true);
}

static void got_trailers(struct http1_client *client)
{
    struct str lines = chunked_trailers(&client->chunked);
    if (lines.length == 0)
        return;
    struct fields *trailers = arena_zalloc(client->arena, sizeof *trailers);
    parse_trailers(lines, false, client->arena, trailers);
    client->client.events->on_trailers(client->client.owner, trailers);
}

static size_t read_chunked(struct http1_client *client, const char *data, size_t length)
{
    void *owner = client->client.owner;
    const struct client_events *events = client->client.events;
    struct str input = {data, length}, piece;
    switch (chunked_next(&client->chunked, &input, &piece)) {
    case CHUNKED_DATA:
        events->on_body(owner, piece.data, piece.length, false);
        break;
    case CHUNKED_TRAILERS:
        chunked_collect(&client->chunked, arena_alloc(client->arena, CHUNKED_TRAILER_MAX));
        break;
    case CHUNKED_END:
        got_trailers(client);
        end_exchange(client);
        events->on_body(owner, NULL, 0, true);
        break;
    case CHUNKED_MORE:
        break;
    case CHUNKED_ERROR:
        http1_client_fail(client, CLIENT_MALFORMED, chunked_error(&client->chunked));
        return length;
    }
    return length - input.length;
}

static size_t read_body(struct http1_client *client, const char *data, size_t length)
{
    set_timer(client);
    if (client->framing == FRAMING_LENGTH)
        return read_length(client, data, length);
    if (client->framing == FRAMING_CHUNKED)
        return read_chunked(client, data, length);
    client->client.events->on_body(client->client.owner, data, length, false);
    return length;
}

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http1_client *client = http1_client_of(connection);
    size_t taken = 0;
    while (taken < length && !connection->stopped && !connection->closed) {
        if (client->phase == PHASE_IDLE) {
            /* Bytes that nobody asked for: what they answer can't be known. */
            http1_client_close(client, false);
            return length;
        }
        if (client->phase == PHASE_TUNNEL)
            return taken + connection->events->on_data(connection, data + taken, length - taken);
        size_t step = client->phase == PHASE_BODY ? read_body(client, data + taken, length - taken)
                                                  : read_head(client, data + taken, length - taken);
        if (step == 0)
            break;
        taken += step;
    }
    return taken;
}

/* --- the other events --- */

/* A kept connection on which nothing of an answer came, no interim one either. */
static bool unused(const struct http1_client *client)
{
    return client->phase == PHASE_REQUEST && client->reused && client->interims == 0;
}

static void on_eof(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (connection->stopped)
        return; /* the end is found when reading starts again */
    if (client->phase == PHASE_BODY && client->framing == FRAMING_EOF && !connection->cut) {
        void *owner = client->client.owner;
        const struct client_events *events = client->client.events;
        end_exchange(client);
        events->on_body(owner, NULL, 0, true);
        return;
    }
    if (client->phase == PHASE_BODY && client->framing == FRAMING_EOF)
        http1_client_fail(client, CLIENT_CLOSED,
                          "it closed the connection without TLS's close_notify: the answer may be cut");
    else if (unused(client))
        http1_client_fail(client, CLIENT_CLOSED_UNUSED, "it closed the connection as it was taken");
    else
        http1_client_fail(client, CLIENT_CLOSED,
                          client->phase == PHASE_BODY
                              ? "it closed the connection in the middle of the answer's body"
                              : "it closed the connection before the answer's head was complete");
}

static void on_error(struct connection *connection, int error)
{
    struct http1_client *client = http1_client_of(connection);
    const char *why = connection_error(connection, error);
    if (client->phase == PHASE_CONNECTING)
        http1_client_fail(client, CLIENT_CONNECT, why);
    else if (unused(client))
        http1_client_fail(client, CLIENT_CLOSED_UNUSED, why);
    else
        http1_client_fail(client, CLIENT_CLOSED, why);
}

static void on_connected(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    client->phase = PHASE_REQUEST;
    if (client->older && connection->tls->peer.protocol == TLS_PROTOCOL_HTTP2) {
        *client->older = false;
        http1_client_fail(client, CLIENT_REFUSED, "it speaks HTTP/2 by now (ALPN)");
        return;
    }
    client->client.connected = true;
    connection_no_timeout(connection);
    client->client.events->on_connected(client->client.owner);
}

/* The endpoint's socket is full. */
static void on_blocked(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    client->sent_seen = connection->sent;
    set_timer(client);
    if (client->sending && client->phase != PHASE_IDLE)
        client->client.events->on_blocked(client->client.owner);
}

static void on_drained(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (client->phase == PHASE_IDLE)
        return;
    set_timer(client);
    if (client->sending)
        client->client.events->on_drained(client->client.owner);
}

static void on_timeout(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (connection->blocked && connection->sent != client->sent_seen) {
        on_blocked(connection); /* slow, but not stalled */
        return;
    }
    switch (client->phase) {
    case PHASE_IDLE:
        http1_client_close(client, false);
        return;
    case PHASE_CONNECTING:
        http1_client_fail(client, CLIENT_CONNECT_TIMEOUT,
                          connection->securing ? "its TLS handshake wasn't done within the connect time-out"
                                               : "no connection within the connect time-out");
        return;
    case PHASE_REQUEST:
    case PHASE_HEAD:
        http1_client_fail(client, CLIENT_TIMEOUT,
                          connection->blocked ? "it takes no more of the request"
                                              : "no answer within the response time-out");
        return;
    case PHASE_BODY:
        http1_client_fail(client, CLIENT_TIMEOUT, "no more of the answer's body within the idle time-out");
        return;
    case PHASE_TUNNEL: /* has a table of its own */
        return;
    }
}

static const struct connection_events connection_events = {
    .reads_on = true,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_error = on_error,
    .on_connected = on_connected,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
    .on_readable = on_readable,
};

/* --- for the owner --- */

static struct buf reserve(struct client *face)
{
    return connection_reserve(&http1_client_of_face(face)->connection, NET_READ);
}

static void send_head(struct client *face, const struct buf *head, const struct client_order *order,
                      struct arena *arena)
{
    struct http1_client *client = http1_client_of_face(face);
    client->kept.exchanges++;
    client->method = order->method;
    client->arena = arena;
    client->sending = order->body;
    client->connection.brief = client->large;
    client->out_chunked = order->chunked;
    client->upgrade = order->upgrade;
    client->websocket_key = order->websocket_key;
    connection_commit(&client->connection, head);
    set_timer(client);
}

static void set_trailers(struct client *face, const struct fields *trailers)
{
    http1_client_of_face(face)->trailers = trailers;
}

static void send_body(struct client *face, const char *data, size_t length, bool last)
{
    struct http1_client *client = http1_client_of_face(face);
    struct connection *connection = &client->connection;
    if (client->out_chunked)
        chunk_send(connection, data, length);
    else if (length)
        connection_send(connection, data, length);
    if (last && client->out_chunked)
        chunk_send_end(connection, client->trailers);
    if (last)
        client->sending = false;
    if (!connection->blocked)
        set_timer(client);
}

static void read_on(struct client *face, bool on)
{
    struct http1_client *client = http1_client_of_face(face);
    if (on)
        connection_start(&client->connection);
    else
        connection_stop(&client->connection);
    set_timer(client);
}

static void patience(struct client *face, uint64_t response, uint64_t idle)
{
    struct http1_client *client = http1_client_of_face(face);
    client->timeouts.response = response;
    client->timeouts.idle = idle;
    set_timer(client);
}

static void abandon(struct client *face)
{
    http1_client_close(http1_client_of_face(face), false);
}

/* --- nobody listens --- */

static void drop_body(void *owner, const char *data, size_t length, bool last)
{
    (void)owner;
    (void)data;
    (void)length;
    (void)last;
}

static void drop_failure(void *owner, enum client_failure failure, const char *detail)
{
    (void)owner;
    (void)failure;
    (void)detail;
}

void http1_client_forget_owner(struct http1_client *client)
{
    static const struct client_events nobody = {.on_body = drop_body, .on_failed = drop_failure};
    stop_relaying(client);
    client->client.events = &nobody;
    client->client.owner = NULL;
}

/* The rest is read, and the connection is the pool's again. */
static void discard(struct client *face)
{
    struct http1_client *client = http1_client_of_face(face);
    assert(client->phase == PHASE_BODY && client->framing == FRAMING_LENGTH && !client->sending);
    http1_client_forget_owner(client);
}

static const struct client_ops ops = {
    .reserve = reserve,
    .send = send_head,
    .trailers = set_trailers,
    .send_body = send_body,
    .read = read_on,
    .patience = patience,
    .abandon = abandon,
    .discard = discard,
    .relay = relay,
};

/* --- for the pool --- */

static void begin(struct http1_client *client, void *owner, const struct client_events *events,
                  const struct client_timeouts *timeouts)
{
    client->client.owner = owner;
    client->client.events = events;
    client->timeouts = *timeouts;
    client->sending = false;
    client->trailers = NULL;
    client->relay = NULL;
    client->interims = 0;
    client->scan = (struct head_scan){0, 0};
}

static struct client *take(struct client_connection *kept, void *owner, const struct client_events *events,
                           const struct client_timeouts *timeouts)
{
    struct http1_client *client = of_kept(kept);
    begin(client, owner, events, timeouts);
    client->phase = PHASE_REQUEST;
    client->reused = true;
    return &client->client;
}

static void keep(struct client_connection *kept, uint64_t idle_timeout_ms)
{
    struct connection *connection = &of_kept(kept)->connection;
    kept->idle_ms = connection->net->loop->now_ms;
    connection_timeout(connection, idle_timeout_ms);
}

static void close_idle(struct client_connection *kept)
{
    struct http1_client *client = of_kept(kept);
    assert(client->phase == PHASE_IDLE);
    http1_client_close(client, false);
}

static const struct client_connection_ops kept_ops = {.take = take, .keep = keep, .close = close_idle};

struct http1_client *http1_client_make(const struct client_target *target, void *owner,
                                       const struct client_events *events,
                                       const struct client_timeouts *timeouts)
{
    struct http1_client *client = malloc(sizeof *client);
    if (!client)
        return NULL;
    client->client = (struct client){.ops = &ops};
    client->older = target->older;
    client->large = false;
    client->kept = (struct client_connection){
        .ops = &kept_ops,
        .pool_events = target->pool_events,
        .pool = target->pool,
        .epoch = target->epoch,
        .opened_ms = target->net->loop->now_ms,
    };
    list_init(&client->kept.link);
    begin(client, owner, events, timeouts);
    return client;
}

struct client *http1_client_open(const struct client_target *target, void *owner,
                                 const struct client_events *events, const struct client_timeouts *timeouts)
{
    struct http1_client *client = http1_client_make(target, owner, events, timeouts);
    if (!client)
        return NULL;
    if (connection_open(&client->connection, target->net, target->address, target->tls, &connection_events) <
        0) {
        int saved = errno;
        free(client);
        errno = saved;
        return NULL;
    }
    client->phase = PHASE_CONNECTING;
    client->reused = false;
    connection_timeout(&client->connection, timeouts->connect);
    return &client->client;
}
