/* Structured fields: what is read, what is refused, and the one way in which each value is written. */
#include "tests/unit/unit.h"

#include "worker/codec/structured.h"

/* The canonical form of a value; NULL: it is refused, or something is left. */
static const char *canonical(const char *text)
{
    static char memory[512];
    struct buf out = buf_on(memory, sizeof memory - 1);
    struct str rest = str_of(text);
    if (!structured_canonical(&rest, &out) || rest.length)
        return NULL;
    memory[out.length] = '\0';
    return memory;
}

static const char *dictionary(const char *text)
{
    static char memory[512];
    struct buf out = buf_on(memory, sizeof memory - 1);
    if (!structured_canonical_dictionary(str_of(text), &out))
        return NULL;
    memory[out.length] = '\0';
    return memory;
}

static void check(const char *text, const char *got, const char *wanted)
{
    if ((got == NULL) != (wanted == NULL) || (got && strcmp(got, wanted) != 0))
        fail_msg("%s: %s, not %s", text, got ? got : "refused", wanted ? wanted : "refused");
}

static void test_items(void **state)
{
    static const char *const rows[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"0042", "42"},
        {"-999999999999999", "-999999999999999"},
        {"1000000000000000", NULL},
        {"--1", NULL},
        {"-", NULL},
        {"1.5", "1.5"},
        {"1.50", "1.5"},
        {"1.0", "1.0"},
        {"-0.001", "-0.001"},
        {"999999999999.125", "999999999999.125"},
        {"1000000000000.1", NULL},
        {"1.", NULL},
        {".1", NULL},
        {"1.2345", NULL},
        {"\"a \\\"b\\\\c\"", "\"a \\\"b\\\\c\""},
        {"\"\"", "\"\""},
        {"\"a", NULL},
        {"\"a\\", NULL},
        {"\"a\\n\"", NULL},
        {"\"\t\"", NULL},
        {"\"\xc3\xa4\"", NULL},
        {"token/a:b*", "token/a:b*"},
        {"*t", "*t"},
        {"1t", NULL},
        {":aGVsbG8=:", ":aGVsbG8=:"},
        {"::", "::"},
        {":aGVsbG8:", NULL},
        {":aGVsbG9=:", NULL},
        {":aGVs bG8=:", NULL},
        {":aGVsbG8=", NULL},
        {":====:", NULL},
        {":a===:", NULL},
        {":_-8=:", NULL},
        {"?1", "?1"},
        {"?0", "?0"},
        {"?2", NULL},
        {"?", NULL},
        {"@1618884473", "@1618884473"},
        {"@-1", "@-1"},
        {"@1.0", NULL},
        {"%\"f%c3%bc\"", "%\"f%c3%bc\""},
        {"%\"%C3%BC\"", NULL},
        {"%\"%c3\"", NULL},
        {"%\"%c3a\"", NULL},
        {"%\"%e0%80%80\"", NULL},
        {"%\"%ed%a0%80\"", NULL},
        {"%\"%f4%90%80%80\"", NULL},
        {"%\"%\"", NULL},
        {"%\"%a\"", NULL},
        {"\xff", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i][0], canonical(rows[i][0]), rows[i][1]);
}

static void test_parameters(void **state)
{
    static const char *const rows[][2] = {
        {"a;b;c=1; d=\"x\"", "a;b;c=1;d=\"x\""},
        {"a;b=?1", "a;b"},
        {"a;b=?0", "a;b=?0"},
        {"a;*b-c_d.e=1", "a;*b-c_d.e=1"},
        {"a;B", NULL},
        {"a;b=", NULL},
        {"a;", NULL},
        {"a;b=1;b=2", NULL},
        {"a ;b", NULL},
        {"a;\tb", NULL},
        {"()", "()"},
        {"( )", "()"},
        {"(\"a\"  \"b\";x );y=2", "(\"a\" \"b\";x);y=2"},
        {"(\"a\"\"b\")", NULL},
        {"(\"a\",\"b\")", NULL},
        {"(\"a\"", NULL},
        {"(", NULL},
        {"((1))", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i][0], canonical(rows[i][0]), rows[i][1]);
}

static void test_dictionaries(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"  a=1,b;x=2 , \tc=(1 2);y  ", "a=1, b;x=2, c=(1 2);y"},
        {"a=?1;x, b=?0", "a;x, b=?0"},
        {"a=?1", "a"},
        {"a=1,", NULL},
        {"a=1 b=2", NULL},
        {"a=1,,b=2", NULL},
        {"a=1, a=2", NULL},
        {"A=1", NULL},
        {"a=", NULL},
        {"a=;x", NULL},
        {"=1", NULL},
        {",", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i][0], dictionary(rows[i][0]), rows[i][1]);
}

static void test_find(void **state)
{
    struct str text = STR("a=1, sig=(\"x\");p=2 , b");
    (void)state;
    struct str found = structured_find(text, STR("sig"));
    assert_int_equal(found.length, 9);
    assert_memory_equal(found.data, "(\"x\");p=2", 9);
    found = structured_find(text, STR("b"));
    assert_non_null(found.data);
    assert_int_equal(found.length, 0);
    assert_null(structured_find(text, STR("c")).data);
    assert_null(structured_find(STR("a=1, b=\""), STR("a")).data);
}

static void test_bytes(void **state)
{
    static const struct {
        const char *text, *bytes;
    } rows[] = {{"", ""},        {"Zg==", "f"},        {"Zm8=", "fo"},
                {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmFy", "foobar"}};
    unsigned char out[8];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ptrdiff_t length = structured_bytes(str_of(rows[i].text), out, sizeof out);
        assert_int_equal(length, strlen(rows[i].bytes));
        assert_memory_equal(out, rows[i].bytes, (size_t)length);
    }
    assert_int_equal(structured_bytes(STR("Zm9vYmFyYmF6"), out, sizeof out), -1);
    assert_int_equal(structured_bytes(STR("Zm9"), out, sizeof out), -1);
    assert_int_equal(structured_bytes(STR("Zm9vYmFy"), out, 6), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items), cmocka_unit_test(test_parameters), cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_find),  cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
