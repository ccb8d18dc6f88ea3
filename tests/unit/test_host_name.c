/* Endpoints that are names. */
#include "shared/conf/host_name.h"
#include "tests/unit/unit.h"

static void names(void **state)
{
    (void)state;
    static const char *const meant[] = {"orders.internal:80", "localhost", "a:1",    "srv:x",
                                        "xn--bro-hoa.de:1",   "1a.2:1",    "_x.y:1", "büro:1"};
    static const char *const not_meant[] = {"10.0.0.1:80", "[::1]:80",   "unix:/a", "unix:a",       "*:80",
                                            "80",          "fd00::1:80", "",        "10.0.0.256:80"};
    for (unsigned i = 0; i < sizeof meant / sizeof *meant; i++)
        assert_true(host_name_is_meant(str_of(meant[i])));
    for (unsigned i = 0; i < sizeof not_meant / sizeof *not_meant; i++)
        assert_false(host_name_is_meant(str_of(not_meant[i])));
}

static void good(const char *text, const char *host, unsigned port, bool srv)
{
    struct host_name name;
    const char *why = "";
    if (!host_name_parse(str_of(text), &name, &why))
        fail_msg("%s: %s", text, why);
    assert_true(str_eq(name.host, str_of(host)));
    assert_int_equal(name.port, port);
    assert_int_equal(name.srv, srv);
}

static void good_names(void **state)
{
    (void)state;
    good("orders.internal:8002", "orders.internal", 8002, false);
    good("orders.internal.:65535", "orders.internal.", 65535, false);
    good("a:1", "a", 1, false);
    good("A-b_c.4d:1", "A-b_c.4d", 1, false);
    good("srv:_http._tcp.orders.internal", "_http._tcp.orders.internal", 0, true);
    char label[200] = {0};
    memset(label, 'x', 63);
    strcat(label, ":1");
    struct host_name name;
    const char *why;
    assert_true(host_name_parse(str_of(label), &name, &why));
}

static void bad(const char *text, const char *says)
{
    struct host_name name;
    const char *why = NULL;
    assert_false(host_name_parse(str_of(text), &name, &why));
    if (!strstr(why, says))
        fail_msg("%s: %s", text, why);
}

static void bad_names(void **state)
{
    (void)state;
    bad("orders", "port is missing");
    bad("orders:", "port is missing");
    bad("orders:0", "from 1 to 65535");
    bad("orders:65536", "from 1 to 65535");
    bad("orders:8o", "from 1 to 65535");
    bad("srv:a:80", "SRV records have the port");
    bad("srv:", "name is missing");
    bad("srv:.", "name is missing");
    bad(".a:1", "between two dots");
    bad("a..:1", "between two dots");
    bad("a b:1", "between two dots");
    bad("a/b:1", "between two dots");
    bad("-a:1", "between two dots");
    bad("a-.b:1", "between two dots");
    bad("a.1:1", "doesn't end in a number");
    bad("a.1.:1", "doesn't end in a number");
    bad("b\xc3\xbcro:1", "xn--");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(good_names),
        cmocka_unit_test(bad_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
