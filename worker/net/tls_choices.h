/* tls_choices: versions, ciphers and curves of a listener, checked against what the library has and laid on its contexts. */
#ifndef NET_TLS_CHOICES_H
#define NET_TLS_CHOICES_H

#include <openssl/ssl.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"

struct tls_choices {
    int min_version, max_version;
    const char *ciphers, *ciphersuites, *curves; /* as the library wants them, in the arena */
};

/* False: reported, with what may have been meant. */
bool tls_choices_check(struct tls_choices *choices, const struct tls_settings *settings, struct arena *arena,
                       struct errors *errors);

/* False: the library refuses them; it has said why. */
bool tls_choices_apply(const struct tls_choices *choices, SSL_CTX *context);

#endif
