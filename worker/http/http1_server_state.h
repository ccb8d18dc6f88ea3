/* http1_server_state: a client's connection that speaks HTTP/1, as its two halves share it: reading requests
 * (http1_server.c) and answering them (http1_answer.c). Nobody else includes it.
 */
#ifndef HTTP_HTTP1_SERVER_STATE_H
#define HTTP_HTTP1_SERVER_STATE_H

#include "worker/codec/chunked.h"
#include "worker/http/http1_handoff.h"
#include "worker/http/http1_server.h"
#include "worker/http/parse.h"
#include "worker/net/connection.h"
#include "worker/net/pace.h"
#include "worker/net/tls.h"

enum {
    DISCARD_MAX = 65536, /* bytes of an unread body that are worth reading to keep the connection */
    HTTP1_DRAIN_IDLE_MS =
        5000, /* how long an idle connection is kept while draining: its next request may be under way */
};

enum phase {
    PHASE_HEAD,    /* waits for a request's head */
    PHASE_ACTIVE,  /* an exchange is in progress */
    PHASE_DISCARD, /* the answer is sent, the rest of the request's body is read to keep the connection */
    PHASE_LINGER,  /* the answer is sent, the rest is read so that the client sees the answer, not a reset */
};

struct http1_server {
    struct connection connection;
    struct http_service *service;
    struct exchange exchange;
    struct address peer;
    struct admission admission;
    struct head_scan scan;
    enum phase phase;
    enum framing framing; /* of the request's body */
    uint64_t
        left; /* of a body with a length, of what is discarded; of a chunked one: what came. While suspended: the
                    * deadline of its time-out */
    struct chunked *chunked;
    const struct fields *trailers; /* of the answer, or NULL */
    uint64_t sent_before;          /* on the connection, when the exchange began */
    struct pace *pace_in;          /* of the request's body; NULL: not looked at yet */
    struct pace *pace_out;         /* of the answer, while it waits for the client */
    uint32_t requests;             /* on this connection */
    uint32_t head_length;          /* of the present one's head, as it came */
    bool keep_alive;               /* as the answer said */
    bool out_chunked;
    bool out_nothing; /* a body must not be sent */
    bool response_done;
    bool continued;      /* 100 was sent, or is not wanted */
    bool head_begun;     /* bytes of the next head came */
    bool last;           /* the request can't be read to its end: nothing follows on this connection */
    bool stays;          /* nobody takes it over: the next answer is its last */
    uint16_t refused_by; /* successors that have no room for it, by their number */
};

static inline struct http1_server *server_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct http1_server, connection);
}

static inline struct http1_server *server_of_exchange(struct exchange *exchange)
{
    return CONTAINER_OF(exchange, struct http1_server, exchange);
}

/* --- reading, for the answering half --- */

/* Ends the connection and with it the exchange; no event follows. `reset`: the client gets RST. */
void http1_server_close(struct http1_server *server, bool reset);

/* The client can't be answered any more; `why` is for the log. */
void http1_server_gone(struct http1_server *server, const char *why);

/* What an exchange waits for of its client now: to take more of the answer, or to send more of the body. */
void http1_server_set_timer(struct http1_server *server);

/* All of the answer is gathered: it is sent, and the exchange ends when the kernel has it. */
void http1_server_complete(struct http1_server *server);

/* A connection that waits for its first request; NULL with errno: it is closed already. */
struct http1_server *http1_server_make(struct http_service *service, int fd, struct tls *tls,
                                       const struct address *peer, const void *listener,
                                       const struct admission *admission);

/* An exchange begins: all but its head. */
void http1_server_begin(struct http1_server *server);

/* --- handing over (http1_handoff.c) --- */

/* It waits for a request: it may be handed over from now on, where that is done. */
void http1_server_leave(struct http1_server *server);

/* It does so no more. */
void http1_server_rejoin(struct http1_server *server);

/* --- the client's pace (http1_pace.c) --- */

/* The client's socket is full: from now on it must take some of the answer. Sets the timer. */
void http1_pace_answer(struct http1_server *server);

/* That timer: NULL, and it is set again, or why the client is given up. */
const char *http1_pace_late(struct http1_server *server);

/* A piece of the body came: whether they come too slowly. */
bool http1_pace_body_slow(struct http1_server *server);

/* Reading was stopped for a while: that was not the client's time. */
void http1_pace_body_again(struct http1_server *server);

/* --- answering, for the reading half --- */

extern const struct exchange_ops http1_answer_ops;

/* --- tunnels (http1_server_tunnel.c) --- */

/* 101 was written: from now on the exchange's bodies are what goes through the connection. */
void http1_server_tunnel(struct http1_server *server);

/* Of http1_answer_ops, what is the same for them. */
uint64_t http1_answer_sent(const struct exchange *exchange);
void http1_answer_destination(const struct exchange *exchange, struct address *address);
void http1_answer_trailers(struct exchange *exchange, const struct fields *trailers);

#endif
