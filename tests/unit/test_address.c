/* Addresses from text and back. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "shared/base/network.h"

static void round_trip(const char *text, const char *host)
{
    struct address address, again;
    const char *why = "?";
    if (!address_parse(str_of(text), &address, &why))
        fail_msg("%s: %s", text, why);
    char out[ADDRESS_TEXT_SIZE];
    size_t length = address_format(&address, out);
    assert_string_equal(out, text);
    assert_int_equal(length, strlen(text));
    length = address_format_host(&address, out);
    assert_string_equal(out, host);
    assert_int_equal(length, strlen(host));
    assert_true(address_parse(str_of(text), &again, &why));
    assert_true(address_eq(&address, &again));
}

static void test_round_trips(void **state)
{
    (void)state;
    round_trip("127.0.0.1:80", "127.0.0.1");
    round_trip("0.0.0.0:1", "0.0.0.0");
    round_trip("255.255.255.255:65535", "255.255.255.255");
    round_trip("[::]:8080", "::");
    round_trip("[2001:db8::1]:443", "2001:db8::1");
    round_trip("[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4");
    round_trip("[fe80::1%lo]:80", "fe80::1");
    round_trip("[fe80::1%4000000000]:80", "fe80::1"); /* no such interface: its number */
    round_trip("unix:/run/x.sock", "unix:");
}

static void test_fields(void **state)
{
    (void)state;
    struct address address;
    const char *why;
    assert_true(address_parse(STR("1.2.3.4:8080"), &address, &why));
    assert_int_equal(address.length, sizeof(struct sockaddr_in));
    assert_int_equal(ntohs(address.in.sin_port), 8080);
    assert_int_equal(ntohl(address.in.sin_addr.s_addr), 0x01020304);
    assert_true(address_parse(STR("[fe80::1%1]:80"), &address, &why));
    assert_int_equal(address.length, sizeof(struct sockaddr_in6));
    assert_int_equal(address.in6.sin6_scope_id, 1);
    assert_true(address_parse(STR("unix:/a"), &address, &why));
    assert_int_equal(address.length, offsetof(struct sockaddr_un, sun_path) + 3);
}

static void refused(struct str text, const char *part)
{
    struct address address;
    const char *why = NULL;
    if (address_parse(text, &address, &why))
        fail_msg("%.*s was taken", STR_ARG(text));
    if (!strstr(why, part))
        fail_msg("%.*s: \"%s\" has no \"%s\"", STR_ARG(text), why, part);
}

static void test_refused(void **state)
{
    (void)state;
    refused(STR(""), "empty");
    refused((struct str){NULL, 0}, "empty");
    refused(STR("*:8080"), "0.0.0.0:PORT or [::]:PORT");
    refused(STR(":8080"), "0.0.0.0:PORT or [::]:PORT");
    refused(STR("8080"), "0.0.0.0:PORT or [::]:PORT");
    refused(STR("127.0.0.1"), "port is missing");
    refused(STR("127.0.0.1:"), "port is missing");
    refused(STR("127.0.0.1:0"), "1 to 65535");
    refused(STR("127.0.0.1:65536"), "1 to 65535");
    refused(STR("127.0.0.1:http"), "1 to 65535");
    refused(STR("127.0.0.1:-1"), "1 to 65535");
    refused(STR("127.0.0.1:000080"), "1 to 65535");
    refused(STR("127.0.0.1:80 "), "1 to 65535");
    refused(STR("localhost:80"), "not an IP address");
    refused(STR("1.2.3:80"), "not an IP address");
    refused(STR("1.2.3.256:80"), "not an IP address");
    refused(STR("01.2.3.4:80"), "not an IP address");
    refused(STR("1.2.3.4\0:80"), "not an IP address");
    refused(STR("11111111111111111111111.2.3.4:80"), "not an IP address");
    refused(STR("::1:80"), "brackets");
    refused(STR("::1"), "brackets");
    refused(STR("[::1]"), "port is missing");
    refused(STR("[::1]80"), "port is missing");
    refused(STR("[::1]:"), "port is missing");
    refused(STR("[::1]:99999"), "1 to 65535");
    refused(STR("[::1:80"), "closing bracket");
    refused(STR("[]:80"), "not an IPv6 address");
    refused(STR("[1.2.3.4]:80"), "not an IPv6 address");
    refused(STR("[::g]:80"), "not an IPv6 address");
    refused(STR("[::1%lo]:80"), "only a link-local");
    refused(STR("[fe80::1]:80"), "needs its zone");
    refused(STR("[fe80::1%]:80"), "no network interface");
    refused(STR("[fe80::1%0]:80"), "no network interface");
    refused(STR("[fe80::1%nosuch0]:80"), "no network interface");
    refused(STR("[fe80::1%averyverylonginterfacename]:80"), "no network interface");
    refused(STR("unix:"), "absolute");
    refused(STR("unix:x.sock"), "absolute");
    refused(STR("unix:@x"), "absolute");
    refused(STR("unix:/a\0b"), "NUL");
}

