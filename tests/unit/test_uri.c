/* Paths and queries of request targets: normal form, what is refused, encoding and decoding. */
#include "tests/unit/unit.h"

#include "worker/codec/uri.h"

static char memory[1024];

/* Both in memory of exactly its size, so that the sanitizer sees a byte too many. */
static void path(const char *text, enum uri_result expected, const char *normal_text)
{
    size_t length = strlen(text);
    char *in = malloc(length ? length : 1), *out = malloc(length ? length : 1);
    assert_non_null(in);
    assert_non_null(out);
    memcpy(in, text, length);
    struct str normal = {NULL, 0};
    enum uri_result result = uri_path_normal((struct str){in, length}, out, length, &normal);
    if (result != expected)
        fail_msg("%s: result %d", text, result);
    if (result == URI_OK) {
        assert_str(normal, normal_text);
        /* Nothing is copied if and only if it was normal before. */
        assert_int_equal(normal.data == in, strcmp(text, normal_text) == 0);
    }
    free(in);
    free(out);
}

static void test_normal_already(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/",      "/a",   "/a/",     "/a/b.c/d",           "/.a",       "/..a", "/a..", "/a./b.", "/...",
        "/.../x", "/%20", "/%C3%A9", "/-._~!$&'()*+,;=:@", "/a%3Fb%23", "/%25",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        path(paths[i], URI_OK, paths[i]);
}

static void test_decoded(void **state)
{
    (void)state;
    path("/%41%7a%30", URI_OK, "/Az0");
    path("/%2d%2E%5f%7E", URI_OK, "/-._~");
    path("/a%c3%A9", URI_OK, "/a%C3%A9");
    path("/%3f%3F", URI_OK, "/%3F%3F");
    path("/%252f", URI_OK, "/%252f"); /* once only */
    path("/%252e%252e/x", URI_OK, "/%252e%252e/x");
    path("/%0a", URI_OK, "/%0A");
}

static void test_dot_segments(void **state)
{
    (void)state;
    path("/.", URI_OK, "/");
    path("/./", URI_OK, "/");
    path("/a/.", URI_OK, "/a/");
    path("/a/./b", URI_OK, "/a/b");
    path("/a/..", URI_OK, "/");
    path("/a/../", URI_OK, "/");
    path("/a/b/../c", URI_OK, "/a/c");
    path("/a/b/..", URI_OK, "/a/");
    path("/a/b/c/../../d", URI_OK, "/a/d");
    path("/a/b/c/./../../g", URI_OK, "/a/g"); /* the example of RFC 3986 */
    path("/a/%2e%2E/b", URI_OK, "/b");
    path("/a/.%2e/b", URI_OK, "/b");
    path("/a/%2e./b", URI_OK, "/b");
    path("/a/%2e/b", URI_OK, "/a/b");
    path("/a/%2e", URI_OK, "/a/");
    path("/a/.%2e", URI_OK, "/");
    path("/a/..%2e", URI_OK, "/a/...");
    path("/abc/%2ex/%2e%2ey", URI_OK, "/abc/.x/..y");
    path("/a/x%2e%2e/b", URI_OK, "/a/x../b");
    path("/..;/x", URI_DOT_PARAMETER, NULL);
    path("/a/..;", URI_DOT_PARAMETER, NULL);
    path("/a/.;x=y/b", URI_DOT_PARAMETER, NULL);
    path("/a/%2e%2E;/b", URI_DOT_PARAMETER, NULL);
    path("/a/.%2e;/b", URI_DOT_PARAMETER, NULL);
    path("/b%41//..;/b", URI_DOT_PARAMETER, NULL);
    path("/a;x/...;/a.;b/..a;", URI_OK, "/a;x/...;/a.;b/..a;");
    path("/..", URI_ABOVE_ROOT, NULL);
    path("/../a", URI_ABOVE_ROOT, NULL);
    path("/./..", URI_ABOVE_ROOT, NULL);
    path("/a/../..", URI_ABOVE_ROOT, NULL);
    path("/a/%2e%2e/%2e%2e/b", URI_ABOVE_ROOT, NULL);
    path("//..", URI_ABOVE_ROOT, NULL);
    path("/a//../..", URI_ABOVE_ROOT, NULL); /* slashes are merged first */
}

