/* jose_key: keys that tokens are verified with. Called at load, for sets of keys that come later, and for each token. */
#include "worker/codec/jose_key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "worker/codec/base64.h"
#include "worker/codec/json.h"

enum {
    RSA_LEAST_BITS = 2048, /* RFC 7518, section 3.3 */
    HALF_MAX = 66,         /* bytes of a number of P-521 */
    DER_MAX = 2 * HALF_MAX + 16,
    ED25519_LENGTH = 32,
    VALUES_MAX = 4096,
};

struct jose_algorithm {
    const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own */
    int key;                       /* EVP_PKEY_… */
    const char *curve, *crv;       /* of an elliptic one: by OpenSSL's name and by JWK's */
    size_t half;                   /* bytes of each of the two numbers of its signature */
    bool pss;
    const char *wants; /* for people: what its key is */
};

const char *const jose_algorithms[] = {
    "HS256", "HS384", "HS512", "RS256", "RS384",  "RS512", "PS256", "PS384",
    "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", NULL,
};

#define RSA_WANTED "an RSA key of 2048 to 8192 bits"

/* In the same order. */
static const struct jose_algorithm algorithms[] = {
    {EVP_sha256, EVP_PKEY_HMAC, NULL, NULL, 0, false, "a secret of 32 bytes or more"},
    {EVP_sha384, EVP_PKEY_HMAC, NULL, NULL, 0, false, "a secret of 48 bytes or more"},
    {EVP_sha512, EVP_PKEY_HMAC, NULL, NULL, 0, false, "a secret of 64 bytes or more"},
    {EVP_sha256, EVP_PKEY_RSA, NULL, NULL, 0, false, RSA_WANTED},
    {EVP_sha384, EVP_PKEY_RSA, NULL, NULL, 0, false, RSA_WANTED},
    {EVP_sha512, EVP_PKEY_RSA, NULL, NULL, 0, false, RSA_WANTED},
    {EVP_sha256, EVP_PKEY_RSA, NULL, NULL, 0, true, RSA_WANTED},
    {EVP_sha384, EVP_PKEY_RSA, NULL, NULL, 0, true, RSA_WANTED},
    {EVP_sha512, EVP_PKEY_RSA, NULL, NULL, 0, true, RSA_WANTED},
    {EVP_sha256, EVP_PKEY_EC, "prime256v1", "P-256", 32, false, "a key on the curve P-256"},
    {EVP_sha384, EVP_PKEY_EC, "secp384r1", "P-384", 48, false, "a key on the curve P-384"},
    {EVP_sha512, EVP_PKEY_EC, "secp521r1", "P-521", 66, false, "a key on the curve P-521"},
    {EVP_sha256, EVP_PKEY_EC, "secp256k1", "secp256k1", 32, false, "a key on the curve secp256k1"},
    {NULL, EVP_PKEY_ED25519, NULL, "Ed25519", 0, false, "an Ed25519 key"},
};

struct jose_key {
    const struct jose_algorithm *algorithm;
    struct str kid;
    struct str secret;     /* of an HMAC */
    EVP_PKEY *pkey;        /* of the others */
    EVP_PKEY_CTX *context; /* ready to verify; not of Ed25519, which has no digest apart */
};

int jose_algorithm(struct str name)
{
    for (int i = 0; jose_algorithms[i]; i++)
        if (str_eq(name, str_of(jose_algorithms[i])))
            return i;
    return -1;
}

int jose_key_algorithm(const struct jose_key *key)
{
    return (int)(key->algorithm - algorithms);
}

bool jose_key_is(const struct jose_key *key, struct str kid)
{
    return !kid.data || !key->kid.data || str_eq(key->kid, kid);
}

/* --- making one --- */

static bool fits(const EVP_PKEY *pkey, const struct jose_algorithm *algorithm)
{
    char name[64];
    size_t length;
    int kind = EVP_PKEY_get_base_id(pkey);
    if (kind == EVP_PKEY_RSA_PSS && algorithm->pss)
        kind = EVP_PKEY_RSA;
    if (kind != algorithm->key)
        return false;
    if (algorithm->curve)
        return EVP_PKEY_get_group_name(pkey, name, sizeof name, &length) == 1 &&
               strcmp(name, algorithm->curve) == 0;
    return kind != EVP_PKEY_RSA ||
           (EVP_PKEY_get_bits(pkey) >= RSA_LEAST_BITS && EVP_PKEY_get_size(pkey) <= JOSE_SIGNATURE_MAX);
}

