/* SRV records of answers. */
#include "tests/unit/unit.h"
#include "worker/codec/dns_srv.h"

enum { MOST = 3 };

static struct dns_srv records[MOST];
static uint32_t ttl;

/* Of memory that ends where the message does, so that a sanitizer sees what is read beyond it. */
static int parse(const void *data, size_t length)
{
    unsigned char *copy = malloc(length + !length);
    memcpy(copy, data, length);
    int count = dns_srv_parse(copy, length, records, MOST, &ttl);
    free(copy);
    return count;
}

#define PARSE(literal) parse(literal, sizeof(literal) - 1)
#define HEAD(questions, answers) "\x12\x34\x81\x80\0" questions "\0" answers "\0\0\0\0"
#define QUESTION "\4_xyz\4_tcp\1a\0\0\41\0\1" /* its name is at 12 */
#define SRV(ttl, size, data) "\xc0\x0c\0\41\0\1\0\0\0" ttl "\0" size data

static const char two[] = HEAD("\1", "\2") QUESTION SRV("\x3c", "\x0b", "\0\1\0\2\x1f\x42\1b\1c\0")
    SRV("\x1e", "\x0a", "\0\5\0\0\0\x50\1d\xc0\x16");

static void records_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse(two, sizeof two - 1), 2);
    assert_int_equal(ttl, 30);
    assert_int_equal(records[0].priority, 1);
    assert_int_equal(records[0].weight, 2);
    assert_int_equal(records[0].port, 8002);
    assert_string_equal(records[0].target, "b.c");
    assert_int_equal(records[1].priority, 5);
    assert_int_equal(records[1].port, 80);
    assert_string_equal(records[1].target, "d.a"); /* by a pointer into the question */
}

static void the_root_is_an_empty_target(void **state)
{
    (void)state;
    assert_int_equal(PARSE(HEAD("\1", "\1") QUESTION SRV("\1", "\7", "\0\0\0\0\0\0\0")), 1);
    assert_string_equal(records[0].target, "");
}

static void an_alias_before_them_counts_with_its_ttl(void **state)
{
    (void)state;
    assert_int_equal(PARSE(HEAD("\1", "\2") QUESTION "\xc0\x0c\0\5\0\1\0\0\0\3\0\3\1z\0" SRV(
                         "\x1e", "\x0b", "\0\1\0\2\x1f\x42\1b\1c\0")),
                     1);
    assert_int_equal(ttl, 3);
}

static void those_beyond_are_counted(void **state)
{
    (void)state;
#define ONE SRV("\1", "\x0b", "\0\1\0\2\x1f\x42\1b\1c\0")
    assert_int_equal(PARSE(HEAD("\1", "\5") QUESTION ONE ONE ONE ONE ONE), 5);
#undef ONE
}

static void no_records(void **state)
{
    (void)state;
    assert_int_equal(PARSE(HEAD("\1", "\0") QUESTION), 0);
    assert_int_equal(PARSE(HEAD("\1", "\1") QUESTION "\xc0\x0c\0\1\0\1\0\0\0\3\0\4abcd"), 0); /* an A */
    assert_int_equal(ttl, 0);
}

/* Cut anywhere; and each of its bytes changed: never beyond its end, and never for ever. */
static void malformed_ones(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof two - 1; length++)
        assert_int_equal(parse(two, length), -1);
    char changed[sizeof two];
    for (size_t i = 0; i < sizeof two - 1; i++)
        for (unsigned value = 0; value < 256; value++) {
            memcpy(changed, two, sizeof two);
            changed[i] = (char)value;
            int count = parse(changed, sizeof two - 1);
            assert_true(count >= -1 && count <= 2);
        }
    /* A name that points at itself, one with a byte that no host has, one that is too long, one behind its record. */
    assert_int_equal(PARSE(HEAD("\1", "\1") QUESTION SRV("\1", "\x08", "\0\1\0\2\0\1\xc0\x2f")), -1);
    assert_int_equal(PARSE(HEAD("\1", "\1") QUESTION SRV("\1", "\x09", "\0\1\0\2\0\1\1/\0")), -1);
    assert_int_equal(PARSE(HEAD("\1", "\1") QUESTION SRV("\1", "\x08", "\0\1\0\2\0\1\1b\0")), -1);
    char loop[256] = HEAD("\1", "\1") QUESTION SRV("\1", "\x48", "\0\1\0\2\0\1");
    size_t at = sizeof(HEAD("\1", "\1") QUESTION SRV("\1", "\x48", "\0\1\0\2\0\1")) - 1;
    loop[at] = 63;
    memset(loop + at + 1, 'x', 63);
    loop[at + 64] = (char)0xc0;
    loop[at + 65] = (char)at;
    assert_int_equal(parse(loop, at + 66), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(the_root_is_an_empty_target),
        cmocka_unit_test(an_alias_before_them_counts_with_its_ttl),
        cmocka_unit_test(those_beyond_are_counted),
        cmocka_unit_test(no_records),
        cmocka_unit_test(malformed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
