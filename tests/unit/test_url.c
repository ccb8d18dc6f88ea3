/* URLs that are fetched, and how long what they gave is fresh. */
#include "tests/unit/unit.h"

#include "worker/codec/cache_control.h"
#include "worker/codec/url.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void test_parts(void **state)
{
    static const struct {
        const char *text;
        bool tls;
        const char *authority, *name;
        uint16_t port;
        const char *target;
    } cases[] = {
        {"https://id.example.com/jwks.json", true, "id.example.com", "id.example.com", 443, "/jwks.json"},
        {"http://id.example.com:8080/a/b?c=d/e", false, "id.example.com:8080", "id.example.com", 8080,
         "/a/b?c=d/e"},
        {"https://id.example.com", true, "id.example.com", "id.example.com", 443, "/"},
        {"https://id.example.com?x", true, "id.example.com", "id.example.com", 443, "/?x"},
        {"https://[::1]/keys", true, "[::1]", "::1", 443, "/keys"},
        {"http://[fd00::1]:81", false, "[fd00::1]:81", "fd00::1", 81, "/"},
        {"http://127.0.0.1:65535/", false, "127.0.0.1:65535", "127.0.0.1", 65535, "/"},
        {"http://a:/", false, "a:", "a", 80, "/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        assert_null(url_parse(&url, str_of(cases[i].text), arena));
        assert_int_equal(url.tls, cases[i].tls);
        assert_true(str_eq(url.authority, str_of(cases[i].authority)));
        assert_string_equal(url.name.data, cases[i].name);
        assert_int_equal(url.port, cases[i].port);
        assert_true(str_eq(url.target, str_of(cases[i].target)));
    }
}

static void test_wrong(void **state)
{
    static const char *const texts[] = {"",
                                        "id.example.com",
                                        "ftp://id.example.com",
                                        "HTTPS//x",
                                        "https://",
                                        "https:///path",
                                        "https://user@id.example.com/",
                                        "https://id.example.com/a b",
                                        "https://id.example.com/\r\nX: y",
                                        "https://id.example.com/\xc3\xa4",
                                        "https://id.example.com/#f",
                                        "https://id.example.com:0/",
                                        "https://id.example.com:65536/",
                                        "https://id.example.com:1x/",
                                        "https://[::1/",
                                        "https://[::g]/",
                                        "https://a,b/"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct url url;
        assert_non_null(url_parse(&url, str_of(texts[i]), arena));
    }
}

static void test_fresh(void **state)
{
    static const struct {
        const char *field, *age;
        int64_t seconds;
    } cases[] = {
        {"", "", CACHE_CONTROL_UNSAID},
        {"public", "", CACHE_CONTROL_UNSAID},
        {"max-age=300", "", 300},
        {"public, max-age=19845, must-revalidate, no-transform", "", 19845},
        {"Max-Age = \"60\"", "", 60},
        {"max-age=300", "100", 200},
        {"max-age=300", "301", 0},
        {"max-age=300", "old", 300},
        {"max-age=300, max-age=60", "", 300},
        {"max-age=300, no-cache", "", 0},
        {"no-store", "", 0},
        {"no-cache=\"set-cookie, max-age=5\"", "", 0},
        {"x=\"a, max-age=5\", max-age=7", "", 7},
        {"x=\"a\\\", max-age=5\", max-age=8", "", 8},
        {"max-age", "", 0},
        {"max-age=", "", 0},
        {"max-age=-1", "", 0},
        {"max-age=1.5", "", 0},
        {"max-age=99999999999999999999", "", INT32_MAX},
        {",, ,max-age=9,", "", 9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(cache_control_fresh(str_of(cases[i].field), str_of(cases[i].age)), cases[i].seconds);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts), cmocka_unit_test(test_wrong),
                                              cmocka_unit_test(test_fresh)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
