/* The balancers but p2c: shares by weight, what moves when endpoints come and go, bounds, caps, and who is left out. */
#include "shared/base/hash.h"
#include "tests/unit/cluster.h"

enum { PICKS = 100000 };
static const unsigned weights[] = {1, 2, 3, 4};

/* Keys as a hash gives them. */
static uint64_t key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    uint64_t key = hash_name(str_of(text));
    return key ? key : 1;
}

/* --- shares --- */

static void test_round_robin(void **state)
{
    (void)state;
    cluster_make(BALANCE_ROUND_ROBIN, 4, weights);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){0});
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(picks[i], PICKS * (i + 1) / 10 - 4, PICKS * (i + 1) / 10 + 4);
}

static void test_least(void **state)
{
    (void)state;
    cluster_make(BALANCE_LEAST, 4, weights);
    for (unsigned i = 0; i < 1000; i++)
        add_load(pick_for((struct choice){0}), 1);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(endpoint_load(&cluster->endpoints[i]), 100 * (i + 1));
    set_load(&cluster->endpoints[1], 50);
    assert_int_equal(index_of(pick_for((struct choice){0})), 1);
    /* The call to come counts: 1 of 1 is more than 2 of 4. */
    set_load(&cluster->endpoints[0], 0);
    set_load(&cluster->endpoints[1], 1000);
    set_load(&cluster->endpoints[2], 1000);
    set_load(&cluster->endpoints[3], 1);
    assert_int_equal(index_of(pick_for((struct choice){0})), 3);
    set_load(&cluster->endpoints[3], 4);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(index_of(pick_for((struct choice){0})), 0);
}

static void test_random(void **state)
{
    (void)state;
    cluster_make(BALANCE_RANDOM, 4, weights);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){0});
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], PICKS, (i + 1) / 10.0, 3);
    cluster_make(BALANCE_RANDOM, 10, NULL);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){0});
    for (unsigned i = 0; i < 10; i++)
        assert_share(picks[i], PICKS, 0.1, 5);
}

/* Those that are left get the shares of the others by their weights, few or many. */
static void test_random_of_few(void **state)
{
    (void)state;
    cluster_make(BALANCE_RANDOM, 200, NULL);
    for (unsigned i = 2; i < 200; i++)
        refuse(&cluster->endpoints[i]);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){0});
    assert_share(picks[0], PICKS, 0.5, 3);
    assert_share(picks[1], PICKS, 0.5, 3);
    cluster_make(BALANCE_RANDOM, 4, weights);
    refuse(&cluster->endpoints[3]);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){0});
    for (unsigned i = 0; i < 3; i++)
        assert_share(picks[i], PICKS, (i + 1) / 6.0, 3);
}

/* --- hash --- */

static void test_hash_shares(void **state)
{
    (void)state;
    cluster_make(BALANCE_HASH, 4, weights);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){.key = key_of(i)});
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], PICKS, (i + 1) / 10.0, 3);
}

static void test_hash_without_key_is_random(void **state)
{
    (void)state;
    cluster_make(BALANCE_HASH, 4, weights);
    for (unsigned i = 0; i < PICKS; i++)
        pick_for((struct choice){.key = 0});
    for (unsigned i = 0; i < 4; i++)
        assert_share(picks[i], PICKS, (i + 1) / 10.0, 3);
}

/* Pinned, so that gateways of different versions agree: a change moves every user's keys. */
static void test_hash_is_the_same_everywhere(void **state)
{
    (void)state;
    static const unsigned expected[] = {1, 5, 6, 6, 3, 5, 3, 5, 8, 8, 6, 9, 1, 3, 1, 3, 7, 7, 9, 2};
    cluster_make(BALANCE_HASH, 10, NULL);
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(index_of(pick_for((struct choice){.key = key_of(i)})), expected[i]);
}

/* The addresses of `count` keys' endpoints. */
static void owners(const char **texts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        texts[i] = pick_for((struct choice){.key = key_of(i)})->settings->text;
}

