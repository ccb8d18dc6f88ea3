/* connection: a stream socket with its events, its back-pressure and its time-out.
 *
 * It is the first member of what uses it (an HTTP/1 server or client connection), which gets its events by a table.
 * Reading: bytes are handed over in the scratch buffer; what the user doesn't take is held and handed over again,
 * with more, later. Writing: bytes are gathered and sent at the end of the event; what the socket doesn't take is
 * kept here, and the user is told to stop until it has drained. Neither stop costs a system call unless the peer
 * really sends meanwhile.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "shared/base/address.h"
#include "shared/base/buf.h"
#include "worker/net/net.h"

struct connection;
struct connection_chunk;
struct tls;
struct tls_target;

struct connection_events {
    bool reads_on; /* when sending fails: what the peer said before is read first, then on_error */
    /* Bytes came. Returns how many were taken; the rest is held. Never called while stopped. */
    size_t (*on_data)(struct connection *connection, char *data, size_t length);
    /* The peer has sent its last byte. Also while reading is stopped, when bytes before it may still be held or in the
     * socket: who starts reading again gets those, and then on_eof once more. */
    void (*on_eof)(struct connection *connection);
    /* The connection broke; `error` is an errno. Nothing more will come; to be closed. */
    void (*on_error)(struct connection *connection, int error);
    void (*on_connected)(struct connection *connection); /* of connection_open() only */
    void (*on_blocked)(struct connection *connection);   /* the socket takes no more: stop producing */
    void (*on_drained)(struct connection *connection);   /* all that was kept is sent */
    void (*on_timeout)(struct connection *connection);
    /* Instead of on_data, after connection_read_raw(): bytes came, or the end, and are still in the socket. May be NULL. */
    void (*on_readable)(struct connection *connection);
};

struct connection {
    struct list link; /* the user's: a pool, a list of all */
    struct source source;
    struct net *net;
    struct tls *tls; /* NULL: plain */
    const struct connection_events *events;
    struct timer timer;
    struct deferred deferred; /* to hand over held bytes, or an error found while sending */
    char *held;               /* bytes read and not taken */
    uint32_t held_length;
    int error;                       /* to be told in this turn */
    int broken_by;                   /* an errno of sending */
    struct connection_chunk *chunks; /* output that the socket didn't take, the oldest first */
    struct connection_chunk **chunks_end;
    uint64_t sent; /* bytes that the socket took, since it was opened; of TLS, encrypted ones */
    bool connecting : 1;
    bool securing : 1; /* and there is a connection already: TLS's handshake goes on */
    bool stopped : 1;  /* no data wanted */
    bool blocked : 1;
    bool eof : 1;
    bool closed : 1;
    bool handing : 1; /* what is held will be handed over in this turn */
    bool parked : 1;  /* out of the loop: the peer hung up while reading is stopped */
    bool broken : 1;  /* no more can be sent; what the peer said before is still read */
    bool ended : 1;   /* TLS's close_notify came: there is no more behind what was decrypted */
    bool raw : 1;     /* the user reads the socket itself, by connection_relay() */
    bool brief : 1; /* the next bytes are read a few at a time (NET_BRIEF): most of them will go on unseen */
    bool finishing : 1; /* FIN is to be sent behind what is kept */
    bool cut : 1; /* the last byte came without that: who knows no length can't tell whether it is the last */
};

/* Takes over a connected socket, and the TLS session on it, whose handshake is done (NULL: none). 0, or -1 with errno (the
 * descriptor is then closed, the session gone). */
int connection_adopt(struct connection *connection, struct net *net, int fd, struct tls *tls,
                     const struct connection_events *events);

/* Opens a socket to `address`, and a TLS session on it (`tls` NULL: none); on_connected, when both are done, or on_error
 * follows. 0, or -1 with errno when it failed at once. */
int connection_open(struct connection *connection, struct net *net, const struct address *address,
                    const struct tls_target *tls, const struct connection_events *events);

/* Queues bytes for sending. They are copied or sent before it returns. */
void connection_send(struct connection *connection, const char *data, size_t length);

