/* Appending to memory of a fixed size: bounds, numbers, escapes. */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "shared/base/buf.h"
#include "shared/base/digits.h"

static char memory[256];

static struct buf fresh(size_t size)
{
    memset(memory, '#', sizeof(memory));
    return buf_on(memory, size);
}

static void test_overflow_leaves_out(void **state)
{
    (void)state;
    struct buf buf = fresh(5);
    BUF_LITERAL(&buf, "abc");
    BUF_LITERAL(&buf, "def");
    assert_true(buf.overflow);
    assert_str(buf_str(&buf), "abc");
    buf_char(&buf, 'd');
    buf_char(&buf, 'e');
    assert_str(buf_str(&buf), "abcde");
    buf.overflow = false;
    buf_char(&buf, 'f');
    assert_true(buf.overflow);
    assert_int_equal(memory[5], '#');
    struct buf nothing = buf_on(NULL, 0);
    buf_str_add(&nothing, (struct str){NULL, 0});
    assert_false(nothing.overflow);
    buf_printf(&nothing, "%d", 1);
    assert_true(nothing.overflow);
    assert_int_equal(nothing.length, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    struct buf buf = fresh(256);
    buf_u64(&buf, 0);
    buf_char(&buf, ' ');
    buf_u64(&buf, UINT64_MAX);
    buf_char(&buf, ' ');
    buf_hex(&buf, 0, 0);
    buf_char(&buf, ' ');
    buf_hex(&buf, 0xabc, 2);
    buf_char(&buf, ' ');
    buf_hex(&buf, 0xabc, 8);
    buf_char(&buf, ' ');
    buf_hex(&buf, UINT64_MAX, 16);
    assert_str(buf_str(&buf), "0 18446744073709551615 0 abc 00000abc ffffffffffffffff");
    buf = fresh(3);
    buf_u64(&buf, 1234);
    assert_true(buf.overflow);
    assert_int_equal(buf.length, 0);
}

static void test_printf(void **state)
{
    (void)state;
    struct buf buf = fresh(6);
    buf_printf(&buf, "%s", "ab");
    buf_printf(&buf, "%d", 123);
    assert_false(buf.overflow);
    assert_str(buf_str(&buf), "ab123");
    buf_printf(&buf, "%s", "x");
    assert_true(buf.overflow);
    assert_str(buf_str(&buf), "ab123");
    assert_int_equal(memory[6], '#');
}

static void json(struct str s, const char *expected)
{
    struct buf buf = fresh(256);
    buf_json(&buf, s);
    assert_str(buf_str(&buf), expected);
    assert_false(buf.overflow);
    size_t length = buf.length;
    for (size_t size = 0; size < length; size++) { /* too little room is told, whatever the place */
        buf = fresh(size);
        buf_json(&buf, s);
        assert_true(buf.overflow);
        assert_int_equal(memory[size], '#');
    }
}

static void test_json(void **state)
{
    (void)state;
    json(STR(""), "");
    json((struct str){NULL, 0}, "");
    json(STR("plain /text/"), "plain /text/");
    json(STR("a\"b\\c"), "a\\\"b\\\\c");
    json(STR("\b\f\n\r\t\x01\x1f\x7f"), "\\b\\f\\n\\r\\t\\u0001\\u001f\x7f");
    json(STR("\0x"), "\\u0000x");
    json(STR("é€😀"), "é€😀");
    json(STR("\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xee\x80\x80"), "\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xee\x80\x80");
    json(STR("\xff"
             "a"),
         "\\ufffda");
    json(STR("\x80"), "\\ufffd");
    json(STR("\xc0\xaf"), "\\ufffd\\ufffd"); /* overlong */
    json(STR("\xc1\xbf"), "\\ufffd\\ufffd");
    json(STR("\xe0\x9f\xbf"), "\\ufffd\\ufffd\\ufffd");            /* overlong */
    json(STR("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");            /* a surrogate */
    json(STR("\xf0\x8f\xbf\xbf"), "\\ufffd\\ufffd\\ufffd\\ufffd"); /* overlong */
    json(STR("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd"); /* over U+10FFFF */
    json(STR("\xe2\x82"), "\\ufffd\\ufffd");                       /* cut */
    json(STR("\xe2\x82\"x"), "\\ufffd\\ufffd\\\"x");
    json(STR("\xf0\x9f\x98z"), "\\ufffd\\ufffd\\ufffdz");
}

static void test_escaped(void **state)
{
    (void)state;
    struct buf buf = fresh(256);
    buf_escaped(&buf, STR("a \"b\" \\ \n\x7f\x80~"));
    assert_str(buf_str(&buf), "a \\x22b\\x22 \\x5c \\x0a\\x7f\\x80~");
    buf = fresh(256);
    buf_escaped(&buf, (struct str){NULL, 0});
    assert_int_equal(buf.length, 0);
    assert_false(buf.overflow);
}

/* Every number of digits, and the numbers around where it changes. */
static void test_all_widths(void **state)
{
    (void)state;
    char text[32], expected[32];
    for (uint64_t power = 1; power; power = power > UINT64_MAX / 10 ? 0 : power * 10)
        for (uint64_t value = power - 1; value <= power + 101; value++) {
            struct buf buf = buf_on(text, sizeof text);
            buf_u64(&buf, value);
            snprintf(expected, sizeof expected, "%" PRIu64, value);
            assert_str(buf_str(&buf), expected);
            buf = buf_on(text, strlen(expected) - 1);
            buf_u64(&buf, value);
            assert_true(buf.overflow && buf.length == 0);
        }
    for (unsigned count = 1; count <= 9; count++) {
        digits_put(text, 123456789, count);
        assert_str(((struct str){text, count}), "123456789" + 9 - count);
        digits_put(text, 7, count);
        assert_str(((struct str){text, count}), "000000007" + 9 - count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_leaves_out),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_all_widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
