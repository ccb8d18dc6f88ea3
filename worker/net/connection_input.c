/* connection_input: the receiving half of a connection. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "worker/net/connection_state.h"

/* What a peer may make us answer by itself (TLS's KeyUpdate) while it takes nothing of that. */
enum { REPLIES_MAX = 4096 };

void connection_drop_held(struct connection *connection)
{
    free(connection->held);
    connection->held = NULL;
    connection->held_length = 0;
}

static void hold(struct connection *connection, const char *data, size_t length)
{
    if (length == 0) {
        connection_drop_held(connection);
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

/* In this turn of the loop, but not on the caller's stack. */
static void hand_over_soon(struct connection *connection)
{
    connection->handing = true;
    loop_defer(connection->net->loop, &connection->deferred);
}

void connection_look_ahead(struct connection *connection)
{
    if (connection->tls && connection->tls->ahead)
        hand_over_soon(connection);
}

static void end_of_file(struct connection *connection)
{
    connection->eof = true;
    if (!connection->parked)
        loop_change(connection->net->loop, &connection->source,
                    connection->source.events & ~connection_watched);
    connection->events->on_eof(connection);
}

/* The end that TLS has told of comes behind the bytes that came with it, when those are taken. */
static void end_if_ended(struct connection *connection)
{
    if (connection->ended && !connection->eof && !connection->closed && !connection->stopped &&
        !connection->error)
        end_of_file(connection);
}

/* Decrypts `length` bytes of net->wire, or only what the handshake left; as recv() returns. */
static ssize_t open_wire(struct connection *connection, char *into, size_t length)
{
    struct tls *tls = connection->tls;
    size_t opened;
    enum tls_result result = tls_open(tls, length, into, &opened);
    connection_send_sealed(connection);
    connection->ended |= result == TLS_DONE;
    if (result != TLS_FAILED && connection->blocked && tls->replies > REPLIES_MAX) {
        tls->why = "it asks for more than it takes";
        result = TLS_FAILED;
    }
    if (result == TLS_FAILED)
        connection_fail(connection, EPROTO);
    if (opened || connection->ended)
        return (ssize_t)opened;
    errno = EAGAIN;
    return -1;
}

/* As recv() does, decrypted. EAGAIN also when what came isn't whole, or is none of the user's. */
static ssize_t receive_opened(struct connection *connection, char *into)
{
    if (connection->ended)
        return 0;
    if (connection->tls->ahead)
        return open_wire(connection, into, 0);
    for (;;) {
        ssize_t n = recv(connection->source.fd, connection->net->wire, NET_READ, 0);
        if (n < 0)
            return n;
        if (n == 0) {
            connection->cut = true;
            return 0;
        }
        ssize_t opened = open_wire(connection, into, (size_t)n);
        if (opened >= 0 || connection->error || !connection->broken)
            return opened;
    }
}

void connection_read_ended(struct connection *connection, ssize_t n)
{
    if (n == 0)
        end_of_file(connection);
    else if (connection->broken)
        connection->events->on_error(connection, connection->broken_by);
    else if (errno != EAGAIN && errno != EINTR)
        connection->events->on_error(connection, errno);
}

void connection_read_more(struct connection *connection)
{
    struct net *net = connection->net;
    size_t held = connection->held_length, most = connection->brief ? NET_BRIEF : NET_READ;
    if (connection->raw && !held) {
        connection->events->on_readable(connection);
        return;
    }
    if (held > NET_READ) { /* no user waits for so much; it must have stopped */
        connection_fail(connection, EMSGSIZE);
        return;
    }
    if (held)
        memcpy(net->in, connection->held, held);
    ssize_t n = connection->tls ? receive_opened(connection, net->in + held)
                                : recv(connection->source.fd, net->in + held, most, 0);
    if (n <= 0) {
        connection_read_ended(connection, n);
        return;
    }
    hand_over(connection, net->in, held + (size_t)n);
    end_if_ended(connection);
    if (connection->raw && (size_t)n == most && !connection->held && !connection->closed &&
        !connection->stopped)
        connection->events->on_readable(connection); /* there is more, most likely */
}

bool connection_has_unread(const struct connection *connection)
{
    char byte;
    return connection->held_length > 0 || !(connection->source.events & EPOLLIN) ||
           recv(connection->source.fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void connection_stop(struct connection *connection)
{
    connection->stopped = true; /* the event set is changed only if the peer sends meanwhile */
}

static void unpark(struct connection *connection)
{
    connection->parked = false;
    connection->source.on_event = connection_on_event;
    if (loop_add(connection->net->loop, &connection->source,
                 connection_watched | (connection->blocked ? EPOLLOUT : 0u)) < 0)
        connection_fail(connection, errno);
}

void connection_start(struct connection *connection)
{
    if (!connection->stopped)
        return;
    connection->stopped = false;
    if (connection->held || connection->broken || (connection->ended && !connection->eof))
        hand_over_soon(connection);
    connection_look_ahead(connection);
    if (connection->parked && !connection->broken)
        unpark(connection);
    else if (!connection->parked && !(connection->source.events & EPOLLIN) && !connection->connecting)
        loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLIN);
}

void connection_prepend(struct connection *connection, const char *data, size_t length)
{
    assert(!connection->held);
    hold(connection, data, length);
    if (length && !connection->stopped)
        hand_over_soon(connection);
}

void connection_suspend(struct connection *connection)
{
    assert(!connection->stopped && !connection->blocked && !connection->connecting && !connection->broken &&
           !connection->error && connection->net->out_owner != connection);
    connection->stopped = true;
    connection->handing = false;
    loop_undefer(&connection->deferred);
    timer_clear(&connection->net->loop->timers, &connection->timer);
    connection_park(connection);
}

void connection_freeze(struct connection *connection)
{
    assert(!connection->tls && !connection->connecting && !connection->parked && !connection->broken &&
           !connection->error && connection->net->out_owner != connection);
    connection->handing = false;
    loop_undefer(&connection->deferred);
    timer_clear(&connection->net->loop->timers, &connection->timer);
    connection_park(connection);
}

void connection_thaw(struct connection *connection)
{
    uint32_t events = (connection->eof ? 0 : connection_watched) | (connection->blocked ? EPOLLOUT : 0u);
    connection->parked = false;
    connection->source.on_event = connection_on_event;
    if (loop_add(connection->net->loop, &connection->source, events) < 0)
        connection_fail(connection, errno);
    else if (connection->held && !connection->stopped)
        hand_over_soon(connection);
}

void connection_set_eof(struct connection *connection)
{
    connection->eof = true;
    loop_change(connection->net->loop, &connection->source, connection->source.events & ~connection_watched);
}

/* What is held comes before what is in the socket. */
void connection_run_deferred(struct deferred *deferred)
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
    if (connection->closed || connection->stopped)
        return;
    if (connection->tls && connection->tls->ahead && !connection->error)
        connection_read_more(connection);
    if (connection->closed || connection->stopped)
        return;
    end_if_ended(connection);
    if (connection->closed || !connection->broken)
        return;
    loop_defer(net->loop, &connection->deferred); /* until its end, or its error */
    connection_read_more(connection);
}
