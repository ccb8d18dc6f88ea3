/* tls_clients: what a name of a listener asks of its clients' certificates, and whether one is good: at the handshake, and
 * again whenever a session is gone on with.
 */
#ifndef NET_TLS_CLIENTS_H
#define NET_TLS_CLIENTS_H

#include <openssl/ssl.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"

enum { TLS_RULES_DIGEST = 32 };

struct tls_clients {
    const struct client_certificate_settings *settings;
    X509_STORE *store;                      /* the authorities and revocation lists; NULL: mode is off */
    STACK_OF(X509_NAME) * names;            /* of the authorities, which clients are told */
    unsigned char digest[TLS_RULES_DIGEST]; /* of all that; the same for rules that say the same */
};

/* Reads the files. False: reported. In any case tls_clients_free(). */
bool tls_clients_load(struct tls_clients *clients, const struct client_certificate_settings *settings,
                      int64_t now, struct arena *arena, struct errors *errors);
void tls_clients_free(struct tls_clients *clients);

/* Makes sessions of the context follow the rules. `digest` becomes its session_id_context: a session that was begun under
 * other rules isn't gone on with (RFC 8446, section 4.6.1: a ticket's owner may be someone else by now). */
void tls_clients_apply(const struct tls_clients *clients, SSL_CTX *context);

/* Brings a session that was made for another context under the rules; SSL_set_SSL_CTX() leaves these as they were. */
void tls_clients_switch(SSL *ssl, const SSL_CTX *context);

/* Whether an old session may be gone on with: its client's certificate, if there is one, is still good. It may have expired
 * meanwhile, or have been revoked. */
bool tls_clients_still(const struct tls_clients *clients, SSL_SESSION *session);

/* Whether both say the same. */
bool tls_clients_same(const struct tls_clients *a, const struct tls_clients *b);

#endif
