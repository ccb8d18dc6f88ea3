/* http1_answer: the answering half of a client's HTTP/1 connection: the operations that an exchange offers its owner. */
#include <errno.h>

#include "shared/base/log.h"
#include "worker/codec/websocket.h"
#include "worker/http/chunk_writer.h"
#include "worker/http/http1_server_state.h"

static void write_status(struct buf *out, const struct response_head *head)
{
    char line[] = "HTTP/1.1 nnn ";
    line[9] = (char)('0' + head->status / 100 % 10);
    line[10] = (char)('0' + head->status / 10 % 10);
    line[11] = (char)('0' + head->status % 10);
    buf_add(out, line, sizeof line - 1);
    buf_str_add(out, head->reason.length ? head->reason : status_reason(head->status));
    BUF_LITERAL(out, "\r\n");
}

/* Whether the connection goes on after this answer. */
static bool will_keep_alive(const struct http1_server *server)
{
    const struct exchange *exchange = &server->exchange;
    if (server->service->draining || server->stays || !server->service->keepalive_timeout ||
        !exchange->head->keep_alive || exchange->refusal || server->last)
        return false;
    if (!exchange->body_done &&
        (server->framing != FRAMING_LENGTH || !server->continued || server->left > DISCARD_MAX))
        return false;
    if (!server->service->max_requests || server->requests < server->service->max_requests)
        return true;
    stat_add(server->service->net->stats, STAT_LAST_REQUESTS, 1);
    return false;
}

/* How the answer's body is delimited (RFC 9112, section 6), and whether the connection persists. */
static void write_framing(struct http1_server *server, struct buf *out, const struct response_head *head)
{
    const struct request_head *request = server->exchange.head;
    server->keep_alive = will_keep_alive(server);
    server->out_nothing = response_bodyless(request->method, head->status);
    if (head->body == BODY_LENGTH && head->status != 204) {
        BUF_LITERAL(out, "Content-Length: ");
        buf_u64(out, head->length);
        BUF_LITERAL(out, "\r\n");
    } else if (head->body == BODY_NONE && !server->out_nothing) {
        BUF_LITERAL(out, "Content-Length: 0\r\n");
    } else if (head->body == BODY_STREAM && !server->out_nothing) {
        server->out_chunked = request->version >= 11;
        if (server->out_chunked)
            BUF_LITERAL(out, "Transfer-Encoding: chunked\r\n");
        else
            server->keep_alive = false;
    }
    if (!server->keep_alive)
        BUF_LITERAL(out, "Connection: close\r\n");
    else if (request->version == 10)
        BUF_LITERAL(out, "Connection: keep-alive\r\n");
}

/* What says that the connection goes on as another protocol's (RFC 9110, section 7.8). The client's key is answered here: whoever
 * answered may not have known of it, as HTTP/2 has none (RFC 8441, section 5). */
static void write_upgrade(struct http1_server *server, struct buf *out, const struct response_head *head)
{
    const struct request_head *request = server->exchange.head;
    const struct field *key = fields_find(&request->fields, STR("Sec-WebSocket-Key"));
    BUF_LITERAL(out, "Connection: upgrade\r\nUpgrade: ");
    buf_str_add(out, request->upgrade);
    BUF_LITERAL(out, "\r\n");
    if (!key || !websocket_key_is_good(key->value) || fields_find(&head->fields, STR("Sec-WebSocket-Accept")))
        return;
    char accept[WEBSOCKET_ACCEPT];
    websocket_accept(key->value, accept);
    BUF_LITERAL(out, "Sec-WebSocket-Accept: ");
    buf_add(out, accept, sizeof accept);
    BUF_LITERAL(out, "\r\n");
}

