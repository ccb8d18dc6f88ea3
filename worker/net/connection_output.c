/* connection_output: the sending half of a connection. Gathered output is encrypted, where TLS is spoken, in one go when it
 * is sent; what is kept because the socket is full is what the socket is to get.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "worker/net/connection_state.h"

struct connection_chunk {
    struct connection_chunk *next;
    size_t length, sent;
    char data[];
};

/* Bytes as the socket gets them. */
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

size_t connection_kept(const struct connection *connection)
{
    size_t length = 0;
    for (const struct connection_chunk *chunk = connection->chunks; chunk; chunk = chunk->next)
        length += chunk->length - chunk->sent;
    return length;
}

void connection_copy_kept(const struct connection *connection, char *out)
{
    for (const struct connection_chunk *chunk = connection->chunks; chunk; chunk = chunk->next) {
        memcpy(out, chunk->data + chunk->sent, chunk->length - chunk->sent);
        out += chunk->length - chunk->sent;
    }
}

void connection_keep(struct connection *connection, struct str kept)
{
    if (kept.length == 0)
        return;
    keep(connection, kept.data, kept.length);
    connection->blocked = true;
    loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLOUT);
}

void connection_free_chunks(struct connection *connection)
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

void connection_park(struct connection *connection)
{
    if (!connection->parked)
        loop_remove(connection->net->loop, &connection->source);
    connection->parked = true;
}

/* An answer that the peer gave before it closed may still be in the socket: it is read before the error is told. */
static void send_failed(struct connection *connection, int error)
{
    if (!connection->events->reads_on || connection->connecting) {
        connection_fail(connection, error);
        return;
    }
    connection->broken = true;
    connection->broken_by = error;
    connection->blocked = false;
    connection_free_chunks(connection);
    connection_park(connection);
    loop_defer(connection->net->loop, &connection->deferred);
}

static void block(struct connection *connection)
{
    if (connection->blocked)
        return;
    connection->blocked = true;
    loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLOUT);
    if (connection->events->on_blocked && !connection->connecting)
        connection->events->on_blocked(connection);
}

bool connection_took(struct connection *connection, ssize_t n, size_t *taken)
{
    *taken = 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        send_failed(connection, errno);
        return false;
    }
    *taken = n < 0 ? 0 : (size_t)n;
    connection->sent += *taken;
    return true;
}

void connection_keep_more(struct connection *connection, const char *data, size_t length)
{
    keep(connection, data, length);
    block(connection);
}

/* --- encrypted --- */

void connection_send_sealed(struct connection *connection)
{
    struct net *net = connection->net;
    size_t length = net->sealed_length, taken = 0;
    net->sealed_length = 0;
    if (length == 0 || connection->error || connection->broken)
        return;
    if (connection->blocked) {
        keep(connection, net->sealed, length);
        return;
    }
    ssize_t n = send(connection->source.fd, net->sealed, length, MSG_NOSIGNAL);
    if (!connection_took(connection, n, &taken) || taken == length)
        return;
    keep(connection, net->sealed + taken, length - taken);
    block(connection);
}

/* TLS's last record is sent at the end of a connection, when its user wants to hear of nothing more: not even that there was
 * no room for it. */
void connection_send_last(struct connection *connection)
{
    struct net *net = connection->net;
    if (!connection->tls || connection->connecting || connection->error || connection->broken)
        return;
    tls_end(connection->tls);
    size_t length = net->sealed_length;
    net->sealed_length = 0;
    if (length == 0)
        return;
    ssize_t n = connection->blocked ? 0 : send(connection->source.fd, net->sealed, length, MSG_NOSIGNAL);
    size_t taken = n < 0 ? 0 : (size_t)n;
    connection->sent += taken;
    if (taken == length || (n < 0 && errno != EAGAIN))
        return;
    keep(connection, net->sealed + taken, length - taken);
    connection->blocked = true;
    loop_change(connection->net->loop, &connection->source, connection->source.events | EPOLLOUT);
}

/* `data`, then `more`, of any length. */
static void seal_and_send(struct connection *connection, const char *data, size_t length, const char *more,
                          size_t more_length)
{
    bool sealed;
    do {
        size_t piece = more_length < NET_READ ? more_length : NET_READ;
        const struct str pieces[2] = {{data, length}, {more, piece}};
        sealed = tls_seal(connection->tls, pieces, 2);
        connection_send_sealed(connection);
        length = 0;
        more += piece;
        more_length -= piece;
    } while (more_length && sealed && !connection->error && !connection->broken);
    if (!sealed)
        connection_fail(connection, EPROTO);
}

/* --- gathered and sent --- */

/* While the socket takes nothing. */
static void keep_for_later(struct connection *connection, const char *data, size_t length)
{
    if (connection->tls)
        seal_and_send(connection, NULL, 0, data, length);
    else
        keep(connection, data, length);
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
    if (connection->tls) {
        seal_and_send(connection, net->out, gathered, more, length);
        return;
    }
    ssize_t n;
    size_t taken;
    if (length && gathered) {
        struct iovec pieces[2] = {{net->out, gathered}, {(char *)more, length}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
        n = sendmsg(connection->source.fd, &message, MSG_NOSIGNAL);
    } else {
        n = send(connection->source.fd, gathered ? net->out : more, gathered + length, MSG_NOSIGNAL);
    }
    if (!connection_took(connection, n, &taken) || taken == gathered + length)
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
        keep_for_later(connection, data, length);
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
        keep_for_later(connection, built->data, built->length);
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

void connection_end(struct connection *connection)
{
    struct net *net = connection->net;
    size_t gathered = net->out_owner == connection ? net->out_length : 0;
    if (!connection->tls || connection->error || connection->broken)
        return;
    if (gathered) {
        net->out_owner = NULL;
        net->out_length = 0;
    }
    bool sealed = tls_seal(connection->tls, &(const struct str){net->out, gathered}, 1);
    tls_end(connection->tls);
    connection_send_sealed(connection);
    if (!sealed)
        connection_fail(connection, EPROTO);
}

void connection_send_kept(struct connection *connection)
{
    while (connection->chunks) {
        struct connection_chunk *chunk = connection->chunks;
        size_t taken;
        ssize_t n =
            send(connection->source.fd, chunk->data + chunk->sent, chunk->length - chunk->sent, MSG_NOSIGNAL);
        if (!connection_took(connection, n, &taken))
            return;
        chunk->sent += taken;
        if (chunk->sent < chunk->length)
            return;
        connection->chunks = chunk->next;
        free(chunk);
    }
    connection->chunks_end = &connection->chunks;
    connection->blocked = false;
    if (connection->tls)
        connection->tls->replies = 0;
    loop_change(connection->net->loop, &connection->source, connection->source.events & ~(uint32_t)EPOLLOUT);
    if (connection->finishing)
        (void)shutdown(connection->source.fd, SHUT_WR);
    if (connection->events->on_drained && !connection->connecting)
        connection->events->on_drained(connection);
}