static void test_longest_path(void **state)
{
    (void)state;
    char text[5 + 108 + 1] = "unix:/";
    memset(text + 6, 'x', 107);
    refused(str_of(text), "107 bytes");
    text[5 + 107] = '\0';
    round_trip(text, "unix:");
}

static void test_unnamed_and_odd(void **state)
{
    (void)state;
    char out[ADDRESS_TEXT_SIZE];
    struct address address = {.un.sun_family = AF_UNIX, .length = sizeof(sa_family_t)};
    address_format(&address, out); /* a client that did not bind */
    assert_string_equal(out, "unix:");
    memcpy(address.un.sun_path, "\0name", 5);
    address.length = offsetof(struct sockaddr_un, sun_path) + 5;
    address_format(&address, out);
    assert_string_equal(out, "unix:@name");
    memset(address.un.sun_path, 'y',
           sizeof(address.un.sun_path)); /* the kernel may give a path without NUL */
    address.length = sizeof(address.un);
    assert_int_equal(address_format(&address, out), 5 + 108);
    struct address none = {.any.sa_family = AF_UNSPEC};
    address_format(&none, out);
    assert_string_equal(out, "unknown");
    assert_false(address_eq(&none, &none));
}

static void test_unmap(void **state)
{
    (void)state;
    struct address mapped, plain, other;
    const char *why;
    assert_true(address_parse(STR("[::ffff:10.0.0.1]:99"), &mapped, &why));
    assert_true(address_parse(STR("10.0.0.1:99"), &plain, &why));
    assert_false(address_eq(&mapped, &plain));
    address_unmap(&mapped);
    assert_true(address_eq(&mapped, &plain));
    assert_int_equal(mapped.length, plain.length);
    assert_true(address_parse(STR("[2001:db8::1]:99"), &other, &why));
    mapped = other;
    address_unmap(&mapped);
    assert_true(address_eq(&mapped, &other));
}

static void test_equality(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.2.3.4:80",     "1.2.3.4:81", "1.2.3.5:80",
                                        "[::1]:80",       "[::1]:81",   "[fe80::1%7]:80",
                                        "[fe80::1%8]:80", "unix:/a",    "unix:/b"};
    enum { COUNT = sizeof(texts) / sizeof(*texts) };
    struct address all[COUNT];
    const char *why;
    for (size_t i = 0; i < COUNT; i++)
        assert_true(address_parse(str_of(texts[i]), &all[i], &why));
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++)
            assert_int_equal(address_eq(&all[i], &all[j]), i == j);
}

static void alone(const char *text, int family, bool good)
{
    struct address address;
    memset(&address, 0xff, sizeof address);
    if (address_parse_ip(str_of(text), family, &address) != good)
        fail_msg("%s", text);
    char out[ADDRESS_TEXT_SIZE];
    if (!good)
        return;
    address_format_host(&address, out);
    assert_string_equal(out, text);
    assert_int_equal(address.in.sin_port, 0);
    assert_int_equal(address.length, family == AF_INET ? sizeof address.in : sizeof address.in6);
}

