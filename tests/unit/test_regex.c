/* Patterns: the whole text or nothing, groups, what is refused, and what a match may cost. */
#include "tests/unit/unit.h"

#include "worker/codec/regex.h"

static struct arena *arena;
static struct regex_set *set;

static int setup(void **state)
{
    (void)state;
    arena = arena_new_sealable(65536);
    set = regex_set_new(arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct regex *good(const char *pattern)
{
    const char *why = NULL;
    const struct regex *regex = regex_compile(set, str_of(pattern), arena, &why);
    if (!regex)
        fail_msg("%s: %s", pattern, why);
    return regex;
}

static const char *bad(const char *pattern)
{
    const char *why = NULL;
    if (regex_compile(set, str_of(pattern), arena, &why))
        fail_msg("%s is taken", pattern);
    return why;
}

static bool matches(const char *pattern, const char *text)
{
    enum regex_result result = regex_match(good(pattern), str_of(text));
    assert_int_not_equal(result, REGEX_EXCEEDED);
    return result == REGEX_MATCH;
}

static void test_whole(void **state)
{
    (void)state;
    assert_true(matches("/a", "/a"));
    assert_false(matches("/a", "/ab"));
    assert_false(matches("a", "/a"));
    assert_true(matches("/a.*", "/ab"));
    assert_true(matches("^/a$", "/a"));
    assert_false(matches("^/a$", "/a\n"));
    assert_true(matches("a|ab", "ab")); /* the first alternative is not the end of it */
    assert_true(matches("a.b", "a\nb"));
    assert_true(matches("(?i)/A", "/a"));
    assert_true(matches(".", "\xff"));
    assert_false(matches(".", "\xc3\xa9")); /* bytes */
    assert_true(matches("", ""));
    assert_true(matches("x?", ""));
    assert_int_equal(regex_match(good("x?"), (struct str){NULL, 0}), REGEX_MATCH);
}

static void test_groups(void **state)
{
    (void)state;
    const struct regex *regex = good("/(?<one>\\d+)(/(?<two>[a-z]+))?(/(?<three>x))?");
    struct str text = STR("/17/abc");
    assert_int_equal(regex->name_count, 3);
    assert_str(regex->names[0].name, "one"); /* by number, not by name */
    assert_str(regex->names[1].name, "two");
    assert_int_equal(regex_match(regex, text), REGEX_MATCH);
    assert_str(regex_group(regex, text, regex->names[0].group), "17");
    assert_str(regex_group(regex, text, regex->names[1].group), "abc");
    assert_null(regex_group(regex, text, regex->names[2].group).data);
    text = STR("/8"); /* nothing is left of the match before */
    assert_int_equal(regex_match(regex, text), REGEX_MATCH);
    assert_str(regex_group(regex, text, regex->names[0].group), "8");
    assert_null(regex_group(regex, text, regex->names[1].group).data);
    regex = good("(?|a(?<x>.)|b(?<x>..))");
    assert_int_equal(regex->name_count, 1);
    assert_int_equal(regex_match(regex, STR("b12")), REGEX_MATCH);
    assert_str(regex_group(regex, STR("b12"), 1), "12");
}

static void test_refused(void **state)
{
    (void)state;
    char many[512] = "";
    for (unsigned i = 0; i < REGEX_GROUPS - 1; i++)
        strcat(many, "(a)");
    good(many);
    strcat(many, "(a)");
    assert_string_equal(bad(many),
                        "it has 64 groups, at most 63 are possible (write (?:…) for those that only group)");
    assert_string_equal(bad("/a(b"), "missing closing parenthesis, at its end");
    assert_string_equal(bad("/a)b"), "unmatched closing parenthesis, at offset 2, before \")b\"");
    assert_string_equal(bad("(?J)(?<a>x)(?<a>y)"), "it names two groups \"a\"");
    bad("(*UTF)a");
    bad("[b-a]");
}

/* A pattern that tries each way to part the text: no text is worth that. */
static void test_exceeded(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(a+)+[cd]", "(a|aa)+[cd]", "((a|b)*|c)*[de]",
                                           "(*NO_JIT)(a+)+[cd]", "(*NO_JIT)(a|aa)+[cd]"};
    char text[8192];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (size_t length = 40; length <= sizeof text; length += sizeof text - 40)
            if (regex_match(good(patterns[i]), (struct str){text, length}) != REGEX_EXCEEDED)
                fail_msg("%s, %zu", patterns[i], length);
    assert_int_equal(regex_match(good("a+"), (struct str){text, sizeof text}), REGEX_MATCH);
}

/* The generation's arena is read-only while requests are matched, in processes that were forked since. */
static void match_sealed(void *context)
{
    const struct regex *const *regexes = context;
    if (regex_match(regexes[0], STR("/12")) != REGEX_MATCH ||
        regex_match(regexes[1], STR("/12")) != REGEX_MATCH)
        abort();
    struct str group = regex_group(regexes[1], STR("/12"), 1);
    if (group.length != 2)
        abort();
}

static void test_sealed(void **state)
{
    (void)state;
    const struct regex *regexes[] = {good("/(\\d+)"), good("(*NO_JIT)/(\\d+)")};
    arena_seal(arena);
    assert_int_equal(dies_of(match_sealed, regexes), 0);
    match_sealed(regexes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exceeded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
