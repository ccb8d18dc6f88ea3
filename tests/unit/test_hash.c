/* Hashes, the random generator and dates. */
#include "tests/unit/unit.h"

#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include "shared/base/random.h"

/* SipHash-1-3 of the bytes 0, 1, 2 … under the key 0, 1, … 15, by length: made with another implementation (Python),
 * which was checked with two rounds and four against the vector that the paper prints. */
static const uint64_t vectors[64] = {
    0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb, 0xcf75576088d38328,
    0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140, 0x369095118d299a8e, 0x25a48eb36c063de4,
    0x79de85ee92ff097f, 0x70c118c1f94dc352, 0x78a384b157b4d9a2, 0x306f760c1229ffa7, 0x605aa111c0f95d34,
    0xd320d86d2a519956, 0xcc4fdd1a7d908b66, 0x9cf2689063dbd80c, 0x8ffc389cb473e63e, 0xf21f9de58d297d1c,
    0xc0dc2f46a6cce040, 0xb992abfe2b45f844, 0x7ffe7b9ba320872e, 0x525a0e7fdae6c123, 0xf464aeb267349c8c,
    0x45cd5928705b0979, 0x3a3e35e3ca9913a5, 0xa91dc74e4ade3b35, 0xfb0bed02ef6cd00d, 0x88d93cb44ab1e1f4,
    0x540f11d643c5e663, 0x2370dd1f8c21d1bc, 0x81157b6c16a7b60d, 0x4d54b9e57a8ff9bf, 0x759f12781f2a753e,
    0xcea1a3bebf186b91, 0x2cf508d3ada26206, 0xb6101c2da3c33057, 0xb3f47496ae3a36a1, 0x626b57547b108392,
    0xc1d2363299e41531, 0x667cc1923f1ad944, 0x65704ffec8138825, 0x24f280d1c28949a6, 0xc2ca1cedfaf8876b,
    0xc2164bfc9f042196, 0xa16e9c9368b1d623, 0x49fb169c8b5114fd, 0x9f3143f8df074c46, 0xc6fdaf2412cc86b3,
    0x7eaf49d10a52098f, 0x1cf313559d292f9a, 0xc44a30dda2f41f12, 0x36fae98943a71ed0, 0x318fb34c73f0bce6,
    0xa27abf3670a7e980, 0xb4bcc0db243c6d75, 0x23f8d852fdb71513, 0x8f035f4da67d8a08, 0xd89cd0e5b7e8f148,
    0xf6f4e6bcf7a644ee, 0xaec59ad80f1837f2, 0xc3b2f6154b6694e0, 0x9d199062b7bbb3a8,
};

static void test_siphash(void **state)
{
    (void)state;
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char bytes[65];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t length = 0; length < 64; length++)
        assert_true(hash_keyed(key, bytes, length) == vectors[length]);
    memmove(bytes + 1, bytes, 64); /* no alignment is needed */
    assert_true(hash_keyed(key, bytes + 1, 63) == vectors[63]);
}

/* CPython hashes bytes with SipHash-1-3, with PYTHONHASHSEED=0 under a key of zeros: hash(b"a") & (2**64 - 1). */
static void test_siphash_as_python(void **state)
{
    (void)state;
    static const uint64_t key[2] = {0, 0};
    assert_true(hash_keyed(key, "a", 1) == 0x407448d2b89b1813);
    assert_true(hash_keyed(key, "abcdefgh", 8) == 0x3f7b849c0b8e35ea);
    assert_true(hash_keyed(key, "the quick brown fox", 19) == 0x5a17575ad3449cba);
}

/* Names are stored by their hash in the shared segment: it must be the same in every build. */
static void test_name(void **state)
{
    (void)state;
    assert_true(hash_name(STR("")) == 0x2d06800538d394c2); /* the empty input, as xxhash documents it */
    assert_true(hash_name((struct str){NULL, 0}) == 0x2d06800538d394c2);
    assert_true(hash_name(STR("a")) != hash_name(STR("b")));
    assert_true(hash_name(STR("shop/user")) == hash_name((struct str){"xshop/user" + 1, 9}));
}

