/* pool: the connections that a worker has to an endpoint. Called by attempt.c, which gets exchanges on them, by cluster.c
 * and places.c, which close them.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "worker/http/client.h"

struct cluster;
struct endpoint;
struct tls_target;
struct tunnel_end;
struct worker;

struct pool {
    struct list idle; /* connections, the one used last first */
    unsigned idle_count;
    struct list shared; /* of HTTP/2: those in use that have room for one more exchange */
    uint32_t epoch;     /* another one since the endpoint has another address */
    bool older;         /* with protocol = "auto": it doesn't speak HTTP/2 */
    uint32_t most;      /* of HTTP/2: exchanges at a time on a connection, as the endpoint said last */
};

void pool_open_endpoint(struct endpoint *endpoint);

/* Whether new connections of the endpoint are to speak HTTP/2. */
bool pool_is_http2(const struct endpoint *endpoint);

/* An exchange on a kept connection of the endpoint; NULL: there is none. */
struct client *pool_take(struct endpoint *endpoint, void *owner, const struct client_events *events);

/* An exchange on a new one, with TLS or `tls` NULL; NULL with errno when it failed at once. */
struct client *pool_open(struct endpoint *endpoint, const struct tls_target *tls, void *owner,
                         const struct client_events *events);

/* The same on a connection that no pool of an endpoint has: by the protocol of the endpoint. */
struct client *pool_open_apart(const struct endpoint *endpoint, const struct client_target *target,
                               void *owner, const struct client_events *events,
                               const struct client_timeouts *timeouts);

/* One that another process opened to this endpoint, which is a tunnel; NULL with errno. The descriptor is its own. */
struct client *pool_adopt(struct endpoint *endpoint, const struct tunnel_end *end, void *owner,
                          const struct client_events *events);

/* Those in use are closed when their exchanges are over. */
void pool_close_idle(struct pool *pool);

/* Closes that connection of all clusters which is idle longest. False: there is none. */
bool pools_close_oldest(struct worker *worker);

/* For a connection that serves one exchange, and that nobody keeps. */
extern const struct client_pool_events pool_keeps_none;

#endif
