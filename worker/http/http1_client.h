/* http1_client: a connection to an endpoint that speaks HTTP/1: one exchange at a time, idle in between.
 *
 * Its user (upstream/call) gets the events; its pool gets it back idle, or learns that it is gone.
 */
#ifndef HTTP_HTTP1_CLIENT_H
#define HTTP_HTTP1_CLIENT_H

#include "shared/base/address.h"
#include "worker/http/message.h"
#include "worker/http/parse.h"
#include "worker/net/connection.h"

struct http1_client;

enum client_failure {
    CLIENT_CONNECT, /* no connection; nothing was sent */
    CLIENT_CONNECT_TIMEOUT,
    CLIENT_CLOSED_UNUSED, /* a kept connection was closed before a byte of the answer came */
    CLIENT_CLOSED,        /* closed in the middle of an answer, or instead of one */
    CLIENT_MALFORMED,     /* the answer isn't HTTP, or ambiguous */
    CLIENT_TIMEOUT,       /* no first byte, or no next one, in time */
};

struct client_events {
    void (*on_connected)(void *owner);
    void (*on_interim)(void *owner, const struct response_head *head);
    /* The head; its texts and fields are in the arena given to http1_client_send(). `last`: there is no body. The
     * connection is the pool's again, or closed, when `last` is told. */
    void (*on_head)(void *owner, struct response_head *head, bool last);
    void (*on_body)(void *owner, const char *data, size_t length, bool last);
    void (*on_trailers)(void *owner,
                        const struct fields *trailers); /* before the last on_body, if there are any */
    void (*on_blocked)(void *owner);
    void (*on_drained)(void *owner);
    void (*on_failed)(void *owner, enum client_failure failure,
                      const char *detail); /* the connection is closed */
};

struct client_pool_events {
    void (*on_idle)(void *pool, struct http1_client *client); /* it could serve another exchange */
    void (*on_closed)(void *pool,
                      struct http1_client *client); /* it is gone; `idle` says whether the pool had it */
};

struct client_timeouts {
    uint64_t connect, response, idle; /* milliseconds: as struct timeout_settings */
};

/* What its pool may want to know of a connection. */
struct client_use {
    uint64_t opened_ms;
    uint64_t idle_ms;   /* since when it is idle */
    uint32_t exchanges; /* begun on it */
};

/* A new connection, connecting, in use by `owner`; with TLS, or `tls` NULL. NULL with errno when it failed at once. */
struct http1_client *http1_client_open(struct net *net, const struct address *address,
                                       const struct tls_target *tls, void *pool,
                                       const struct client_pool_events *pool_events, void *owner,
                                       const struct client_events *events,
                                       const struct client_timeouts *timeouts);

/* Takes an idle one (that on_idle gave) into use. */
void http1_client_take(struct http1_client *client, void *owner, const struct client_events *events,
                       const struct client_timeouts *timeouts);

/* Whether a head can be sent now; else on_connected tells. */
bool http1_client_is_connected(const struct http1_client *client);

/* Room for a request's head; then http1_client_send() with it. */
struct buf http1_client_reserve(struct http1_client *client);

/* Sends the head. The answer is to a request with `method`; its head is parsed into `arena`. `body`: pieces follow, in
 * chunks if `chunked`; else the request is complete. */
void http1_client_send(struct http1_client *client, const struct buf *head, enum method method,
                       struct arena *arena, bool body, bool chunked);
/* The request's trailer fields, sent with the last piece if it goes in chunks; they must live until then. */
void http1_client_trailers(struct http1_client *client, const struct fields *trailers);
void http1_client_send_body(struct http1_client *client, const char *data, size_t length, bool last);

/* Stops and starts the answer's events. */
void http1_client_read(struct http1_client *client, bool on);

/* The owner loses interest: closed, and no event follows. */
void http1_client_abandon(struct http1_client *client);

/* The owner has the head of an answer with a length, and doesn't want the rest: it is read, and the connection is the pool's
 * again. No event follows. */
void http1_client_discard(struct http1_client *client);

/* An idle one is closed. */
void http1_client_close(struct http1_client *client);

/* The list link of an idle connection, for its pool, and back. */
static inline struct list *http1_client_link(struct http1_client *client)
{
    return (struct list *)client;
}
static inline struct http1_client *http1_client_of_link(struct list *link)
{
    return (struct http1_client *)link;
}

const struct client_use *http1_client_use(const struct http1_client *client);

/* Keeps an idle connection that long. */
void http1_client_keep(struct http1_client *client, uint64_t idle_timeout_ms);

#endif
