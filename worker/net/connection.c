/* connection: a stream socket with its events, its back-pressure and its time-out. */
#include "worker/net/connection.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct connection_chunk {
    struct connection_chunk *next;
    size_t length, sent;
    char data[];
};

static const uint32_t watched = EPOLLIN | EPOLLRDHUP;

static void on_event(struct source *source, uint32_t events);

/* --- output --- */

static void keep(struct connection *connection, const char *data, size_t length)
{
    if (length == 0)
        return;
    struct connection_chunk *chunk = malloc(sizeof *chunk + length);
    if (!chunk)
        abort();
    *chunk = (struct connection_chunk){.length = length};
    memcpy(chunk->data, data, length);
    *connection->chunks_end = chunk;
    connection->chunks_end = &chunk->next;
}

static void free_chunks(struct connection *connection)
{
    while (connection->chunks) {
        struct connection_chunk *chunk = connection->chunks;
        connection->chunks = chunk->next;
        free(chunk);
    }
    connection->chunks_end = &connection->chunks;
}

void connection_fail(struct connection *connection, int error)
{
    if (!connection->error)
        connection->error = error;
    loop_defer(connection->net->loop, &connection->deferred);
}

/* A socket whose peer hung up would be reported in every turn: it stays out of the loop until it is read again. */
static void park(struct connection *connection)
{
    if (!connection->parked)
        loop_remove(connection->net->loop, &connection->source);
    connection->parked = true;
}

/* An answer that the peer gave before it closed may still be in the socket: it is read before the error is told. */
static void send_failed(struct connection *connection, int error)
{
    if (!connection->events->reads_on) {
        connection_fail(connection, error);
        return;
    }
    connection->broken = true;
    connection->broken_by = error;
    connection->blocked = false;
    free_chunks(connection);
    park(connection);
    loop_defer(connection->net->loop, &connection->deferred);
}

static void block(struct connection *connection)
{
    if (connection->blocked)
        return;
    connection->blocked = true;
    loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLOUT);
    if (connection->events->on_blocked)
        connection->events->on_blocked(connection);
}

/* What is gathered, then `more`: in one system call. What isn't taken is kept. */
static void send_now(struct connection *connection, const char *more, size_t length)
{
    struct net *net = connection->net;
    size_t gathered = net->out_owner == connection ? net->out_length : 0;
    if (gathered) {
        net->out_owner = NULL;
        net->out_length = 0;
    }
    if (gathered + length == 0 || connection->error || connection->broken)
        return;
    ssize_t n;
    if (length && gathered) {
        struct iovec pieces[2] = {{net->out, gathered}, {(char *)more, length}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
        n = sendmsg(connection->source.fd, &message, MSG_NOSIGNAL);
    } else {
        n = send(connection->source.fd, gathered ? net->out : more, gathered + length, MSG_NOSIGNAL);
    }
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            send_failed(connection, errno);
            return;
        }
        n = 0;
    }
    size_t taken = (size_t)n;
    connection->sent += taken;
    if (taken == gathered + length)
        return;
    if (taken < gathered) {
        keep(connection, net->out + taken, gathered - taken);
        taken = gathered;
    }
    keep(connection, more + (taken - gathered), length - (taken - gathered));
    block(connection);
}

void connection_send(struct connection *connection, const char *data, size_t length)
{
    struct net *net = connection->net;
    if (connection->error || connection->broken || connection->closed)
        return;
    if (connection->blocked || connection->connecting) {
        keep(connection, data, length);
        return;
    }
    if (net->out_owner && net->out_owner != connection)
        net_flush(net);
    if (length <= NET_COALESCE && length <= NET_OUT - net->out_length) {
        memcpy(net->out + net->out_length, data, length);
        net->out_length += length;
        net->out_owner = connection;
        return;
    }
    send_now(connection, data, length);
}

struct buf connection_reserve(struct connection *connection, size_t size)
{
    struct net *net = connection->net;
    assert(size <= NET_READ);
    if (net->out_owner && (net->out_owner != connection || NET_OUT - net->out_length < size))
        net_flush(net);
    /* Blocked or connecting: it is built here all the same, and commit keeps a copy. */
    return buf_on(net->out + net->out_length, NET_OUT - net->out_length);
}

