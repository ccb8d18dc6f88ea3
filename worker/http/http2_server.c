/* http2_server: a client's connection that speaks HTTP/2: its life, from the preface to GOAWAY. What comes on its streams is
 * in http2_server_stream.c, answers are in http2_answer.c.
 */
#include "worker/http/http2_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/http/http2_server_state.h"

enum {
    LINGER_MS = 2000,       /* how long a client may go on sending when the session is over */
    LINGER_BYTES = 1 << 20, /* and how much: else what it hasn't read yet would be lost by a reset */
    GOODBYE_MS = 5000,      /* how long the answer to a PING may take */
    LIBRARY_CONTINUATIONS = 1000,
    LIBRARY_RESETS = 1000000,
    FIRST_UNKNOWN_FRAME = NGHTTP2_CONTINUATION + 1,
    UNREAD_FRAMES_MAX = 1024, /* that wait for a client that doesn't read: then we don't, either */
};

static struct http2_server *server_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct http2_server, connection);
}

static struct loop *loop_of(const struct http2_server *server)
{
    return server->service->net->loop;
}

/* --- the end --- */

/* Those in progress get on_gone. How many they were. */
static unsigned end_exchanges(struct http2_server *server, const char *why)
{
    unsigned count = 0;
    while (!list_empty(&server->exchanges)) {
        struct http2_exchange *exchange = CONTAINER_OF(server->exchanges.next, struct http2_exchange, link);
        if (exchange->owned) {
            count++;
            exchange->closed = true;
            http2_exchange_gone(exchange, why, NGHTTP2_NO_ERROR);
        } else {
            http2_exchange_free(exchange);
        }
    }
    return count;
}

static void close_session(struct http2_server *server)
{
    if (server->session.library)
        http2_session_close(&server->session);
    timer_clear(&loop_of(server)->timers, &server->goodbye);
}

static void close_server(struct http2_server *server, bool reset)
{
    struct http_service *service = server->service;
    if (server->connection.closed)
        return;
    close_session(server);
    connection_close(&server->connection, reset);
    service->connection_count--;
    if (service->on_closed)
        service->on_closed(service, &server->admission);
}

/* The client is gone, or given up; `why` is for the log. How many requests were in progress. */
static unsigned gone(struct http2_server *server, const char *why)
{
    unsigned requests = end_exchanges(server, why);
    close_server(server, requests > 0);
    return requests;
}

/* What the client still sends is read past, so that it sees the last frames, not a reset. */
static void linger(struct http2_server *server)
{
    close_session(server);
    server->lingers = true;
    server->linger_left = LINGER_BYTES;
    connection_shutdown(&server->connection);
    if (server->connection.eof) {
        close_server(server, false);
        return;
    }
    connection_timeout(&server->connection, LINGER_MS);
    connection_start(&server->connection);
}

static void on_over(struct http2_session *session, int error)
{
    struct http2_server *server = http2_server_of(session);
    if (error) /* of bytes that it can't go on behind, or answers that aren't taken */
        stat_add(server->service->net->stats, STAT_HTTP2_ERRORS, 1);
    end_exchanges(server, session->terminated ? "abuse" : "protocol");
    linger(server);
}

/* --- leaving: GOAWAY (RFC 9113, section 6.8) --- */

/* The last GOAWAY names the last stream that is answered; what came later the client may send elsewhere. */
static void leave_now(struct http2_server *server)
{
    nghttp2_session *library = server->session.library;
    if (server->left)
        return;
    server->leaving = server->left = true;
    timer_clear(&loop_of(server)->timers, &server->goodbye);
    nghttp2_submit_goaway(library, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(library),
                          NGHTTP2_NO_ERROR, NULL, 0);
    http2_session_settle_later(&server->session);
}

/* The first one only asks to send no more: requests may be under way. When a PING behind it is answered, none is. */
static void leave(struct http2_server *server)
{
    static const uint8_t payload[8] = "goodbye";
    nghttp2_session *library = server->session.library;
    if (server->leaving || server->lingers)
        return;
    server->leaving = true;
    stat_add(server->service->net->stats, STAT_HTTP2_GOAWAYS, 1);
    nghttp2_submit_shutdown_notice(library);
    nghttp2_submit_ping(library, NGHTTP2_FLAG_NONE, payload);
    timer_set(&loop_of(server)->timers, &server->goodbye, loop_of(server)->now_ms + GOODBYE_MS);
    http2_session_settle_later(&server->session);
}

static void on_goodbye(struct timer *timer)
{
    leave_now(CONTAINER_OF(timer, struct http2_server, goodbye));
}

