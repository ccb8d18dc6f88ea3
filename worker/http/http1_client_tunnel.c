/* http1_client_tunnel: a connection to an endpoint after 101 (RFC 9110, section 7.8): bytes of another protocol both ways, until
 * both sides have sent their last. Its tables take the place of those of an ordinary exchange.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/codec/websocket.h"
#include "worker/http/http1_client_state.h"
#include "worker/http/tunnel_end.h"

/* --- the switch --- */

static bool names(const struct fields *fields, enum field_id id, struct str token)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == id && str_list_has(fields->items[i].value, token))
            return true;
    return false;
}

/* Sec-WebSocket-Accept was for us: who passes 101 on says it again for its own client's key, if that has one. */
static void leave_out_accept(struct fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];
        if (field->id != FIELD_OTHER || !str_case_eq(field->name, STR("Sec-WebSocket-Accept")))
            continue;
        field->name.length = 0; /* a field without a name is not written */
        field->line = false;
    }
}

/* What is wrong with a 101; NULL: nothing. Bytes are only passed on blindly to who has understood what it was asked. */
static const char *misunderstood(const struct http1_client *client, const struct fields *fields)
{
    char accept[WEBSOCKET_ACCEPT];
    if (!names(fields, FIELD_UPGRADE, client->upgrade) || !names(fields, FIELD_CONNECTION, STR("upgrade")))
        return "it switched to another protocol than it was asked to";
    if (!client->websocket_key.length)
        return NULL;
    const struct field *said = fields_find(fields, STR("Sec-WebSocket-Accept"));
    websocket_accept(client->websocket_key, accept);
    if (!said || !str_eq(said->value, (struct str){accept, sizeof accept}))
        return "it switched to WebSocket without the right Sec-WebSocket-Accept";
    return NULL;
}

/* --- the connection's events --- */

/* All that the owner wanted to send is with the kernel. */
static void end_sending(struct http1_client *client)
{
    if (client->ended)
        http1_client_close(client, false);
    else
        connection_shutdown(&client->connection);
}

/* It takes what is kept for it, or is closed: nobody else waits for that. */
static void await_end(struct http1_client *client)
{
    http1_client_forget_owner(client);
    client->sent_seen = client->connection.sent;
    connection_timeout(&client->connection, client->timeouts.idle);
}

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http1_client *client = http1_client_of(connection);
    client->client.events->on_body(client->client.owner, data, length, false);
    return length;
}

/* What it sent before is read first. Out of the loop it has hung up in both directions: if we have not, it has reset the
 * connection. */
static void on_eof(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    void *owner = client->client.owner;
    const struct client_events *events = client->client.events;
    if (connection->parked && client->sending && !connection->broken) {
        http1_client_fail(client, CLIENT_CLOSED, "it reset the connection");
        return;
    }
    if (connection->stopped)
        return;
    if (connection->broken) { /* what it said is read; nothing more can be said to it */
        http1_client_fail(client, CLIENT_CLOSED, strerror(connection->broken_by));
        return;
    }
    client->ended = true;
    if (client->sending) {
        events->on_body(owner, NULL, 0, true);
        return;
    }
    if (connection->blocked)
        await_end(client);
    else
        http1_client_close(client, false);
    events->on_body(owner, NULL, 0, true);
}

static void on_error(struct connection *connection, int error)
{
    http1_client_fail(http1_client_of(connection), CLIENT_CLOSED, connection_error(connection, error));
}

static void on_blocked(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (client->sending)
        client->client.events->on_blocked(client->client.owner);
}

static void on_drained(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (client->sending)
        client->client.events->on_drained(client->client.owner);
    else
        end_sending(client);
}

static void on_timeout(struct connection *connection)
{
    struct http1_client *client = http1_client_of(connection);
    if (connection->sent == client->sent_seen)
        http1_client_close(client, true);
    else
        await_end(client);
}

static const struct connection_events tunnel_events = {
    .reads_on = true,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_error = on_error,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
};

/* --- for the owner --- */

static void send_bytes(struct client *face, const char *data, size_t length, bool last)
{
    struct http1_client *client = http1_client_of_face(face);
    struct connection *connection = &client->connection;
    if (length)
        connection_send(connection, data, length);
    if (!last)
        return;
    client->sending = false;
    if (connection_flush(connection))
        end_sending(client);
    else if (client->ended)
        await_end(client);
}

static void read_on(struct client *face, bool on)
{
    struct http1_client *client = http1_client_of_face(face);
    if (client->ended)
        return;
    if (on)
        connection_start(&client->connection);
    else
        connection_stop(&client->connection);
}

static void no_trailers(struct client *face, const struct fields *trailers)
{
    (void)face;
    (void)trailers;
}

/* Whoever has got FIN has all; else what was sent is not to be taken for that. */
static void abandon(struct client *face)
{
    struct http1_client *client = http1_client_of_face(face);
    http1_client_close(client, client->sending || client->connection.blocked);
}

/* No other request follows, and nothing is thrown away. */
static const struct client_ops tunnel_ops = {
    .trailers = no_trailers,
    .send_body = send_bytes,
    .read = read_on,
    .abandon = abandon,
};

static void become_tunnel(struct http1_client *client)
{
    client->phase = PHASE_TUNNEL;
    client->keep_alive = false;
    client->sending = true;
    client->ended = false;
    client->client.ops = &tunnel_ops;
    client->connection.events = &tunnel_events;
    connection_no_timeout(&client->connection);
}

void http1_client_tunnel(struct http1_client *client, struct response_head *head)
{
    const char *why = misunderstood(client, &head->fields);
    if (why) {
        http1_client_fail(client, CLIENT_MALFORMED, why);
        return;
    }
    become_tunnel(client);
    if (client->websocket_key.length)
        leave_out_accept(&head->fields);
    client->client.events->on_head(client->client.owner, head, false);
}

/* --- it moves to another process --- */

bool http1_client_tunnel_moves(const struct client *face)
{
    const struct http1_client *client = CONTAINER_OF(face, struct http1_client, client);
    return face->ops == &tunnel_ops && !client->connection.tls;
}

size_t http1_client_tunnel_bytes(const struct client *face)
{
    const struct http1_client *client = CONTAINER_OF(face, struct http1_client, client);
    return tunnel_end_bytes(&client->connection);
}

void http1_client_tunnel_suspend(struct client *face, struct tunnel_end *end, char **room)
{
    struct http1_client *client = http1_client_of_face(face);
    *end = tunnel_end_of(&client->connection, room);
    end->ended = client->ended;
    end->shut = !client->sending;
}

void http1_client_tunnel_resume(struct client *face)
{
    connection_thaw(&http1_client_of_face(face)->connection);
}

void http1_client_tunnel_done(struct client *face)
{
    http1_client_close(http1_client_of_face(face), false);
}

struct client *http1_client_tunnel_take(const struct client_target *target, const struct tunnel_end *end,
                                        void *owner, const struct client_events *events,
                                        const struct client_timeouts *timeouts)
{
    struct http1_client *client = http1_client_make(target, owner, events, timeouts);
    if (!client) {
        close(end->fd);
        errno = ENOMEM;
        return NULL;
    }
    struct connection *connection = &client->connection;
    if (connection_adopt(connection, target->net, end->fd, NULL, &tunnel_events) < 0) {
        int saved = errno;
        free(client);
        errno = saved;
        return NULL;
    }
    become_tunnel(client);
    client->client.connected = true;
    client->ended = end->ended;
    client->sending = !end->shut;
    connection_stop(connection);
    tunnel_end_restore(connection, end);
    return &client->client;
}
