/* What a token says, asked by paths and as texts. */
#include "tests/unit/unit.h"

#include "worker/request/claims.h"

static struct arena *arena;

static int open_it(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct claims read_text(const char *text)
{
    struct claims claims;
    assert_true(claims_read(&claims, str_of(text), arena));
    return claims;
}

static void what_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "1", "[]", "\"a\"", "null", "{} ", "{\"a\":}", "{\"a\":1", "{\"a\":1,\"a\":2}"};
    struct claims claims;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(claims_read(&claims, str_of(texts[i]), arena), strcmp(texts[i], "{} ") == 0);
}

static void texts(void **state)
{
    (void)state;
    struct claims claims =
        read_text("{\"s\":\"a\\u0041\",\"n\":-1.50,\"t\":true,\"f\":false,\"z\":null,\"o\":{\"in\":\"deep\"},"
                  "\"a\":[\"x\",1,\"y z\",{\"q\":2},\"\\n\"],\"e\":[],\"https://x.y/r\":\"dots\"}");
    static const struct {
        const char *path, *text;
    } cases[] = {
        {"s", "aA"},    {"n", "-1.50"},   {"t", "true"},     {"f", "false"}, {"z", NULL},
        {"o", NULL},    {"o.in", "deep"}, {"a", "x y z \n"}, {"e", ""},      {"https://x.y/r", "dots"},
        {"none", NULL}, {"s.in", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = claims_text(&claims, claims_find(&claims, str_of(cases[i].path)));
        if (cases[i].text)
            assert_str(text, cases[i].text);
        else
            assert_null(text.data);
    }
}

static void words_and_items(void **state)
{
    (void)state;
    struct claims claims = read_text(
        "{\"scope\":\"a:read  b\",\"scp\":[\"a:read\",\"b c\"],\"n\":5,\"nested\":[[\"a\"]],\"one\":\"a\"}");
    const struct json_value *scope = claims_find(&claims, STR("scope")),
                            *scp = claims_find(&claims, STR("scp"));
    assert_true(claims_has_word(&claims, scope, STR("a:read")));
    assert_true(claims_has_word(&claims, scope, STR("b")));
    assert_false(claims_has_word(&claims, scope, STR("a")));
    assert_false(claims_has(&claims, scope, STR("b")));
    assert_true(claims_has_word(&claims, scp, STR("b c")));
    assert_false(claims_has_word(&claims, scp, STR("b")));
    assert_false(claims_has_word(&claims, claims_find(&claims, STR("nested")), STR("a")));
    assert_false(claims_has_word(&claims, claims_find(&claims, STR("n")), STR("5")));
    assert_false(claims_has_word(&claims, NULL, STR("a")));
    assert_true(claims_has(&claims, claims_find(&claims, STR("one")), STR("a")));
    assert_false(claims_has(&claims, NULL, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_no_object, open_it, close_it),
        cmocka_unit_test_setup_teardown(texts, open_it, close_it),
        cmocka_unit_test_setup_teardown(words_and_items, open_it, close_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
