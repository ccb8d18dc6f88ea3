/* tls_accept: the TLS handshakes of connections that were accepted: behind a PROXY header, before anything of HTTP exists.
 * What fails here costs no more than this.
 */
#ifndef NET_TLS_ACCEPT_H
#define NET_TLS_ACCEPT_H

#include "shared/base/address.h"
#include "worker/net/admission.h"
#include "worker/net/tls.h"

/* A connection on its way in. */
struct arrival {
    int fd;
    struct address peer;
    struct admission admission;
};

/* The handshakes of a process. */
struct tls_accept {
    struct net *net;
    void *owner;
    /* The handshake is done; descriptor and session are the callee's. */
    void (*on_secured)(struct tls_accept *accept, const struct arrival *arrival, struct tls *tls);
    /* A plain HTTP request came instead, the beginning of which was read; the descriptor is the callee's. */
    void (*on_plain)(struct tls_accept *accept, const struct arrival *arrival);
    /* It is closed: `why` in words, or NULL: the peer left without a byte. */
    void (*on_refused)(struct tls_accept *accept, const struct arrival *arrival, const char *why);
    struct list handshakes;
    unsigned count;
    uint64_t turn;    /* the loop's time of the last step */
    unsigned in_turn; /* steps in that turn */
};

void tls_accept_init(struct tls_accept *accept, struct net *net);

/* Takes the descriptor and the session (of net/tls_server) over; one of the callbacks follows, but not before this returns. False with
 * errno: nothing was done, but that the session is gone. */
bool tls_accept_open(struct tls_accept *accept, const struct arrival *arrival, SSL *ssl, uint64_t timeout_ms);

/* Closes all of them; no callback. */
void tls_accept_close(struct tls_accept *accept);

#endif