static void free_pkey(void *pkey)
{
    EVP_PKEY_free(pkey);
}

static void free_context(void *context)
{
    EVP_PKEY_CTX_free(context);
}

static bool prepare(struct jose_key *key)
{
    const struct jose_algorithm *algorithm = key->algorithm;
    if (!algorithm->digest)
        return true;
    key->context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    return key->context && EVP_PKEY_verify_init(key->context) == 1 &&
           EVP_PKEY_CTX_set_signature_md(key->context, algorithm->digest()) == 1 &&
           (algorithm->key != EVP_PKEY_RSA ||
            EVP_PKEY_CTX_set_rsa_padding(key->context,
                                         algorithm->pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1) &&
           (!algorithm->pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(key->context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

/* Takes `pkey`, which may be NULL. */
static const struct jose_key *key_of(struct arena *arena, int algorithm, struct str kid, EVP_PKEY *pkey,
                                     const char **why)
{
    struct jose_key *key = arena_zalloc(arena, sizeof *key);
    key->algorithm = &algorithms[algorithm];
    key->kid = kid.data ? arena_str(arena, kid) : kid;
    key->pkey = pkey;
    arena_on_free(arena, free_pkey, pkey);
    bool good = pkey && fits(pkey, key->algorithm) && prepare(key);
    arena_on_free(arena, free_context, key->context);
    ERR_clear_error();
    if (!good)
        *why = arena_printf(arena, "is not what %s needs: %s", jose_algorithms[algorithm],
                            key->algorithm->wants);
    return good ? key : NULL;
}

static const struct jose_key *key_of_secret(struct arena *arena, int algorithm, struct str kid,
                                            struct str secret, const char **why)
{
    struct jose_key *key = arena_zalloc(arena, sizeof *key);
    key->algorithm = &algorithms[algorithm];
    if (secret.length < (size_t)EVP_MD_get_size(key->algorithm->digest())) {
        *why = arena_printf(arena, "is not what %s needs: %s (RFC 7518, section 3.2)",
                            jose_algorithms[algorithm], key->algorithm->wants);
        return NULL;
    }
    key->kid = kid.data ? arena_str(arena, kid) : kid;
    key->secret = arena_str(arena, secret);
    return key;
}

static EVP_PKEY *read_pem(struct str text)
{
    BIO *in = BIO_new_mem_buf(text.data, (int)text.length);
    EVP_PKEY *pkey = in ? PEM_read_bio_PUBKEY(in, NULL, NULL, NULL) : NULL;
    if (in && !pkey) {
        X509 *certificate = BIO_reset(in) == 1 ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
        pkey = certificate ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    }
    BIO_free(in);
    ERR_clear_error();
    return pkey;
}

const struct jose_key *jose_key_new(struct arena *arena, int algorithm, struct str kid, struct str text,
                                    const char **why)
{
    if (algorithms[algorithm].key == EVP_PKEY_HMAC)
        return key_of_secret(arena, algorithm, kid, text, why);
    EVP_PKEY *pkey = read_pem(text);
    if (!pkey) {
        *why = "is neither a public key (BEGIN PUBLIC KEY) nor a certificate in PEM";
        return NULL;
    }
    return key_of(arena, algorithm, kid, pkey, why);
}

/* --- JWK --- */

/* A JWK's member as bytes; -1: it has none, or that isn't base64url, or doesn't fit. */
static ptrdiff_t bytes_of(const struct json *json, const struct json_value *jwk, struct str name,
                          unsigned char *out, size_t size)
{
    const struct json_value *value = json_member(json, jwk, name);
    if (!value || value->type != JSON_TYPE_STRING)
        return -1;
    return base64url_decode(json_raw(json, value), out, size);
}

static EVP_PKEY *pkey_of(const char *kind, OSSL_PARAM *parameters)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    return pkey;
}

/* RFC 7518, section 6.3.1. */
static EVP_PKEY *read_rsa(const struct json *json, const struct json_value *jwk)
{
    unsigned char n[JOSE_SIGNATURE_MAX + 1], e[8];
    ptrdiff_t n_length = bytes_of(json, jwk, STR("n"), n, sizeof n);
    ptrdiff_t e_length = bytes_of(json, jwk, STR("e"), e, sizeof e);
    if (n_length <= 0 || e_length <= 0)
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL), *exponent = BN_bin2bn(e, (int)e_length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *pkey = NULL;
    /* An exponent of 1 makes a signature of every text. */
    if (modulus && exponent && builder && BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        parameters = OSSL_PARAM_BLD_to_param(builder);
    if (parameters)
        pkey = pkey_of("RSA", parameters);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return pkey;
}

/* Section 6.2.1: both numbers have the curve's length. OpenSSL refuses points beside the curve. */
static EVP_PKEY *read_ec(const struct json *json, const struct json_value *jwk,
                         const struct jose_algorithm *algorithm)
{
    unsigned char point[1 + 2 * HALF_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    ptrdiff_t half = (ptrdiff_t)algorithm->half;
    if (bytes_of(json, jwk, STR("x"), point + 1, algorithm->half) != half ||
        bytes_of(json, jwk, STR("y"), point + 1 + half, algorithm->half) != half)
        return NULL;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)algorithm->curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * algorithm->half),
        OSSL_PARAM_construct_end(),
    };
    return pkey_of("EC", parameters);
}

/* RFC 8037, section 2. */
static EVP_PKEY *read_okp(const struct json *json, const struct json_value *jwk)
{
    unsigned char x[ED25519_LENGTH];
    if (bytes_of(json, jwk, STR("x"), x, sizeof x) != sizeof x)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof x);
}

/* Sections 4.2 and 4.3: whether it may verify signatures. */
static bool may_verify(const struct json *json, const struct json_value *jwk)
{
    const struct json_value *use = json_member(json, jwk, STR("use"));
    const struct json_value *operations = json_member(json, jwk, STR("key_ops"));
    if (use && !json_says(json, use, STR("sig")))
        return false;
    if (!operations)
        return true;
    const struct json_value *operation =
        operations->type == JSON_TYPE_ARRAY ? json_first(json, operations) : NULL;
    while (operation && !json_says(json, operation, STR("verify")))
        operation = json_next(json, operations, operation);
    return operation != NULL;
}

/* What it is bound to: what it says, or what follows from its kind. -1: nothing that is known. */
static int algorithm_of(struct arena *arena, const struct json *json, const struct json_value *jwk)
{
    const struct json_value *alg = json_member(json, jwk, STR("alg"));
    const struct json_value *crv = json_member(json, jwk, STR("crv"));
    if (alg)
        return jose_algorithm(json_text(json, alg, arena));
    if (json_says(json, json_member(json, jwk, STR("kty")), STR("RSA")))
        return jose_algorithm(STR("RS256"));
    for (int i = 0; jose_algorithms[i]; i++)
        if (algorithms[i].crv && json_says(json, crv, str_of(algorithms[i].crv)))
            return i;
    return -1;
}

static const struct jose_key *read_secret(struct arena *arena, const struct json *json,
                                          const struct json_value *jwk, int algorithm, struct str kid,
                                          const char **why)
{
    unsigned char secret[JOSE_SIGNATURE_MAX];
    ptrdiff_t length = bytes_of(json, jwk, STR("k"), secret, sizeof secret);
    if (length < 0)
        length = 0; /* too short */
    const struct jose_key *key =
        key_of_secret(arena, algorithm, kid, (struct str){(const char *)secret, (size_t)length}, why);
    OPENSSL_cleanse(secret, sizeof secret);
    return key;
}

/* NULL: `*why`. */
static const struct jose_key *read_jwk(struct arena *arena, const struct json *json,
                                       const struct json_value *jwk, bool secrets, const char **why)
{
    const struct json_value *kty = json_member(json, jwk, STR("kty"));
    const struct json_value *crv = json_member(json, jwk, STR("crv"));
    const struct json_value *name = json_member(json, jwk, STR("kid"));
    struct str kid = json_text(json, name, arena);
    int algorithm = algorithm_of(arena, json, jwk);
    *why = "is not for signatures (use, key_ops)";
    if (!may_verify(json, jwk))
        return NULL;
    *why = "has an algorithm or a kid that is unknown";
    if (algorithm < 0 || (name && !kid.data))
        return NULL;
    const struct jose_algorithm *known = &algorithms[algorithm];
    *why = "has a kty or a crv that is not its algorithm's";
    if (known->crv && !json_says(json, crv, str_of(known->crv)))
        return NULL;
    if (known->key == EVP_PKEY_HMAC && json_says(json, kty, STR("oct"))) {
        *why = "is a secret, which is none where everybody can read it";
        return secrets ? read_secret(arena, json, jwk, algorithm, kid, why) : NULL;
    }
    if (known->key == EVP_PKEY_RSA && json_says(json, kty, STR("RSA")))
        return key_of(arena, algorithm, kid, read_rsa(json, jwk), why);
    if (known->key == EVP_PKEY_EC && json_says(json, kty, STR("EC")))
        return key_of(arena, algorithm, kid, read_ec(json, jwk, known), why);
    if (known->key == EVP_PKEY_ED25519 && json_says(json, kty, STR("OKP")))
        return key_of(arena, algorithm, kid, read_okp(json, jwk), why);
    return NULL;
}

bool jose_keys_add(struct arena *arena, struct jose_keys *keys, struct str text, bool secrets,
                   const char **why)
{
    struct json_value values[VALUES_MAX];
    struct json json;
    *why = "is too long";
    if (text.length > JOSE_SET_MAX)
        return false;
    if (!json_scan(&json, text, values, VALUES_MAX)) {
        *why = arena_printf(arena, "is not JSON: %s at byte %zu", json.wrong, json.wrong_at);
        return false;
    }
    const struct json_value *set = json_member(&json, values, STR("keys"));
    const struct json_value *jwk = set && set->type == JSON_TYPE_ARRAY      ? json_first(&json, set)
                                   : json_member(&json, values, STR("kty")) ? values
                                                                            : NULL;
    if (!jwk && !(set && set->type == JSON_TYPE_ARRAY)) {
        *why = "is neither a set of keys nor a key (RFC 7517)";
        return false;
    }
    for (; jwk; jwk = jwk == values ? NULL : json_next(&json, set, jwk)) {
        const char *left_out;
        if (keys->count == JOSE_KEYS_MAX) {
            *why = "has too many keys";
            return false;
        }
        const struct jose_key *key = read_jwk(arena, &json, jwk, secrets, &left_out);
        if (key) {
            keys->keys[keys->count++] = key;
        } else {
            keys->left_out++;
            keys->left_out_as = left_out;
        }
    }
    ERR_clear_error();
    return true;
}

/* --- verifying --- */

/* A number of fixed length as DER has it: no zeros in front but one where the highest bit is set. */
static size_t put_integer(unsigned char *out, const unsigned char *number, size_t length)
{
    for (; length > 1 && *number == 0; length--)
        number++;
    size_t zero = *number >> 7;
    out[0] = 0x02;
    out[1] = (unsigned char)(length + zero);
    out[2] = 0;
    memcpy(out + 2 + zero, number, length);
    return 2 + zero + length;
}

/* The two numbers of an ECDSA signature (RFC 7518, section 3.4), as OpenSSL wants them. Returns where they begin. */
static const unsigned char *to_der(const unsigned char *signature, size_t half, unsigned char der[DER_MAX],
                                   size_t *length)
{
    enum { HEAD = 3 };
    size_t inside = put_integer(der + HEAD, signature, half);
    inside += put_integer(der + HEAD + inside, signature + half, half);
    unsigned char *begin = der + (inside < 0x80 ? 1 : 0);
    begin[0] = 0x30;
    if (inside >= 0x80)
        begin[1] = 0x81;
    der[HEAD - 1] = (unsigned char)inside;
    *length = inside + (size_t)(der + HEAD - begin);
    return begin;
}

static bool verify_hmac(const struct jose_key *key, struct str text, const unsigned char *signature,
                        size_t length)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned made = 0;
    return HMAC(key->algorithm->digest(), key->secret.data, (int)key->secret.length,
                (const unsigned char *)text.data, text.length, mac, &made) &&
           made == length && CRYPTO_memcmp(mac, signature, length) == 0;
}

static bool verify_whole(const struct jose_key *key, struct str text, const unsigned char *signature,
                         size_t length)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
        EVP_DigestVerify(context, signature, length, (const unsigned char *)text.data, text.length) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static bool verify_digest(const struct jose_key *key, struct str text, const unsigned char *signature,
                          size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE], der[DER_MAX];
    unsigned made = 0;
    size_t half = key->algorithm->half;
    if (length != (half ? 2 * half : (size_t)EVP_PKEY_get_size(key->pkey)))
        return false;
    if (half)
        signature = to_der(signature, half, der, &length);
    return EVP_Digest(text.data, text.length, digest, &made, key->algorithm->digest(), NULL) == 1 &&
           EVP_PKEY_verify(key->context, signature, length, digest, made) == 1;
}

bool jose_key_verify(const struct jose_key *key, struct str text, const unsigned char *signature,
                     size_t length)
{
    if (!key->pkey)
        return verify_hmac(key, text, signature, length);
    bool good = key->context ? verify_digest(key, text, signature, length)
                             : verify_whole(key, text, signature, length);
    if (!good)
        ERR_clear_error(); /* what is left in its queue would be taken for an error of TLS */
    return good;
}
