/* Lists of hops: taken apart from their end, by one reading. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>

#include "worker/codec/hops.h"

/* The elements from the last to the first, joined by |. */
static void assert_elements(const char *list, bool quoted, const char *expected)
{
    char text[512];
    struct buf out = buf_on(text, sizeof text);
    struct str rest = str_of(list), element;
    while (hops_last(&rest, quoted, &element)) {
        if (out.length)
            buf_char(&out, '|');
        buf_str_add(&out, element);
    }
    assert_str(buf_str(&out), expected);
}

static void test_elements(void **state)
{
    (void)state;
    assert_elements("", false, "");
    assert_elements(" ,, \t,", false, "");
    assert_elements("a", false, "a");
    assert_elements("a, b ,c", false, "c|b|a");
    assert_elements(",a,,b,", false, "b|a");
    assert_elements("a\", b\", c", false, "c|b\"|a\"");
    assert_elements("for=a, for=\"b,c\";x=y, d", true, "d|for=\"b,c\";x=y|for=a");
    assert_elements("a=\"\\\",\\\\\", b", true, "b|a=\"\\\",\\\\\"");
    /* An open quote swallows what stands before it, never what a trusted proxy put behind. */
    assert_elements("for=x, for=\"evil, for=1.2.3.4", true, "for=1.2.3.4|for=x, for=\"evil");
    assert_elements("for=\"evil\\, for=\"[::1]\"", true, "for=\"[::1]\"|for=\"evil\\");
}

static void assert_node(const char *text, const char *expected, unsigned port)
{
    struct hop hop;
    char out[ADDRESS_TEXT_SIZE];
    if (!hop_parse(str_of(text), &hop))
        fail_msg("\"%s\" is malformed", text);
    address_format_host(&hop.address, out);
    assert_string_equal(out, expected);
    assert_int_equal(
        ntohs(hop.address.any.sa_family == AF_INET6 ? hop.address.in6.sin6_port : hop.address.in.sin_port),
        port);
}

static void test_nodes(void **state)
{
    (void)state;
    struct hop hop;
    assert_node("192.0.2.1", "192.0.2.1", 0);
    assert_node("192.0.2.1:4711", "192.0.2.1", 4711);
    assert_node("2001:db8::1", "2001:db8::1", 0);
    assert_node("[2001:db8::1]", "2001:db8::1", 0);
    assert_node("[2001:db8::1]:80", "2001:db8::1", 80);
    assert_node("::ffff:192.0.2.1", "192.0.2.1", 0);
    assert_node("[::ffff:192.0.2.1]:80", "192.0.2.1", 80);
    assert_true(hop_parse(STR("unix:"), &hop));
    assert_int_equal(hop.address.any.sa_family, AF_UNIX);
    static const char *const bad[] = {
        "",
        "unknown",
        "_hidden",
        "example.com",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "1.2.3.4:5:",
        "192.0.2.1 a",
        "192.0.2.256",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1]:99999",
        "::1]",
        "[192.0.2.1]",
        "fe80::1%lo",
        "unix:/x",
        "\"192.0.2.1\"",
        "192.0.2.1:065536",
        ":80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hop_parse(str_of(bad[i]), &hop))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(hop_parse(((struct str){"1.2.3.4\0", 8}), &hop));
}

static void assert_forwarded(const char *text, const char *address, const char *proto, const char *host)
{
    struct hop hop;
    char out[ADDRESS_TEXT_SIZE];
    if (!hop_parse_forwarded(str_of(text), &hop))
        fail_msg("%s is malformed", text);
    address_format_host(&hop.address, out);
    assert_string_equal(out, address);
    assert_str(hop.proto, proto);
    assert_str(hop.host, host);
}

static void test_forwarded(void **state)
{
    (void)state;
    struct hop hop;
    assert_forwarded("for=192.0.2.1", "192.0.2.1", "", "");
    assert_forwarded("For=192.0.2.1;Proto=https;HOST=example.com", "192.0.2.1", "https", "example.com");
    assert_forwarded("by=_x; for=\"[2001:db8::1]:4711\" ; host=\"a.example:8080\"", "2001:db8::1", "",
                     "a.example:8080");
    assert_forwarded("for=\"192.0.2.1:80\";proto=\"a b\";host=\"a\\\"b\"", "192.0.2.1", "",
                     ""); /* said, but nonsense */
    assert_forwarded("for=192.0.2.1;", "192.0.2.1", "", "");
    static const char *const bad[] = {
        "",
        "proto=https",
        "for",
        "for=",
        "for=unknown",
        "for=_hidden",
        "for=192.0.2.1:80", /* needs quotes */
        "for=[::1]",
        "for=\"2001:db8::1\"", /* needs brackets */
        "for=\"192.0.2.1",
        "for=192.0.2.1;for=192.0.2.2",
        "for=192.0.2.1;proto=a;proto=b",
        "for=192.0.2.1 x",
        "for =192.0.2.1",
        ";for=192.0.2.1",
        "for=\"unix:\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hop_parse_forwarded(str_of(bad[i]), &hop))
            fail_msg("%s was taken", bad[i]);
}

/* What is written is read back. */
static void test_written(void **state)
{
    (void)state;
    static const struct {
        const char *address, *host, *expected;
    } rows[] = {
        {"192.0.2.1:99", "example.com", "for=192.0.2.1;host=example.com;proto=https"},
        {"[2001:db8::1]:99", "example.com:80", "for=\"[2001:db8::1]\";host=\"example.com:80\";proto=https"},
        {"192.0.2.1:99", "", "for=192.0.2.1;proto=https"},
        {"192.0.2.1:99", "[::1]:8080", "for=192.0.2.1;host=\"[::1]:8080\";proto=https"},
        {"unix:/x", "a\"b", "for=_hidden;host=\"a\\\"b\";proto=https"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address address;
        struct hop hop;
        const char *why;
        char text[256];
        struct buf out = buf_on(text, sizeof text);
        assert_true(address_parse(str_of(rows[i].address), &address, &why));
        hop_write_forwarded(&out, &address, str_of(rows[i].host), STR("https"));
        assert_str(buf_str(&out), rows[i].expected);
        assert_int_equal(hop_parse_forwarded(buf_str(&out), &hop), address.any.sa_family != AF_UNIX);
        if (address.any.sa_family != AF_UNIX)
            assert_str(hop.host, rows[i].host);
    }
}

static void test_via(void **state)
{
    (void)state;
    struct str name = STR("gatehouse");
    assert_int_equal(hops_via_count(STR(""), name), 0);
    assert_int_equal(hops_via_count(STR("1.1 gatehouse"), name), 1);
    assert_int_equal(
        hops_via_count(STR("1.1 a, HTTP/1.1 Gatehouse (x), 1.0\tgatehouse(y) ,2  gatehouse"), name), 3);
    assert_int_equal(
        hops_via_count(STR("gatehouse, 1.1 gatehouses, 1.1 a-gatehouse, 1.1 (gatehouse), ,"), name), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements), cmocka_unit_test(test_nodes), cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_written),  cmocka_unit_test(test_via),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
