/* json: what is JSON and what isn't, and finding values in it. */
#include "tests/unit/unit.h"

#include "shared/base/buf.h"
#include "worker/codec/json.h"

enum { VALUES = 1100 };

static struct arena *arena;
static struct json_value values[VALUES];
static struct json json;

static bool scan(const char *text)
{
    return json_scan(&json, str_of(text), values, VALUES);
}

static void test_good(void **state)
{
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "null",
        "\"\"",
        "-0",
        "0",
        "-0.0e+00",
        "1E-2",
        "[1,2.5,-3e7,true,false,null,\"x\",{},[]]",
        "{\"a\":{\"a\":{\"a\":[{\"a\":1}]}},\"b\":\t1 }\r\n",
        "\"\\u0000\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \xef\xbf\xbf \x7f\"",
        "{\"\":1,\" \":2,\"a\":3,\"A\":4}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!scan(good[i]))
            fail_msg("%s: %s at %zu", good[i], json.wrong, json.wrong_at);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *wrong;
        size_t at;
    } bad[] = {
        {"", "an end where", 0},
        {" ", "an end where", 1},
        {"\xef\xbb\xbf{}", "no value", 0},
        {"{", "no name", 1},
        {"{\"a\"", "no colon", 4},
        {"{\"a\":", "an end where", 5},
        {"{\"a\":1", "neither", 6},
        {"{\"a\":1,}", "no name", 7},
        {"{a:1}", "no name", 1},
        {"[1,]", "no value", 3},
        {"[1 2]", "neither", 3},
        {"[1}", "neither", 2},
        {"]", "no value", 0},
        {"{}{}", "more behind", 2},
        {"1 x", "more behind", 2},
        {"01", "more behind", 1},
        {"-", "a number without", 1},
        {"+1", "no value", 0},
        {".5", "no value", 0},
        {"5.", "a fraction without", 2},
        {"1e", "an exponent without", 2},
        {"0x10", "more behind", 1},
        {"NaN", "no value", 0},
        {"Infinity", "no value", 0},
        {"True", "no value", 0},
        {"tru", "no value", 0},
        {"'a'", "no value", 0},
        {"\"a", "a string without", 2},
        {"\"a\nb\"", "a control", 2},
        {"\"\\x41\"", "a bad escape", 1},
        {"\"\\u12g4\"", "a bad escape", 1},
        {"\"\\u12\"", "a bad escape", 1},
        {"\"\\ud800\"", "a bad escape", 1},
        {"\"\\ud800\\u0041\"", "a bad escape", 1},
        {"\"\\udc00\"", "a bad escape", 1},
        {"\"\\ud800x\"", "a bad escape", 1},
        {"\"\\\"", "a string without", 3},
        {"\"\x80\"", "bytes that", 1},
        {"\"\xc0\xaf\"", "bytes that", 1},
        {"\"\xc1\xbf\"", "bytes that", 1},
        {"\"\xe0\x80\xaf\"", "bytes that", 1},
        {"\"\xed\xa0\x80\"", "bytes that", 1},
        {"\"\xf0\x80\x80\xaf\"", "bytes that", 1},
        {"\"\xf4\x90\x80\x80\"", "bytes that", 1},
        {"\"\xf5\x80\x80\x80\"", "bytes that", 1},
        {"\"\xe2\x82\"", "bytes that", 1},
        {"\"\xff\"", "bytes that", 1},
        {"{\"a\":1,\"a\":1}", "a member that is there twice", 13},
        {"{\"a\":1,\"\\u0061\":1}", "a member that is there twice", 18},
        {"{\"\\u0061\":1,\"a\":1}", "a member that is there twice", 18},
        {"{\"\\u0061\\t\":1,\"a\\u0009\":1}", "a member that is there twice", 26},
        {"[{\"x\":{\"\":1,\"b\":2,\"\":3}}]", "a member that is there twice", 23},
        {"// no\n1", "no value", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (scan(bad[i].text))
            fail_msg("%s is taken", bad[i].text);
        if (!strstr(json.wrong, bad[i].wrong) || json.wrong_at != bad[i].at)
            fail_msg("%s: %s at %zu", bad[i].text, json.wrong, json.wrong_at);
    }
    assert_false(json_scan(&json, (struct str){"[\0]", 3}, values, VALUES));
}

