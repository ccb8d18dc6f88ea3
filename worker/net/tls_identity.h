/* tls_identity: one certificate with its chain and its key, looked over when a generation is loaded: whether they belong
 * together, are in order, are strong enough, and how long they are valid.
 */
#ifndef NET_TLS_IDENTITY_H
#define NET_TLS_IDENTITY_H

#include <openssl/ssl.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"

/* Kinds of keys: of each there may be one for a name, side by side; a client gets what it can verify. */
enum tls_algorithm { TLS_RSA, TLS_RSA_PSS, TLS_ECDSA, TLS_ED25519, TLS_ED448, TLS_ALGORITHMS };

/* "RSA" … */
extern const char *const tls_algorithm_names[TLS_ALGORITHMS];

enum { TLS_WARN_DAYS = 30 };

struct tls_identity {
    const struct certificate_settings *settings;
    X509 *certificate;
    STACK_OF(X509) * chain; /* what is sent behind it */
    EVP_PKEY *key;          /* NULL: wiped */
    enum tls_algorithm algorithm;
    const char *subject; /* on one line */
    struct str *names;   /* for which it is used: lower case, "*.example.com" too */
    unsigned name_count;
    int64_t starts, ends;  /* seconds of the wall clock */
    const char *responder; /* of OCSP, a URL; NULL: it names none by http */
    struct str staple;     /* the OCSP response of its setting (tls_staple); empty: none */
    int64_t staple_until;  /* likewise: until when it may be sent */
    int staple_want;       /* one is fetched: the want of its cell; -1: none is */
};

enum tls_purpose { TLS_FOR_SERVER, TLS_FOR_CLIENT };

/* Reads and checks it, for a side; `now` in seconds of the wall clock. What is near its end, or past it, is a warning: an expired
 * certificate keeps no gateway from starting. Texts are in the arena. False: reported. In any case tls_identity_free(). */
bool tls_identity_load(struct tls_identity *identity, const struct certificate_settings *settings,
                       enum tls_purpose purpose, int64_t now, struct arena *arena, struct errors *errors);

/* Gives back what the library holds; the key is wiped with it. */
void tls_identity_free(struct tls_identity *identity);

/* The key alone. */
void tls_identity_wipe(struct tls_identity *identity);

/* Days until it ends, rounded down; negative: it did. */
int tls_identity_days(const struct tls_identity *identity, int64_t now);

/* A certificate's end in seconds of the wall clock. */
int64_t tls_identity_seconds(const ASN1_TIME *time);

#endif
