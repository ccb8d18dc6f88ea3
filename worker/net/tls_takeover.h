/* tls_takeover: from OpenSSL's session, whose handshake is done, to a record layer of our own. While the handshake goes on
 * this listens, for TLS 1.3: the traffic secrets come by the key log, and the records that were sealed under them (the server's
 * tickets) are counted.
 *
 * The session must have read nothing behind the handshake: it is given no more bytes than it asks for, and it asks for
 * a header, then for its record.
 */
#ifndef NET_TLS_TAKEOVER_H
#define NET_TLS_TAKEOVER_H

#include "worker/net/tls_record.h"

struct tls_takeover {
    struct tls_secrets secrets;
    uint32_t received, sent; /* records under the application's keys */
};

/* Prepares a server's context. What listens is the application data (SSL_set_app_data()) of its sessions. */
void tls_takeover_prepare(SSL_CTX *context);

/* Listens to a handshake that hasn't begun. `takeover` outlives the session. */
void tls_takeover_listen(struct tls_takeover *takeover, SSL *session);

/* Takes over; the session is then only to be freed. False: it must go on with the session (a suite that we lack: those
 * of TLS 1.2 without an AEAD cipher; bytes that it has read ahead). Either way the secrets are wiped. */
bool tls_takeover(struct tls_takeover *takeover, SSL *session, struct tls_record *record);

#endif