static void test_slashes(void **state)
{
    (void)state;
    path("//", URI_OK, "/");
    path("///a////b//", URI_OK, "/a/b/");
    path("/a//../b", URI_OK, "/b");
    path("/a/.//b", URI_OK, "/a/b");
    path("/a/..//b", URI_OK, "/b");
    path("//a", URI_OK, "/a");
}

static void test_refused(void **state)
{
    (void)state;
    path("", URI_NO_SLASH, NULL);
    path("a", URI_NO_SLASH, NULL);
    path("*", URI_NO_SLASH, NULL);
    path("%2Fa", URI_NO_SLASH, NULL);
    static const char *const escapes[] = {"/%",    "/%4",    "/%4g",    "/%g4",   "/%%41",
                                          "/a//%", "/a//%2", "/a//%zz", "/%u0041"};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++)
        path(escapes[i], URI_BAD_ESCAPE, NULL);
    static const char *const encoded[] = {"/%2F", "/%2f",    "/%5C",   "/%5c",
                                          "/%00", "/a//%2F", "/..%2f", "/a//%00"};
    for (size_t i = 0; i < sizeof(encoded) / sizeof(*encoded); i++)
        path(encoded[i], URI_ENCODED, NULL);
    struct str normal;
    assert_int_equal(uri_path_normal(STR("//a"), memory, 2, &normal), URI_TOO_LONG);
    assert_int_equal(uri_path_normal(STR("/a"), NULL, 0, &normal), URI_OK); /* needs no room */
}

/* Each byte in a path and in a query, against what RFC 3986 says in words. */
static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = {'/', (char)c, 'x'}, slow[] = {'/', '/', (char)c, 'x'};
        bool pchar = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~!$&'()*+,;=:@", c));
        enum uri_result expected = c == '%' ? URI_BAD_ESCAPE : pchar || c == '/' ? URI_OK : URI_BAD_BYTE;
        struct str normal;
        assert_int_equal(uri_path_normal((struct str){text, 3}, memory, sizeof(memory), &normal), expected);
        assert_int_equal(uri_path_normal((struct str){slow, 4}, memory, sizeof(memory), &normal), expected);

        bool browser = c && strchr("\"<>[]\\^{|}`", c);
        bool query = pchar || c == '/' || c == '?' || c == '%';
        enum uri_result result = uri_query_normal((struct str){text, 3}, memory, sizeof(memory), &normal);
        assert_int_equal(result, query || browser ? URI_OK : URI_BAD_BYTE);
        if (query)
            assert_ptr_equal(normal.data, text);
        if (browser) {
            assert_int_equal(normal.length, 5);
            char back[8];
            assert_int_equal(uri_decode(normal, true, back, sizeof(back)), 3);
            assert_memory_equal(back, text, 3);
        }
    }
}

/* Unreserved characters are decoded, all others stay encoded. */
static void test_every_escape(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        if (c == '/' || c == '\\')
            continue;
        char text[] = "/x%00";
        text[3] = "0123456789abcdef"[c >> 4];
        text[4] = "0123456789abcdef"[c & 15];
        struct str normal;
        assert_int_equal(uri_path_normal(str_of(text), memory, sizeof(memory), &normal), URI_OK);
        bool unreserved =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        assert_int_equal(normal.length, unreserved ? 3 : 5);
        if (unreserved)
            assert_int_equal((unsigned char)normal.data[2], c);
    }
}

static void test_query(void **state)
{
    (void)state;
    struct str normal;
    assert_int_equal(uri_query_normal(STR("a={\"b\":[1]}&c=100%"), memory, sizeof(memory), &normal), URI_OK);
    assert_str(normal, "a=%7B%22b%22:%5B1%5D%7D&c=100%");
    assert_int_equal(uri_query_normal(STR("a=b c"), memory, sizeof(memory), &normal), URI_BAD_BYTE);
    assert_int_equal(uri_query_normal(STR("a=[\n"), memory, sizeof(memory), &normal), URI_BAD_BYTE);
    assert_int_equal(uri_query_normal(STR("a#b"), memory, sizeof(memory), &normal), URI_BAD_BYTE);
    assert_int_equal(uri_query_normal(STR("|||"), memory, 8, &normal), URI_TOO_LONG);
    assert_int_equal(uri_query_normal(STR("|||"), memory, 9, &normal), URI_OK);
    assert_int_equal(uri_query_normal((struct str){NULL, 0}, NULL, 0, &normal), URI_OK);
    assert_int_equal(normal.length, 0);
}