/* `count` times what is `each`, between two other texts; `numbered`: behind it the end of a member whose name is its own. */
static bool scan_many(const char *before, const char *each, bool numbered, unsigned count, const char *behind,
                      unsigned size)
{
    struct buf text = buf_on(arena_alloc(arena, 1 << 20), 1 << 20);
    buf_str_add(&text, str_of(before));
    for (unsigned i = 0; i < count; i++) {
        buf_str_add(&text, str_of(each));
        if (numbered)
            buf_printf(&text, "%u\":1,", i);
    }
    buf_str_add(&text, str_of(behind));
    assert_false(text.overflow);
    return json_scan(&json, buf_str(&text), values, size);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_true(scan_many("", "[", false, JSON_DEPTH_MAX,
                          "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                          "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                          VALUES));
    assert_false(scan_many("", "[", false, JSON_DEPTH_MAX + 1, "]", VALUES));
    assert_string_equal(json.wrong, "too deep");
    assert_false(scan_many("", "{\"a\":", false, 100000, "", VALUES));
    assert_string_equal(json.wrong, "too deep");
    assert_true(scan_many("[", "1,", false, 9, "1]", 11));
    assert_false(scan_many("[", "1,", false, 9, "1]", 10));
    assert_string_equal(json.wrong, "too many values");
    assert_true(scan_many("{", "\"m", true, JSON_MEMBERS_MAX - 1, "\"x\":1}", VALUES));
    assert_false(scan_many("{", "\"m", true, JSON_MEMBERS_MAX, "\"x\":1}", VALUES));
    assert_string_equal(json.wrong, "too many members of an object");
    assert_false(json_scan(&json, STR("1"), values, 0));
}

static void test_find(void **state)
{
    (void)state;
    assert_true(
        scan("{\"sub\":\"u\",\"realm_access\":{\"roles\":[\"a\",\"b\"],\"x.y\":{\"z\":7}},"
             "\"https://e.com/roles\":[1],\"https://e\":{\"com/roles\":2},\"t\\u0065xt\":\"a\\u00e4\\n\"}"));
    assert_str(json_text(&json, json_find(&json, values, STR("sub")), arena), "u");
    assert_str(json_raw(&json, json_find(&json, values, STR("realm_access.roles"))), "[\"a\",\"b\"]");
    assert_str(json_raw(&json, json_find(&json, values, STR("realm_access.x.y.z"))), "7");
    assert_str(json_raw(&json, json_find(&json, values, STR("https://e.com/roles"))), "[1]");
    assert_str(json_text(&json, json_find(&json, values, STR("text")), arena), "a\xc3\xa4\n");
    assert_true(json_says(&json, json_find(&json, values, STR("text")), STR("a\xc3\xa4\n")));
    assert_false(json_says(&json, json_find(&json, values, STR("text")), STR("a\xc3\xa4")));
    assert_null(json_find(&json, values, STR("realm_access.none")));
    assert_null(json_find(&json, values, STR("sub.x")));
    assert_null(json_find(&json, values, STR("")));
    assert_null(json_find(&json, values, STR(".")));
    assert_null(json_text(&json, json_find(&json, values, STR("realm_access")), arena).data);
    const struct json_value *roles = json_find(&json, values, STR("realm_access.roles"));
    const struct json_value *role = json_first(&json, roles);
    assert_true(json_says(&json, role, STR("a")));
    role = json_next(&json, roles, role);
    assert_true(json_says(&json, role, STR("b")));
    assert_null(json_next(&json, roles, role));
    assert_true(scan("[]"));
    assert_null(json_first(&json, values));
    assert_null(json_member(&json, values, STR("a")));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool whole;
        int64_t number;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"1732500000", true, 1732500000},
        {"-5", true, -5},
        {"999999999999999999", true, 999999999999999999},
        {"9999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e9", false, 0},
        {"\"5\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t number = 0;
        assert_true(scan(rows[i].text));
        assert_int_equal(json_whole(&json, values, &number), rows[i].whole);
        assert_int_equal(number, rows[i].number);
    }
    assert_false(json_whole(&json, NULL, &(int64_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_bad),     cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_find), cmocka_unit_test(test_numbers),
    };
    arena = arena_new(4096);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
