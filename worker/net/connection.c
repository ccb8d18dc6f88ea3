/* connection: a stream socket with its events, its back-pressure and its time-out: its life. Reading is in
 * connection_input.c, sending in connection_output.c.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/net/connection_state.h"
#include "worker/net/tls_client.h"

/* --- events --- */

/* Goes on with the handshake: with what came to net->wire. */
static void secure(struct connection *connection, size_t length)
{
    enum tls_result result = tls_handshake(connection->tls, connection->net->wire, length);
    connection_send_sealed(connection);
    if (result == TLS_FAILED) {
        connection->events->on_error(connection, EPROTO);
    } else if (result == TLS_DONE && !connection->error) {
        connection->connecting = connection->securing = false;
        connection_look_ahead(connection);
        connection->events->on_connected(connection);
    }
}

static void begin_to_secure(struct connection *connection)
{
    connection->securing = true;
    loop_change(connection->net->loop, &connection->source, connection_watched);
    tls_gather_front(connection->tls);
    secure(connection, 0);
}

static void secure_more(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT && connection->blocked)
        connection_send_kept(connection);
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || connection->error)
        return;
    ssize_t n = recv(connection->source.fd, connection->net->wire, NET_READ, 0);
    if (n > 0)
        secure(connection, (size_t)n);
    else if (n == 0)
        connection->events->on_error(connection, EPROTO);
    else if (errno != EAGAIN && errno != EINTR)
        connection->events->on_error(connection, errno);
}

static void connected(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(connection->source.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        connection->events->on_error(connection, error);
        return;
    }
    if (connection->tls) {
        begin_to_secure(connection);
        return;
    }
    connection->connecting = false;
    connection->blocked = connection->chunks != NULL;
    loop_change(connection->net->loop, &connection->source,
                connection_watched | (connection->blocked ? EPOLLOUT : 0u));
    connection->events->on_connected(connection);
    if (!connection->closed && connection->blocked)
        connection_send_kept(connection);
}

void connection_on_event(struct source *source, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(source, struct connection, source);
    struct net *net = connection->net;
    if (connection->connecting) {
        if (connection->securing)
            secure_more(connection, events);
        else
            connected(connection);
        net_flush(net);
        return;
    }
    if (events & EPOLLOUT && connection->blocked)
        connection_send_kept(connection);
    if (connection->closed || connection->error || connection->broken || connection->handing)
        goto flush; /* or its deferred work goes on with it */
    if (events & EPOLLIN && !connection->stopped) {
        connection_read_more(connection);
    } else if (connection->stopped && events & (EPOLLHUP | EPOLLERR)) {
        connection_park(connection);
        connection->events->on_eof(connection);
    } else if (connection->stopped && events & EPOLLRDHUP) {
        loop_change(net->loop, source, source->events & ~connection_watched);
        connection->events->on_eof(connection);
    } else if (events & EPOLLIN) {
        loop_change(net->loop, source, source->events & ~(uint32_t)EPOLLIN);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        connection->events->on_error(connection, error ? error : ECONNRESET);
    }
flush:
    net_flush(net);
}

static void on_timer(struct timer *timer)
{
    struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
    connection->events->on_timeout(connection);
}

/* --- life --- */

static void init(struct connection *connection, struct net *net, int fd, struct tls *tls,
                 const struct connection_events *events)
{
    list_init(&connection->link);
    connection->source = (struct source){.fd = fd, .on_event = connection_on_event};
    connection->net = net;
    connection->tls = tls;
    connection->events = events;
    timer_init(&connection->timer, on_timer);
    list_init(&connection->deferred.link);
    connection->deferred.run = connection_run_deferred;
    connection->chunks = NULL;
    connection->chunks_end = &connection->chunks;
    connection->held = NULL;
    connection->held_length = 0;
    connection->error = 0;
    connection->sent = 0;
    connection->securing = connection->finishing = false;
    connection->connecting = connection->stopped = connection->blocked = connection->eof = false;
    connection->closed = connection->handing = connection->parked = connection->broken = false;
    connection->ended = connection->cut = connection->raw = connection->brief = false;
}

int connection_adopt(struct connection *connection, struct net *net, int fd, struct tls *tls,
                     const struct connection_events *events)
{
    init(connection, net, fd, tls, events);
    if (tls)
        tls->overhead = 0; /* the handshake's bytes were sent before, and aren't in `sent` */
    if (loop_add(net->loop, &connection->source, connection_watched) == 0) {
        connection_look_ahead(connection);
        return 0;
    }
    int saved = errno;
    tls_free(&connection->tls);
    close(fd);
    errno = saved;
    return -1;
}

int connection_open(struct connection *connection, struct net *net, const struct address *address,
                    const struct tls_target *tls, const struct connection_events *events)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    if (address->any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &address->any, address->length) < 0 && errno != EINPROGRESS)
        goto failed;
    init(connection, net, fd, tls ? tls_client_session(tls, net) : NULL, events);
    /* Also when it is connected already (UNIX sockets): one way for both, told by the loop. */
    connection->connecting = true;
    if (loop_add(net->loop, &connection->source, EPOLLOUT) == 0)
        return 0;
    tls_free(&connection->tls);
failed:;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

uint64_t connection_sent(const struct connection *connection)
{
    uint64_t overhead = connection->tls ? connection->tls->overhead : 0;
    return connection->sent > overhead ? connection->sent - overhead : 0;
}

const char *connection_error(const struct connection *connection, int error)
{
    return connection->tls && error == EPROTO ? tls_why(connection->tls) : strerror(error);
}

void connection_shutdown(struct connection *connection)
{
    connection_flush(connection);
    connection_send_last(connection);
    if (connection->blocked)
        connection->finishing = true; /* FIN comes behind what is kept */
    else
        (void)shutdown(connection->source.fd, SHUT_WR); /* fails only when the peer is gone already */
}

/* All but the descriptor. The memory goes after the batch. */
static void let_go(struct connection *connection)
{
    struct net *net = connection->net;
    connection->closed = true;
    if (net->out_owner == connection) {
        net->out_owner = NULL;
        net->out_length = 0;
    }
    if (!connection->parked)
        loop_remove(net->loop, &connection->source);
    timer_clear(&net->loop->timers, &connection->timer);
    loop_undefer(&connection->deferred);
    list_remove(&connection->link);
    connection_drop_held(connection);
    connection_free_chunks(connection);
    tls_free(&connection->tls);
    loop_free_later(net->loop, connection);
}

int connection_release(struct connection *connection, struct tls **tls)
{
    assert(!connection->closed && !connection->chunks);
    *tls = connection->tls;
    connection->tls = NULL;
    let_go(connection);
    return connection->source.fd;
}

void connection_close(struct connection *connection, bool reset)
{
    if (connection->closed)
        return;
    if (!reset && !connection->blocked)
        connection_send_last(connection);
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->source.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    int fd = connection->source.fd;
    let_go(connection);
    close(fd);
}
