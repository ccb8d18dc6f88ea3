/* client: one exchange with an endpoint, whatever the HTTP version, and a connection to an endpoint as its pool has it.
 *
 * The version (http1_client) fills in the operations and calls the events. Its user (upstream/call, the prober) has a
 * struct client for one exchange, which ends with the event or operation that says so; its pool has a struct
 * client_connection, and gives exchanges on it.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "shared/base/list.h"
#include "worker/http/message.h"

struct address;
struct client;
struct client_connection;
struct connection;
struct net;
struct tls_target;

enum client_failure {
    CLIENT_CONNECT, /* no connection; nothing was sent */
    CLIENT_CONNECT_TIMEOUT,
    CLIENT_CLOSED_UNUSED, /* a kept connection was closed before a byte of the answer came */
    CLIENT_CLOSED,        /* closed in the middle of an answer, or instead of one */
    CLIENT_MALFORMED,     /* the answer isn't HTTP, or ambiguous */
    CLIENT_REFUSED, /* HTTP/2: it says, or it is sure, that nothing was done with the request; or ALPN has decided otherwise */
    CLIENT_TIMEOUT, /* no first byte, or no next one, in time */
};

struct client_events {
    void (*on_connected)(void *owner);
    void (*on_interim)(void *owner, const struct response_head *head);
    /* The head; its texts and fields are in the arena given to client_send(). `last`: there is no body. The client is the
     * owner's no more when `last` is told.
     * With 101, which only comes to an order with `upgrade`, the exchange becomes a tunnel: client_send_body() and on_body are
     * the bytes of the other protocol, their `last` the end of one direction; the client is the owner's no more when both have
     * ended, or with on_failed. */
    void (*on_head)(void *owner, struct response_head *head, bool last);
    void (*on_body)(void *owner, const char *data, size_t length, bool last);
    void (*on_trailers)(void *owner,
                        const struct fields *trailers); /* before the last on_body, if there are any */
    void (*on_blocked)(void *owner);
    void (*on_drained)(void *owner);
    /* Over; the client is gone. */
    void (*on_failed)(void *owner, enum client_failure failure, const char *detail);
};

struct client_timeouts {
    uint64_t connect, response, idle; /* milliseconds: as struct timeout_settings */
};

/* What is asked for, beside its head. */
struct client_order {
    enum method method; /* the answer is to this one */
    bool body;          /* pieces of it follow the head; else the request is complete */
    bool chunked;       /* its length isn't known */
    struct str upgrade; /* the protocol that the connection, or stream, is asked to go on with; empty: none */
    struct str websocket_key; /* when that is "websocket": the Sec-WebSocket-Key that is in the head */
};

struct client_ops {
    struct buf (*reserve)(struct client *client);
    void (*send)(struct client *client, const struct buf *head, const struct client_order *order,
                 struct arena *arena);
    void (*trailers)(struct client *client, const struct fields *trailers);
    void (*send_body)(struct client *client, const char *data, size_t length, bool last);
    void (*read)(struct client *client, bool on);
    void (*patience)(struct client *client, uint64_t response, uint64_t idle);
    void (*abandon)(struct client *client);
    void (*discard)(struct client *client);
    void (*relay)(struct client *client, struct connection *to); /* NULL: it can't */
};

struct client {
    const struct client_ops *ops;
    void *owner;
    const struct client_events *events;
    bool connected; /* a head can be sent now; else on_connected tells */
};

/* Room for a request's head, in HTTP/1's form whatever the version; then client_send() with it, before anything else is
 * sent. */
static inline struct buf client_reserve(struct client *client)
{
    return client->ops->reserve(client);
}

/* Sends the head. The answer's is parsed into `arena`. */
static inline void client_send(struct client *client, const struct buf *head,
                               const struct client_order *order, struct arena *arena)
{
    client->ops->send(client, head, order, arena);
}

/* The request's trailer fields, sent with the last piece where the framing has room for them; they must live until then. */
static inline void client_trailers(struct client *client, const struct fields *trailers)
{
    client->ops->trailers(client, trailers);
}

/* A piece of the request's body, copied or sent before it returns. */
static inline void client_send_body(struct client *client, const char *data, size_t length, bool last)
{
    client->ops->send_body(client, data, length, last);
}

/* Stops and starts the answer's events. */
static inline void client_read(struct client *client, bool on)
{
    client->ops->read(client, on);
}

/* Other time-outs than the upstream's, from now on; ms, 0: none. Not of a tunnel, which has none. */
static inline void client_patience(struct client *client, uint64_t response, uint64_t idle)
{
    client->ops->patience(client, response, idle);
}

/* The owner loses interest: no event follows. */
static inline void client_abandon(struct client *client)
{
    client->ops->abandon(client);
}

/* The same, of an answer with a length whose head the owner has, and whose rest costs less to read than a connection. */
static inline void client_discard(struct client *client)
{
    client->ops->discard(client);
}

/* The answer's head has come: its body needs not be seen, but goes to that connection as it is, as far as that saves work. on_body
 * tells what didn't go so, and the last. The connection must live, and take nothing else, until the exchange is over. */
static inline void client_relay(struct client *client, struct connection *to)
{
    if (client->ops->relay)
        client->ops->relay(client, to);
}

/* --- for the pool --- */

struct client_pool_events {
    void (*on_idle)(void *pool, struct client_connection *connection); /* it could serve another exchange */
    /* HTTP/2: it could serve one more beside those that it serves; or no more. NULL: nobody wants to know. */
    void (*on_room)(void *pool, struct client_connection *connection);
    void (*on_full)(void *pool, struct client_connection *connection);
    void (*on_closed)(void *pool, struct client_connection *connection); /* it is gone, idle or not */
};

/* Where a connection goes, and whose it is. */
struct client_target {
    struct net *net;
    const struct address *address;
    const struct tls_target *tls; /* NULL: it is plain */
    void *pool;                   /* the events' */
    const struct client_pool_events *pool_events;
    uint32_t epoch; /* the pool's */
    bool *
        older; /* where ALPN decides: whether the endpoint was found not to speak HTTP/2; NULL: it doesn't decide */
};

struct client_connection_ops {
    /* An exchange on one that on_idle or on_room gave. */
    struct client *(*take)(struct client_connection *connection, void *owner,
                           const struct client_events *events, const struct client_timeouts *timeouts);
    /* Keeps an idle one that long. */
    void (*keep)(struct client_connection *connection, uint64_t idle_timeout_ms);
    /* Closes one, when it serves nobody. */
    void (*close)(struct client_connection *connection);
};

struct client_connection {
    const struct client_connection_ops *ops;
    const struct client_pool_events *pool_events;
    void *pool;
    struct list link; /* the pool's */
    uint64_t opened_ms;
    uint64_t idle_ms;   /* since when it is idle */
    uint32_t exchanges; /* begun on it */
    uint32_t most;      /* HTTP/2: exchanges at a time, as far as is known */
    uint32_t epoch;     /* the pool's: which of its addresses it goes to */
    bool idle;          /* the pool's: which of its lists it is in */
};

static inline struct client *client_connection_take(struct client_connection *connection, void *owner,
                                                    const struct client_events *events,
                                                    const struct client_timeouts *timeouts)
{
    return connection->ops->take(connection, owner, events, timeouts);
}

static inline void client_connection_keep(struct client_connection *connection, uint64_t idle_timeout_ms)
{
    connection->ops->keep(connection, idle_timeout_ms);
}

static inline void client_connection_close(struct client_connection *connection)
{
    connection->ops->close(connection);
}

#endif
