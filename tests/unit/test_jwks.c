/* Key sets of issuers: when they are fetched again, and what is one. */
#include "tests/unit/unit.h"

#include "shared/shm/keys.h"
#include "worker/service/jwks.h"

enum { MINUTE = 60000, HOUR = 3600000 };

static const struct key_set_settings settings = {
    .refresh = 10 * MINUTE, .min_refresh = MINUTE, .max_refresh = HOUR};

static void test_fresh(void **state)
{
    (void)state;
    assert_int_equal(jwks_fresh(&settings, STR(""), STR("")), 10 * MINUTE);
    assert_int_equal(jwks_fresh(&settings, STR("max-age=300"), STR("")), 5 * MINUTE);
    assert_int_equal(jwks_fresh(&settings, STR("max-age=300"), STR("60")), 4 * MINUTE);
    assert_int_equal(jwks_fresh(&settings, STR("no-store"), STR("")), MINUTE);
    assert_int_equal(jwks_fresh(&settings, STR("max-age=86400"), STR("")), HOUR);
    assert_int_equal(jwks_fresh(&settings, STR("max-age=99999999999999999999"), STR("")), HOUR);
}

static void test_next(void **state)
{
    (void)state;
    assert_int_equal(jwks_next(HOUR), 48 * MINUTE);
    assert_int_equal(jwks_again(1), 1000);
    assert_int_equal(jwks_again(2), 2000);
    assert_int_equal(jwks_again(9), 256000);
    assert_int_equal(jwks_again(10), 5 * MINUTE);
    assert_int_equal(jwks_again(4000000000u), 5 * MINUTE);
}

static void test_wrong(void **state)
{
    static const char *const texts[] = {"",
                                        "<html>",
                                        "[]",
                                        "{}",
                                        "{\"keys\":{}}",
                                        "{\"keys\":[]}",
                                        "{\"keys\":[1]}",
                                        "{\"keys\":[{\"kid\":\"a\"}]}",
                                        "{\"keys\":[{\"kty\":1}]}",
                                        "{\"keys\":[{\"kty\":\"RSA\"}]",
                                        "{\"keys\":[{\"kty\":\"RSA\"}]}x",
                                        "{\"keys\":[{\"kty\":\"RSA\"}],\"keys\":[{\"kty\":\"RSA\"}]}"};
    unsigned count = 7;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_non_null(jwks_wrong(str_of(texts[i]), &count));
        assert_int_equal(count, 0);
    }
    assert_null(jwks_wrong(STR("{\"keys\":[{\"kty\":\"RSA\"},{\"kty\":\"x\"}],\"more\":1}"), &count));
    assert_int_equal(count, 2);
}

static void test_discover(void **state)
{
    static const char *const wrong[] = {
        "x",
        "{\"issuer\":\"https://b\",\"jwks_uri\":\"https://a/keys\"}",
        "{\"issuer\":\"https://a/\",\"jwks_uri\":\"https://a/keys\"}",
        "{\"jwks_uri\":\"https://a/keys\"}",
        "{\"issuer\":\"https://a\"}",
        "{\"issuer\":\"https://a\",\"jwks_uri\":5}",
        "{\"issuer\":\"https://a\",\"jwks_uri\":\"http://a/keys\"}",
    };
    const char *uri = NULL;
    struct arena *arena = arena_new(1024);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(jwks_discover(str_of(wrong[i]), "https://a", &uri, arena));
    assert_null(uri);
    assert_null(jwks_discover(STR("{\"issuer\":\"https://a\",\"jwks_uri\":\"https://b/keys\"}"), "https://a",
                              &uri, arena));
    assert_string_equal(uri, "https://b/keys");
    arena_free(&arena);
}

/* A length that can't be is not believed, and a tag always ends. */
static void test_cell(void **state)
{
    struct keys_cell *cell = aligned_alloc(64, sizeof *cell);
    struct keys *keys = calloc(1, sizeof *keys), *copy = malloc(sizeof *copy);
    uint64_t seen;
    (void)state;
    assert_true(cell && keys && copy);
    memset(cell, 0, sizeof *cell);
    assert_false(keys_read(cell, copy, &seen));
    keys->length = KEYS_BYTES;
    memset(keys->tag, 'x', sizeof keys->tag);
    keys_publish(cell, keys);
    assert_true(keys_read(cell, copy, &seen));
    assert_int_equal(strlen(copy->tag), KEYS_TAG_BYTES - 1);
    keys->length = KEYS_BYTES + 1;
    keys_publish(cell, keys);
    assert_false(keys_read(cell, copy, &seen));
    free(copy);
    free(keys);
    free(cell);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_fresh), cmocka_unit_test(test_next),
                                              cmocka_unit_test(test_wrong), cmocka_unit_test(test_discover),
                                              cmocka_unit_test(test_cell)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
