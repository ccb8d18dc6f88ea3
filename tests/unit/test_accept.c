/* Accept: ranges, their qualities, and the versions that they name. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "worker/codec/accept.h"

static struct accept_range first(const char *field)
{
    struct str rest = str_of(field);
    struct accept_range range;
    if (!accept_next(&rest, &range))
        fail_msg("%s: no range", field);
    return range;
}

static unsigned count(const char *field)
{
    struct str rest = str_of(field);
    struct accept_range range;
    unsigned ranges = 0;
    while (accept_next(&rest, &range))
        ranges++;
    return ranges;
}

static void test_ranges(void **state)
{
    (void)state;
    struct str rest = STR(" text/html ; q=0.5 , */*;q=0.25,application/json;charset=\"a,b;c\\\"\";q=1 ,");
    struct accept_range range;
    assert_true(accept_next(&rest, &range));
    assert_str(range.type, "text/html");
    assert_int_equal(range.quality, 500);
    assert_true(accept_next(&rest, &range));
    assert_str(range.type, "*/*");
    assert_int_equal(range.quality, 250);
    assert_true(accept_next(&rest, &range));
    assert_str(range.type, "application/json");
    assert_int_equal(range.quality, 1000);
    assert_false(accept_next(&rest, &range));
    assert_false(accept_next(&rest, &range));
    assert_int_equal(count(""), 0);
    assert_int_equal(count(",, ,"), 0);
    assert_int_equal(count("a/b,c/d,,e/f"), 3);
}

static void test_qualities(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned quality;
    } good[] = {{"0", 0},      {"1", 1000},    {"0.", 0},       {"1.", 1000}, {"0.1", 100},
                {"0.12", 120}, {"0.123", 123}, {"1.000", 1000}, {"0.001", 1}};
    static const char *const wrong[] = {"", "2", "1.1", "1.001", "0.1234", "00", ".5", "-1", "a", "0.x"};
    char field[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(field, sizeof field, "a/b;q=%s", good[i].text);
        assert_int_equal(first(field).quality, good[i].quality);
        snprintf(field, sizeof field, "a/b;x=y;Q=%s;z=1", good[i].text);
        assert_int_equal(first(field).quality, good[i].quality);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) { /* passed over */
        snprintf(field, sizeof field, "a/b;q=%s, c/d", wrong[i]);
        assert_str(first(field).type, "c/d");
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "a",        "a/",       "/b",        "a/b/c",   "a b/c",   "a/b;=1",        "a/b;x",
        "a/b;x= 1", "a/b;x =1", "a/b;x=\"1", "\"a/b\"", "a/b\x80", "a/b;x=\"1\\\"", "a/b;x=1 2"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (count(fields[i]) != 0)
            fail_msg("%s is taken", fields[i]);
    assert_int_equal(count("a/b;;c=d; ;"), 1); /* RFC 9110, section 5.6.6 */
    assert_int_equal(count("a;b, c/d"), 1);
    assert_int_equal(count("a/b;x=\"1, c/d"), 0); /* the quote runs to the end */
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        const char *field, *version; /* NULL: it names none */
    } named[] = {
        {"application/vnd.acme.v2+json", "2"},
        {"application/vnd.acme.v2", "2"},
        {"application/VND.Acme.V2+JSON", "2"},
        {"application/vnd.acme.users.v2.1+json", "2.1"},
        {"application/vnd.acme.v3.raw+json", "3.raw"},
        {"application/json;version=2", "2"},
        {"application/json; Version=\"2.0\"", "2.0"},
        {"application/json;version=2;version=3", "2"},
        {"application/vnd.acme.v2+json;version=3", "3"},
        {"*/*;version=4", "4"},
        {"application/json", NULL},
        {"application/vnd.acme+json", NULL},
        {"application/vnd.acme.video+json", NULL},
        {"application/x.acme.v2+json", NULL},
        {"application/vnd.v", NULL},
        {"application/vnd.acme+v2", NULL},
        {"vnd.acme.v2/json", NULL},
    };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        struct accept_range range = first(named[i].field);
        if (named[i].version)
            assert_str(range.version, named[i].version);
        else if (range.version.data)
            fail_msg("%s names %.*s", named[i].field, STR_ARG(range.version));
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *field, *name;
        bool names;
    } asked[] = {
        {"application/vnd.acme.v2+json", "2", true},
        {"application/vnd.acme.v2+json", "", false},
        {"application/json;version=\"\"", "", false},
        {"application/vnd.acme.v2+json", "22", false},
        {"application/vnd.acme.v22+json", "2", false},
        {"application/vnd.acme.v2.1+json", "2", false},
        {"application/vnd.acme.v2.1+json", "2.1", true},
        {"application/vnd.acme.v3.raw+json", "3", true},
        {"application/vnd.acme.v3.+json", "3", false},
        {"application/json;version=3.raw", "3", false},
        {"application/json;version=2", "2", true},
        {"application/json;version=BETA", "beta", true},
        {"application/vnd.acme.vbeta+json", "beta", true},
        {"application/vnd.acme.VBeta", "beta", true},
        {"application/vnd.vbeta", "beta", true},
        {"application/vnd.acme.xbeta", "beta", false},
        {"application/vbeta", "beta", false},
        {"application/json", "json", false},
        {"*/*", "2", false},
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct accept_range range = first(asked[i].field);
        if (accept_names(&range, str_of(asked[i].name)) != asked[i].names)
            fail_msg("%s and %s", asked[i].field, asked[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),   cmocka_unit_test(test_qualities), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
