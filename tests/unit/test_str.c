/* Runs of bytes: comparing, cutting, numbers, lists, distances. */
#include "tests/unit/unit.h"

#include "shared/base/token.h"

static const struct str none = {NULL, 0};

static void test_comparing(void **state)
{
    (void)state;
    assert_true(str_eq(STR("ab"), STR("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_true(str_eq(none, STR("")));
    assert_true(str_case_eq(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_case_eq(STR("@"), STR("`"))); /* only letters have two cases */
    assert_false(str_case_eq(STR("[k"), STR("{K")));
    assert_false(str_case_eq(STR("a"), STR("ab")));
    assert_true(str_case_eq(none, STR("")));
    assert_true(str_starts(STR("unix:/x"), STR("unix:")));
    assert_false(str_starts(STR("uni"), STR("unix:")));
    assert_true(str_starts(none, none));
    assert_true(str_ends(STR("a.conf"), STR(".conf")));
    assert_false(str_ends(STR("conf"), STR(".conf")));
    assert_true(str_ends(STR("x"), STR("")));
}

static void test_cutting(void **state)
{
    (void)state;
    assert_int_equal(str_index(STR("abc"), 'c'), 2);
    assert_int_equal(str_index(STR("abc"), 'd'), -1);
    assert_int_equal(str_index(none, 'd'), -1);
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim(none), "");
    struct str rest = STR("a,,b");
    assert_str(str_cut(&rest, ','), "a");
    assert_str(str_cut(&rest, ','), "");
    assert_str(rest, "b");
    assert_str(str_cut(&rest, ','), "b");
    assert_null(rest.data);
    rest = STR("a,");
    assert_str(str_cut(&rest, ','), "a");
    assert_non_null(rest.data); /* there was a separator: an empty rest */
    assert_str(rest, "");
    assert_str(str_of(NULL), "");
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(str_to_u64(STR("0"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), UINT64_MAX, &value));
    assert_false(str_to_u64(STR("99999999999999999999999"), UINT64_MAX, &value));
    assert_true(str_to_u64(STR("00065535"), 65535, &value));
    assert_int_equal(value, 65535);
    assert_false(str_to_u64(STR("65536"), 65535, &value));
    assert_false(str_to_u64(STR("7"), 5, &value));
    const struct str bad[] = {STR(""),   STR("-1"),  STR("+1"), STR(" 1"), STR("1 "),
                              STR("1a"), STR("0x1"), STR("/"),  STR(":")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(str_to_u64(bad[i], UINT64_MAX, &value));
    for (uint64_t max = 0; max < 120; max++) /* the bound, exactly */
        for (uint64_t n = 0; n < 120; n++) {
            char text[4] = {(char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10), 0};
            assert_int_equal(str_to_u64(str_of(text), max, &value), n <= max);
        }
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(str_list_has(STR("keep-alive, Upgrade"), STR("upgrade")));
    assert_true(str_list_has(STR(",, \tclose ,"), STR("close")));
    assert_false(str_list_has(STR("not-close, closed"), STR("close")));
    assert_false(str_list_has(STR("clo se"), STR("close")));
    assert_false(str_list_has(none, STR("close")));
}

static void test_distances(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR("limit"), STR("limit"), 2), 0);
    assert_int_equal(str_distance(STR("limt"), STR("limit"), 2), 1);
    assert_int_equal(str_distance(STR("limits"), STR("limit"), 2), 1);
    assert_int_equal(str_distance(STR("lamit"), STR("limit"), 2), 1);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 5), 3);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 2), 3);
    assert_int_equal(str_distance(STR(""), STR("abc"), 3), 3);
    assert_int_equal(str_distance(none, none, 3), 0);
    char longer[100];
    memset(longer, 'a', sizeof(longer));
    assert_int_equal(str_distance((struct str){longer, 100}, (struct str){longer, 100}, 3), 4);
    assert_int_equal(str_distance((struct str){longer, 63}, (struct str){longer, 62}, 3), 1);
}

static void test_tokens(void **state)
{
    (void)state;
    static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, section 5.6.2 */
    for (unsigned byte = 0; byte < 256; byte++) {
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool good = letter || (byte >= '0' && byte <= '9') || (byte && strchr(others, (int)byte));
        char text[] = {'a', (char)byte, 'z'};
        if (is_token((struct str){text, sizeof text}) != good || token_has((char)byte) != good)
            fail_msg("byte %u", byte);
    }
    assert_false(is_token(none));
    assert_false(is_token(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparing), cmocka_unit_test(test_cutting),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_lists),     cmocka_unit_test(test_distances), cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
