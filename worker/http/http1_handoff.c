/* http1_handoff: idle HTTP/1 connections that move to another process. */
#include "worker/http/http1_handoff.h"

#include <assert.h>

#include "worker/http/http1_server_state.h"

static uint64_t now_ms(const struct http1_server *server)
{
    return server->service->net->loop->now_ms;
}

static void move(struct http1_server *server, struct list *to)
{
    list_remove(&server->connection.link);
    list_push_back(to, &server->connection.link);
}

void http1_server_leave(struct http1_server *server)
{
    struct http_service *service = server->service;
    if (!service->leave || server->stays || server->admission.refusal)
        return;
    move(server, &service->leaving);
    loop_defer(service->net->loop, service->leave);
}

void http1_server_rejoin(struct http1_server *server)
{
    if (server->service->leave)
        move(server, &server->service->connections);
}

/* A TLS session can't be moved: its connection ends with the next answer, or soon. */
static void keep_tls(struct http1_server *server)
{
    if (server->stays)
        return;
    server->stays = true;
    stat_add(server->service->net->stats, STAT_STAYED, 1);
    if (server->phase == PHASE_HEAD && !server->head_begun)
        connection_timeout(&server->connection, HTTP1_DRAIN_IDLE_MS);
}

void http1_handoff_begin(struct http_service *service, struct deferred *leave)
{
    bool drained = service->draining;
    http1_handoff_end(service); /* who was refused by others than these is asked for anew */
    service->draining = false;
    service->leave = leave;
    for (struct list *link = service->connections.next, *next; link != &service->connections; link = next) {
        next = link->next;
        struct http1_server *server = server_of(CONTAINER_OF(link, struct connection, link));
        if (server->connection.tls) {
            keep_tls(server);
            continue;
        }
        server->stays = false;
        server->refused_by = 0;
        if (server->phase != PHASE_HEAD)
            continue;
        if (drained && !server->head_begun && service->keepalive_timeout)
            connection_timeout(&server->connection, service->keepalive_timeout);
        http1_server_leave(server);
    }
}

void http1_handoff_end(struct http_service *service)
{
    service->leave = NULL;
    while (!list_empty(&service->leaving))
        move(server_of(CONTAINER_OF(service->leaving.next, struct connection, link)), &service->connections);
}

bool http1_handoff_ready(const struct connection *connection, size_t most, unsigned successor)
{
    const struct http1_server *server = CONTAINER_OF(connection, struct http1_server, connection);
    assert(server->phase == PHASE_HEAD);
    return !connection->error && !connection->broken && !connection->blocked && !connection->parked &&
           connection->held_length <= most && !(server->refused_by >> successor & 1);
}

void http1_handoff_suspend(struct connection *connection, struct http1_parcel *parcel)
{
    struct http1_server *server = server_of(connection);
    uint64_t deadline = connection->timer.deadline, now = now_ms(server);
    list_remove(&connection->link);
    connection_suspend(connection);
    server->left = deadline;
    *parcel = (struct http1_parcel){.fd = connection->source.fd,
                                    .peer = server->peer,
                                    .admission = server->admission,
                                    .held = {connection->held, connection->held_length},
                                    .left_ms = deadline > now ? deadline - now : 1,
                                    .requests = server->requests,
                                    .head_begun = server->head_begun};
}

/* Back to its own life, as one that waits for a request. */
static void resume(struct http1_server *server)
{
    struct connection *connection = &server->connection;
    uint64_t now = now_ms(server), left = server->left > now ? server->left - now : 1;
    list_push_back(&server->service->connections, &connection->link);
    if ((server->stays || server->service->draining) && !server->head_begun && left > HTTP1_DRAIN_IDLE_MS)
        left = HTTP1_DRAIN_IDLE_MS;
    connection_timeout(connection, left);
    http1_server_leave(server);
    connection_start(connection);
}

void http1_handoff_resume(struct connection *connection)
{
    resume(server_of(connection));
}

void http1_handoff_stay(struct connection *connection)
{
    struct http1_server *server = server_of(connection);
    server->stays = true;
    stat_add(server->service->net->stats, STAT_STAYED, 1);
    if (connection->parked) {
        resume(server);
        return;
    }
    http1_server_rejoin(server);
    if (!server->head_begun)
        connection_timeout(connection, HTTP1_DRAIN_IDLE_MS);
}

void http1_handoff_refused(struct connection *connection, unsigned successor)
{
    struct http1_server *server = server_of(connection);
    server->refused_by |= (uint16_t)(1u << successor);
    resume(server);
}

bool http1_handoff_is_refused(const struct connection *connection, unsigned usable)
{
    const struct http1_server *server = CONTAINER_OF(connection, struct http1_server, connection);
    return !(usable & ~(unsigned)server->refused_by);
}

void http1_handoff_done(struct connection *connection)
{
    http1_server_close(server_of(connection), false);
}

/* A time-out goes on from where it was, unless this configuration is less patient. */
static uint64_t patience(const struct http_service *service, const struct http1_parcel *parcel)
{
    bool between = parcel->requests > 0 && !parcel->head_begun && service->keepalive_timeout;
    uint64_t most = between ? service->keepalive_timeout : service->header_timeout;
    return parcel->left_ms < most ? parcel->left_ms : most;
}

struct connection *http1_handoff_take(struct http_service *service, const struct http1_parcel *parcel,
                                      const void *listener, const struct admission *admission)
{
    struct http1_server *server =
        http1_server_make(service, parcel->fd, NULL, &parcel->peer, listener, admission);
    if (!server)
        return NULL;
    server->requests = parcel->requests;
    server->head_begun = parcel->head_begun;
    connection_timeout(&server->connection, patience(service, parcel));
    connection_prepend(&server->connection, parcel->held.data, parcel->held.length);
    return &server->connection;
}
