/* Sets of networks: the same answers as asking each network in turn. */
#include <stdlib.h>

#include "shared/base/network_set.h"
#include "tests/unit/unit.h"

static struct network network_of(const char *text)
{
    struct network network;
    assert_true(network_parse(str_of(text), &network));
    return network;
}

static bool has(const struct network_set *set, const char *address)
{
    const struct network network = network_of(address);
    return network_set_has(set, &network.address);
}

static void test_ranges(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    const struct network networks[] = {
        network_of("10.0.0.0/8"),   network_of("10.1.0.0/16"),   network_of("192.0.2.7"),
        network_of("192.0.2.8/31"), network_of("2001:db8::/33"), network_of("::1"),
    };
    const struct network_set *set = network_set_new(arena, networks, 6);
    static const char *const in[] = {"10.0.0.0",  "10.255.255.255", "10.2.0.0",
                                     "192.0.2.7", "192.0.2.9",      "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
                                     "::1"};
    static const char *const out[] = {"9.255.255.255", "11.0.0.0",        "192.0.2.6",
                                      "192.0.2.10",    "2001:db8:8000::", "::",
                                      "::2",           "0.0.0.1",         "unix:"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        assert_true(has(set, in[i]));
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        assert_false(has(set, out[i]));
    assert_false(has(network_set_new(arena, NULL, 0), "10.0.0.1"));
    const struct network wide[] = {network_of("0.0.0.0/0"), network_of("unix:")};
    set = network_set_new(arena, wide, 2);
    assert_true(has(set, "255.255.255.255"));
    assert_true(has(set, "unix:"));
    assert_false(has(set, "2001:db8::1"));
    arena_free(&arena);
}

static void test_like_each(void **state)
{
    (void)state;
    enum { COUNT = 300, ASKED = 5000 };
    struct arena *arena = arena_new(64 << 10);
    struct network networks[COUNT];
    srandom(7);
    for (unsigned i = 0; i < COUNT; i++)
        networks[i] = network_of(arena_printf(arena, "10.%ld.%ld.%ld/%ld", random() % 4, random() % 256,
                                              random() % 256, 16 + random() % 17));
    const struct network_set *set = network_set_new(arena, networks, COUNT);
    for (unsigned i = 0; i < ASKED; i++) {
        const struct network asked =
            network_of(arena_printf(arena, "10.%ld.%ld.%ld", random() % 5, random() % 256, random() % 256));
        bool wanted = false;
        for (unsigned j = 0; j < COUNT; j++)
            wanted |= network_has(&networks[j], &asked.address);
        assert_int_equal(network_set_has(set, &asked.address), wanted);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges), cmocka_unit_test(test_like_each)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
