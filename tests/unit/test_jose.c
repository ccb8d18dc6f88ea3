/* jose: the examples of the RFCs, every algorithm with keys made here, keys that are none, and tokens that are forged. */
#include "tests/unit/unit.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "worker/codec/base64.h"
#include "worker/codec/jose.h"

static struct arena *arena;

/* RFC 7515, appendices A.1 to A.4; RFC 8037, appendix A.4. */
#define A1_K "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define A1_PAYLOAD \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A1_HEADER "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
#define A1_SIGNATURE "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define A2_N                                                                                                 \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-" \
    "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"        \
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"    \
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define A2_SIGNATURE                                                                                        \
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"                 \
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1"  \
    "L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8n" \
    "p6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define A3_KEY                                                                                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define A3_SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define A1_KEY "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"" A1_K "\"}"
#define A2_KEY "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" A2_N "\""
#define RFC8037_KEY \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define A1_TOKEN A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE
#define A2_TOKEN "eyJhbGciOiJSUzI1NiJ9." A1_PAYLOAD "." A2_SIGNATURE
#define A3_TOKEN "eyJhbGciOiJFUzI1NiJ9." A1_PAYLOAD "." A3_SIGNATURE
#define RFC8037_TOKEN                                           \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static struct jose_keys keys_of(const char *text)
{
    struct jose_keys keys = {.count = 0};
    const char *why = NULL;
    if (!jose_keys_add(arena, &keys, str_of(text), true, &why))
        fail_msg("%s %s", text, why);
    return keys;
}

static enum jose_result check(const struct jose_keys *keys, struct str token)
{
    struct jose jose;
    const struct jose_key *used = NULL;
    enum jose_result result = jose_read(&jose, token, arena);
    if (result == JOSE_GOOD)
        result = jose_verify(&jose, keys, &used);
    assert_int_equal(used != NULL, result == JOSE_GOOD);
    return result;
}

static void test_examples(void **state)
{
    static const char *const rows[][2] = {
        {A1_KEY, A1_TOKEN}, {A2_KEY "}", A2_TOKEN}, {A3_KEY "}", A3_TOKEN}, {RFC8037_KEY, RFC8037_TOKEN}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jose_keys keys = keys_of(rows[i][0]);
        struct str token = str_of(rows[i][1]);
        assert_int_equal(keys.count, 1);
        assert_int_equal(check(&keys, token), JOSE_GOOD);
        char *forged = arena_strndup(arena, token.data, token.length);
        size_t at = token.length - 20;
        forged[at] = forged[at] == 'A' ? 'B' : 'A';
        assert_int_equal(check(&keys, str_of(forged)), JOSE_FORGED);
        for (size_t length = 0; length < token.length; length++)
            assert_int_not_equal(check(&keys, (struct str){token.data, length}), JOSE_GOOD);
    }
}

static void test_keys_left_out(void **state)
{
    static const char *const rows[][2] = {
        {"{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ\"}", "64 bytes"},
        {"{\"kty\":\"oct\",\"k\":\"" A1_K "\"}", "unknown"},
        {"{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" A1_K "\"}", "kty"},
        {"{\"kty\":\"oct\",\"alg\":\"none\",\"k\":\"" A1_K "\"}", "unknown"},
        {A2_KEY ",\"alg\":\"HS256\"}", "kty"},
        {A2_KEY ",\"alg\":\"ES256\"}", "kty"},
        {A2_KEY ",\"use\":\"enc\"}", "not for signatures"},
        {A2_KEY ",\"key_ops\":[\"sign\"]}", "not for signatures"},
        {A2_KEY ",\"key_ops\":\"verify\"}", "not for signatures"},
        {A2_KEY ",\"kid\":7}", "kid"},
        {A2_KEY ",\"alg\":7}", "unknown"},
        {"{\"kty\":\"RSA\",\"e\":\"AQ\",\"n\":\"" A2_N "\"}", "2048"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" A1_K "\"}", "2048"},
        {A3_KEY ",\"alg\":\"ES256K\"}", "crv"},
        {A3_KEY ",\"alg\":\"ES384\"}", "crv"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
         "P-256"}, /* beside the curve */
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
         "Ed25519"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"}", "unknown"},
        {"{\"kty\":\"new\"}", "unknown"},
    };
    const char *why;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jose_keys keys = keys_of(rows[i][0]);
        if (keys.count != 0 || keys.left_out != 1 || !strstr(keys.left_out_as, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], keys.left_out_as);
    }
    struct jose_keys keys = keys_of("{\"keys\":[" A1_KEY "," A2_KEY ",\"use\":\"enc\"}," A3_KEY "}]}");
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.left_out, 1);
    keys = (struct jose_keys){.count = 0};
    assert_true(jose_keys_add(arena, &keys, STR(A1_KEY), false, &why));
    assert_int_equal(keys.count, 0); /* a secret that is published */
    assert_false(jose_keys_add(arena, &keys, STR("{}"), false, &why));
    assert_false(jose_keys_add(arena, &keys, STR("<html>"), false, &why));
    assert_false(jose_keys_add(arena, &keys, STR("{\"keys\":{}}"), false, &why));
    assert_null(jose_key_new(arena, jose_algorithm(STR("HS256")), STR("a"), STR("short"), &why));
    assert_null(jose_key_new(arena, jose_algorithm(STR("RS256")), STR("a"), STR("no PEM"), &why));
}

