/* signature: keys of HTTP Message Signatures and their algorithms (RFC 9421, section 3.3). */
#include "worker/codec/signature.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum { RSA_LEAST_BITS = 2048, HMAC_LENGTH = 32, DER_MAX = 160 };

struct signature_algorithm {
    const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own */
    int key;                       /* EVP_PKEY_… */
    const char *curve;             /* of an elliptic one, by OpenSSL's name; else NULL */
    size_t half;                   /* bytes of each of the two numbers of its signature */
    bool pss;
    const char *wants; /* for people: what its key is */
};

const char *const signature_algorithms[] = {
    "hmac-sha256",     "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512",
    "rsa-v1_5-sha256", NULL,
};

/* In the same order. */
static const struct signature_algorithm algorithms[] = {
    {EVP_sha256, EVP_PKEY_HMAC, NULL, 0, false, "a secret"},
    {NULL, EVP_PKEY_ED25519, NULL, 0, false, "an Ed25519 key"},
    {EVP_sha256, EVP_PKEY_EC, "prime256v1", 32, false, "a key on the curve P-256"},
    {EVP_sha384, EVP_PKEY_EC, "secp384r1", 48, false, "a key on the curve P-384"},
    {EVP_sha512, EVP_PKEY_RSA, NULL, 0, true, "an RSA key of 2048 bits or more"},
    {EVP_sha256, EVP_PKEY_RSA, NULL, 0, false, "an RSA key of 2048 bits or more"},
};

struct signature_key {
    const struct signature_algorithm *algorithm;
    const char *name;
    EVP_PKEY *pkey;    /* NULL: it is a secret */
    struct str secret; /* of an HMAC */
};

/* --- keys --- */

static bool is_on_curve(const EVP_PKEY *pkey, const char *curve)
{
    char name[64];
    size_t length;
    return EVP_PKEY_get_group_name(pkey, name, sizeof name, &length) == 1 && strcmp(name, curve) == 0;
}

static bool fits(const EVP_PKEY *pkey, const struct signature_algorithm *algorithm)
{
    int kind = EVP_PKEY_get_base_id(pkey);
    if (kind == EVP_PKEY_RSA_PSS && algorithm->pss)
        kind = EVP_PKEY_RSA;
    if (kind != algorithm->key)
        return false;
    if (algorithm->curve)
        return is_on_curve(pkey, algorithm->curve);
    return kind != EVP_PKEY_RSA ||
           (EVP_PKEY_get_bits(pkey) >= RSA_LEAST_BITS && EVP_PKEY_get_size(pkey) <= SIGNATURE_MAX);
}

static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *read_pem(struct str text, bool private)
{
    BIO *in = BIO_new_mem_buf(text.data, (int)text.length);
    EVP_PKEY *pkey = !in       ? NULL
                     : private ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL)
                               : PEM_read_bio_PUBKEY(in, NULL, no_passphrase, NULL);
    BIO_free(in);
    ERR_clear_error();
    return pkey;
}

static void free_pkey(void *pkey)
{
    EVP_PKEY_free(pkey);
}

const struct signature_key *signature_key_new(struct arena *arena, int algorithm, struct str text, bool sign,
                                              const char **why)
{
    struct signature_key *key = arena_zalloc(arena, sizeof *key);
    key->algorithm = &algorithms[algorithm];
    key->name = signature_algorithms[algorithm];
    if (key->algorithm->key == EVP_PKEY_HMAC) {
        key->secret = arena_str(arena, text);
        return key;
    }
    key->pkey = read_pem(text, sign);
    if (!key->pkey) {
        *why = sign ? "is not a private key in PEM, without a passphrase"
                    : "is not a public key in PEM (BEGIN PUBLIC KEY)";
        return NULL;
    }
    arena_on_free(arena, free_pkey, key->pkey);
    if (!fits(key->pkey, key->algorithm)) {
        *why = arena_printf(arena, "is not what %s needs: %s", key->name, key->algorithm->wants);
        return NULL;
    }
    return key;
}

bool signature_key_is(const struct signature_key *key, struct str alg)
{
    return str_eq(alg, str_of(key->name));
}

/* --- signatures --- */

static bool set_padding(EVP_PKEY_CTX *context, const struct signature_algorithm *algorithm)
{
    if (!algorithm->pss)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static const EVP_MD *digest_of(const struct signature_algorithm *algorithm)
{
    return algorithm->digest ? algorithm->digest() : NULL;
}

/* The two numbers, each of a fixed length (section 3.3.4), as OpenSSL wants them; 0: they are none. */
static size_t to_der(const unsigned char *signature, size_t half, unsigned char der[DER_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)half, NULL), *s = BN_bin2bn(signature + half, (int)half, NULL);
    int length = 0;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1)
        length = i2d_ECDSA_SIG(pair, &der);
    else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return length > 0 ? (size_t)length : 0;
}

static size_t from_der(const unsigned char *der, size_t length, size_t half, unsigned char *signature)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
    bool made = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, (int)half) == (int)half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, (int)half) == (int)half;
    ECDSA_SIG_free(pair);
    return made ? 2 * half : 0;
}

static bool make_hmac(const struct signature_key *key, struct str text, unsigned char mac[HMAC_LENGTH])
{
    return HMAC(EVP_sha256(), key->secret.data, (int)key->secret.length, (const unsigned char *)text.data,
                text.length, mac, NULL) != NULL;
}

bool signature_verify(const struct signature_key *key, struct str text, const unsigned char *signature,
                      size_t length)
{
    const struct signature_algorithm *algorithm = key->algorithm;
    unsigned char der[DER_MAX], mac[HMAC_LENGTH];
    if (!key->pkey)
        return length == sizeof mac && make_hmac(key, text, mac) &&
               CRYPTO_memcmp(mac, signature, sizeof mac) == 0;
    if (algorithm->half) {
        if (length != 2 * algorithm->half)
            return false;
        length = to_der(signature, algorithm->half, der);
        signature = der;
    }
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context; /* the digest's own */
    bool good =
        digest && length &&
        EVP_DigestVerifyInit(digest, &context, digest_of(algorithm), NULL, key->pkey) == 1 &&
        set_padding(context, algorithm) &&
        EVP_DigestVerify(digest, signature, length, (const unsigned char *)text.data, text.length) == 1;
    EVP_MD_CTX_free(digest);
    ERR_clear_error();
    return good;
}

size_t signature_sign(const struct signature_key *key, struct str text,
                      unsigned char signature[SIGNATURE_MAX])
{
    const struct signature_algorithm *algorithm = key->algorithm;
    unsigned char der[SIGNATURE_MAX];
    size_t length = sizeof der;
    if (!key->pkey)
        return make_hmac(key, text, signature) ? HMAC_LENGTH : 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context; /* the digest's own */
    bool made = digest && EVP_DigestSignInit(digest, &context, digest_of(algorithm), NULL, key->pkey) == 1 &&
                set_padding(context, algorithm) &&
                EVP_DigestSign(digest, der, &length, (const unsigned char *)text.data, text.length) == 1;
    EVP_MD_CTX_free(digest);
    ERR_clear_error();
    if (!made)
        return 0;
    if (algorithm->half)
        return from_der(der, length, algorithm->half, signature);
    memcpy(signature, der, length);
    return length;
}
