/* http1_pace: how fast a client sends a request's body and takes an answer, against send_timeout and least_rate. What is
 * kept for it lies in the exchange's arena, from when it is needed on: most exchanges never wait for their client.
 */
#include "worker/http/http1_server_state.h"

static struct pace_rules rules_of(const struct http1_server *server)
{
    const struct http_service *service = server->service;
    return (struct pace_rules){service->send_timeout, service->least_rate, service->least_rate_window};
}

static uint64_t taken(const struct http1_server *server)
{
    return pace_taken(server->connection.source.fd, server->connection.sent);
}

void http1_pace_answer(struct http1_server *server)
{
    struct connection *connection = &server->connection;
    uint64_t now = connection->net->loop->now_ms;
    struct pace_rules rules = rules_of(server);
    if (!server->pace_out)
        server->pace_out = arena_alloc(server->exchange.arena, sizeof *server->pace_out);
    pace_begin(server->pace_out, now, taken(server));
    connection_timeout(connection, pace_next(server->pace_out, &rules, now));
}

const char *http1_pace_late(struct http1_server *server)
{
    struct connection *connection = &server->connection;
    uint64_t now = connection->net->loop->now_ms;
    struct pace_rules rules = rules_of(server);
    if (!server->pace_out) { /* it was full already when the exchange began */
        http1_pace_answer(server);
        return NULL;
    }
    switch (pace_look(server->pace_out, &rules, now, taken(server))) {
    case PACE_STALLED:
        return "send_timeout";
    case PACE_SLOW:
        stat_add(connection->net->stats, STAT_SLOW_ANSWERS, 1);
        return "least_rate";
    case PACE_GOOD:
        break;
    }
    connection_timeout(connection, pace_next(server->pace_out, &rules, now));
    return NULL;
}

bool http1_pace_body_slow(struct http1_server *server)
{
    uint64_t now = server->connection.net->loop->now_ms;
    struct pace_rules rules = rules_of(server);
    if (!rules.rate)
        return false;
    if (!server->pace_in)
        server->pace_in = arena_zalloc(server->exchange.arena, sizeof *server->pace_in);
    if (!server->pace_in->window_began) {
        pace_begin(server->pace_in, now, server->exchange.bytes_in);
        return false;
    }
    if (pace_look(server->pace_in, &rules, now, server->exchange.bytes_in) != PACE_SLOW)
        return false;
    stat_add(server->connection.net->stats, STAT_SLOW_BODIES, 1);
    return true;
}

void http1_pace_body_again(struct http1_server *server)
{
    if (server->pace_in)
        server->pace_in->window_began = 0;
}
