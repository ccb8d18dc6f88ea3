/* Origins of pages: which texts of a configuration are good, and that what a request says is compared byte by byte. */
#include "tests/unit/unit.h"

#include "worker/codec/web_origin.h"

static struct arena *arena;

static bool have(const char *allowed, const char *asked)
{
    struct web_origins origins = web_origins_of(&allowed, 1, NULL, 0, arena);
    return web_origins_have(&origins, str_of(asked));
}

static void test_good(void **state)
{
    static const char *const good[] = {
        "*",
        "null",
        "https://app.example.com",
        "http://localhost",
        "http://localhost:3000",
        "http://localhost:*",
        "https://*.example.com",
        "https://*.example.com:8443",
        "https://*.example.com:*",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://[::1]",
        "https://xn--bcher-kva.example",
        "chrome-extension://abcdefgh",
        "capacitor://localhost",
        "http://app.example.com:443",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *wrong = web_origin_wrong(str_of(good[i]));
        if (wrong)
            fail_msg("%s %s", good[i], wrong);
    }
}

static void test_wrong(void **state)
{
    static const char *const wrong[][2] = {
        {"", "scheme"},
        {"app.example.com", "scheme"},
        {"HTTPS://app.example.com", "scheme"},
        {"//app.example.com", "scheme"},
        {"https:/app.example.com", "scheme"},
        {"https://", "no host"},
        {"https://:443", "leave it out"},
        {"https://app.example.com/", "behind its host"},
        {"https://app.example.com/path", "behind its host"},
        {"https://App.example.com", "upper case"},
        {"https://app.example.com:443", "leave it out"},
        {"http://app.example.com:80", "leave it out"},
        {"https://user@app.example.com", "no host has"},
        {"https://app.example.com?", "no host has"},
        {"https://app.example.com ", "no host has"},
        {"https://app.*.com", "no host has"},
        {"https://*", "whole name"},
        {"https://*.", "whole name"},
        {"https://*..com", "whole name"},
        {"https://*example.com", "whole name"},
        {"https://app.example.com:1*", "neither a number"},
        {"https://[::1", "without its ]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *why = web_origin_wrong(str_of(wrong[i][0]));
        if (!why || !strstr(why, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], why ? why : "good");
    }
}

static void test_compared(void **state)
{
    static const struct {
        const char *allowed, *asked;
        bool have;
    } rows[] = {
        {"https://app.example.com", "https://app.example.com", true},
        {"https://app.example.com", "http://app.example.com", false},
        {"https://app.example.com", "https://app.example.com:8443", false},
        {"https://app.example.com", "https://app.example.com.evil.example", false},
        {"https://app.example.com", "https://evil.example/https://app.example.com", false},
        {"https://app.example.com", "https://APP.example.com", false},
        {"https://app.example.com", "https://app.example.com/", false},
        {"https://app.example.com", "https://app.example.co", false},
        {"https://app.example.com", "", false},
        {"https://app.example.com", "null", false},
        {"https://*.example.com", "https://a.example.com", true},
        {"https://*.example.com", "https://a.b.example.com", true},
        {"https://*.example.com", "https://example.com", false},
        {"https://*.example.com", "https://.example.com", false},
        {"https://*.example.com", "https://evilexample.com", false},
        {"https://*.example.com", "https://evil.example#.example.com", false},
        {"https://*.example.com", "https://evil.example/.example.com", false},
        {"https://*.example.com", "https://evil.example:1.example.com", false},
        {"https://*.example.com", "https://u@evil.example.com", false},
        {"https://*.example.com", "https://a.example.com:8443", false},
        {"https://*.example.com", "http://a.example.com", false},
        {"https://*.example.com:8443", "https://a.example.com:8443", true},
        {"https://*.example.com:*", "https://a.example.com:8443", true},
        {"https://*.example.com:*", "https://a.example.com", true},
        {"http://localhost:*", "http://localhost:3000", true},
        {"http://localhost:*", "http://localhost", true},
        {"http://localhost:*", "http://localhost:", false},
        {"http://localhost:*", "http://localhost:3000:1", false},
        {"http://localhost:*", "http://localhost.evil.example:3000", false},
        {"http://localhost:*", "http://localhost:3000/", false},
        {"http://[::1]:8080", "http://[::1]:8080", true},
        {"http://[::1]:*", "http://[::1]:8080", true},
        {"http://[::1]:*", "http://[::1]", true},
        {"null", "null", true},
        {"null", "https://a.example.com", false},
        {"*", "https://a.example.com", true},
        {"*", "null", true},
        {"*", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (have(rows[i].allowed, rows[i].asked) != rows[i].have)
            fail_msg("%s for %s", rows[i].asked, rows[i].allowed);
}

static void test_patterns(void **state)
{
    const char *why;
    const struct regex *pattern =
        regex_compile(regex_set_new(arena), STR("https://pr-\\d+\\.example\\.com"), arena, &why);
    (void)state;
    struct web_origins origins = web_origins_of(NULL, 0, &pattern, 1, arena);
    assert_true(web_origins_have(&origins, STR("https://pr-17.example.com")));
    assert_false(web_origins_have(&origins, STR("https://pr-17.example.com.evil.example")));
    assert_false(web_origins_have(&origins, STR("xhttps://pr-17.example.com")));
    assert_false(web_origins_have(&origins, STR("null")));
}

static void test_long(void **state)
{
    char text[1024];
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "https://", 8);
    struct web_origins origins = {.any = true};
    assert_false(web_origins_have(&origins, (struct str){text, sizeof text}));
    assert_true(web_origins_have(&origins, (struct str){text, 200}));
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_wrong), cmocka_unit_test(test_compared),
        cmocka_unit_test(test_patterns), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
