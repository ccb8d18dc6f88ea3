/* http2_client_state: a connection to an endpoint that speaks HTTP/2, as its two parts share it: its life (http2_client.c) and
 * the exchanges on it (http2_client_stream.c). Nobody else includes it.
 */
#ifndef HTTP_HTTP2_CLIENT_STATE_H
#define HTTP_HTTP2_CLIENT_STATE_H

#include "worker/http/http2_client.h"
#include "worker/http/http2_head.h"
#include "worker/http/http2_stream.h"

enum { HTTP2_ANSWER_HEAD = 61440 }; /* bytes of an answer's head that are taken: as of HTTP/1 */

/* What its pool may do with it. */
enum http2_offer {
    HTTP2_OFFER_NONE,   /* nothing: it has as many exchanges as it may, or no more are begun on it */
    HTTP2_OFFER_SHARED, /* one more exchange beside the others */
    HTTP2_OFFER_IDLE,   /* it has none */
};

struct http2_client {
    struct connection connection;
    struct client_connection kept; /* for its pool */
    struct http2_session session;
    struct list exchanges; /* struct http2_call, those that have an owner */
    struct list streams;   /* struct http2_call, those whose streams the library has still, without one */
    struct http2_call *incoming; /* whose fields are being read; NULL: nobody's */
    uint32_t open;               /* of `exchanges` */
    struct http2_client_rules rules;
    uint64_t received;        /* bytes */
    uint64_t connect_timeout; /* ms */
    enum http2_offer offer;
    bool *older;    /* of the target */
    bool connected; /* its TLS too */
    bool secure;    /* by TLS */
    bool settled;   /* its SETTINGS came, */
    bool told;      /* and who waited for them knows */
    bool doubted;   /* it was asked by PING whether it is there at all */
    bool writing;   /* an owner sends: none is told of its end from within that */
    bool leaving;   /* no exchange is begun on it any more; it is closed when it has none */
    char why[96];   /* what the library found wrong, in words */
};

enum http2_call_phase {
    HTTP2_CALL_NEW,     /* nothing was sent */
    HTTP2_CALL_REQUEST, /* nothing of the answer came */
    HTTP2_CALL_BODY,
};

/* One exchange. Its memory lasts until the library has closed its stream. */
struct http2_call {
    struct client client; /* first: what is freed later may be overwritten there, and nowhere else */
    struct http2_stream stream;
    struct http2_client *connection;
    struct list link; /* in connection->exchanges, or connection->streams */
    struct client_timeouts timeouts;
    struct timer timer;
    struct arena *arena; /* the owner's: valid while it has one */
    struct http2_head reading;
    struct response_head *head;
    struct fields *trailers; /* of the answer; NULL: none */
    struct fields
        *sent_trailers; /* of the request, a copy: the library may want them when the owner is gone */
    uint64_t received;  /* bytes of the answer's body */
    uint64_t sent_seen;
    uint64_t began_at; /* connection->received, when the request was sent */
    uint32_t code;     /* that the stream was closed with */
    enum method method;
    enum http2_call_phase phase;
    uint8_t interims;
    bool reused : 1;     /* the connection has served others before */
    bool sending : 1;    /* the request's body isn't complete */
    bool closed : 1;     /* by the library */
    bool tunnel : 1;     /* it was answered by 2xx to an extended CONNECT (http2_client_tunnel.c) */
    bool lone : 1;       /* of a tunnel: both have ended, but its last bytes have yet to go */
    struct str upgrade;  /* as in the order */
    nghttp2_nv *waiting; /* a CONNECT's fields, until it is known whether the endpoint takes one; else NULL */
    size_t waiting_count;
    struct deferred later; /* the endpoint takes no CONNECT: the owner is told */
};

static inline struct http2_client *http2_client_of(struct http2_session *session)
{
    return CONTAINER_OF(session, struct http2_client, session);
}

/* --- exchanges (http2_client_stream.c) --- */

/* For nghttp2: what comes on streams. */
void http2_call_callbacks(nghttp2_session_callbacks *callbacks);

struct http2_call *http2_call_begin(struct http2_client *client, void *owner,
                                    const struct client_events *events,
                                    const struct client_timeouts *timeouts);

/* Over: the owner is told, and the stream reset with `code`. */
void http2_call_fail(struct http2_call *call, enum client_failure failure, const char *detail, uint32_t code);

/* Its memory goes. Only when the library has closed its stream, or is closed. */
void http2_call_free(struct http2_call *call);

/* The same, but the owner knows. */
void http2_call_end(struct http2_call *call, uint32_t code);

/* --- tunnels (http2_client_tunnel.c) --- */

/* A CONNECT with these fields is sent, or waits until the endpoint has said by its SETTINGS that it takes one. */
void http2_call_connect(struct http2_call *call, nghttp2_nv *list, size_t count);

/* The SETTINGS came: those that wait for them are sent, or fail. */
void http2_call_settled(struct http2_client *client);

/* 2xx came: on_head tells of it as 101. `last`: and the end of the stream. */
void http2_call_tunnel(struct http2_call *call, bool last);

/* The library has closed the stream of one. */
void http2_call_tunnel_closed(struct http2_call *call, const char *detail);

/* Whether the endpoint has said nothing since the request was sent on a connection that was kept. */
bool http2_call_unused(const struct http2_call *call);

/* --- the connection (http2_client.c) --- */

/* An exchange began or ended, or the endpoint goes: what the pool may do may have changed. */
void http2_client_offer(struct http2_client *client);

/* No exchange is begun on it any more. */
void http2_client_leave(struct http2_client *client);

/* An answer didn't come in time: whether the endpoint is there is asked, and meanwhile no exchange begun. */
void http2_client_doubt(struct http2_client *client);

#endif