void http2_server_ponged(struct http2_server *server)
{
    if (server->leaving)
        leave_now(server);
}

void http2_server_counted(struct http2_server *server)
{
    const struct http_service *service = server->service;
    server->requests++;
    if (service->max_requests && server->requests == service->max_requests)
        stat_add(service->net->stats, STAT_LAST_REQUESTS, 1);
    else if (service->keepalive_timeout)
        return;
    leave(server);
}

/* --- abuse --- */

static void say_cut_off(struct http2_server *server, const char *why)
{
    struct http_service *service = server->service;
    if (!log_seldom(&service->http2_said, loop_of(server)->now_ms))
        return;
    char text[ADDRESS_TEXT_SIZE];
    address_format(&server->peer, text);
    log_warning("client %s: HTTP/2: %s; cut off (and %u before that were not logged)", text, why,
                service->http2_said.left_out);
}

void http2_server_abused(struct http2_server *server, enum http2_abuse abuse)
{
    if (abuse == HTTP2_ABUSE_NONE || server->session.terminated)
        return;
    stat_add(server->service->net->stats, http2_abuse_stat(abuse), 1);
    say_cut_off(server, http2_abuse_text(abuse));
    http2_session_terminate(&server->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* --- frames that went out --- */

/* Those that tell that the client broke the protocol: the library has seen it, and ends the stream or the connection. */
static void on_frame_sent(struct http2_session *session, const nghttp2_frame *frame)
{
    struct http2_server *server = http2_server_of(session);
    struct stats_row *stats = server->service->net->stats;
    if (frame->hd.type == NGHTTP2_DATA) {
        http2_abuse_earn_data(&server->budgets);
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        if (!session->terminated)
            stat_add(stats, STAT_HTTP2_ERRORS, 1);
    } else if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
               frame->rst_stream.error_code != NGHTTP2_INTERNAL_ERROR) {
        struct http2_abuse_limits limits = http2_server_abuse_limits(server);
        http2_server_abused(server, http2_abuse_reset(&server->budgets, &limits, loop_of(server)->now_ms));
    }
}

/* --- time-outs --- */

/* What the connection waits for of its client: to take what was sent, the rest of a head, or the next request. */
static void set_timer(struct http2_server *server)
{
    struct connection *connection = &server->connection;
    const struct http_service *service = server->service;
    uint64_t now = loop_of(server)->now_ms;
    if (server->lingers || connection->closed)
        return;
    if (connection->blocked) {
        struct pace_rules rules = {service->send_timeout, service->least_rate, service->least_rate_window};
        connection_timeout(connection, pace_next(&server->pace, &rules, now));
    } else if (server->head_deadline) {
        timer_set(&loop_of(server)->timers, &connection->timer, server->head_deadline);
    } else if (list_empty(&server->exchanges)) {
        connection_timeout(connection, service->keepalive_timeout ? service->keepalive_timeout : GOODBYE_MS);
    } else {
        connection_no_timeout(connection);
    }
}

void http2_server_idle(struct http2_server *server)
{
    if (list_empty(&server->exchanges))
        set_timer(server);
}

void http2_server_head_timer(struct http2_server *server, bool begun)
{
    server->head_deadline = begun ? loop_of(server)->now_ms + server->service->header_timeout : 0;
    set_timer(server);
}

static uint64_t taken(const struct http2_server *server)
{
    return pace_taken(server->connection.source.fd, server->connection.sent);
}

/* Why the client, which doesn't take what was sent, is given up, or NULL. */
static const char *late(struct http2_server *server)
{
    const struct http_service *service = server->service;
    struct pace_rules rules = {service->send_timeout, service->least_rate, service->least_rate_window};
    switch (pace_look(&server->pace, &rules, loop_of(server)->now_ms, taken(server))) {
    case PACE_STALLED:
        return "send_timeout";
    case PACE_SLOW:
        stat_add(service->net->stats, STAT_SLOW_ANSWERS, 1);
        return "least_rate";
    case PACE_GOOD:
        break;
    }
    return NULL;
}

static void on_timeout(struct connection *connection)
{
    struct http2_server *server = server_of(connection);
    if (server->lingers) {
        close_server(server, true);
    } else if (connection->blocked) {
        const char *why = late(server);
        if (why)
            gone(server, why);
        else
            set_timer(server);
    } else if (server->head_deadline) {
        http2_session_terminate(&server->session, NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
        leave_now(server);
    }
}

/* --- events of the connection --- */

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct http2_server *server = server_of(connection);
    stat_add(server->service->net->stats, STAT_BYTES_IN, length - connection->held_length);
    if (server->lingers) {
        if (length >= server->linger_left)
            close_server(server, true);
        else
            server->linger_left -= length;
        return length;
    }
    http2_session_feed(&server->session, data, length);
    if (connection->blocked &&
        nghttp2_session_get_outbound_queue_size(server->session.library) > UNREAD_FRAMES_MAX)
        connection_stop(connection);
    return length;
}

/* With half_close the client may still wait for what it has asked for. */
static void on_eof(struct connection *connection)
{
    struct http2_server *server = server_of(connection);
    if (server->lingers)
        close_server(server, false);
    else if (!server->service->half_close || connection->parked || list_empty(&server->exchanges))
        gone(server, "client");
    else
        leave_now(server);
}

static void on_error(struct connection *connection, int error)
{
    (void)error; /* a client may leave as it likes; the access log tells that it did */
    gone(server_of(connection), "client");
}

static void on_blocked(struct connection *connection)
{
    struct http2_server *server = server_of(connection);
    pace_begin(&server->pace, loop_of(server)->now_ms, taken(server));
    set_timer(server);
}

static void on_drained(struct connection *connection)
{
    struct http2_server *server = server_of(connection);
    if (server->lingers)
        return;
    set_timer(server);
    connection_start(connection);
    http2_session_settle_later(&server->session);
}

static const struct connection_events connection_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_error = on_error,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
};