static void test_random(void **state)
{
    (void)state;
    struct random a = {{1, 2, 3, 4}};
    assert_true(random_next(&a) == 11520); /* the first of xoshiro256** from this state */
    assert_true(random_next(&a) == 0);
    assert_true(random_next(&a) == 1509978240);
    struct random b;
    random_seed(&a);
    random_seed(&b);
    assert_true(memcmp(&a, &b, sizeof(a)) != 0);
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t n = random_below(&a, 7);
        assert_in_range(n, 0, 6);
        seen[n]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200); /* six standard deviations */
    assert_int_equal(random_below(&a, 1), 0);
}

static void test_dates(void **state)
{
    (void)state;
    char text[CLOCK_HTTP_SIZE];
    clock_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_rfc3339(1795492172123456789, text);
    assert_string_equal(text, "2026-11-24T03:49:32.123Z");
    clock_http(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT"); /* the example of RFC 9110 */
    clock_http(951782400, text);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    clock_http(4107542399, text);
    assert_string_equal(text, "Sun, 28 Feb 2100 23:59:59 GMT");
    clock_http(4107542400, text);
    assert_string_equal(text, "Mon, 01 Mar 2100 00:00:00 GMT");
    clock_http(CLOCK_LAST, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void test_dates_as_the_library(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 366ull * 400; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char text[CLOCK_HTTP_SIZE], expected[64];
        assert_non_null(gmtime_r(&seconds, &tm));
        clock_http((uint64_t)seconds, text);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(text, expected);
    }
}

static void test_clocks_advance(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_wall_ns() / NS_PER_SECOND + 1 >= (uint64_t)time(NULL));
}

static void test_clock_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = {
        {"1970-01-01", 0},
        {"2026-01-01", 1767225600},
        {"2024-02-29", 1709164800},
        {"2000-02-29T00:00:00Z", 951782400},
        {"2026-11-24T03:49:32Z", 1795492172},
        {"2026-11-24T03:49:32.123456789z", 1795492172},
        {"2026-11-24t04:49:32+01:00", 1795492172},
        {"2026-11-23T22:19:32-05:30", 1795492172},
        {"2016-12-31T23:59:60Z", 1483228800},
        {"9999-12-31T23:59:59Z", 253402300799},
    };
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-1-1",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-04-31",
        "2026-02-29",
        "2100-02-29",
        "1969-12-31",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00Zx",
        "2026-01-01x",
        "+026-01-01",
        "01/01/2026",
    };
    uint64_t seconds;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(clock_parse(str_of(good[i].text), &seconds));
        assert_int_equal(seconds, good[i].seconds);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (clock_parse(str_of(wrong[i]), &seconds))
            fail_msg("%s is taken", wrong[i]);
}

static void test_dates_there_and_back(void **state)
{
    (void)state;
    uint64_t seconds;
    for (uint64_t day = 0; day < 120000; day += 13) {
        char text[CLOCK_RFC3339_SIZE];
        clock_rfc3339(day * 86400 * NS_PER_SECOND, text);
        assert_true(clock_parse((struct str){text, 10}, &seconds));
        assert_int_equal(seconds, day * 86400);
        char http[CLOCK_HTTP_SIZE];
        clock_http(day * 86400 + day % 86400, http);
        assert_true(clock_parse_http(str_of(http), &seconds));
        assert_int_equal(seconds, day * 86400 + day % 86400);
    }
}

static void test_http_dates_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "Tue, 24 Nov 2026 03:49:32",
        "Tue, 24 Nov 2026 03:49:32 UTC",
        "Tue, 24 nov 2026 03:49:32 GMT",
        "Tue, 24 Abc 2026 03:49:32 GMT",
        "Tue; 24 Nov 2026 03:49:32 GMT",
        "Tue, 31 Nov 2026 03:49:32 GMT",
        "Tue, 24 Nov 2026 24:49:32 GMT",
        "Tue, 24 Nov 2026 03-49-32 GMT",
        "Tue, 2x Nov 2026 03:49:32 GMT",
        "Tuesday, 24-Nov-26 03:49:32 GMT",
    };
    uint64_t seconds;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (clock_parse_http(str_of(wrong[i]), &seconds))
            fail_msg("%s is taken", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_parse),
        cmocka_unit_test(test_dates_there_and_back),
        cmocka_unit_test(test_http_dates_that_are_none),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_siphash_as_python),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_dates_as_the_library),
        cmocka_unit_test(test_clocks_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