void connection_commit(struct connection *connection, const struct buf *built)
{
    struct net *net = connection->net;
    if (built->length == 0 || connection->error || connection->broken || connection->closed)
        return;
    if (connection->blocked || connection->connecting) {
        keep(connection, built->data, built->length);
        return;
    }
    net->out_owner = connection;
    net->out_length += built->length;
}

bool connection_flush(struct connection *connection)
{
    if (connection->net->out_owner == connection)
        send_now(connection, NULL, 0);
    return !connection->blocked && !connection->error && !connection->broken && !connection->connecting;
}

/* The socket takes more again. */
static void send_kept(struct connection *connection)
{
    while (connection->chunks) {
        struct connection_chunk *chunk = connection->chunks;
        ssize_t n =
            send(connection->source.fd, chunk->data + chunk->sent, chunk->length - chunk->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                send_failed(connection, errno);
            return;
        }
        connection->sent += (size_t)n;
        chunk->sent += (size_t)n;
        if (chunk->sent < chunk->length)
            return;
        connection->chunks = chunk->next;
        free(chunk);
    }
    connection->chunks_end = &connection->chunks;
    connection->blocked = false;
    loop_change(connection->net->loop, &connection->source, connection->source.events & ~(uint32_t)EPOLLOUT);
    if (connection->events->on_drained)
        connection->events->on_drained(connection);
}

/* --- input --- */

static void hold(struct connection *connection, const char *data, size_t length)
{
    if (length == 0) {
        free(connection->held);
        connection->held = NULL;
        connection->held_length = 0;
        return;
    }
    char *held = malloc(length);
    if (!held)
        abort();
    memcpy(held, data, length);
    free(connection->held);
    connection->held = held;
    connection->held_length = (uint32_t)length;
}

/* Bytes in the scratch buffer go to the user; what isn't taken is held. */
static void hand_over(struct connection *connection, char *data, size_t length)
{
    size_t taken = connection->events->on_data(connection, data, length);
    if (connection->closed)
        return;
    assert(taken <= length);
    if (taken < length || connection->held)
        hold(connection, data + taken, length - taken);
}

static void end_of_file(struct connection *connection)
{
    connection->eof = true;
    if (!connection->parked)
        loop_change(connection->net->loop, &connection->source, connection->source.events & ~watched);
    connection->events->on_eof(connection);
}

static void read_more(struct connection *connection)
{
    struct net *net = connection->net;
    size_t held = connection->held_length;
    if (held > NET_IN - NET_READ) { /* no user waits for so much; it must have stopped */
        connection_fail(connection, EMSGSIZE);
        return;
    }
    if (held)
        memcpy(net->in, connection->held, held);
    ssize_t n = recv(connection->source.fd, net->in + held, NET_READ, 0);
    if (n < 0) {
        if (connection->broken)
            connection->events->on_error(connection, connection->broken_by);
        else if (errno != EAGAIN && errno != EINTR)
            connection->events->on_error(connection, errno);
        return;
    }
    if (n == 0) {
        end_of_file(connection);
        return;
    }
    hand_over(connection, net->in, held + (size_t)n);
}

void connection_stop(struct connection *connection)
{
    connection->stopped = true; /* the event set is changed only if the peer sends meanwhile */
}

static void unpark(struct connection *connection)
{
    connection->parked = false;
    connection->source.on_event = on_event;
    if (loop_add(connection->net->loop, &connection->source,
                 watched | (connection->blocked ? EPOLLOUT : 0u)) < 0)
        connection_fail(connection, errno);
}

void connection_start(struct connection *connection)
{
    if (!connection->stopped)
        return;
    connection->stopped = false;
    if (connection->held || connection->broken) {
        connection->handing = true;
        loop_defer(connection->net->loop, &connection->deferred);
    }
    if (connection->parked && !connection->broken)
        unpark(connection);
    else if (!connection->parked && !(connection->source.events & EPOLLIN) && !connection->connecting)
        loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLIN);
}

void connection_prepend(struct connection *connection, const char *data, size_t length)
{
    assert(!connection->held && !connection->stopped);
    hold(connection, data, length);
    if (length == 0)
        return;
    connection->handing = true;
    loop_defer(connection->net->loop, &connection->deferred);
}