/* --- life --- */

/* What we count ourselves, with GOAWAY and a line in the log, the library would end without a word. */
static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_max_continuations(option, LIBRARY_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(option, LIBRARY_RESETS, LIBRARY_RESETS);
    for (unsigned type = FIRST_UNKNOWN_FRAME; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type); /* told by on_begin_frame */
}

static const struct http2_side side = {
    .server = true,
    .set_callbacks = http2_server_stream_callbacks,
    .set_options = set_options,
    .on_frame_sent = on_frame_sent,
    .on_over = on_over,
};

static void open_session(struct http2_server *server)
{
    const struct http_service *service = server->service;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, service->http2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, service->http2_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, service->max_head},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 */
    };
    http2_session_open(&server->session, &server->connection, &side, settings,
                       sizeof settings / sizeof *settings, service->http2_connection_window);
}

static struct http2_server *make(struct http_service *service, int fd, struct tls *tls,
                                 const struct address *peer, const void *listener,
                                 const struct admission *admission)
{
    struct http2_server *server = malloc(sizeof *server);
    if (!server) {
        tls_free(&tls);
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    memset(server, 0, sizeof *server);
    server->service = service;
    server->peer = *peer;
    server->admission = *admission;
    server->listener = listener;
    server->tls = tls ? &tls->peer : NULL;
    server->limits = (struct http2_limits){service->max_line, service->max_head, service->max_fields};
    list_init(&server->exchanges);
    timer_init(&server->goodbye, on_goodbye);
    if (connection_adopt(&server->connection, service->net, fd, tls, &connection_events) < 0) {
        int saved = errno;
        free(server);
        errno = saved;
        return NULL;
    }
    list_push_back(&service->http2_connections, &server->connection.link);
    stat_add(service->net->stats, STAT_HTTP2_CONNECTIONS, 1);
    open_session(server);
    connection_timeout(&server->connection, service->header_timeout);
    if (service->http2_draining || admission->refusal)
        leave(server);
    return server;
}

bool http2_server_open(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission)
{
    if (!make(service, fd, tls, peer, listener, admission))
        return false;
    service->connection_count++;
    stat_add(service->net->stats, STAT_CONNECTIONS, 1);
    return true;
}

bool http2_server_take(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission, struct str read)
{
    struct http2_server *server = make(service, fd, tls, peer, listener, admission);
    if (!server)
        return false;
    connection_prepend(&server->connection, read.data, read.length);
    return true;
}

void http2_server_drain(struct http_service *service)
{
    service->http2_draining = true;
    LIST_EACH(link, &service->http2_connections)
    leave(server_of(CONTAINER_OF(link, struct connection, link)));
}

unsigned http2_server_cut(struct http_service *service, unsigned *more)
{
    unsigned idle = 0;
    while (!list_empty(&service->http2_connections)) {
        unsigned requests =
            gone(server_of(CONTAINER_OF(service->http2_connections.next, struct connection, link)), "drain");
        if (requests == 0)
            idle++;
        else
            *more += requests - 1;
    }
    return idle;
}
