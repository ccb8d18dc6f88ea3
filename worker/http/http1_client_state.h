/* http1_client_state: a connection to an endpoint that speaks HTTP/1, as its two parts share it: http1_client.c and, after 101,
 * http1_client_tunnel.c. Nobody else includes it.
 */
#ifndef HTTP_HTTP1_CLIENT_STATE_H
#define HTTP_HTTP1_CLIENT_STATE_H

#include "worker/codec/chunked.h"
#include "worker/http/http1_client.h"
#include "worker/http/parse.h"
#include "worker/net/connection.h"

enum phase {
    PHASE_CONNECTING,
    PHASE_IDLE,    /* the pool's */
    PHASE_REQUEST, /* in use, nothing of the answer came */
    PHASE_HEAD,    /* some of its head came */
    PHASE_BODY,
    PHASE_TUNNEL, /* it switched protocols: http1_client_tunnel.c */
};

struct http1_client {
    struct connection connection;
    struct client client;          /* the present exchange, for its owner, */
    struct client_connection kept; /* and the connection, for its pool */
    bool *older;                   /* of the target */
    struct client_timeouts timeouts;
    struct arena *arena; /* the present exchange's */
    struct head_scan scan;
    uint64_t left; /* of a body with a length */
    uint64_t sent_seen;
    struct chunked chunked;
    struct connection *relay;      /* where the answer's body goes unseen; NULL: to the owner */
    const struct fields *trailers; /* of the request, or NULL */
    struct str upgrade;            /* the protocol that it is asked to go on with; empty: none */
    struct str websocket_key;      /* what it must know, to have understood that; empty: nothing */
    enum phase phase;
    enum framing framing;
    enum method method;
    bool keep_alive;
    bool reused;
    bool large;   /* the last answer was worth relaying: the next one may be */
    bool sending; /* the request's body isn't complete */
    bool out_chunked;
    bool ended;       /* of a tunnel: it sends no more, and the owner knows */
    uint8_t interims; /* of this exchange */
};

static inline struct http1_client *http1_client_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct http1_client, connection);
}

static inline struct http1_client *http1_client_of_face(struct client *face)
{
    return CONTAINER_OF(face, struct http1_client, client);
}

/* The pool is told. Harmless when it is closed already. `reset`: the endpoint gets RST. */
void http1_client_close(struct http1_client *client, bool reset);

/* The same, and the owner is told, if there is one. */
void http1_client_fail(struct http1_client *client, enum client_failure failure, const char *detail);

/* Memory for one, all but its connection, in use by that owner. NULL: there is none. */
struct http1_client *http1_client_make(const struct client_target *target, void *owner,
                                       const struct client_events *events,
                                       const struct client_timeouts *timeouts);

/* From now on nobody listens. */
void http1_client_forget_owner(struct http1_client *client);

/* 101 came, and it was asked for: the connection is a tunnel from now on, and on_head tells. What follows the head goes to
 * connection.events. */
void http1_client_tunnel(struct http1_client *client, struct response_head *head);

#endif
