/* fetch: an exchange with a URL, for services of the keeper: the name is looked up, a connection of its own is made (by TLS, if
 * the URL says https), and the answer is whole in memory when its owner is told. For what is asked for once in a while: nothing is
 * kept for the next time.
 */
#ifndef SERVICE_FETCH_H
#define SERVICE_FETCH_H

#include "shared/shm/names.h"
#include "worker/codec/url.h"
#include "worker/http/client.h"
#include "worker/request/worker.h"
#include "worker/service/dns.h"

struct tls_client;

/* What is asked for. It must live until the end. */
struct fetch_order {
    const struct url *url;
    const struct tls_client *tls; /* for https */
    enum method method;
    struct str fields; /* of the request, each line with its CRLF, beside Host and framing */
    struct str body;   /* NULL data: none */
    size_t most;       /* bytes that the answer's body may have */
    uint64_t timeout;  /* ms, for all of it */
};

enum fetch_end {
    FETCH_ANSWERED, /* fetch->head and fetch->body are there */
    FETCH_FAILED,   /* fetch->why says it */
    FETCH_CUT,      /* it was given up for clients, or as the process ends: that says nothing of the peer */
};

enum { FETCH_ADDRESSES = 8, FETCH_WHY = 256 };

struct fetch {
    struct worker *worker;
    struct dns *dns;
    void (*done)(struct fetch *fetch, enum fetch_end end);

    /* While one is in progress, and until fetch_put_down(). */
    struct arena *arena; /* NULL: none is */
    struct response_head *head;
    struct buf body;
    char why[FETCH_WHY];

    /* fetch.c's own. */
    struct background background; /* on the worker's list while it is in progress */
    const struct fetch_order *order;
    struct timer timer;
    bool asking; /* the name is being looked up */
    enum name_family family;
    struct name_address found[FETCH_ADDRESSES]; /* where it may be; those before `next` were tried */
    unsigned found_count, next;
    struct address address;
    struct client *client;
};

/* `done` is called once for each fetch_start(), never from it. */
void fetch_init(struct fetch *fetch, struct worker *worker, struct dns *dns,
                void (*done)(struct fetch *fetch, enum fetch_end end));

/* The arena of the next fetch, for its order; then fetch_start() must follow. */
struct arena *fetch_begin(struct fetch *fetch);
void fetch_start(struct fetch *fetch, const struct fetch_order *order);

/* Whether fetch_begin() may be called: none is in progress, and no question of an earlier one is open. */
bool fetch_is_free(const struct fetch *fetch);

/* Gives what the answer lay in back, or ends what is in progress; `done` is not called. */
void fetch_put_down(struct fetch *fetch);

#endif
