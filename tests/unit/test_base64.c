/* base64: both alphabets, there and back, and what is refused. */
#include "tests/unit/unit.h"

#include "worker/codec/base64.h"

enum { OUT_MAX = 64 };

static void test_vectors(void **state)
{
    static const char *const rows[][2] = {/* RFC 4648, section 10 */
                                          {"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xef\xbe", "/+++"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[OUT_MAX];
        unsigned char bytes[OUT_MAX];
        size_t length = base64_encode(str_of(rows[i][0]), text);
        assert_str(((struct str){text, length}), rows[i][1]);
        assert_true(base64_is(str_of(rows[i][1])));
        ptrdiff_t back = base64_decode(str_of(rows[i][1]), bytes, sizeof bytes);
        assert_int_equal(back, strlen(rows[i][0]));
        assert_memory_equal(bytes, rows[i][0], (size_t)back);
    }
}

static void test_url(void **state)
{
    /* RFC 7515, appendix C */
    static const unsigned char octets[] = {3, 236, 255, 224, 193};
    char text[OUT_MAX];
    unsigned char bytes[OUT_MAX];
    (void)state;
    size_t length = base64url_encode((struct str){(const char *)octets, sizeof octets}, text);
    assert_str(((struct str){text, length}), "A-z_4ME");
    assert_int_equal(base64url_decode(STR("A-z_4ME"), bytes, sizeof bytes), sizeof octets);
    assert_memory_equal(bytes, octets, sizeof octets);
    assert_int_equal(base64url_decode(STR("A-z_4ME"), bytes, sizeof octets), sizeof octets);
    assert_int_equal(base64url_decode(STR("A-z_4ME"), bytes, sizeof octets - 1), -1);
    assert_int_equal(base64url_decode(STR(""), bytes, sizeof bytes), 0);
}

static void test_refused(void **state)
{
    static const char *const url[] = {"A",
                                      "AAAAA",
                                      "A+z/4ME",
                                      "A-z_4MF",
                                      "A-z_4ME=",
                                      "Zm9v\n",
                                      " Zm9v",
                                      "Zh",
                                      "Zm9",
                                      "Zm8=",
                                      "Zm=v",
                                      "\xc3\xa4"
                                      "AA",
                                      "A.AA"};
    static const char *const padded[] = {"Zg",   "Zg=",  "Zh==",     "Zm9=",   "Zm8",
                                         "=",    "==",   "===",      "====",   "Zg===",
                                         "Z===", "Zm-_", "Zg==Zg==", "Zm9v\n", "Zm9v    "};
    unsigned char bytes[OUT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof url / sizeof *url; i++)
        if (base64url_decode(str_of(url[i]), bytes, sizeof bytes) >= 0)
            fail_msg("%s", url[i]);
    for (size_t i = 0; i < sizeof padded / sizeof *padded; i++)
        if (base64_is(str_of(padded[i])) || base64_decode(str_of(padded[i]), bytes, sizeof bytes) >= 0)
            fail_msg("%s", padded[i]);
}

/* Every pair and triple of letters: exactly those whose spare bits are 0 are good. */
static void test_spare_bits(void **state)
{
    unsigned good[2] = {0, 0};
    (void)state;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            char text[3] = {(char)a, (char)b, 'A'};
            unsigned char bytes[OUT_MAX];
            good[0] += base64url_decode((struct str){text, 2}, bytes, sizeof bytes) == 1;
            text[0] = 'A', text[1] = (char)a, text[2] = (char)b;
            good[1] += base64url_decode((struct str){text, 3}, bytes, sizeof bytes) == 2;
        }
    assert_int_equal(good[0], 256);
    assert_int_equal(good[1], 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_spare_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