/* A token of a header and an empty claims set, signed as RFC 7515 says. */
static struct str sign(EVP_PKEY *pkey, const EVP_MD *digest, bool pss, size_t half, const char *header)
{
    char *token = arena_alloc(arena, 4096);
    unsigned char signature[JOSE_SIGNATURE_MAX], fixed[132];
    size_t length = base64url_encode(str_of(header), token), made = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *own;
    token[length++] = '.';
    length += base64url_encode(STR("{}"), token + length);
    assert_int_equal(EVP_DigestSignInit(context, &own, digest, NULL, pkey), 1);
    if (pss) {
        EVP_PKEY_CTX_set_rsa_padding(own, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(own, RSA_PSS_SALTLEN_DIGEST);
    }
    assert_int_equal(EVP_DigestSign(context, signature, &made, (unsigned char *)token, length), 1);
    EVP_MD_CTX_free(context);
    if (half) {
        const unsigned char *at = signature;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)made);
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), fixed, (int)half);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), fixed + half, (int)half);
        ECDSA_SIG_free(pair);
        memcpy(signature, fixed, made = 2 * half);
    }
    token[length++] = '.';
    length += base64url_encode((struct str){(const char *)signature, made}, token + length);
    return (struct str){token, length};
}

/* Each algorithm's signature is good with a key of it, and with a key of no other that the same public key may have. */
static void test_algorithms(void **state)
{
    static const struct {
        const char *name, *curve;
        const EVP_MD *(*digest)(void);
        size_t half;
        bool pss;
    } rows[] = {
        {"RS256", NULL, EVP_sha256, 0, false},     {"RS384", NULL, EVP_sha384, 0, false},
        {"RS512", NULL, EVP_sha512, 0, false},     {"PS256", NULL, EVP_sha256, 0, true},
        {"PS384", NULL, EVP_sha384, 0, true},      {"PS512", NULL, EVP_sha512, 0, true},
        {"ES256", "P-256", EVP_sha256, 32, false}, {"ES384", "P-384", EVP_sha384, 48, false},
        {"ES512", "P-521", EVP_sha512, 66, false}, {"ES256K", "secp256k1", EVP_sha256, 32, false},
        {"EdDSA", "ED25519", NULL, 0, false},
    };
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        EVP_PKEY *pkey = !rows[i].curve    ? rsa
                         : !rows[i].digest ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                           : EVP_EC_gen(rows[i].curve);
        BIO *out = BIO_new(BIO_s_mem());
        PEM_write_bio_PUBKEY(out, pkey);
        char *pem;
        struct str text = {NULL, (size_t)BIO_get_mem_data(out, &pem)};
        text.data = pem;
        const char *header = arena_printf(arena, "{\"alg\":\"%s\",\"kid\":\"k\"}", rows[i].name), *why;
        struct str token =
            sign(pkey, rows[i].digest ? rows[i].digest() : NULL, rows[i].pss, rows[i].half, header);
        for (int other = 0; jose_algorithms[other]; other++) {
            struct jose_keys keys = {.count = 1};
            keys.keys[0] = jose_key_new(arena, other, STR("k"), text, &why);
            bool same = other == jose_algorithm(str_of(rows[i].name));
            assert_true(keys.keys[0] || !same);
            if (keys.keys[0]) /* of HS*: RFC 8725, section 2.1: the public key as a secret */
                assert_int_equal(check(&keys, token), same ? JOSE_GOOD : JOSE_ALGORITHM);
        }
        BIO_free(out);
        if (pkey != rsa)
            EVP_PKEY_free(pkey);
    }
    EVP_PKEY_free(rsa);
}