void connection_suspend(struct connection *connection)
{
    assert(!connection->stopped && !connection->blocked && !connection->connecting && !connection->broken &&
           !connection->error && connection->net->out_owner != connection);
    connection->stopped = true;
    connection->handing = false;
    loop_undefer(&connection->deferred);
    timer_clear(&connection->net->loop->timers, &connection->timer);
    park(connection);
}

/* What is held comes before what is in the socket. */
static void run_deferred(struct deferred *deferred)
{
    struct connection *connection = CONTAINER_OF(deferred, struct connection, deferred);
    struct net *net = connection->net;
    connection->handing = false;
    if (connection->error) {
        connection->events->on_error(connection, connection->error);
    } else if (connection->held && !connection->stopped) {
        size_t length = connection->held_length;
        memcpy(net->in, connection->held, length);
        hand_over(connection, net->in, length);
    }
    if (connection->closed || connection->stopped || !connection->broken)
        return;
    loop_defer(net->loop, &connection->deferred); /* until its end, or its error */
    read_more(connection);
}

/* --- events --- */

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
    connection->connecting = false;
    connection->blocked = connection->chunks != NULL;
    loop_change(connection->net->loop, &connection->source, watched | (connection->blocked ? EPOLLOUT : 0u));
    connection->events->on_connected(connection);
    if (!connection->closed && connection->blocked)
        send_kept(connection);
}

static void on_event(struct source *source, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(source, struct connection, source);
    struct net *net = connection->net;
    if (connection->connecting) {
        connected(connection);
        net_flush(net);
        return;
    }
    if (events & EPOLLOUT && connection->blocked)
        send_kept(connection);
    if (connection->closed || connection->error || connection->broken || connection->handing)
        goto flush; /* or its deferred work goes on with it */
    if (events & EPOLLIN && !connection->stopped) {
        read_more(connection);
    } else if (connection->stopped && events & (EPOLLHUP | EPOLLERR)) {
        park(connection);
        connection->events->on_eof(connection);
    } else if (connection->stopped && events & EPOLLRDHUP) {
        loop_change(net->loop, source, source->events & ~watched);
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

static void init(struct connection *connection, struct net *net, int fd,
                 const struct connection_events *events)
{
    list_init(&connection->link);
    connection->source = (struct source){.fd = fd, .on_event = on_event};
    connection->net = net;
    connection->events = events;
    timer_init(&connection->timer, on_timer);
    list_init(&connection->deferred.link);
    connection->deferred.run = run_deferred;
    connection->chunks = NULL;
    connection->chunks_end = &connection->chunks;
    connection->held = NULL;
    connection->held_length = 0;
    connection->error = 0;
    connection->sent = 0;
    connection->connecting = connection->stopped = connection->blocked = connection->eof = false;
    connection->closed = connection->handing = connection->parked = connection->broken = false;
}

int connection_adopt(struct connection *connection, struct net *net, int fd,
                     const struct connection_events *events)
{
    init(connection, net, fd, events);
    if (loop_add(net->loop, &connection->source, watched) == 0)
        return 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int connection_open(struct connection *connection, struct net *net, const struct address *address,
                    const struct connection_events *events)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    if (address->any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &address->any, address->length) < 0 && errno != EINPROGRESS)
        goto failed;
    init(connection, net, fd, events);
    /* Also when it is connected already (UNIX sockets): one way for both, told by the loop. */
    connection->connecting = true;
    if (loop_add(net->loop, &connection->source, EPOLLOUT) == 0)
        return 0;
failed:;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

void connection_shutdown(struct connection *connection)
{
    connection_flush(connection);
    (void)shutdown(connection->source.fd, SHUT_WR); /* fails only when the peer is gone already */
}

void connection_close(struct connection *connection, bool reset)
{
    struct net *net = connection->net;
    if (connection->closed)
        return;
    connection->closed = true;
    if (net->out_owner == connection) {
        net->out_owner = NULL;
        net->out_length = 0;
    }
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->source.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    if (!connection->parked)
        loop_remove(net->loop, &connection->source);
    close(connection->source.fd);
    timer_clear(&net->loop->timers, &connection->timer);
    loop_undefer(&connection->deferred);
    list_remove(&connection->link);
    hold(connection, NULL, 0);
    free_chunks(connection);
    loop_free_later(net->loop, connection);
}
