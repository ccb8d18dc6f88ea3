/* tls_keys: TLS 1.3's key schedule after the handshake. */
#include "worker/net/tls_keys.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "shared/base/str.h"

/* AES-GCM: 2^24.5 full records is where RFC 8446, section 5.5 draws the line. ChaCha20-Poly1305 has none that a connection
 * can reach; its bound is there so that a sequence number never wraps (section 5.3). */
static const struct tls_suite suites[] = {
    {0x1301, 16, 32, UINT64_C(1) << 24, EVP_aes_128_gcm, EVP_sha256},
    {0x1302, 32, 48, UINT64_C(1) << 24, EVP_aes_256_gcm, EVP_sha384},
    {0x1303, 32, 32, UINT64_C(1) << 48, EVP_chacha20_poly1305, EVP_sha256},
};

const struct tls_suite *tls_keys_suite(uint16_t id)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

/* --- the key log: LABEL, the client's random, the secret, in hexadecimal, a space between --- */

/* The length of the secret; 0: it isn't one. */
static uint8_t read_secret(const char *text, uint8_t secret[TLS_SECRET_MAX])
{
    size_t length = 0;
    if (!OPENSSL_hexstr2buf_ex(secret, TLS_SECRET_MAX, &length, text, '\0'))
        ERR_clear_error();
    return (uint8_t)length;
}

bool tls_keys_learn(struct tls_secrets *secrets, const char *line)
{
    struct str rest = str_of(line);
    struct str label = str_cut(&rest, ' ');
    (void)str_cut(&rest, ' '); /* the random tells connections apart in a file */
    if (!rest.data)
        return false;
    if (str_eq(label, STR("CLIENT_TRAFFIC_SECRET_0")))
        return (secrets->client_length = read_secret(rest.data, secrets->client)) > 0;
    if (str_eq(label, STR("SERVER_TRAFFIC_SECRET_0")))
        return (secrets->server_length = read_secret(rest.data, secrets->server)) > 0;
    return false;
}

/* --- derivation --- */

/* HKDF-Expand-Label (section 7.1) without a context, for what isn't longer than the hash: HKDF-Expand (RFC 5869,
 * section 2.3) is then one HMAC. */
static bool expand_label(const struct tls_suite *suite, const uint8_t *secret, struct str label, uint8_t *out,
                         uint8_t length)
{
    static const char prefix[] = {'t', 'l', 's', '1', '3', ' '};
    uint8_t info[32], hash[EVP_MAX_MD_SIZE];
    assert(length <= suite->secret_length && 5 + sizeof prefix + label.length <= sizeof info);
    size_t size = 0;
    info[size++] = 0;
    info[size++] = length;
    info[size++] = (uint8_t)(sizeof prefix + label.length);
    memcpy(info + size, prefix, sizeof prefix);
    size += sizeof prefix;
    memcpy(info + size, label.data, label.length);
    size += label.length;
    info[size++] = 0; /* the context's length */
    info[size++] = 1; /* the block's number */
    bool done = HMAC(suite->digest(), secret, suite->secret_length, info, size, hash, NULL) != NULL;
    if (done)
        memcpy(out, hash, length);
    OPENSSL_cleanse(hash, sizeof hash);
    return done;
}

bool tls_keys_derive(const struct tls_suite *suite, const uint8_t *secret, uint8_t key[TLS_KEY_MAX],
                     uint8_t iv[TLS_IV_LENGTH])
{
    return expand_label(suite, secret, STR("key"), key, suite->key_length) &&
           expand_label(suite, secret, STR("iv"), iv, TLS_IV_LENGTH);
}

bool tls_keys_advance(const struct tls_suite *suite, uint8_t *secret)
{
    uint8_t next[TLS_SECRET_MAX];
    bool done = expand_label(suite, secret, STR("traffic upd"), next, suite->secret_length);
    if (done)
        memcpy(secret, next, suite->secret_length);
    OPENSSL_cleanse(next, sizeof next);
    return done;
}