static void test_alone(void **state)
{
    (void)state;
    alone("1.2.3.4", AF_INET, true);
    alone("255.255.255.255", AF_INET, true);
    alone("2001:db8::1", AF_INET6, true);
    alone("::ffff:1.2.3.4", AF_INET6, true);
    alone("1.2.3.4", AF_INET6, false);
    alone("::1", AF_INET, false);
    static const char *const wrong[] = {"",         "1.2.3", "1.2.3.4:80", "1.2.3.256",
                                        "01.2.3.4", "[::1]", "fe80::1%lo", " ::1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        alone(wrong[i], AF_INET, false);
        alone(wrong[i], AF_INET6, false);
    }
    struct address address;
    assert_false(address_parse_ip(STR("1.2.3.4\0"), AF_INET, &address));
    assert_false(address_parse_ip((struct str){NULL, 0}, AF_INET6, &address));
    char longer[300];
    memset(longer, '1', sizeof longer);
    assert_false(address_parse_ip((struct str){longer, sizeof longer}, AF_INET6, &address));
}

static bool has(const char *network_text, const char *address_text)
{
    struct network network;
    struct address address;
    const char *why = "?";
    if (!network_parse(str_of(network_text), &network))
        fail_msg("%s", network_text);
    if (!address_parse(str_of(address_text), &address, &why))
        fail_msg("%s: %s", address_text, why);
    return network_has(&network, &address);
}

static void test_networks(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.1.2:80"));
    assert_false(has("10.0.0.0/8", "11.0.0.0:80"));
    assert_true(has("10.1.2.3/8", "10.0.0.0:80")); /* what stands behind the bits doesn't count */
    assert_true(has("10.0.0.128/25", "10.0.0.129:80"));
    assert_false(has("10.0.0.128/25", "10.0.0.127:80"));
    assert_true(has("10.0.0.1", "10.0.0.1:80"));
    assert_false(has("10.0.0.1", "10.0.0.0:80"));
    assert_true(has("0.0.0.0/0", "255.0.0.1:80"));
    assert_false(has("0.0.0.0/0", "[::1]:80"));
    assert_true(has("::/0", "[2001:db8::1]:80"));
    assert_false(has("::/0", "1.2.3.4:80"));
    assert_true(has("2001:db8::/33", "[2001:db8:7fff::1]:80"));
    assert_false(has("2001:db8::/33", "[2001:db8:8000::1]:80"));
    assert_false(has("2001:db8::1", "[2001:db8::2]:80"));
    assert_true(has("unix:", "unix:/run/x"));
    assert_false(has("unix:", "127.0.0.1:80"));
    assert_false(has("::/0", "unix:/run/x"));
    /* Clients' addresses come unmapped. */
    assert_true(has("::ffff:10.0.0.0/104", "10.1.2.3:80"));
    assert_false(has("::ffff:10.0.0.0/104", "11.1.2.3:80"));
    assert_true(has("::ffff:10.0.0.1", "10.0.0.1:80"));
    assert_true(has("::ffff:0.0.0.0/96", "1.2.3.4:80"));
    assert_true(has("::ffff:0.0.0.0/95", "[::fffe:0:1]:80"));
    static const char *const wrong[] = {"",
                                        "10.0.0.0/33",
                                        "10.0.0.0/",
                                        "10.0.0.0/-1",
                                        "10.0.0/8",
                                        "/8",
                                        "::1/129",
                                        "::/",
                                        "[::1]",
                                        "host",
                                        "unix:/run/x",
                                        "unix:/8",
                                        "10.0.0.1:80",
                                        "fe80::1%lo",
                                        "10.0.0.0/8/8"};
    struct network network;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (network_parse(str_of(wrong[i]), &network))
            fail_msg("%s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),     cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_unmap),           cmocka_unit_test(test_equality),
        cmocka_unit_test(test_unnamed_and_odd), cmocka_unit_test(test_alone),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
