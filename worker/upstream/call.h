/* call: one outbound HTTP exchange: an endpoint is picked, a connection taken or opened, the request sent, the answer
 * streamed, the deadlines kept.
 *
 * It has an owner and callbacks, not a request: proxying is one user, composing, token checks and probes are others. A
 * try is repeated, on another endpoint while no connection was made, or on a new connection after the keep-alive race, or
 * as the upstream's `retry` says (retry.h), only while nothing of the answer was passed on and the body is whole in the
 * call's memory. A call for which every endpoint has as many connections as it may have waits in the cluster's queue.
 *
 * An answer 101 to an order with `upgrade` makes a tunnel of the call: call_send() and on_body go on with the bytes of the other
 * protocol, and `last` ends one direction; the call is over when both have ended. From then on there is no other try, no
 * total time-out, and no failure: on_failed says that the connection broke.
 *
 * With `hedge` a second try, a call of its own below this one, may go on beside the first (hedge.h).
 */
#ifndef UPSTREAM_CALL_H
#define UPSTREAM_CALL_H

#include "worker/upstream/cluster.h"
#include "worker/upstream/retry.h"

enum call_failure {
    CALL_BROKEN,      /* the breaker is open: call->retry_ms says for how long */
    CALL_LIMITED,     /* as many are in progress as `adaptive` allows: likewise */
    CALL_UNAVAILABLE, /* no endpoint to try */
    CALL_BUSY,        /* every endpoint has its connections in use, and the queue is full or took too long */
    CALL_EXHAUSTED,   /* no descriptor or no memory for a connection: ours, not the endpoint's */
    CALL_UNREACHABLE, /* no connection */
    CALL_CLOSED,      /* the connection was closed instead of, or in the middle of, an answer */
    CALL_MALFORMED,   /* the answer isn't HTTP */
    CALL_TIMEOUT,
    CALL_DEADLINE,  /* the caller's own time is over */
    CALL_TOO_LARGE, /* the request's head doesn't fit */
};

struct call;

/* Instead of the upstream's time-outs, ms; 0: the upstream's. */
struct patience {
    uint64_t response, idle, total;
};

struct call_ends {
    struct address source, destination;
};

struct call_events {
    bool background; /* the call is for no client that waits: it takes no descriptor from those that are */
    /* Appends the request's head for `endpoint` to `head`; called at each try. False: it doesn't fit. */
    bool (*write_head)(void *owner, const struct endpoint *endpoint, struct buf *head);
    /* The ends of the client's connection, for an upstream with proxy_protocol. NULL: the call is for nobody. */
    void (*ends)(void *owner, struct call_ends *ends);
    /* The head went out: the body is wanted (call_send()). Only if there is one. */
    void (*on_ready)(void *owner);
    void (*on_interim)(void *owner, const struct response_head *head);
    void (*on_head)(void *owner, struct response_head *head, bool last);
    void (*on_body)(void *owner, const char *data, size_t length, bool last);
    void (*on_trailers)(void *owner,
                        const struct fields *trailers); /* before the last on_body, if there are any */
    void (*on_blocked)(void *owner);
    void (*on_drained)(void *owner);
    /* Over without (the rest of) an answer; `detail` says why, in words. The call can be forgotten. */
    void (*on_failed)(void *owner, enum call_failure failure, const char *detail);
};

