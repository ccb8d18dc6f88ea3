/* Connections of an address: counted and given back, whatever the order; /64 of IPv6; against a model. */
#include <stdio.h>

#include "tests/unit/unit.h"

#include "worker/net/addresses.h"

static const uint64_t key[2] = {1, 2};

static struct address address_of(const char *text)
{
    struct address address;
    const char *why = "";
    if (!address_parse(str_of(text), &address, &why))
        fail_msg("%s: %s", text, why);
    return address;
}

static bool enter(struct addresses *addresses, const char *text, unsigned limit, uint32_t *cell)
{
    struct address address = address_of(text);
    return addresses_enter(addresses, &address, limit, cell);
}

static void test_limit(void **state)
{
    (void)state;
    struct addresses *addresses = addresses_new(16, key);
    uint32_t a, b, c, other;
    assert_true(enter(addresses, "10.0.0.1:1", 2, &a));
    assert_true(enter(addresses, "10.0.0.1:2", 2, &b));
    assert_int_equal(a, b);
    assert_false(enter(addresses, "10.0.0.1:3", 2, &c));
    assert_int_equal(c, 0);
    assert_true(enter(addresses, "10.0.0.2:3", 2, &other));
    assert_int_not_equal(other, a);
    addresses_leave(addresses, a);
    assert_true(enter(addresses, "10.0.0.1:4", 2, &c));
    addresses_leave(addresses, b);
    addresses_leave(addresses, c);
    assert_true(enter(addresses, "10.0.0.1:4", 1, &c));
    assert_false(enter(addresses, "10.0.0.1:5", 1, &c));
    addresses_free(&addresses);
    assert_null(addresses);
}

static void test_what_is_one_address(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"[2001:db8::1]:1", "[2001:db8::2]:1", true},
        {"[2001:db8::1]:1", "[2001:db8::ffff:ffff:ffff:ffff]:1", true},
        {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
        {"[fe80::1%lo]:1", "[fe80::2%lo]:1", false},
        {"[fe80::1%lo]:1", "[fe80::1%lo]:2", true},
        {"10.0.0.1:1", "10.0.0.1:2", true},
        {"10.0.0.1:1", "[0:0:a00:1::]:1", false},
        {"0.0.0.0:1", "[::]:1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addresses *addresses = addresses_new(16, key);
        uint32_t a, b;
        assert_true(enter(addresses, rows[i].a, 1, &a));
        if (enter(addresses, rows[i].b, 1, &b) == rows[i].same)
            fail_msg("%s, %s", rows[i].a, rows[i].b);
        addresses_free(&addresses);
    }
}

static void test_not_counted(void **state)
{
    (void)state;
    struct addresses *addresses = addresses_new(16, key);
    uint32_t cell;
    for (int i = 0; i < 3; i++) {
        assert_true(enter(addresses, "unix:/a", 1, &cell));
        assert_int_equal(cell, 0);
        addresses_leave(addresses, cell);
    }
    /* More addresses than it was made for: let in without a count. */
    char text[32];
    for (int i = 0; i < 16; i++) {
        sprintf(text, "10.0.0.%d:1", i);
        assert_true(enter(addresses, text, 1, &cell));
        assert_int_not_equal(cell, 0);
    }
    assert_true(enter(addresses, "10.0.1.1:1", 1, &cell));
    assert_int_equal(cell, 0);
    addresses_free(&addresses);
}

static uint32_t random_state = 1;
static uint32_t next(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

/* Few chains for many addresses: they collide; any order of coming and going. */
static void test_against_a_model(void **state)
{
    (void)state;
    enum { MOST = 300, ADDRESSES = 200, LIMIT = 3 };
    static unsigned counts[ADDRESSES];
    static struct {
        uint32_t cell;
        unsigned address;
    } open[MOST];
    unsigned count = 0;
    struct addresses *addresses = addresses_new(MOST, key);
    for (int turn = 0; turn < 100000; turn++) {
        if (count == MOST || (count && next(2))) {
            unsigned which = next(count);
            addresses_leave(addresses, open[which].cell);
            counts[open[which].address]--;
            open[which] = open[--count];
            continue;
        }
        unsigned number = next(ADDRESSES);
        struct address address = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(number)}};
        uint32_t cell;
        bool in = addresses_enter(addresses, &address, LIMIT, &cell);
        assert_int_equal(in, counts[number] < LIMIT);
        if (!in)
            continue;
        counts[number]++;
        open[count].cell = cell;
        open[count++].address = number;
    }
    while (count)
        addresses_leave(addresses, open[--count].cell);
    addresses_free(&addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_what_is_one_address),
        cmocka_unit_test(test_not_counted),
        cmocka_unit_test(test_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
