/* signature: keys of HTTP Message Signatures and their algorithms (RFC 9421, section 3.3), by OpenSSL. A key is bound to one
 * algorithm: what a message says of it can only agree.
 */
#ifndef CODEC_SIGNATURE_H
#define CODEC_SIGNATURE_H

#include "shared/base/arena.h"

enum { SIGNATURE_MAX = 1024 /* bytes: of RSA with 8192 bits */ };

/* Names of algorithms, ended by NULL; their indexes are how they are told. */
extern const char *const signature_algorithms[];

struct signature_key;

/* A key from PEM, public or, for signing, private; for hmac-sha256 the secret itself. It lives as long as the arena. NULL:
 * `*why` in words. */
const struct signature_key *signature_key_new(struct arena *arena, int algorithm, struct str text, bool sign,
                                              const char **why);

/* Whether `alg` is the algorithm of the key. */
bool signature_key_is(const struct signature_key *key, struct str alg);

/* In a time that doesn't depend on where they differ. */
bool signature_verify(const struct signature_key *key, struct str text, const unsigned char *signature,
                      size_t length);

/* The length; 0: OpenSSL failed. */
size_t signature_sign(const struct signature_key *key, struct str text,
                      unsigned char signature[SIGNATURE_MAX]);

#endif
