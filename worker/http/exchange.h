/* exchange: one request and its answer on a client's connection, whatever the HTTP version.
 *
 * The version's server calls the events, the owner (the request layer) the operations. The exchange ends in one of
 * three ways, after each of which its arena is gone: on_sent() returns, on_gone() returns, or the owner calls abort().
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "shared/base/address.h"
#include "shared/base/log.h"
#include "worker/http/message.h"
#include "worker/net/admission.h"
#include "worker/net/net.h"

struct connection;
struct exchange;

struct exchange_ops {
    /* The address that the client connected to. */
    void (*destination)(const struct exchange *exchange, struct address *destination);
    /* Bytes of this answer, head and body, that the kernel took. */
    uint64_t (*sent)(const struct exchange *exchange);
    /* The answer's head; once. `last`: there is no body. With 101, to a request that asked for it (head->upgrade), the exchange
     * becomes a tunnel: from then on write() and on_body are the bytes of the other protocol, their `last` is the end of one
     * direction, and on_sent() comes when both have ended. */
    void (*respond)(struct exchange *exchange, const struct response_head *head, bool last);
    /* An interim answer (1xx but 101), any number before respond(). */
    void (*interim)(struct exchange *exchange, const struct response_head *head);
    /* A piece of the answer's body, copied or sent before it returns. `last`: the body is complete. */
    void (*write)(struct exchange *exchange, const char *data, size_t length, bool last);
    /* The answer's trailer fields, before write() says that the body is complete; they must live as long as the request. Left
     * out where the client or its version can't take them. */
    void (*trailers)(struct exchange *exchange, const struct fields *trailers);
    /* After respond(): the connection that the body goes to byte by byte as it is given to write(), so that it can be relayed there
     * instead (net/connection.h); NULL: there is none, or more to do. write() still gets the last piece, if only an empty one. */
    struct connection *(*plain)(const struct exchange *exchange);
    /* Turns on_body on or off; it begins off. Turning it on answers Expect: 100-continue. */
    void (*read)(struct exchange *exchange, bool on);
    /* The answer can't be completed: the client is made to notice. Ends the exchange; no event follows. */
    void (*abort)(struct exchange *exchange);
};

struct exchange_events {
    /* A head came: exchange->head, or exchange->refusal when it was malformed or late (the head is then empty but for
     * what was understood). Sets exchange->owner. */
    void (*on_request)(struct exchange *exchange);
    /* `last`: head->trailers has what came behind the body. */
    void (*on_body)(struct exchange *exchange, const char *data, size_t length, bool last);
    void (*on_body_error)(struct exchange *exchange, unsigned status,
                          const char *detail);     /* malformed, or stalled */
    void (*on_blocked)(struct exchange *exchange); /* the client's socket is full */
    void (*on_drained)(struct exchange *exchange);
    void (*on_sent)(struct exchange *exchange); /* the kernel has all of the answer */
    /* The client left, or is given up; exchange->gone says why. */
    void (*on_gone)(struct exchange *exchange);
};

/* What a server of any version needs from its process. */
struct http_service {
    struct net *net;
    const struct exchange_events *events;
    void *owner; /* the events' */
    struct list connections;
    struct list leaving;           /* those of them that wait to be handed over (http1_handoff): idle ones */
    struct list http2_connections; /* those that speak HTTP/2, which aren't in either */
    bool http2_draining;           /* their clients are told to go */
    unsigned connection_count;     /* of all versions */
    struct deferred *leave;        /* due when one came to wait there. NULL: none is handed over */
    /* A connection is gone: there may be room again, or an end. */
    void (*on_closed)(struct http_service *service, const struct admission *admission);
    struct arena *arenas[64]; /* idle ones, for the next exchanges */
    unsigned arena_count;
    uint64_t date_second; /* what `date` shows */
    char date[32];
    bool draining; /* nothing follows the answers that are given now */
    /* Limits, from the configuration: milliseconds, bytes. */
    uint64_t header_timeout, keepalive_timeout, body_timeout, send_timeout;
    uint32_t max_line, max_head, max_fields;
    bool half_close;       /* a client that sends no more still gets its answers */
    uint64_t max_body;     /* 0: none */
    uint32_t max_requests; /* on a connection; 0: no limit */
    uint64_t least_rate, least_rate_window;
    uint32_t http2_streams, http2_window, http2_connection_window, http2_resets, http2_overhead;
    struct log_seldom http2_said; /* of abuse */
};

struct tls_peer;

struct exchange {
    const struct exchange_ops *ops;
    struct http_service *service;
    void *owner;
    struct arena *arena;
    struct request_head *head;
    unsigned refusal;      /* a status, or 0 */
    bool body_done;        /* the request's body was read to its end */
    bool response_started; /* respond() was called */
    bool unhurried; /* HTTP/2: its body may come as slowly as it likes; who set it has time-outs of its own */
    bool orderly;   /* of a tunnel: abort() closes it as if it had come to its end */
    const char *refusal_detail;
    const char *gone; /* for logs: a word */
    const struct address *peer;
    const void *listener;       /* what the acceptor was tagged with */
    const struct tls_peer *tls; /* net/tls: what the client's TLS came to; NULL: plain */
    uint64_t bytes_in;          /* of this request: head and body */
};

/* An arena for an exchange, and back. */
struct arena *service_arena_take(struct http_service *service);
void service_arena_give(struct http_service *service, struct arena **arena);

/* The present time as an HTTP date, made once a second. */
struct str service_date(struct http_service *service);

#endif
