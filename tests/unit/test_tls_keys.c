/* Keys of TLS 1.3: the values of RFC 8448, section 3, and OpenSSL's own derivation beside ours. */
#include "tests/unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "worker/net/tls_keys.h"

static const char client_secret[] = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

static void assert_bytes(const uint8_t *bytes, const char *hex)
{
    for (size_t i = 0; i < strlen(hex) / 2; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        assert_int_equal(bytes[i], value);
    }
}

static void learn(struct tls_secrets *secrets, const char *label, const char *secret)
{
    char line[512];
    snprintf(line, sizeof line, "%s %064d %s", label, 0, secret);
    assert_true(tls_keys_learn(secrets, line));
}

static void test_rfc8448(void **state)
{
    (void)state;
    struct tls_secrets secrets = {0};
    learn(&secrets, "CLIENT_TRAFFIC_SECRET_0", client_secret);
    learn(&secrets, "SERVER_TRAFFIC_SECRET_0", server_secret);
    const struct tls_suite *suite = tls_keys_suite(0x1301);
    assert_int_equal(secrets.client_length, suite->secret_length);
    assert_int_equal(secrets.server_length, suite->secret_length);
    uint8_t key[TLS_KEY_MAX], iv[TLS_IV_LENGTH];
    assert_true(tls_keys_derive(suite, secrets.client, key, iv));
    assert_bytes(key, "17422dda596ed5d9acd890e3c63f5051");
    assert_bytes(iv, "5b78923dee08579033e523d9");
    assert_true(tls_keys_derive(suite, secrets.server, key, iv));
    assert_bytes(key, "9f02283b6c9c07efc26bb9f2ac92e356");
    assert_bytes(iv, "cf782b88dd83549aadf1e984");
}

static void expand(const struct tls_suite *suite, const uint8_t *secret, const char *label, uint8_t *out,
                   size_t length)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)EVP_MD_get0_name(suite->digest()), 0),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (uint8_t *)secret, suite->secret_length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(context, out, length, params), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

static void test_as_openssl_does(void **state)
{
    (void)state;
    for (unsigned id = 0x1301; id <= 0x1303; id++) {
        const struct tls_suite *suite = tls_keys_suite((uint16_t)id);
        uint8_t secret[TLS_SECRET_MAX], key[TLS_KEY_MAX], iv[TLS_IV_LENGTH], expected[TLS_SECRET_MAX];
        for (size_t i = 0; i < sizeof secret; i++)
            secret[i] = (uint8_t)(id * i);
        for (unsigned generation = 0; generation < 3; generation++) {
            assert_true(tls_keys_derive(suite, secret, key, iv));
            expand(suite, secret, "key", expected, suite->key_length);
            assert_memory_equal(key, expected, suite->key_length);
            expand(suite, secret, "iv", expected, sizeof iv);
            assert_memory_equal(iv, expected, sizeof iv);
            expand(suite, secret, "traffic upd", expected, suite->secret_length);
            assert_true(tls_keys_advance(suite, secret));
            assert_memory_equal(secret, expected, suite->secret_length);
        }
        assert_int_equal(EVP_CIPHER_get_key_length(suite->cipher()), suite->key_length);
        assert_int_equal(EVP_MD_get_size(suite->digest()), suite->secret_length);
    }
    assert_null(tls_keys_suite(0x1304)); /* CCM, which nobody offers us */
    assert_null(tls_keys_suite(0xc023));
}

static void test_what_the_log_says(void **state)
{
    (void)state;
    struct tls_secrets secrets = {0};
    char line[512];
    snprintf(line, sizeof line, "CLIENT_HANDSHAKE_TRAFFIC_SECRET %064d %s", 0, client_secret);
    assert_false(tls_keys_learn(&secrets, line));
    snprintf(line, sizeof line, "CLIENT_RANDOM %064d %s%s", 0, client_secret, client_secret);
    assert_false(tls_keys_learn(&secrets, line));
    static const char *const broken[] = {
        "",
        "CLIENT_TRAFFIC_SECRET_0",
        "CLIENT_TRAFFIC_SECRET_0 00",
        "CLIENT_TRAFFIC_SECRET_0 00 ",
        "CLIENT_TRAFFIC_SECRET_0 00 012",
        "CLIENT_TRAFFIC_SECRET_0 00 zz",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(tls_keys_learn(&secrets, broken[i]));
    snprintf(line, sizeof line, "SERVER_TRAFFIC_SECRET_0 %064d %s%s", 0, client_secret, client_secret);
    assert_false(tls_keys_learn(&secrets, line)); /* 64 bytes: more than any hash of ours */
    assert_int_equal(secrets.client_length, 0);
    assert_int_equal(secrets.server_length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8448),
        cmocka_unit_test(test_as_openssl_does),
        cmocka_unit_test(test_what_the_log_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
