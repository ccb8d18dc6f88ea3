/* tls: a TLS session on a connection, on either side of it: by OpenSSL; of TLS 1.3 a server's goes on without it when the
 * handshake is done (tls_takeover). It moves no bytes by itself: what was read from the socket goes
 * in, what is to be sent is gathered in net->sealed, and whoever owns the socket sends it (connection, tls_accept), all of
 * a wake-up in one system call.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/types.h>

#include "worker/net/net.h"
#include "worker/net/tls_takeover.h"

struct tls_context;
struct tls_shown;

/* By ALPN (RFC 7301). */
enum tls_protocol { TLS_PROTOCOL_NONE, TLS_PROTOCOL_HTTP1, TLS_PROTOCOL_HTTP2 };

/* What a handshake came to, for who serves the connection. Texts live as long as `struct tls`. */
struct tls_peer {
    const char *version; /* as OpenSSL names it, "TLSv1.3" */
    const char *cipher;
    const char *server_name; /* that the client asked for (SNI, RFC 6066, section 3); NULL: none */
    enum tls_protocol protocol;
    const struct tls_shown *shown; /* the certificate that a client has shown; NULL: none, or it isn't one */
    const struct tls_context *context; /* of net/tls_server; NULL: the peer is no client */
};

struct tls {
    struct net *net;
    SSL *ssl;                      /* NULL: `record` has taken over */
    struct tls_takeover *takeover; /* NULL: not within a server's handshake */
    struct tls_record record;
    char *partial; /* the begin of a record, for that; NULL: nothing */
    size_t partial_length;
    char *front; /* what is sent before the handshake begins; NULL: nothing */
    size_t front_length;
    char *ahead; /* what came with the end of the handshake, and isn't understood yet; NULL: nothing */
    size_t ahead_length;
    const char *why;   /* why it failed, in words; NULL: it didn't */
    uint64_t overhead; /* bytes that were gathered beyond those that were given */
    bool ended;        /* our last record was gathered */
    uint32_t replies;  /* of them by reading, since the peer took everything */
    struct tls_peer peer;
};

/* Takes `ssl` over, which is set up for its side. */
struct tls *tls_new(struct net *net, SSL *ssl);
void tls_free(struct tls **tls);

/* Bytes that are sent in front of all that is TLS's. */
void tls_set_front(struct tls *tls, struct str bytes);

/* Gathers them, before the handshake begins. */
void tls_gather_front(struct tls *tls);

enum tls_result {
    TLS_GOES_ON,
    TLS_DONE,   /* the handshake; or the peer has closed its side (close_notify) */
    TLS_FAILED, /* tls_why() says why; what is gathered (an alert) is worth sending */
};

/* Goes on with the handshake: with `length` bytes that came, or none to begin. */
enum tls_result tls_handshake(struct tls *tls, const char *data, size_t length);

/* Decrypts what came, NET_READ bytes of net->wire at most, together with what was left of the handshake: `*opened` bytes at `plain`,
 * which has room for NET_OPENED. Those are good whatever it returns. */
enum tls_result tls_open(struct tls *tls, size_t length, char *plain, size_t *opened);

/* Gathers the pieces, encrypted; NET_OUT and NET_READ bytes at most. False: it failed. */
bool tls_seal(struct tls *tls, const struct str *pieces, unsigned count);

/* Gathers the last that is sent: close_notify (RFC 8446, section 6.1). */
void tls_end(struct tls *tls);

/* Of a session that failed, or whose connection ended within the handshake: constant text that calls the peer "it". */
const char *tls_why(const struct tls *tls);

#endif
