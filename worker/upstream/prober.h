/* prober: probes the endpoints of upstreams that have `health`, one after the other, each in its interval. The keeper's:
 * one process of the node does it, and what it finds stands in the endpoints' cells (health.h).
 */
#ifndef UPSTREAM_PROBER_H
#define UPSTREAM_PROBER_H

#include "worker/upstream/cluster.h"

/* Begins. Nothing is probed any more once worker->service.draining is set, or the loop ends. Memory is the worker's for
 * its life. */
void prober_start(struct worker *worker, struct arena *arena);

/* Why the endpoint's last probe failed; NULL: it didn't, or there was none in this process. */
const char *prober_why(const struct endpoint *endpoint);

#endif
