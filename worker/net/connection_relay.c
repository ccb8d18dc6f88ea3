/* connection_relay: bytes that nobody needs to see go from one socket to another by splice(2): their pages move, and are
 * not copied. They pass through the process's pipe, which is empty again before any other event.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "worker/net/connection_state.h"

void connection_read_raw(struct connection *connection, bool on)
{
    assert(!on || connection->events->on_readable);
    connection->raw = on && !connection->tls && connection->net->splices;
}

/* The pipe is made for the first who needs it. */
static bool have_pipe(struct net *net)
{
    if (net->pipe[0] >= 0)
        return true;
    if (pipe2(net->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        net->pipe[0] = net->pipe[1] = -1;
        return false;
    }
    /* It has a place for each piece of a packet, not for so many bytes. Where the user may not have so much, it's smaller. */
    (void)fcntl(net->pipe[1], F_SETPIPE_SZ, NET_PIPE);
    return true;
}

/* What the socket doesn't take is kept, as with all output: the pipe is for the next one. */
static void keep_rest(struct connection *to, size_t length)
{
    struct net *net = to->net;
    ssize_t n = read(net->pipe[0], net->in, length);
    assert(n == (ssize_t)length); /* it is in there, and fits: NET_PIECE */
    connection_keep_more(to, net->in, length);
}

static void drop_rest(struct net *net, size_t length)
{
    ssize_t n = read(net->pipe[0], net->in, length);
    assert(n == (ssize_t)length);
}

/* All that is in the pipe. */
static void empty_into(struct connection *to, size_t length)
{
    struct net *net = to->net;
    while (length) {
        ssize_t n =
            splice(net->pipe[0], NULL, to->source.fd, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        size_t taken;
        if (!connection_took(to, n, &taken)) {
            drop_rest(net, length);
            return;
        }
        length -= taken;
        if (n <= 0) {
            keep_rest(to, length);
            return;
        }
    }
}

size_t connection_relay(struct connection *from, struct connection *to, uint64_t length)
{
    struct net *net = from->net;
    assert(from->raw && !from->tls && !to->tls && !from->held);
    if (!connection_flush(to))
        return 0; /* who was told that it is blocked has stopped us; who has failed is told in this turn */
    if (!have_pipe(net)) {
        from->raw = false;
        return 0;
    }
    size_t most = length < NET_PIECE ? (size_t)length : NET_PIECE;
    ssize_t n = splice(from->source.fd, NULL, net->pipe[1], NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
        net->splices = false; /* not of such a socket: the bytes are copied, as always */
        from->raw = false;
        return 0;
    }
    if (n <= 0) {
        connection_read_ended(from, n);
        return 0;
    }
    empty_into(to, (size_t)n);
    stat_add(net->stats, STAT_BYTES_SPLICED, (uint64_t)n);
    return (size_t)n;
}