static void test_hash_moves_least(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    static const char *before[KEYS], *after[KEYS];
    cluster_make(BALANCE_HASH, 10, NULL);
    owners(before, KEYS);
    /* Another order: nothing moves. */
    void *first = upstream.endpoints.items[0];
    upstream.endpoints.items[0] = upstream.endpoints.items[7];
    upstream.endpoints.items[7] = first;
    cluster_open();
    owners(after, KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        assert_string_equal(before[i], after[i]);
    /* One more: its share of the keys moves, all of them to it. */
    add_endpoint(10, 1);
    cluster_open();
    owners(after, KEYS);
    unsigned moved = 0;
    for (unsigned i = 0; i < KEYS; i++)
        if (strcmp(before[i], after[i]) != 0) {
            assert_string_equal(after[i], "10.0.0.10:80");
            moved++;
        }
    assert_share(moved, KEYS, 1.0 / 11, 6);
    /* One is out: its keys spread over all others, no other key moves. */
    refuse(&cluster->endpoints[3]);
    memset(picks, 0, sizeof picks);
    moved = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        struct endpoint *endpoint = pick_for((struct choice){.key = key_of(i)});
        if (strcmp(after[i], cluster->endpoints[3].settings->text) == 0)
            moved++;
        else
            assert_string_equal(endpoint->settings->text, after[i]);
    }
    assert_share(moved, KEYS, 1.0 / 11, 6);
    for (unsigned i = 0; i < 11; i++)
        if (i != 3)
            assert_share(picks[i], KEYS, 0.1, 6);
}

/* However popular a key is, no endpoint gets more than its bound, at any time; and the key comes back. */
static void test_hash_load_is_bounded(void **state)
{
    (void)state;
    static const double loads[] = {1, 1.25, 2};
    for (unsigned l = 0; l < sizeof loads / sizeof *loads; l++) {
        cluster_make(BALANCE_HASH, 4, weights);
        hash.load = loads[l];
        for (unsigned n = 0; n < 1000; n++) {
            struct endpoint *endpoint = pick_for((struct choice){.key = n % 5 ? 42 : key_of(n)});
            add_load(endpoint, 1);
            double bound = loads[l] * (n + 1) * endpoint->weight / 10;
            assert_true(endpoint_load(endpoint) < bound + 1);
        }
        unsigned owner = 0;
        for (unsigned i = 0; i < 4; i++)
            set_load(&cluster->endpoints[i], 0);
        owner = index_of(pick_for((struct choice){.key = 42}));
        assert_int_equal(index_of(pick_for((struct choice){.key = 42})), owner);
    }
    cluster_make(BALANCE_HASH, 4, NULL);
    hash.load = 0;
    struct endpoint *owner = pick_for((struct choice){.key = 42});
    for (unsigned n = 0; n < 1000; n++, add_load(owner, 1))
        assert_ptr_equal(pick_for((struct choice){.key = 42}), owner);
}

static void test_hash_key_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *by, *says;
    } wrong[] = {
        {"${heador.x}", "f:7: upstreams.u.hash.by: there is no ${heador} here (did you mean ${header.…}?)\n"},
        {"user", "f:7: upstreams.u.hash.by: \"user\" is the same for all requests (write \"${client}\", "
                 "\"${header.x-user}\" or the like)\n"},
    };
    cluster_make(BALANCE_HASH, 2, NULL);
    assert_int_equal(errors.count, 0);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errors_init(&errors, arena);
        hash.by = wrong[i].by;
        hash.origin = (struct origin){"f", 7};
        balancing_compile(&settings, &wants, arena, &errors);
        assert_string_equal(errors_text(&errors, arena), wrong[i].says);
    }
}

/* --- who is left out --- */

static enum picked try_again(struct choice *choice)
{
    struct endpoint *endpoint;
    enum picked picked = cluster_pick(cluster, choice, &endpoint);
    if (picked == PICKED_ONE)
        choice->tried[choice->tried_count++] = (uint16_t)index_of(endpoint);
    return picked;
}

