/* The split of a route's requests: shares, and who stays where. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "worker/upstream/split.h"

enum { PICKS = 10000, MOST = 4 };

struct fixture {
    struct split split;
    struct variant variants[MOST];
};

/* Ended by a NULL name. */
static void make(struct fixture *fixture, const char *const *names, const uint64_t *weights, const char *by)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->split.variants = fixture->variants;
    for (; names[fixture->split.count]; fixture->split.count++) {
        struct variant *variant = &fixture->variants[fixture->split.count];
        variant->name = str_of(names[fixture->split.count]);
        variant->upstream = fixture->split.count;
        variant->weight = weights[fixture->split.count];
    }
    split_prepare(&fixture->split, str_of(by));
}

static const char *const two[] = {"stable", "canary", NULL};
static const char *const four[] = {"a", "b", "c", "d", NULL};

/* Within six standard deviations: once in five hundred million it isn't. */
static void assert_share(unsigned count, double share)
{
    double expected = PICKS * share, away = count - expected;
    if (away * away > 36 * expected * (1 - share))
        fail_msg("%u of %d picks, %.0f were expected", count, PICKS, expected);
}

static struct str user(unsigned number, char text[16])
{
    return (struct str){text, (size_t)snprintf(text, 16, "user-%u", number)};
}

static void test_bounds(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture, four, (const uint64_t[]){0, 1, 0, 3}, "");
    const struct split *split = &fixture.split;
    assert_int_equal(split_at(split, 0)->upstream, 1);
    assert_int_equal(split_at(split, (UINT64_C(1) << 62) - 1)->upstream, 1);
    assert_int_equal(split_at(split, UINT64_C(1) << 62)->upstream, 3);
    assert_int_equal(split_at(split, UINT64_MAX)->upstream, 3);
}

/* The points of a whole sweep: each variant gets its share exactly. */
static void test_exact_share(void **state)
{
    (void)state;
    struct fixture fixture;
    unsigned counts[MOST] = {0};
    make(&fixture, four, (const uint64_t[]){70, 20, 9, 1}, "");
    for (uint64_t i = 0; i < PICKS; i++)
        counts[split_at(&fixture.split, i * (UINT64_MAX / PICKS) + UINT64_MAX / PICKS / 2)->upstream]++;
    assert_int_equal(counts[0], 7000);
    assert_int_equal(counts[1], 2000);
    assert_int_equal(counts[2], 900);
    assert_int_equal(counts[3], 100);
}

static void test_random_share(void **state)
{
    (void)state;
    struct fixture fixture;
    struct random random = {{1, 2, 3, 4}};
    unsigned counts[MOST] = {0};
    make(&fixture, two, (const uint64_t[]){95, 5}, "");
    for (unsigned i = 0; i < PICKS; i++)
        counts[split_random(&fixture.split, &random)->upstream]++;
    assert_share(counts[0], 0.95);
    assert_share(counts[1], 0.05);
}

static void test_share_of_values(void **state)
{
    (void)state;
    struct fixture fixture;
    unsigned counts[MOST] = {0};
    char text[16];
    make(&fixture, two, (const uint64_t[]){95, 5}, "X-User");
    for (unsigned i = 0; i < PICKS; i++) {
        struct str value = user(i, text);
        const struct variant *variant = split_of_value(&fixture.split, value);
        assert_ptr_equal(variant, split_of_value(&fixture.split, value));
        counts[variant->upstream]++;
    }
    assert_share(counts[0], 0.95);
    assert_share(counts[1], 0.05);
}

/* Nothing but the configuration decides: what another process, or an earlier version, would say. */
static void test_the_same_everywhere(void **state)
{
    (void)state;
    struct fixture fixture;
    char text[16], picks[33] = "";
    make(&fixture, two, (const uint64_t[]){1, 1}, "X-User");
    for (unsigned i = 0; i < 32; i++)
        picks[i] = (char)('0' + split_of_value(&fixture.split, user(i, text))->upstream);
    assert_string_equal(picks, "00000001011010111010001100111101");
    assert_str(((struct str){fixture.variants[0].token, SPLIT_TOKEN}), "43d642cc5425e65e");
}

/* From 95:5 to 90:10 only those move that must, and all to the canary; another split chooses others. */
static void test_weights_move_few(void **state)
{
    (void)state;
    struct fixture before, after, half, other;
    unsigned moved = 0, same = 0;
    char text[16];
    make(&before, two, (const uint64_t[]){95, 5}, "X-User");
    make(&after, two, (const uint64_t[]){90, 10}, "X-User");
    make(&half, two, (const uint64_t[]){1, 1}, "X-User");
    make(&other, (const char *const[]){"old", "new", NULL}, (const uint64_t[]){1, 1}, "X-User");
    for (unsigned i = 0; i < PICKS; i++) {
        struct str value = user(i, text);
        unsigned from = split_of_value(&before.split, value)->upstream;
        unsigned to = split_of_value(&after.split, value)->upstream;
        assert_true(to >= from);
        moved += from != to;
        same += split_of_value(&other.split, value)->upstream == split_of_value(&half.split, value)->upstream;
    }
    assert_share(moved, 0.05);
    assert_share(same, 0.5);
}

static void test_tokens(void **state)
{
    (void)state;
    struct fixture fixture, changed;
    make(&fixture, four, (const uint64_t[]){1, 1, 1, 0}, "");
    make(&changed, four, (const uint64_t[]){0, 50, 1, 7}, "");
    for (unsigned i = 0; i < MOST; i++) {
        struct str token = {fixture.variants[i].token, SPLIT_TOKEN};
        assert_int_equal(split_of_token(&fixture.split, token)->upstream, i); /* with weight 0 too */
        assert_int_equal(split_of_token(&changed.split, token)->upstream, i); /* weights don't matter */
        token.length--;
        assert_null(split_of_token(&fixture.split, token));
    }
    assert_null(split_of_token(&fixture.split, STR("a")));
    assert_null(split_of_token(&fixture.split, STR("0123456789abcdef")));
    assert_null(split_of_token(&fixture.split, (struct str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_exact_share),
        cmocka_unit_test(test_random_share),
        cmocka_unit_test(test_share_of_values),
        cmocka_unit_test(test_the_same_everywhere),
        cmocka_unit_test(test_weights_move_few),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