static void test_forged(void **state)
{
    static const struct {
        const char *header, *rest;
        enum jose_result result;
    } rows[] = {
        {"{\"alg\":\"none\"}", "." A1_PAYLOAD ".", JOSE_ALGORITHM},
        {"{\"alg\":\"None\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_ALGORITHM},
        {"{\"alg\":\"\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_ALGORITHM},
        {"{\"alg\":null}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"{\"alg\":[\"HS256\"]}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"{}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"[]", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"{\"alg\":\"hs256\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_ALGORITHM},
        {"{\"alg\":\"HS384\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_ALGORITHM},
        {"{\"alg\":\"HS256\",\"kid\":5}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_CRITICAL},
        {"{\"alg\":\"HS256\",\"b64\":false}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_CRITICAL},
        {"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", "." A1_PAYLOAD "." A1_SIGNATURE,
         JOSE_FORGED},
        {"{\"alg\":\"HS256\"}", "." A1_PAYLOAD ".", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"}", "." A1_PAYLOAD "." A1_SIGNATURE "=", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"}", "." A1_PAYLOAD "." A1_SIGNATURE ".", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"}", "." A1_PAYLOAD "..." A1_SIGNATURE, JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"}", "", JOSE_MALFORMED},
        {"{\"alg\":\"ES256\"}", "." A1_PAYLOAD ".AA", JOSE_FORGED},
        {"{\"alg\":\"ES256\"}", "." A1_PAYLOAD "." A1_SIGNATURE, JOSE_FORGED}, /* half of a pair */
        {"{\"alg\":\"ES256\"}",                                                /* r = s = 0 */
         "." A1_PAYLOAD "."
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         JOSE_FORGED},
        {"{\"alg\":\"RS256\"}", "." A1_PAYLOAD ".AA", JOSE_FORGED},
        {"{\"alg\":\"PS256\"}", "." A1_PAYLOAD "." A2_SIGNATURE, JOSE_ALGORITHM},
    };
    (void)state;
    struct jose_keys keys = keys_of("{\"keys\":[" A1_KEY "," A2_KEY "}," A3_KEY "}]}");
    assert_int_equal(keys.count, 3);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[4096];
        size_t length = base64url_encode(str_of(rows[i].header), text);
        memcpy(text + length, rows[i].rest, strlen(rows[i].rest));
        enum jose_result result = check(&keys, (struct str){text, length + strlen(rows[i].rest)});
        if (result != rows[i].result)
            fail_msg("%s%.20s: %d", rows[i].header, rows[i].rest, (int)result);
    }
    /* The spare bits of the last letter; a token that is too long. */
    assert_int_equal(
        check(&keys, STR(A1_HEADER "." A1_PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl")),
        JOSE_MALFORMED);
    char *huge = arena_alloc(arena, 1 << 20);
    memset(huge, 'A', 1 << 20);
    assert_int_equal(check(&keys, (struct str){huge, 1 << 20}), JOSE_MALFORMED);
    /* A name that no key has, and one that another key has. */
    keys = keys_of(A3_KEY ",\"kid\":\"a\"}");
    char text[512];
    struct str token = {text, base64url_encode(STR("{\"alg\":\"ES256\",\"kid\":\"b\"}"), text)};
    memcpy(text + token.length, ".AA.AA", 6);
    token.length += 6;
    assert_int_equal(check(&keys, token), JOSE_NO_KEY);
    assert_int_equal(check(&keys, STR(A3_TOKEN)), JOSE_GOOD); /* it names none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_keys_left_out),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_forged),
    };
    arena = arena_new(1 << 16);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
