/* tls_keys: the key schedules after the handshake. */
#include "worker/net/tls_keys.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "shared/base/str.h"

/* AES-GCM: 2^24.5 full records is where RFC 8446, section 5.5 draws the line. ChaCha20-Poly1305 has none that a connection
 * can reach; its bound is there so that a sequence number never wraps (section 5.3). TLS 1.2 has no way to change keys but to
 * renegotiate, which is refused; it has no line either. */
#define SUITE_1_3(id_, key_, secret_, records_, cipher_, digest_)                                \
    {                                                                                            \
        .id = (id_), .version = TLS_SUITE_1_3, .key_length = (key_), .secret_length = (secret_), \
        .records = (records_), .cipher = (cipher_), .digest = (digest_)                          \
    }
#define SUITE_1_2(id_, key_, explicit_, cipher_, digest_)                                            \
    {                                                                                                \
        .id = (id_), .version = TLS_SUITE_1_2, .key_length = (key_), .explicit_length = (explicit_), \
        .records = UINT64_MAX, .cipher = (cipher_), .digest = (digest_)                              \
    }

static const struct tls_suite suites[] = {
    SUITE_1_3(0x1301, 16, 32, UINT64_C(1) << 24, EVP_aes_128_gcm, EVP_sha256),
    SUITE_1_3(0x1302, 32, 48, UINT64_C(1) << 24, EVP_aes_256_gcm, EVP_sha384),
    SUITE_1_3(0x1303, 32, 32, UINT64_C(1) << 48, EVP_chacha20_poly1305, EVP_sha256),
    /* ECDHE with ECDSA and RSA (RFC 5289, section 3.2), then DHE with RSA (RFC 5288, section 3) */
    SUITE_1_2(0xc02b, 16, 8, EVP_aes_128_gcm, EVP_sha256),
    SUITE_1_2(0xc02c, 32, 8, EVP_aes_256_gcm, EVP_sha384),
    SUITE_1_2(0xc02f, 16, 8, EVP_aes_128_gcm, EVP_sha256),
    SUITE_1_2(0xc030, 32, 8, EVP_aes_256_gcm, EVP_sha384),
    SUITE_1_2(0x009e, 16, 8, EVP_aes_128_gcm, EVP_sha256),
    SUITE_1_2(0x009f, 32, 8, EVP_aes_256_gcm, EVP_sha384),
    /* the same three (RFC 7905, section 2) */
    SUITE_1_2(0xcca9, 32, 0, EVP_chacha20_poly1305, EVP_sha256),
    SUITE_1_2(0xcca8, 32, 0, EVP_chacha20_poly1305, EVP_sha256),
    SUITE_1_2(0xccaa, 32, 0, EVP_chacha20_poly1305, EVP_sha256),
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

/* --- derivation: TLS 1.2 --- */

/* The PRF (RFC 5246, section 5). */
static bool expand_master(const struct tls_suite *suite, const uint8_t *master, const uint8_t *seed,
                          size_t seed_length, uint8_t *out, size_t length)
{
    EVP_KDF *prf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, NULL);
    EVP_KDF_CTX *context = prf ? EVP_KDF_CTX_new(prf) : NULL;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)EVP_MD_get0_name(suite->digest()), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)master, TLS_MASTER_LENGTH),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)seed, seed_length),
        OSSL_PARAM_END,
    };
    bool done = context && EVP_KDF_derive(context, out, length, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(prf);
    return done;
}

static const uint8_t *take(uint8_t *to, const uint8_t *from, size_t length)
{
    memcpy(to, from, length);
    return from + length;
}

bool tls_keys_expand(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_LENGTH],
                     const uint8_t client_random[TLS_RANDOM_LENGTH],
                     const uint8_t server_random[TLS_RANDOM_LENGTH], struct tls_key_block *block)
{
    static const char label[] = {'k', 'e', 'y', ' ', 'e', 'x', 'p', 'a', 'n', 's', 'i', 'o', 'n'};
    uint8_t seed[sizeof label + 2 * TLS_RANDOM_LENGTH], bytes[2 * (TLS_KEY_MAX + TLS_IV_LENGTH)];
    size_t key = suite->key_length, iv = (size_t)TLS_IV_LENGTH - suite->explicit_length;
    memcpy(seed, label, sizeof label);
    memcpy(seed + sizeof label, server_random, TLS_RANDOM_LENGTH);
    memcpy(seed + sizeof label + TLS_RANDOM_LENGTH, client_random, TLS_RANDOM_LENGTH);
    bool done = expand_master(suite, master, seed, sizeof seed, bytes, 2 * (key + iv));
    if (done) {
        const uint8_t *from = take(block->client_key, bytes, key);
        from = take(block->server_key, from, key);
        from = take(block->client_iv, from, iv);
        (void)take(block->server_iv, from, iv);
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return done;
}

/* --- derivation: TLS 1.3 --- */

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
