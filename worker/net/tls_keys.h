/* tls_keys: the part of TLS 1.3's key schedule (RFC 8446, section 7) that comes after the handshake: what each cipher
 * suite needs, keys out of a traffic secret, the next secret. The secrets of a handshake come from OpenSSL by its key log.
 */
#ifndef NET_TLS_KEYS_H
#define NET_TLS_KEYS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    TLS_SECRET_MAX = 48, /* bytes: those of SHA-384 */
    TLS_KEY_MAX = 32,
    TLS_IV_LENGTH = 12,
    TLS_TAG_LENGTH = 16, /* of every suite of TLS 1.3 that is here */
};

struct tls_suite {
    uint16_t id; /* RFC 8446, appendix B.4 */
    uint8_t key_length, secret_length;
    uint64_t records; /* that one key may seal (section 5.5) */
    const EVP_CIPHER *(*cipher)(void);
    const EVP_MD *(*digest)(void);
};

/* NULL: none that we have. */
const struct tls_suite *tls_keys_suite(uint16_t id);

/* The application traffic secrets of the two sides, as far as they are known. */
struct tls_secrets {
    uint8_t client_length, server_length; /* 0: not yet */
    uint8_t client[TLS_SECRET_MAX], server[TLS_SECRET_MAX];
};

/* Takes a line that SSL_CTX_set_keylog_callback() tells; what isn't an application traffic secret is none of ours.
 * True when it was one of the two. */
bool tls_keys_learn(struct tls_secrets *secrets, const char *line);

/* The key and the IV of a traffic secret (section 7.3). False: OpenSSL failed. */
bool tls_keys_derive(const struct tls_suite *suite, const uint8_t *secret, uint8_t key[TLS_KEY_MAX],
                     uint8_t iv[TLS_IV_LENGTH]);

/* Replaces the secret by the one that follows it (section 7.2). False: OpenSSL failed. */
bool tls_keys_advance(const struct tls_suite *suite, uint8_t *secret);

#endif
