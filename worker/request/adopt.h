/* adopt: a request that another process of this gateway began goes on here, once it is a tunnel: what was said of it there, and
 * what it holds here from now on. Called by upstream/tunnel_handoff.
 */
#ifndef REQUEST_ADOPT_H
#define REQUEST_ADOPT_H

#include "worker/request/request.h"

/* What the other process knows of it beside its head. Texts needn't outlive the call. */
struct request_story {
    struct str id, api, route;
    uint64_t started, started_wall, upstream_ns; /* as in struct request */
    unsigned tries;
};

/* A request for an exchange that is a tunnel already. It is in state LOG: what comes next is its end. NULL: no route of that
 * API and name takes it here, or none that has tunnels of its kind; the exchange is as before. */
struct request *request_adopt(struct exchange *exchange, const struct request_story *story);

/* It goes on in another process: what it holds here is given back, and nothing is logged. Then its exchange is to be closed. */
void request_dismiss(struct request *request);

#endif