/* Also beyond the 64th, with every balancer: none twice, none left out, those that are down at last. */
static void test_tried_endpoints(void **state)
{
    (void)state;
    for (int balance = BALANCE_ROUND_ROBIN; balance <= BALANCE_HASH; balance++) {
        cluster_make((enum balance)balance, ENDPOINTS, NULL);
        for (unsigned i = 0; i < ENDPOINTS; i++)
            if (i < 200 || i >= 210)
                cluster->endpoints[i].active = cluster->endpoints[i].cap = 1;
        refuse(&cluster->endpoints[200]);
        refuse(&cluster->endpoints[205]);
        struct choice choice = {.key = 5};
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(try_again(&choice), PICKED_ONE);
        for (unsigned i = 0; i < 8; i++)
            for (unsigned j = 0; j <= i; j++) {
                assert_in_range(choice.tried[i], 201, 209);
                assert_int_not_equal(choice.tried[i], 205);
                assert_true(i == j || choice.tried[i] != choice.tried[j]);
            }
        assert_int_equal(try_again(&choice), PICKED_BUSY);
        for (unsigned i = 0; i < ENDPOINTS; i++)
            if (i < 200 || i >= 210)
                refuse(&cluster->endpoints[i]);
        assert_int_equal(try_again(&choice), PICKED_ONE);
        assert_int_equal(try_again(&choice), PICKED_ONE);
        assert_int_equal(choice.tried[8] + choice.tried[9], 405);
        assert_int_equal(try_again(&choice), PICKED_BUSY);
    }
}

static void test_none_left(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 3; count++) {
        cluster_make(BALANCE_ROUND_ROBIN, count, NULL);
        struct choice choice = {0};
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(try_again(&choice), PICKED_ONE);
        assert_int_equal(try_again(&choice), PICKED_NONE);
    }
}

static void test_caps(void **state)
{
    (void)state;
    for (int balance = BALANCE_ROUND_ROBIN; balance <= BALANCE_HASH; balance++)
        for (unsigned count = 1; count <= 3; count++) {
            cluster_make((enum balance)balance, count, NULL);
            upstream.max_connections = 5;
            cluster_open();
            for (unsigned i = 0; i < 5 * count; i++)
                pick_for((struct choice){.key = 9})->active++;
            for (unsigned i = 0; i < count; i++)
                assert_int_equal(picks[i], 5);
            struct choice choice = {.key = 9};
            assert_int_equal(try_again(&choice), PICKED_BUSY);
            cluster->endpoints[count - 1].active--;
            assert_int_equal(index_of(pick_for(choice)), count - 1);
        }
}

/* An endpoint that refused a moment ago is left out while there is another, and is due again then. */
static void test_down(void **state)
{
    (void)state;
    cluster_make(BALANCE_ROUND_ROBIN, 2, NULL);
    assert_int_equal(cluster_next_up(cluster), 0);
    endpoint_refused(&cluster->endpoints[0]);
    assert_int_equal(cluster_next_up(cluster), 2000);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(index_of(pick_for((struct choice){0})), 1);
    endpoint_refused(&cluster->endpoints[1]);
    pick_for((struct choice){0});
    pass(NS_PER_SECOND);
    assert_int_equal(cluster_next_up(cluster), 0);
    for (unsigned i = 0; i < 10; i++)
        pick_for((struct choice){0});
    assert_true(picks[0] >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_round_robin),
        CLUSTER_TEST(test_least),
        CLUSTER_TEST(test_random),
        CLUSTER_TEST(test_random_of_few),
        CLUSTER_TEST(test_hash_shares),
        CLUSTER_TEST(test_hash_without_key_is_random),
        CLUSTER_TEST(test_hash_is_the_same_everywhere),
        CLUSTER_TEST(test_hash_moves_least),
        CLUSTER_TEST(test_hash_load_is_bounded),
        CLUSTER_TEST(test_hash_key_is_checked),
        CLUSTER_TEST(test_tried_endpoints),
        CLUSTER_TEST(test_none_left),
        CLUSTER_TEST(test_caps),
        CLUSTER_TEST(test_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
