/* Which certificates a name has: exact before wildcard, kinds of keys side by side, the first of the configuration wins. */
#include "tests/unit/unit.h"
#include "worker/net/tls_names.h"

static struct arena *arena;
static struct tls_names names;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    struct tls_claim claims[] = {
        {STR("a.example"), 0, TLS_RSA},   {STR("*.b.example"), 0, TLS_RSA},
        {STR("a.example"), 1, TLS_ECDSA}, {STR("x.b.example"), 2, TLS_ECDSA},
        {STR("a.example"), 3, TLS_RSA},   {STR("b.example"), 4, TLS_ED25519},
        {STR("localhost"), 5, TLS_RSA},   {STR("*.b.example"), 6, TLS_ECDSA},
    };
    names = tls_names_new(claims, sizeof claims / sizeof claims[0], arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static int identity_of(const char *host, enum tls_algorithm algorithm)
{
    const struct tls_name *name = tls_names_find(&names, str_of(host));
    return name ? name->identities[algorithm] : -2;
}

static void test_side_by_side(void **state)
{
    (void)state;
    assert_int_equal(names.count, 5);
    assert_int_equal(identity_of("a.example", TLS_RSA), 0); /* not 3, which comes later */
    assert_int_equal(identity_of("a.example", TLS_ECDSA), 1);
    assert_int_equal(identity_of("a.example", TLS_ED448), TLS_NAMELESS);
    assert_int_equal(identity_of("localhost", TLS_RSA), 5);
}

static void test_wildcard(void **state)
{
    (void)state;
    assert_int_equal(identity_of("y.b.example", TLS_RSA), 0);
    assert_int_equal(identity_of("y.b.example", TLS_ECDSA), 6);
    assert_int_equal(identity_of("x.b.example", TLS_ECDSA), 2); /* exact goes first, as a whole */
    assert_int_equal(identity_of("x.b.example", TLS_RSA), TLS_NAMELESS);
    assert_int_equal(identity_of("b.example", TLS_ED25519), 4);  /* not the wildcard's */
    assert_int_equal(identity_of("z.y.b.example", TLS_RSA), -2); /* one label only */
    assert_int_equal(identity_of(".b.example", TLS_RSA), -2);
}

static void test_spelling(void **state)
{
    (void)state;
    assert_int_equal(identity_of("A.Example", TLS_RSA), 0);
    assert_int_equal(identity_of("a.example.", TLS_RSA), 0);
    assert_int_equal(identity_of("Y.B.EXAMPLE.", TLS_RSA), 0);
    assert_int_equal(identity_of("a.example..", TLS_RSA), -2);
    assert_int_equal(identity_of("", TLS_RSA), -2);
    assert_int_equal(identity_of(".", TLS_RSA), -2);
    assert_null(tls_names_find(&names, (struct str){"a.example\0", 10}));
    char longest[300];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + 240, ".b.example", 10);
    assert_int_equal(tls_names_find(&names, (struct str){longest, 250})->identities[TLS_RSA], 0);
    assert_null(tls_names_find(&names, (struct str){longest, sizeof longest}));
    names.count = 0;
    assert_null(tls_names_find(&names, STR("a.example")));
}

static void test_asked(void **state)
{
    (void)state;
    static const unsigned char good[] = "\0\x0c\0\0\x09"
                                        "a.example";
    unsigned char other[sizeof good];
    size_t length = sizeof good - 1;
    assert_str(tls_names_asked(good, length), "a.example");
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(tls_names_asked(good, cut).length, 0);
    for (unsigned at = 0; at < 5; at++) { /* lengths, and the kind of name */
        memcpy(other, good, sizeof good);
        other[at] ^= 0x10;
        assert_int_equal(tls_names_asked(other, length).length, 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wildcard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spelling, set_up, tear_down),
        cmocka_unit_test(test_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
