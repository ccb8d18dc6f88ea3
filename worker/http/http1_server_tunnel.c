/* http1_server_tunnel: a client's HTTP/1 connection after 101 (RFC 9110, section 7.8): bytes of another protocol both ways,
 * until both sides have sent their last. It has its own tables of events and operations: ordinary exchanges know nothing
 * of it. No time-out and no least rate of the client's holds any more; the owner knows when it is too silent.
 */
#include <errno.h>

#include "worker/http/http1_server_state.h"
#include "worker/http/tunnel_end.h"

/* Both sides have sent all. */
static void end_if_over(struct http1_server *server)
{
    struct exchange *exchange = &server->exchange;
    if (!exchange->body_done || !server->response_done || server->connection.blocked)
        return;
    server->service->events->on_sent(exchange);
    http1_server_close(server, false);
}

/* --- the connection's events --- */

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http1_server *server = server_of(connection);
    struct exchange *exchange = &server->exchange;
    stat_add(server->service->net->stats, STAT_BYTES_IN, length - connection->held_length);
    exchange->bytes_in += length;
    server->service->events->on_body(exchange, data, length, false);
    return length;
}

/* What the client sent before is read first. Out of the loop it has hung up in both directions: if we have not, it has reset
 * the connection. */
static void on_eof(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (connection->parked && !connection->broken && !server->response_done) {
        http1_server_gone(server, "client");
        return;
    }
    if (connection->stopped)
        return;
    if (connection->broken) { /* what it said is read; nothing more can be said to it */
        http1_server_gone(server, "client");
        return;
    }
    server->exchange.body_done = true;
    server->service->events->on_body(&server->exchange, NULL, 0, true);
    if (!connection->closed)
        end_if_over(server);
}

static void on_error(struct connection *connection, int error)
{
    (void)error;
    http1_server_gone(server_of(connection), "client");
}

static void on_blocked(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (!server->response_done)
        server->service->events->on_blocked(&server->exchange);
}

static void on_drained(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    if (!server->response_done) {
        server->service->events->on_drained(&server->exchange);
        return;
    }
    connection_shutdown(connection);
    end_if_over(server);
}

/* None is set. */
static void on_timeout(struct connection *connection)
{
    (void)connection;
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

/* --- the exchange's operations --- */

static void write_bytes(struct exchange *exchange, const char *data, size_t length, bool last)
{
    struct http1_server *server = server_of_exchange(exchange);
    struct connection *connection = &server->connection;
    if (length)
        connection_send(connection, data, length);
    if (!last)
        return;
    server->response_done = true;
    if (!connection_flush(connection))
        return; /* on_drained(), or on_error() */
    connection_shutdown(connection);
    end_if_over(server);
}

static void read_bytes(struct exchange *exchange, bool on)
{
    struct connection *connection = &server_of_exchange(exchange)->connection;
    if (exchange->body_done)
        return;
    if (on)
        connection_start(connection);
    else
        connection_stop(connection);
}

/* Whoever has got FIN has all. */
static void abort_tunnel(struct exchange *exchange)
{
    struct http1_server *server = server_of_exchange(exchange);
    bool all = (server->response_done || exchange->orderly) && connection_flush(&server->connection);
    http1_server_close(server, !all);
}

/* No head follows one of 101, and no trailers are HTTP's. */
static const struct exchange_ops tunnel_ops = {
    .destination = http1_answer_destination,
    .sent = http1_answer_sent,
    .write = write_bytes,
    .trailers = http1_answer_trailers,
    .read = read_bytes,
    .abort = abort_tunnel,
};

void http1_server_tunnel(struct http1_server *server)
{
    struct exchange *exchange = &server->exchange;
    exchange->ops = &tunnel_ops;
    exchange->body_done = false;
    server->connection.events = &tunnel_events;
    connection_no_timeout(&server->connection);
}

/* --- it moves to another process --- */

bool http1_tunnel_moves(const struct exchange *exchange)
{
    const struct http1_server *server = CONTAINER_OF(exchange, struct http1_server, exchange);
    return exchange->ops == &tunnel_ops && !server->connection.tls;
}

size_t http1_tunnel_bytes(const struct exchange *exchange)
{
    const struct http1_server *server = CONTAINER_OF(exchange, struct http1_server, exchange);
    size_t bytes = tunnel_end_bytes(&server->connection);
    return bytes == SIZE_MAX ? bytes : server->head_length + bytes;
}

void http1_tunnel_suspend(struct exchange *exchange, struct http1_parcel *parcel, struct tunnel_end *end,
                          struct str *head, char **room)
{
    struct http1_server *server = server_of_exchange(exchange);
    *end = tunnel_end_of(&server->connection, room);
    end->ended = exchange->body_done;
    end->shut = server->response_done;
    *parcel = (struct http1_parcel){
        .fd = end->fd, .peer = server->peer, .admission = server->admission, .requests = server->requests};
    *head = (struct str){exchange->head->method_text.data, server->head_length};
}

void http1_tunnel_resume(struct exchange *exchange)
{
    connection_thaw(&server_of_exchange(exchange)->connection);
}

void http1_tunnel_done(struct exchange *exchange)
{
    http1_server_close(server_of_exchange(exchange), false);
}

/* As it was read by the other process, which is another program perhaps. */
static bool read_head(struct http1_server *server, struct str text)
{
    struct exchange *exchange = &server->exchange;
    struct head_scan scan = {0, 0};
    struct parse_result parsed;
    size_t end;
    char *copy = arena_alloc(exchange->arena, text.length);
    memcpy(copy, text.data, text.length);
    server->head_length = (uint32_t)text.length;
    return head_find_end(&scan, copy, text.length, &end) == HEAD_WHOLE && end == text.length &&
           parse_request(copy, end, scan.lines, exchange->arena, exchange->head, &parsed) &&
           exchange->head->upgrade.length;
}

struct exchange *http1_tunnel_take(struct http_service *service, const struct http1_parcel *parcel,
                                   const struct tunnel_end *end, struct str head, uint64_t bytes_in,
                                   uint64_t bytes_out, const void *listener,
                                   const struct admission *admission)
{
    struct http1_server *server =
        http1_server_make(service, parcel->fd, NULL, &parcel->peer, listener, admission);
    if (!server) {
        int saved = errno;
        service->on_closed(service, admission);
        errno = saved;
        return NULL;
    }
    struct exchange *exchange = &server->exchange;
    server->requests = parcel->requests - 1; /* this one is counted again */
    http1_server_begin(server);
    if (!head.length || !read_head(server, head)) {
        http1_server_close(server, false);
        errno = EPROTO;
        return NULL;
    }
    http1_server_tunnel(server);
    exchange->response_started = true;
    exchange->bytes_in = bytes_in;
    server->sent_before = 0 - bytes_out;
    exchange->body_done = end->ended;
    server->response_done = end->shut;
    tunnel_end_restore(&server->connection, end);
    return exchange;
}
