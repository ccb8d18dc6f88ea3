/* http2_client: a connection to an endpoint that speaks HTTP/2: many exchanges at a time, each a struct client on a stream of
 * its own (RFC 9113).
 *
 * Exchanges may be had before it is connected. They are told when the endpoint's SETTINGS have come, before which nothing is
 * sent: those say how many streams it takes, and that it speaks HTTP/2 at all. Who is one too many then is refused, and goes
 * elsewhere.
 */
#ifndef HTTP_HTTP2_CLIENT_H
#define HTTP_HTTP2_CLIENT_H

#include "worker/http/client.h"
#include "worker/net/net.h"

struct http2_client_rules {
    uint32_t streams;  /* at a time, at most; the endpoint may take fewer, */
    uint32_t expected; /* as is assumed until its SETTINGS come */
    uint32_t window;   /* bytes of an answer's body that may come before its owner has taken any */
};

/* A new connection, connecting, and the first exchange on it. NULL with errno when it failed at once. */
struct client *http2_client_open(const struct client_target *target, const struct http2_client_rules *rules,
                                 void *owner, const struct client_events *events,
                                 const struct client_timeouts *timeouts);

#endif
