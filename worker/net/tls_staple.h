/* tls_staple: OCSP responses that are sent with a certificate (RFC 6066, section 8; RFC 6960): whether one is what clients
 * will take.
 */
#ifndef NET_TLS_STAPLE_H
#define NET_TLS_STAPLE_H

#include "worker/net/tls_identity.h"

enum tls_staple_verdict { TLS_STAPLE_GOOD, TLS_STAPLE_OUTDATED, TLS_STAPLE_WRONG };

/* What a response says of the certificate, by its issuer's word: good, and until when (`*until`, seconds of the wall clock; a
 * response without an end is taken for a day). Else `*why` in words, in the arena. `der` may be any bytes. */
enum tls_staple_verdict tls_staple_check(const struct tls_identity *identity, struct str der, int64_t now,
                                         int64_t *until, struct arena *arena, const char **why);

/* The question to a responder, DER, in the arena. The identity has its issuer's certificate. */
struct str tls_staple_question(const struct tls_identity *identity, struct arena *arena);

/* The response of the identity's setting, if it has one. False: reported. */
bool tls_staple_load(struct tls_identity *identity, int64_t now, struct arena *arena, struct errors *errors);

#endif
