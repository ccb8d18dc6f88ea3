/* http1_client: a connection to an endpoint that speaks HTTP/1: one exchange at a time, idle in between. */
#ifndef HTTP_HTTP1_CLIENT_H
#define HTTP_HTTP1_CLIENT_H

#include "shared/base/address.h"
#include "worker/http/client.h"
#include "worker/net/net.h"

/* A new connection, connecting, and the first exchange on it; NULL with errno when it failed at once. */
struct client *http1_client_open(const struct client_target *target, void *owner,
                                 const struct client_events *events, const struct client_timeouts *timeouts);

#endif
