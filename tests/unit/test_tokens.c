/* What is kept of credentials: found by nobody else, not after its end, never half; a writer may die at any step. */
static void zone_step(const char *name);
#define TOKENS_STEP(name) zone_step(name)
#include "shared/shm/tokens.c"
#include "tests/unit/zone.h"

enum { NOW = 1000000 };

static int open_it(void **state)
{
    (void)state;
    zone_open(3 * SEGMENT_PAGE);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    zone_close();
    return 0;
}

/* They all belong to one set. */
static struct key digest_of(uint64_t number)
{
    return (struct key){{number, number, ~number, 7}};
}

static bool keep(const struct lock_caller *caller, struct key key, uint64_t ends, const char *text)
{
    return tokens_keep(shared.tokens, caller, (const uint8_t *)key.words, NOW, ends, str_of(text));
}

static const char *find(struct key key, uint64_t now)
{
    static char text[TOKEN_TEXT + 1];
    size_t length;
    if (!tokens_find(shared.tokens, (const uint8_t *)key.words, now, text, &length))
        return NULL;
    text[length] = '\0';
    return text;
}

static void what_is_kept_is_found_until_it_ends(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    struct key key = digest_of(1);
    assert_null(find(key, NOW));
    assert_true(keep(&caller, key, NOW + 10, "alice"));
    assert_string_equal(find(key, NOW), "alice");
    assert_string_equal(find(key, NOW + 9), "alice");
    assert_null(find(key, NOW + 10));
    assert_true(keep(&caller, key, NOW + 20, "")); /* nothing need be known but that it is good */
    assert_string_equal(find(key, NOW + 10), "");
    assert_false(keep(&caller, digest_of(2), NOW, "over"));
}

/* A bit is enough to be another one. */
static void every_bit_of_the_digest_counts(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    struct key key = digest_of(1);
    assert_true(keep(&caller, key, NOW + 10, "alice"));
    for (unsigned bit = 0; bit < 8 * TOKEN_DIGEST; bit++) {
        struct key other = key;
        other.words[bit / 64] ^= (uint64_t)1 << bit % 64;
        assert_null(find(other, NOW));
    }
}

static void lengths(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    char text[TOKEN_TEXT + 2];
    for (size_t length = 0; length <= TOKEN_TEXT + 1; length++) {
        memset(text, 'a' + (int)(length % 26), length);
        text[length] = '\0';
        bool fits = keep(&caller, digest_of(1), NOW + 1, text);
        assert_int_equal(fits, length <= TOKEN_TEXT);
        if (fits)
            assert_string_equal(find(digest_of(1), NOW), text);
    }
}

static void who_was_asked_for_longest_ago_goes(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    for (uint64_t i = 0; i < WAYS; i++)
        assert_true(keep(&caller, digest_of(i), NOW + 100, "x"));
    for (uint64_t i = 0; i < WAYS; i++)
        if (i != 2)
            assert_non_null(find(digest_of(i), NOW + 1));
    assert_true(keep(&caller, digest_of(WAYS), NOW + 100, "new"));
    for (uint64_t i = 0; i <= WAYS; i++)
        assert_int_equal(find(digest_of(i), NOW + 1) != NULL, i != 2);
}

static void what_is_over_goes_first(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    for (uint64_t i = 0; i < WAYS; i++)
        assert_true(keep(&caller, digest_of(i), i == 1 ? NOW + 5 : NOW + 100, "x"));
    assert_non_null(find(digest_of(1), NOW + 4)); /* the last that was asked for */
    struct key key = digest_of(WAYS);
    assert_true(
        tokens_keep(shared.tokens, &caller, (const uint8_t *)key.words, NOW + 5, NOW + 100, STR("new")));
    for (uint64_t i = 0; i <= WAYS; i++)
        assert_int_equal(find(digest_of(i), NOW + 5) != NULL, i != 1);
}

static void the_zone_tells_its_use(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t now = clock_wall_ns() / NS_PER_SECOND;
    struct zone_use before = tokens_kind.use(shared.tokens);
    assert_int_equal(before.used, 0);
    assert_true(before.room >= WAYS);
    for (uint64_t i = 0; i < WAYS; i++) {
        struct key key = digest_of(i);
        assert_true(
            tokens_keep(shared.tokens, &caller, (const uint8_t *)key.words, now, now + 100, STR("x")));
    }
    assert_int_equal(tokens_kind.use(shared.tokens).used, WAYS);
}

static void keep_and_die(const struct lock_caller *caller, void *context)
{
    stop_at = context;
    keep(caller, digest_of(9), NOW + 100, "of the dead");
}

/* The place isn't found while it is half written, nor after its writer died; the next writer has the lock, and the place. */
static void a_writer_may_die(void **state)
{
    (void)state;
    static const char *const steps[] = {"begun", "named"};
    struct lock_caller caller = zone_caller();
    for (unsigned i = 0; i < 2; i++) {
        struct lock_caller dead;
        assert_true(keep(&caller, digest_of(9), NOW + 100, "before"));
        pid_t pid = zone_fork(&dead, keep_and_die, (void *)steps[i]);
        zone_await_step(pid);
        assert_null(find(digest_of(9), NOW));
        assert_false(keep(&caller, digest_of(9), NOW + 100, "busy"));
        zone_kill(pid);
        zone_bury(&dead);
        assert_null(find(digest_of(9), NOW));
        assert_true(keep(&caller, digest_of(9), NOW + 100, "after"));
        assert_string_equal(find(digest_of(9), NOW), "after");
    }
}

static void write_on(const struct lock_caller *caller, void *context)
{
    char text[TOKEN_TEXT + 1] = "";
    (void)context;
    for (uint64_t i = 0; !atomic_load(&board->go); i++) {
        memset(text, 'a' + (int)(i % 26), TOKEN_TEXT);
        keep(caller, digest_of(i % 3), NOW + 100, text);
    }
}

/* Readers beside two writers find one text or the other, never parts of both. */
static void nothing_is_found_half(void **state)
{
    (void)state;
    struct lock_caller callers[2];
    pid_t pids[2];
    uint64_t found = 0;
    for (unsigned i = 0; i < 2; i++)
        pids[i] = zone_fork(&callers[i], write_on, NULL);
    while (found < 20000) {
        const char *text = find(digest_of(found % 3), NOW);
        if (!text)
            continue;
        found++;
        assert_int_equal(strlen(text), TOKEN_TEXT);
        for (size_t i = 1; i < TOKEN_TEXT; i++)
            assert_int_equal(text[i], text[0]);
    }
    atomic_store(&board->go, 1);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_it, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_kept_is_found_until_it_ends),
        TEST(every_bit_of_the_digest_counts),
        TEST(lengths),
        TEST(who_was_asked_for_longest_ago_goes),
        TEST(what_is_over_goes_first),
        TEST(the_zone_tells_its_use),
        TEST(a_writer_may_die),
        TEST(nothing_is_found_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
