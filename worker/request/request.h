/* request: a request on its way from the head to the log.
 *
 *   HEAD → ROUTE → REQUEST → CONTENT → RESPONSE → SEND → LOG → DONE
 *
 * Each state is a function in a table (states.c), driven by request_run(). LOG is the only road to DONE. The request
 * lives in its exchange's arena.
 */
#ifndef REQUEST_REQUEST_H
#define REQUEST_REQUEST_H

#include "worker/codec/hops.h"
#include "worker/http/exchange.h"
#include "worker/request/policy.h"
#include "worker/request/problem.h"
#include "worker/request/site.h"
#include "worker/request/worker.h"

struct breaking;
struct identity;
struct patience;
struct signing;
struct grpc_call;

/* Who is refused first when the worker is overloaded: see shed.h. */
enum importance { IMPORTANCE_NORMAL, IMPORTANCE_LOW, IMPORTANCE_HIGH };

enum request_state {
    REQUEST_HEAD,
    REQUEST_ROUTE,
    REQUEST_REQUEST,
    REQUEST_CONTENT,
    REQUEST_RESPONSE,
    REQUEST_SEND,
    REQUEST_LOG,
    REQUEST_DONE,
};

/* What a waiting request waits for. */
struct request_wait {
    const char *reason; /* NULL: it doesn't wait */
    void (*resume)(
        struct request *request); /* the wait is over, or its deadline has passed: the policy goes on */
    void (*cancel)(struct request *request); /* the client left: let go of what was asked for */
    bool timed_out;
};

/* What a content that streams is told. */
struct content_events {
    void (*on_body)(struct request *request, const char *data, size_t length, bool last); /* of the request */
    void (*on_blocked)(struct request *request); /* the client's socket is full: stop the answer */
    void (*on_drained)(struct request *request);
    void (*on_abort)(struct request *request); /* the exchange is over: let go of everything */
};

/* What changes bodies on their way, because a policy put it there (request->filter) before the content began. */
struct request_filter {
    /* A piece of the request's body: what comes of it goes to request_deliver(), or it is given up by request_body_failed(). */
    void (*on_body)(struct request *request, const char *data, size_t length, bool last);
    /* A piece, and before the last one the trailers, of a streaming answer: what comes of them goes to the exchange. */
    void (*write)(struct request *request, const char *data, size_t length, bool last);
    void (*trailers)(struct request *request, const struct fields *trailers);
};

/* Who listens in on the request's body, as the content reads it. */
struct request_tap {
    struct request_tap *next;
    void (*on_body)(struct request_tap *tap, const char *data, size_t length, bool last);
    void (*on_end)(struct request_tap *tap); /* the request is over, whether its body was read or not */
};

/* What the route says of tunnels. */
struct tunnel_rules {
    uint64_t idle_timeout; /* ms: silent in both directions */
};

struct request {
    struct worker *worker;
    struct exchange *exchange;
    struct arena *arena;
    struct request_head *head;
    enum request_state state;
    unsigned entered;      /* policies of the chain that were entered; while responding, those left to run */
    uint64_t started;      /* monotonic, ns */
    uint64_t started_wall; /* ns */
    struct str id;
    struct str path; /* normal form */
    struct route_match match;
    const struct chain *chain;

    struct response_head response;
    struct str response_body; /* when the answer was made whole */
    bool streaming;           /* the content writes the body itself */
    bool responded;           /* the answer's head is with the exchange */
    bool aborted;

    enum problem problem;
    unsigned problem_status; /* instead of the problem's own; 0: that */
    char *detail;
    uint64_t retry_after; /* seconds, for a problem's Retry-After; 0: none */

    struct request_wait wait;
    struct timer wait_timer;
    struct deferred wake;

    const struct hop *origin; /* request_origin()'s; NULL: not asked for yet */
    uint64_t
        own_fields; /* a bit for each known field of the request that a policy set: it goes on as it is */

    const struct content_events *content; /* NULL: it doesn't stream */
    void *content_state;

    const struct request_filter *filter; /* NULL: bodies go as they are */
    void *filter_state;

    struct request_tap *taps;
    struct meter_note *meter_notes; /* what it was charged: meter.h */

    const struct identity *identity; /* who it is from, as schemes have found; NULL: nobody is known */
    struct identifying *identifying; /* where a route's schemes are: identity.h; NULL: all must accept */

    struct grpc_call *grpc; /* of a gRPC client's request to a route with the policy `grpc`; else NULL */
    struct str grpc_status; /* that the answer says, for the log; empty: none */

    const struct signing *signing;   /* how requests of the route to upstreams are signed; NULL: not */
    const struct patience *patience; /* the route's own time-outs; likewise */
    const struct breaking *breaking; /* the route's own breaker, for what calls upstreams; NULL: theirs */

    /* For the log: set by what calls upstreams. */
    const char *upstream;
    const char *endpoint;
    uint64_t upstream_ns;
    unsigned tries;