struct call {
    struct cluster *cluster;
    const struct call_events *events;
    void *owner;
    struct arena *arena;             /* the owner's; the answer's head lies in it */
    struct endpoint *endpoint;       /* NULL: none now */
    struct endpoint *last;           /* the one tried last, or NULL */
    struct client *client;           /* NULL: none now */
    const struct breaking *breaking; /* NULL: none */
    const struct retrying *retrying; /* NULL: one try */
    const struct patience *patience; /* NULL: the upstream's */
    struct replay *replay;           /* NULL: nothing of the body is kept */
    struct call *hedge;              /* the second try, while there is one */
    struct call *primary;            /* of a second try: the call that it is for; else NULL */
    uint64_t ticket;                 /* the probe of the breaker is this; 0: none, or judged */
    uint64_t retry_ms;               /* of CALL_BROKEN and CALL_LIMITED: when to come again */
    unsigned tries;                  /* endpoints that were tried */
    unsigned connects;               /* the same, in the present attempt */
    unsigned attempt;                /* those that are over */
    unsigned refusals;               /* streams that were refused (HTTP/2) */
    struct str upgrade;              /* as in the order */
    struct str websocket_key;
    enum call_failure failure; /* of the last try that failed, */
    const char *detail;        /* and why */
    enum method method;
    bool body; /* the request has one */
    bool chunked;
    bool tunnel;     /* 101 came */
    bool sent_last;  /* of a tunnel: nothing more goes to the endpoint, */
    bool got_last;   /* nothing more comes from it */
    bool body_begun; /* pieces of it are gone: the request can't be sent again */
    bool asking;     /* the present try waits for more of the body: for the owner, not for the endpoint */
    bool answered;   /* the answer's head was passed on */
    bool queued;
    bool paused;
    bool counted;   /* among the cluster's in_flight */
    bool resting;   /* between two attempts: `again` is set */
    bool try_timed; /* `try_end` is set */
    bool hedge_set; /* `hedge_at` is set */
    bool outlived;  /* its own try is over, the second one goes on */
    bool grpc;      /* what came of it is told by grpc-status, */
    bool unjudged;  /* which is awaited in the trailers */
    bool callers;   /* the total time is the caller's, not the upstream's */
    /* From here on: set when it is used, and not before. */
    struct choice choice;
    struct timer total;
    struct timer again, try_end, hedge_at;
    uint64_t began;       /* ns: the present try */
    uint64_t asked;       /* ns: the last of the request that was sent, by the present try */
    uint64_t headed;      /* ns: the answer's head, while it is `unjudged` */
    struct waiter waiter; /* in the queue, if `queued` */
    struct timer pause;   /* until a full backlog is tried again, if `paused` */
    uint64_t pause_end;   /* ms: the connect time-out of a full backlog */
    unsigned pauses;
};

/* What is asked for. */
struct call_order {
    enum method method;
    bool body, chunked;              /* the request has a body; of a length that isn't known */
    uint64_t key;                    /* cluster_key(), 0 if there is none */
    const struct breaking *breaking; /* instead of the cluster's; NULL: that one */
    uint64_t deadline;               /* the caller's, ms of the loop's clock; 0: none */
    bool grpc;                       /* answers are judged by their grpc-status */
    struct str upgrade;       /* the protocol to go on with, for a request without a body; empty: none */
    struct str websocket_key; /* as in struct client_order */
    const struct patience *patience; /* instead of the upstream's time-outs; NULL: those */
};

/* Begins. on_ready, on_head or on_failed follow, on_failed possibly before it returns: false then. */
bool call_start(struct call *call, struct cluster *cluster, const struct call_events *events, void *owner,
                struct arena *arena, const struct call_order *order);

/* A call that another process made, and that is a tunnel: from now on it is counted as one here. The caller sets call->client,
 * whose owner it is. */
void call_adopt(struct call *call, struct endpoint *endpoint, const struct call_events *events, void *owner,
                struct arena *arena);

/* Another process goes on with it: it is counted no more. Its client, which the caller closes. */
struct client *call_dismiss(struct call *call);

/* The request's trailer fields, before its last piece. */
void call_trailers(struct call *call, const struct fields *trailers);

/* A piece of the request's body. */
void call_send(struct call *call, const char *data, size_t length, bool last);

/* The rest of the answer goes to that connection unseen: see client_relay(). In on_head. */
void call_relay(struct call *call, struct connection *to);

/* Stops and starts the answer. */
void call_read(struct call *call, bool on);

/* The owner loses interest; no event follows. Harmless when the call is over. */
void call_cancel(struct call *call);

/* --- for the queue --- */

enum offer {
    OFFER_TAKEN, /* it waits no more, or it waits at the end of the queue */
    OFFER_NEXT,  /* nothing for it; another may have use for what is free */
    OFFER_NONE,  /* nothing for anybody */
};

/* Something may be free. */
enum offer call_offer(struct waiter *waiter);

/* It has waited too long. */
void call_waited(struct waiter *waiter);

#endif
