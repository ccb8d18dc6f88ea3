/* jose: signed tokens in compact form (JWS, RFC 7515, section 7.1): header, payload and signature in base64url.
 *
 * Strict: exactly three parts, no spare bits, the header an object without a member twice. No header names a key's place or brings
 * one (jku, jwk, x5u, x5c are not looked at): keys are the configuration's. Extensions that must be understood (crit, section
 * 4.1.11) are none that are known.
 */
#ifndef CODEC_JOSE_H
#define CODEC_JOSE_H

#include "worker/codec/jose_key.h"

enum { JOSE_TOKEN_MAX = 16384 };

enum jose_result {
    JOSE_GOOD,
    JOSE_MALFORMED,
    JOSE_CRITICAL,  /* it wants an extension to be understood */
    JOSE_ALGORITHM, /* its algorithm is none that is known, or no key's */
    JOSE_NO_KEY,    /* its kid is no key's */
    JOSE_FORGED,    /* the signature isn't its key's */
};

struct jose {
    struct str signed_text; /* what the signature is of: the first two parts */
    int algorithm;
    struct str kid, typ, cty; /* NULL data: it has none */
    struct str payload;       /* its bytes */
    const unsigned char *signature;
    size_t signature_length;
};

/* Reads a token; all that `jose` has lives in the arena, or in the token itself. GOOD says nothing of its signature yet. */
enum jose_result jose_read(struct jose *jose, struct str token, struct arena *arena);

/* Verifies it with the key that it names, or without a name with those of its algorithm. `*used`: the key. */
enum jose_result jose_verify(const struct jose *jose, const struct jose_keys *keys,
                             const struct jose_key **used);

#endif
