/* tls_keys: the part of the key schedules of TLS 1.3 (RFC 8446, section 7) and TLS 1.2 (RFC 5246, section 6.3) that comes
 * after the handshake: what each cipher suite needs, keys out of a secret, the next secret. The secrets of a handshake of TLS
 * 1.3 come from OpenSSL by its key log.
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
    TLS_TAG_LENGTH = 16, /* of every suite that is here */
    TLS_EXPLICIT_MAX = 8,
    TLS_RANDOM_LENGTH = 32,
    TLS_MASTER_LENGTH = 48,
};

enum tls_suite_version { TLS_SUITE_1_2, TLS_SUITE_1_3 };

struct tls_suite {
    uint16_t id; /* RFC 8446, appendix B.4; RFC 5288, 5289, 7905 */
    enum tls_suite_version version;
    uint8_t key_length;
    uint8_t secret_length;   /* TLS 1.3: of traffic secrets */
    uint8_t explicit_length; /* bytes of the nonce that stand in each record (RFC 5288, section 3) */
    uint64_t records;        /* that one key may seal (RFC 8446, section 5.5) */
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

/* The keys of TLS 1.2 (RFC 5246, section 6.3). An IV that is shorter than TLS_IV_LENGTH is the begin of each nonce. */
struct tls_key_block {
    uint8_t client_key[TLS_KEY_MAX], server_key[TLS_KEY_MAX];
    uint8_t client_iv[TLS_IV_LENGTH], server_iv[TLS_IV_LENGTH];
};

/* Out of the handshake's master secret and randoms. False: OpenSSL failed. */
bool tls_keys_expand(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_LENGTH],
                     const uint8_t client_random[TLS_RANDOM_LENGTH],
                     const uint8_t server_random[TLS_RANDOM_LENGTH], struct tls_key_block *block);

/* The key and the IV of a traffic secret of TLS 1.3 (section 7.3). False: OpenSSL failed. */
bool tls_keys_derive(const struct tls_suite *suite, const uint8_t *secret, uint8_t key[TLS_KEY_MAX],
                     uint8_t iv[TLS_IV_LENGTH]);

/* Replaces the secret by the one that follows it (section 7.2). False: OpenSSL failed. */
bool tls_keys_advance(const struct tls_suite *suite, uint8_t *secret);

#endif