static void encode(struct str value, enum uri_part part, const char *expected)
{
    ptrdiff_t length = uri_encode(value, part, memory, sizeof(memory));
    if (!expected) {
        assert_int_equal(length, -1);
        return;
    }
    assert_true(length >= 0);
    assert_str(((struct str){memory, (size_t)length}), expected);
    for (size_t size = 0; size < (size_t)length; size++)
        assert_int_equal(uri_encode(value, part, memory, size), -1);
    assert_int_equal(uri_encode(value, part, memory, (size_t)length), length);
}

static void test_encode(void **state)
{
    (void)state;
    encode(STR("aZ0-._~"), URI_SEGMENT, "aZ0-._~");
    encode(STR("a/b?c&d=e#f%g h+\r\n\xc3\xa9"), URI_SEGMENT, "a%2Fb%3Fc%26d%3De%23f%25g%20h%2B%0D%0A%C3%A9");
    encode(STR("a/b?c"), URI_REST, "a/b%3Fc");
    encode(STR("a/b c"), URI_QUERY_VALUE, "a%2Fb%20c");
    encode(STR("\0"), URI_SEGMENT, "%00");
    encode(STR(""), URI_SEGMENT, "");
    encode((struct str){NULL, 0}, URI_REST, "");
    encode(STR("."), URI_SEGMENT, NULL);
    encode(STR(".."), URI_SEGMENT, NULL);
    encode(STR(".."), URI_REST, NULL);
    encode(STR("a/../b"), URI_REST, NULL);
    encode(STR("./b"), URI_REST, NULL);
    encode(STR("a/."), URI_REST, NULL);
    encode(STR("..."), URI_SEGMENT, "...");
    encode(STR("a..b/c."), URI_REST, "a..b/c.");
    encode(STR(".."), URI_QUERY_VALUE, "..");
}

static void test_decode(void **state)
{
    (void)state;
    char out[8];
    assert_int_equal(uri_decode(STR("a%2fb+c"), false, out, sizeof(out)), 5);
    assert_memory_equal(out, "a/b+c", 5);
    assert_int_equal(uri_decode(STR("a+b%2B"), true, out, sizeof(out)), 4);
    assert_memory_equal(out, "a b+", 4);
    assert_int_equal(uri_decode(STR("%00"), true, out, sizeof(out)), 1);
    assert_int_equal(uri_decode(STR(""), true, out, 0), 0);
    assert_int_equal(uri_decode(STR("%"), true, out, sizeof(out)), -1);
    assert_int_equal(uri_decode(STR("%1"), true, out, sizeof(out)), -1);
    assert_int_equal(uri_decode(STR("%1x"), true, out, sizeof(out)), -1);
    assert_int_equal(uri_decode(STR("abc"), true, out, 2), -1);
}

static void test_query_values(void **state)
{
    (void)state;
    const struct str query = STR("a=1&b=&c&us%65r=x%20y&d+e=2&a=3&%=4&&=5");
    struct str value;
    assert_true(uri_query_value(query, STR("a"), &value));
    assert_str(value, "1"); /* the first */
    assert_true(uri_query_value(query, STR("b"), &value));
    assert_str(value, "");
    assert_true(uri_query_value(query, STR("c"), &value));
    assert_str(value, "");
    assert_non_null(value.data);
    assert_true(uri_query_value(query, STR("user"), &value)); /* an encoded letter hides nothing */
    assert_str(value, "x%20y");
    assert_true(uri_query_value(query, STR("d e"), &value));
    assert_str(value, "2");
    assert_false(uri_query_value(query, STR("us%65r"), &value));
    assert_false(uri_query_value(query, STR("use"), &value));
    assert_false(uri_query_value(query, STR("users"), &value));
    assert_false(uri_query_value(query, STR("%"), &value));
    assert_false(uri_query_value((struct str){NULL, 0}, STR("a"), &value));
    assert_true(uri_query_value(STR("a=b=c"), STR("a"), &value));
    assert_str(value, "b=c");
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(uri_result_text(URI_OK), "");
    for (int result = URI_BAD_ESCAPE; result <= URI_TOO_LONG; result++)
        assert_true(strlen(uri_result_text((enum uri_result)result)) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_already), cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_dot_segments),   cmocka_unit_test(test_slashes),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_every_escape),   cmocka_unit_test(test_query),
        cmocka_unit_test(test_encode),         cmocka_unit_test(test_decode),
        cmocka_unit_test(test_query_values),   cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