    const struct tunnel_rules *tunnel; /* head->upgrade is passed on; NULL: it isn't */
    bool tunneling;                    /* it was answered by 101 */
    bool moved;                        /* another process goes on with it: it is not logged here */

    const char *fault; /* what was injected; NULL: nothing */
    enum importance importance;
};

extern const struct exchange_events request_exchange_events;

/* The request of an exchange, of whose head nothing was looked at yet. */
struct request *request_new(struct exchange *exchange);

/* Drives the state table until it waits or is done. After it the request may be gone. */
void request_run(struct request *request);

/* --- for policies --- */

/* Problem details; the detail is a printf text. Returns VERDICT_FAIL. */
enum verdict request_fail(struct request *request, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A whole answer. `type` empty: no Content-Type. The texts must live as long as the request. Returns VERDICT_ANSWER. */
enum verdict request_answer(struct request *request, unsigned status, struct str type, struct str body);

/* A field of the answer; the texts must live as long as the request. */
void request_add_field(struct request *request, struct str name, struct str value);

/* Arms a wait; the caller returns VERDICT_WAIT. `deadline_ms` from now, 0: none. `resume` runs in the loop's next turn
 * after request_wake(), or when the deadline has passed (wait.timed_out), and ends by request_resume() or by arming the
 * next wait. `cancel` may be NULL. */
void request_wait(struct request *request, const char *reason, uint64_t deadline_ms,
                  void (*resume)(struct request *request), void (*cancel)(struct request *request));

/* Ends the wait; only queues. */
void request_wake(struct request *request);

/* The verdict that a wait was for. The request may be gone after it. */
void request_resume(struct request *request, enum verdict verdict);

/* --- for contents that stream (on_content returned WAIT without a wait; called from the loop's events) --- */

/* request->response is filled: response hooks run, the head goes out. `last`: there is no body; the request may then be
 * gone. */
void request_respond(struct request *request, bool last);

/* A piece of the body. After `last` the request may be gone. */
void request_write(struct request *request, const char *data, size_t length, bool last);

/* After request_respond(): where the answer's body may go unseen, instead of by request_write(), but for its last piece: see
 * exchange_ops.plain. NULL: nowhere. */
struct connection *request_plain(const struct request *request);

/* The answer's trailer fields, before its last piece; they must live as long as the request. */
void request_trailers(struct request *request, const struct fields *trailers);

/* The content failed: a problem if nothing was sent yet (the details are set by request_fail() before), else the answer
 * is cut. The request may be gone after it. on_abort is not called. */
void request_content_failed(struct request *request);

/* A tunnel has come to its end, though the client hasn't said so: it is closed in order. The request is gone. on_abort is not
 * called. */
void request_tunnel_over(struct request *request);

/* Turns on_body on or off; it begins off. */
void request_read(struct request *request, bool on);

/* --- for filters --- */

/* What came of a piece of the request's body: for who listens in, and for the content. */
void request_deliver(struct request *request, const char *data, size_t length, bool last);

/* The request's body is malformed, as request_fail() has said: the content is told, and the client. The request may be gone
 * after it. */
void request_body_failed(struct request *request);

/* --- for who listens in --- */

/* From now on, until the request is over or request_untap(), which `tap` itself may call meanwhile. */
void request_tap(struct request *request, struct request_tap *tap);
void request_untap(struct request *request, struct request_tap *tap);

/* --- expressions --- */

extern const struct expr_name request_names[];

/* Whether a name is ${params.NAME}: the loader checks those against the path. */
bool request_name_is_param(int id);

/* Appends an expression's value. */
void request_eval(struct request *request, const struct expr *expr, enum expr_escape escape, struct buf *out);

/* The same into the arena, `size` bytes at most; false: too long. */
bool request_eval_str(struct request *request, const struct expr *expr, enum expr_escape escape, size_t size,
                      struct str *value);

/* When the request's head came, RFC 3339; a time as seconds with six decimals. */
void request_add_time(const struct request *request, struct buf *out);
void request_add_seconds(uint64_t ns, struct buf *out);

/* Why the answer isn't whole, a word; empty when it is. */
struct str request_gone(const struct request *request);

/* Who the request is from, and what was said of it there: found by following trusted proxies back, once, when it is
 * first asked for. */
const struct hop *request_origin(struct request *request);

/* The client's address: the peer's, or what trusted proxies say. */
static inline const struct address *request_client(struct request *request)
{
    return request->worker->site->trusted_count ? &request_origin(request)->address : request->exchange->peer;
}

/* The value of a cookie of the request; NULL data: there is none. */
struct str request_cookie(const struct request *request, struct str name);

/* A UUIDv7 (RFC 9562, section 5.7), 36 characters. */
struct str request_new_id(struct worker *worker, struct arena *arena);

/* Since the head came, to the last turn of the loop. */
uint64_t request_duration_ns(const struct request *request);

#endif
