/* tls_client: TLS to the endpoints of an upstream: whom they must be, who we are, and what they may choose, compiled from the
 * settings when a generation is loaded; workers inherit it.
 */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include "shared/base/error.h"
#include "shared/conf/settings.h"
#include "worker/net/tls.h"

struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct tls_client;

/* Of one upstream. `protocols`: 1 << enum tls_protocol of those that are offered (ALPN), the last is liked best. What isn't memory
 * is given back with the arena. NULL, and errors with the file and line of what is wrong. */
struct tls_client *tls_client_new(const struct upstream_tls_settings *settings, unsigned protocols,
                                  struct arena *arena, struct errors *errors);

/* How one connection is made. */
struct tls_target {
    const struct tls_client *client;
    const char *name; /* whom the endpoint must show to be: a host name, or an IP address */
    struct ssl_session_st *
        *session;      /* to go on with, and where the next one goes; it outlives the connection */
    struct str before; /* what is sent in front of TLS: a PROXY header */
};

/* A session that is about to send its hello; never NULL. */
struct tls *tls_client_session(const struct tls_target *target, struct net *net);

/* Gives the session that was kept back, if there is one. */
void tls_client_forget(struct ssl_session_st **session);

#endif