static void respond(struct exchange *exchange, const struct response_head *head, bool last)
{
    struct http1_server *server = server_of_exchange(exchange);
    struct buf out = connection_reserve(&server->connection, NET_READ);
    exchange->response_started = true;
    write_status(&out, head);
    fields_write(&head->fields, 0, &out);
    if (!fields_get(&head->fields, FIELD_DATE)) {
        BUF_LITERAL(&out, "Date: ");
        buf_str_add(&out, service_date(server->service));
        BUF_LITERAL(&out, "\r\n");
    }
    if (head->status == 101)
        write_upgrade(server, &out, head);
    else
        write_framing(server, &out, head);
    BUF_LITERAL(&out, "\r\n");
    if (out.overflow) {
        log_error("an answer's head is larger than fits (%d bytes do): the connection was cut", NET_READ);
        connection_fail(&server->connection, EMSGSIZE);
        return;
    }
    connection_commit(&server->connection, &out);
    if (head->status == 101)
        http1_server_tunnel(server);
    else if (last)
        http1_server_complete(server);
}

static void interim(struct exchange *exchange, const struct response_head *head)
{
    struct http1_server *server = server_of_exchange(exchange);
    if (exchange->head->version < 11)
        return; /* RFC 9110, section 15.2 */
    struct buf out = connection_reserve(&server->connection, NET_READ);
    write_status(&out, head);
    fields_write(&head->fields, 0, &out);
    BUF_LITERAL(&out, "\r\n");
    if (out.overflow) { /* it is only a hint: the answer itself still comes */
        log_warning("an interim answer's head is larger than fits (%d bytes do): it was left out", NET_READ);
        return;
    }
    connection_commit(&server->connection, &out);
    connection_flush(&server->connection);
}

void http1_answer_trailers(struct exchange *exchange, const struct fields *trailers)
{
    server_of_exchange(exchange)->trailers = trailers;
}

static void write_body(struct exchange *exchange, const char *data, size_t length, bool last)
{
    struct http1_server *server = server_of_exchange(exchange);
    struct connection *connection = &server->connection;
    if (server->out_chunked)
        chunk_send(connection, data, length);
    else if (!server->out_nothing && length)
        connection_send(connection, data, length);
    if (!last)
        return;
    if (server->out_chunked)
        chunk_send_end(connection, server->trailers);
    http1_server_complete(server);
}

static struct connection *plain(const struct exchange *exchange)
{
    struct http1_server *server = CONTAINER_OF(exchange, struct http1_server, exchange);
    return server->out_chunked || server->out_nothing || server->connection.tls ? NULL : &server->connection;
}

static void read_body(struct exchange *exchange, bool on)
{
    struct http1_server *server = server_of_exchange(exchange);
    struct connection *connection = &server->connection;
    if (exchange->body_done)
        return;
    if (!on) {
        connection_stop(connection);
        if (!connection->blocked)
            http1_server_set_timer(server);
        return;
    }
    if (!server->continued && !exchange->response_started) {
        /* A body that is there already needs no invitation. */
        if (!connection->held)
            connection_send(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        server->continued = true;
        connection_flush(connection);
    }
    http1_pace_body_again(server);
    connection_start(connection);
    if (!connection->blocked)
        http1_server_set_timer(server);
}

static void abort_exchange(struct exchange *exchange)
{
    struct http1_server *server = server_of_exchange(exchange);
    connection_flush(&server->connection); /* what it has got of the answer, it may see */
    http1_server_close(server, exchange->response_started);
}

uint64_t http1_answer_sent(const struct exchange *exchange)
{
    const struct http1_server *server = CONTAINER_OF(exchange, struct http1_server, exchange);
    return connection_sent(&server->connection) - server->sent_before;
}

void http1_answer_destination(const struct exchange *exchange, struct address *address)
{
    const struct http1_server *server = CONTAINER_OF(exchange, struct http1_server, exchange);
    admission_destination(&server->admission, server->connection.source.fd, address);
}

const struct exchange_ops http1_answer_ops = {
    .destination = http1_answer_destination,
    .sent = http1_answer_sent,
    .respond = respond,
    .interim = interim,
    .write = write_body,
    .trailers = http1_answer_trailers,
    .plain = plain,
    .read = read_body,
    .abort = abort_exchange,
};
