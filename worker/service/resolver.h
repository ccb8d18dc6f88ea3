/* resolver: keeps what endpoints that are names stand for. The keeper's: it looks the names of its generation up, again
 * whenever their TTL is over, and publishes their addresses in the zone `names`.
 *
 * What was found stays while look-ups fail. A name that had no address yet may be published before GO, as nobody else does
 * it; all others are from GO on.
 */
#ifndef SERVICE_RESOLVER_H
#define SERVICE_RESOLVER_H

#include "worker/request/worker.h"

struct resolver;

/* NULL: the configuration has no names, and nothing is to be waited for; or, with `*why` in words, there are no means to
 * look them up. `on_ready`: each name has had an answer, good or bad, or resolver.start is over; not before this returns. Memory
 * is the worker's for its life. */
struct resolver *resolver_new(struct worker *worker, struct arena *arena, void (*on_ready)(void *owner),
                              void *owner, const char **why);

/* The keeper before us, if there was one, is gone. NULL is fine. */
void resolver_go(struct resolver *resolver);

/* Ends what is under way. NULL is fine. */
void resolver_close(struct resolver *resolver);

#endif
