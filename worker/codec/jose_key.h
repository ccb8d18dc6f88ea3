/* jose_key: keys that tokens are verified with (JWK, RFC 7517; the algorithms of RFC 7518, 8037 and 8812), by OpenSSL.
 *
 * A key is bound to one algorithm when it is read: what a token says can only agree (RFC 8725, section 3.1). Keys too weak for their
 * algorithm, and those that are not for signatures, are none. A key lives as long as its arena.
 */
#ifndef CODEC_JOSE_KEY_H
#define CODEC_JOSE_KEY_H

#include "shared/base/arena.h"

enum {
    JOSE_KEYS_MAX = 64,        /* of a set */
    JOSE_SIGNATURE_MAX = 1024, /* bytes: of RSA with 8192 bits */
    JOSE_SET_MAX = 256 * 1024, /* bytes of a set's text */
};

/* Names of algorithms, ended by NULL; their indexes are how they are told. */
extern const char *const jose_algorithms[];

/* -1: it is none of them (`none` isn't one). */
int jose_algorithm(struct str name);

struct jose_key;

struct jose_keys {
    const struct jose_key *keys[JOSE_KEYS_MAX];
    unsigned count;
    unsigned left_out;       /* those of a set that can't be used */
    const char *left_out_as; /* why the last of them can't, in words */
};

/* A secret's bytes (HS*), or a public key or a certificate in PEM (the others). `kid` NULL data: it has none. NULL: `*why` in
 * words. */
const struct jose_key *jose_key_new(struct arena *arena, int algorithm, struct str kid, struct str text,
                                    const char **why);

/* Adds the keys of a set, or the one that is a key's own text. Without `alg` a key is RS256, or what its curve says. `secrets`:
 * symmetric keys are taken too; never of a set that is published. Keys that can't be used are left out (RFC 7517, section 5).
 * False: it is neither, or has too many; `*why` in words. */
bool jose_keys_add(struct arena *arena, struct jose_keys *keys, struct str text, bool secrets,
                   const char **why);

int jose_key_algorithm(const struct jose_key *key);

/* Whether the key is the one that `kid` names; one without a name is any, and so it is when `kid` has NULL data. */
bool jose_key_is(const struct jose_key *key, struct str kid);

/* In a time that doesn't depend on where they differ. Not by two threads at once. */
bool jose_key_verify(const struct jose_key *key, struct str text, const unsigned char *signature,
                     size_t length);

#endif