/* Memory of `size` bytes (NET_READ at most) to build output in; then commit what was built, before anything else is
 * sent. */
struct buf connection_reserve(struct connection *connection, size_t size);
void connection_commit(struct connection *connection, const struct buf *built);

/* Sends what is gathered now. True when the socket took all. */
bool connection_flush(struct connection *connection);

/* What is gathered is the last that is ever sent: TLS's close_notify (RFC 8446, section 6.1) goes with it, so that the peer
 * knows that nobody has cut it. It would otherwise go by itself when the connection is closed or shut down. */
void connection_end(struct connection *connection);

/* Bytes of what was given to be sent that the socket took. With TLS, while some is kept: about so many. */
uint64_t connection_sent(const struct connection *connection);

/* What on_error's error means, in words. */
const char *connection_error(const struct connection *connection, int error);

/* Stops and starts on_data. Starting hands over what is held in this turn of the loop, not on the caller's stack. */
void connection_stop(struct connection *connection);
void connection_start(struct connection *connection);

/* Whether the peer has sent what nobody has read: closing now would reset the connection, and cost the peer what it hasn't read
 * yet. Asks the socket, whose event may be still to come in this turn. */
bool connection_has_unread(const struct connection *connection);

/* Bytes that were read from the socket before it was adopted: handed over at the end of this turn, before what follows. */
void connection_prepend(struct connection *connection, const char *data, size_t length);

/* --- bytes that nobody needs to see --- */

/* From now on on_readable tells of what comes, instead of on_data; what was read before is handed over first. Not where there is
 * TLS, or no splice(2): then nothing changes. */
void connection_read_raw(struct connection *connection, bool on);

/* Moves up to `length` bytes from one's socket to the other's, behind all that was sent there; what that doesn't take is kept,
 * and its user told to stop. Returns how many left the first; 0: none are there, or `from` ended, and its events told. Both are
 * plain; only within on_readable. */
size_t connection_relay(struct connection *from, struct connection *to, uint64_t length);

/* --- a connection moves to another process --- */

/* Takes it out of the loop, whatever it waits for: no event comes until connection_thaw(), or it is closed. Not one that is
 * connecting, parked, broken or failed, nor one with TLS. Nothing may be gathered. */
void connection_freeze(struct connection *connection);
void connection_thaw(struct connection *connection);

/* Output that the socket hasn't taken yet: its length, and a copy of it. */
size_t connection_kept(const struct connection *connection);
void connection_copy_kept(const struct connection *connection, char *out);

/* On the other side, after connection_adopt(): that output, to be sent when the socket takes it; and that the peer has sent its
 * last byte, which is not told again. */
void connection_keep(struct connection *connection, struct str kept);
void connection_set_eof(struct connection *connection);

/* Takes an idle connection out of the loop: no event comes, not even its time-out, until connection_start(). The deadline
 * of the time-out is the user's to keep. */
void connection_suspend(struct connection *connection);

/* Milliseconds from now; on_timeout then. */
static inline void connection_timeout(struct connection *connection, uint64_t ms)
{
    struct loop *loop = connection->net->loop;
    timer_set(&loop->timers, &connection->timer, loop->now_ms + ms);
}

static inline void connection_no_timeout(struct connection *connection)
{
    timer_pause(&connection->timer);
}

/* on_error follows in this turn, but not on the caller's stack: for what is found while sending. */
void connection_fail(struct connection *connection, int error);

/* No more output: FIN after what was sent. */
void connection_shutdown(struct connection *connection);

/* Gives the socket up to another user, who adopts it in this turn: the descriptor, and its session. What was read of it is
 * the caller's; the memory goes as by connection_close(). Not while output waits. */
int connection_release(struct connection *connection, struct tls **tls);

/* Closes at once; what is gathered or kept is lost. The memory (malloc()ed by the user, this its first member) is freed
 * after the batch. `reset`: the peer gets RST, so that it can't take a cut answer for a whole one. */
void connection_close(struct connection *connection, bool reset);

#endif
