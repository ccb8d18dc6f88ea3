/* Hosts and ports: what all read the same passes, everything else is refused. */
#include "tests/unit/unit.h"

#include "worker/codec/authority.h"

static void test_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a",         "a:",      "a:0",   "A.example-1_x:65535", "127.0.0.1:80",
        "[::1]",     "[::1]:8", "[::]:", "[::ffff:1.2.3.4]",    "a.",
        "x!$&'()*+", "x;=~",    "1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!authority_is_good(str_of(texts[i])))
            fail_msg("refused: %s", texts[i]);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        ":",
                                        ":80",
                                        "a:65536",
                                        "a:-1",
                                        "a:1x",
                                        "a:80:80",
                                        "a b",
                                        "a,b",
                                        "u@a",
                                        "a/b",
                                        "a%",
                                        "a%41",
                                        "a%00",
                                        "[]",
                                        "[]:80",
                                        "[zz]",
                                        "[::1",
                                        "[[::1]",
                                        "[::1]]",
                                        "[::1]x",
                                        "[1.2.3.4]",
                                        "a[::1]",
                                        "::1",
                                        "a\\b",
                                        "a?",
                                        "a#",
                                        "a\"",
                                        "a\x7f",
                                        "a\xc3\xa4",
                                        "[fe80::1%25eth0]",
                                        "[1111:2222:3333:4444:5555:6666:7777:8888:9999]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (authority_is_good(str_of(texts[i])))
            fail_msg("taken: %s", texts[i]);
    /* In the middle of other bytes. */
    assert_false(authority_is_good((struct str){"a\0b", 3}));
    assert_true(authority_is_good((struct str){"a:80x", 4}));
    assert_false(authority_is_good((struct str){"[::1]", 4}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
