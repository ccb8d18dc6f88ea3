/* endpoint_tls: how connections to an endpoint are made by TLS: whom it must show to be, and the session that the next one goes on
 * with. For attempt.c and the prober.
 */
#ifndef UPSTREAM_ENDPOINT_TLS_H
#define UPSTREAM_ENDPOINT_TLS_H

#include "worker/net/tls_client.h"
#include "worker/upstream/cluster.h"

/* When the cluster is opened. */
void endpoint_tls_open(struct endpoint *endpoint, struct arena *arena);

/* For a connection, in `target`; NULL: the upstream is plain. `before`: what is sent in front of TLS. */
const struct tls_target *endpoint_tls_target(struct endpoint *endpoint, struct str before,
                                             struct tls_target *target);

/* Lets go of the session: at the end, and when the endpoint is another one from now on. */
void endpoint_tls_forget(struct endpoint *endpoint);

#endif
