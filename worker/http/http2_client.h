/* http2_client: a connection to an endpoint that speaks HTTP/2: many exchanges at a time, each a struct client on a stream of
 * its own (RFC 9113).
 *
 * Exchanges may be had before it is connected: they are told when it is. Who asks for more streams than the endpoint lets be
 * open waits in the library for one to end.
 */
#ifndef HTTP_HTTP2_CLIENT_H
#define HTTP_HTTP2_CLIENT_H

#include "worker/http/client.h"
#include "worker/net/net.h"

/* A new connection, connecting, and the first exchange on it; at most `streams` are given at a time. NULL with errno when it
 * failed at once. */
struct client *http2_client_open(const struct client_target *target, uint32_t streams, void *owner,
                                 const struct client_events *events, const struct client_timeouts *timeouts);

#endif
