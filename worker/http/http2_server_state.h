/* http2_server_state: a client's connection that speaks HTTP/2, as its parts share it: its life (http2_server.c), its streams
 * (http2_server_stream.c) and the answers on them (http2_answer.c). Nobody else includes it.
 */
#ifndef HTTP_HTTP2_SERVER_STATE_H
#define HTTP_HTTP2_SERVER_STATE_H

#include "worker/http/http2_abuse.h"
#include "worker/http/http2_head.h"
#include "worker/http/http2_server.h"
#include "worker/http/http2_stream.h"
#include "worker/net/pace.h"
#include "worker/net/tls.h"

struct http2_server {
    struct connection connection;
    struct http_service *service;
    struct http2_session session;
    struct http2_limits limits;
    struct http2_budgets budgets;
    struct address peer;
    struct admission admission;
    const void *listener;
    const struct tls_peer *tls;      /* NULL: plain */
    struct list exchanges;           /* all struct http2_exchange */
    struct http2_exchange *incoming; /* whose fields are being read; NULL: none */
    struct pace pace;                /* while the socket is full */
    struct timer goodbye;   /* after the first GOAWAY: the last one is due, whether PING is answered or not */
    uint64_t head_deadline; /* of the fields that are being read; ms */
    int32_t block_stream;   /* the stream of the last header block; */
    bool block_ends : 1;    /* its last frame is here, in part at least; */
    bool block_orphan : 1;  /* its stream was closed meanwhile: nobody tells when it is whole */
    bool greeted : 1;       /* the client's first SETTINGS came */
    uint64_t linger_left;   /* bytes that are still read past, before it is closed */
    uint32_t requests;      /* that came on it */
    bool leaving : 1;       /* the client was told to send no more requests */
    bool left : 1;          /* and which was the last one that is answered */
    bool lingers : 1;       /* the session is over; the client is let see its end */
};

/* One request and its answer. It lies in its exchange's arena, which outlasts the exchange until the library has closed the
 * stream. */
struct http2_exchange {
    struct http2_stream stream;
    struct exchange exchange;
    struct http2_server *server;
    struct list link; /* in server->exchanges */
    struct http2_head reading;
    struct timer timer;         /* for its body, or for its client to take the answer */
    struct pace *pace_in;       /* of the request's body; NULL: not looked at yet */
    struct pace *pace_out;      /* of the answer, while it waits for a window */
    uint64_t received;          /* bytes of the body */
    char status[4], length[20]; /* of the answer, as texts */
    bool owned : 1;             /* between on_request and the end of the exchange */
    bool closed : 1;            /* by the library */
    bool out_nothing : 1;       /* a body must not be sent */
    bool continued : 1;         /* 100 was sent, or is not wanted */
    bool malformed : 1;         /* the stream ends with PROTOCOL_ERROR */
    bool body_failed : 1;       /* what still comes of the body is dropped */
    bool tunnel : 1;            /* it was answered by 101 (http2_server_tunnel.c) */
    bool all_sent : 1;          /* of a tunnel: END_STREAM is with the client */
};

static inline struct http2_exchange *http2_exchange_of(struct http2_stream *stream)
{
    return CONTAINER_OF(stream, struct http2_exchange, stream);
}

static inline struct http2_server *http2_server_of(struct http2_session *session)
{
    return CONTAINER_OF(session, struct http2_server, session);
}

static inline struct http2_abuse_limits http2_server_abuse_limits(const struct http2_server *server)
{
    return (struct http2_abuse_limits){server->service->http2_resets, server->service->http2_overhead};
}

/* --- streams (http2_server_stream.c) --- */

/* For nghttp2: what comes on streams. */
void http2_server_stream_callbacks(nghttp2_session_callbacks *callbacks);

/* The exchange is over for its owner, who was told or has said so. The stream is reset with `code`, unless it is closed. */
void http2_exchange_end(struct http2_exchange *exchange, uint32_t code);

/* The client is gone, or given up; `why` is for the log. The owner is told. */
void http2_exchange_gone(struct http2_exchange *exchange, const char *why, uint32_t code);

/* Its memory goes. Only when the library has closed its stream, or is going to be closed itself. */
void http2_exchange_free(struct http2_exchange *exchange);

/* What it waits for of its client now: to take more of the answer, or to send more of the body. */
void http2_exchange_set_timer(struct http2_exchange *exchange);

/* --- the connection (http2_server.c) --- */

/* An exchange is gone: there may be none left. */
void http2_server_idle(struct http2_server *server);

/* A request came: it may be the last one that is taken. */
void http2_server_counted(struct http2_server *server);

/* Our PING was answered: the client knows of the GOAWAY that went before it. */
void http2_server_ponged(struct http2_server *server);

/* A header block begins, or is whole. */
void http2_server_head_timer(struct http2_server *server, bool begun);

/* The client abuses the protocol, if it does: it is counted, told and cut off. */
void http2_server_abused(struct http2_server *server, enum http2_abuse abuse);

/* --- answers (http2_answer.c) --- */

extern const struct exchange_ops http2_answer_ops;

/* Of http2_answer_ops, what is the same for tunnels. */
void http2_answer_write(struct exchange *exchange, const char *data, size_t length, bool last);
void http2_answer_trailers(struct exchange *exchange, const struct fields *trailers);
uint64_t http2_answer_sent(const struct exchange *exchange);
void http2_answer_destination(const struct exchange *exchange, struct address *address);
struct http2_exchange *http2_exchange_of_face(const struct exchange *exchange);

/* --- tunnels (http2_server_tunnel.c) --- */

/* The answer to an extended CONNECT was submitted: from now on the bodies are what goes through the stream. */
void http2_server_tunnel(struct http2_exchange *exchange);

/* The library has closed the stream of one. */
void http2_server_tunnel_closed(struct http2_exchange *exchange);

#endif
