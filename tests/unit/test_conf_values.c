/* Values by their rows: every kind, its default, its bounds, and what is said of a wrong one; secrets and paths. */
#include "tests/unit/conf.h"

struct inner {
    struct origin origin;
    const char *name;
    int64_t number;
    bool checked;
};

struct outer {
    struct origin origin;
    bool flag;
    int64_t number, duration, size;
    double real;
    const char *string, *secret, *path;
    int word;
    struct conf_strings strings;
    struct conf_numbers numbers;
    struct inner group, *optional;
    struct conf_list list, map;
};

static void inner_check(struct conf_loader *loader, void *structure)
{
    struct inner *inner = structure;
    inner->checked = true;
    if (inner->number == 13)
        conf_error(loader, inner->origin, "number", "is unlucky");
    if (inner->number == 14)
        conf_warn(loader, inner->origin, "name", "is nearly unlucky");
}

static const struct row inner_rows[] = {
    ROW_(ROW_NUMBER, struct inner, number, .fallback = "7"),
    ROW_END,
};
static const struct section inner_section = {.name = "inner",
                                             .size = sizeof(struct inner),
                                             .rows = inner_rows,
                                             .shorthand = "number",
                                             .name_offset = offsetof(struct inner, name),
                                             .check = inner_check};
static const char *const words[] = {"red", "green", "blue", NULL};
static const char *const no_paths[] = {"none", NULL};

static const struct row outer_rows[] = {
    ROW_(ROW_FLAG, struct outer, flag, .fallback = "true"),
    ROW_(ROW_NUMBER, struct outer, number, .fallback = "-5", .min = -10, .max = 10),
    ROW_(ROW_REAL, struct outer, real, .fallback = "0.25", .min = 0, .max = 1),
    ROW_(ROW_STRING, struct outer, string, .fallback = "some text"),
    ROW_(ROW_STRING, struct outer, secret, .flags = ROW_SECRET),
    ROW_(ROW_STRING, struct outer, path, .flags = ROW_PATH, .words = no_paths, .fallback = "none"),
    ROW_(ROW_DURATION, struct outer, duration, .fallback = "90s", .min = 1, .max = 3600000),
    ROW_(ROW_SIZE, struct outer, size, .fallback = "3K", .min = 0, .max = 1 << 30),
    ROW_(ROW_WORD, struct outer, word, .fallback = "blue", .words = words),
    ROW_(ROW_STRINGS, struct outer, strings, .fallback = "a, b"),
    ROW_(ROW_NUMBERS, struct outer, numbers, .fallback = "1,2,3", .min = 1, .max = 9),
    ROW_(ROW_GROUP, struct outer, group, .section = &inner_section),
    ROW_(ROW_OPTIONAL, struct outer, optional, .section = &inner_section),
    ROW_(ROW_LIST, struct outer, list, .section = &inner_section, .min = 0, .max = 2),
    ROW_(ROW_MAP, struct outer, map, .section = &inner_section),
    ROW_END,
};
static const struct section outer_section = {
    .name = "outer", .size = sizeof(struct outer), .rows = outer_rows};

static const struct outer *outer_read(const char *text)
{
    conf_file("main.conf", text);
    errors_init(&fixture.errors, fixture.error_arena);
    return conf_load("main.conf", &outer_section, NULL, fixture.arena, &fixture.errors, NULL);
}

#define assert_outer_wrong(text, expected)            \
    do {                                              \
        assert_non_null(outer_read(text));            \
        assert_string_equal(conf_said(), (expected)); \
    } while (0)

static void test_defaults(void **state)
{
    (void)state;
    const struct outer *outer = outer_read("");
    assert_string_equal(conf_said(), "");
    assert_true(outer->flag);
    assert_int_equal(outer->number, -5);
    assert_true(outer->real == 0.25);
    assert_string_equal(outer->string, "some text");
    assert_null(outer->secret);
    assert_string_equal(outer->path, "none");
    assert_int_equal(outer->duration, 90000);
    assert_int_equal(outer->size, 3072);
    assert_int_equal(outer->word, 2);
    assert_int_equal(outer->strings.count, 2);
    assert_string_equal(outer->strings.items[1], "b");
    assert_int_equal(outer->numbers.count, 3);
    assert_int_equal(outer->numbers.items[2], 3);
    assert_int_equal(outer->group.number, 7);
    assert_true(outer->group.checked);
    assert_null(outer->optional);
    assert_int_equal(outer->list.count + outer->map.count, 0);
}

static void test_values(void **state)
{
    (void)state;
    const struct outer *outer = outer_read(
        "flag = FALSE; number = 10; real = 1; string = \"\"; secret = \"plain\"; path = \"x/../y\";\n"
        "duration = \"250ms\"; size = \"1G\"; word = \"red\"; strings = [ ]; numbers = ( 9 );\n"
        "group = { number = -3000000000; }; optional = 1; list = ( 1, { number = 2; } );\n"
        "map = { x = { }; y-2 = 5; };");
    assert_string_equal(conf_said(), "");
    assert_false(outer->flag);
    assert_int_equal(outer->number, 10);
    assert_true(outer->real == 1.0);
    assert_string_equal(outer->string, "");
    assert_string_equal(outer->secret, "plain");
    assert_int_equal(outer->duration, 250);
    assert_int_equal(outer->size, 1 << 30);
    assert_int_equal(outer->word, 0);
    assert_int_equal(outer->strings.count, 0);
    assert_int_equal(outer->numbers.count, 1);
    assert_true(outer->group.number == -3000000000);
    assert_int_equal(outer->optional->number, 1);
    assert_int_equal(((struct inner *)outer->list.items[1])->number, 2);
    assert_string_equal(((struct inner *)outer->map.items[1])->name, "y-2");
    assert_int_equal(((struct inner *)outer->map.items[0])->number, 7);
    assert_int_equal(((struct inner *)outer->map.items[0])->origin.line, 4);
    assert_int_equal(outer_read("list = { number = 4; };")->list.count, 1);
    assert_int_equal(outer_read("strings = \"alone\";")->strings.count, 1);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_outer_wrong("flag = \"yes\";",
                       "main.conf:1: flag: must be true or false, not text (write true or false, "
                       "without quotes)\n");
    assert_outer_wrong("number = \"5\";",
                       "main.conf:1: number: must be a whole number, not text (write -10 to 10)\n");
    assert_outer_wrong(
        "group = { number = \"5\"; };",
        "main.conf:1: group.number: must be a whole number, not text (write it without quotes)\n");
    assert_outer_wrong(
        "real = \"0.5\";",
        "main.conf:1: real: must be a number, not text (write it without quotes, as in 0.5)\n");
    assert_outer_wrong("string = 5;", "main.conf:1: string: must be text, not a number (write \"5\")\n");
    assert_outer_wrong("string = { };",
                       "main.conf:1: string: must be text, not a group (write it in double quotes)\n");
    assert_outer_wrong("duration = 30;",
                       "main.conf:1: duration: a duration is text with its unit, not a number (write "
                       "\"30s\")\n");
    assert_outer_wrong("duration = true;",
                       "main.conf:1: duration: must be a duration, not true or false (write "
                       "\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\" or \"0\")\n");
    assert_outer_wrong("size = 512;",
                       "main.conf:1: size: a size is text with its unit, not a number (write \"512\")\n");
    assert_outer_wrong("size = \"64k\";",
                       "main.conf:1: size: \"64k\" is not a size (write \"512\", \"64K\", \"1M\", "
                       "\"1G\" or \"0\")\n");
    assert_outer_wrong("word = 5;",
                       "main.conf:1: word: must be a word, not a number (write \"red\", \"green\" or "
                       "\"blue\")\n");
    assert_outer_wrong("strings = ( \"a\",\n5 );\nnumbers = [ 0, 9, \"x\" ];",
                       "main.conf:2: strings[1]: must be text, not a number (write \"5\")\n"
                       "main.conf:3: numbers[0]: 0 is too small (write 1 to 9)\n"
                       "main.conf:3: numbers[2]: must be a whole number, not text (write 1 to 9)\n");
    assert_outer_wrong("strings = { };", "main.conf:1: strings: must be a list, not a group (write [ … ])\n");
    assert_outer_wrong(
        "map = 5; optional = \"x\";",
        "main.conf:1: map: must be a group of named groups, not a number (write { name = { … }; })\n"
        "main.conf:1: optional: must be a whole number, not text (write it without quotes)\n");
}

static void test_bounds(void **state)
{
    (void)state;
    assert_outer_wrong("number = 11;", "main.conf:1: number: 11 is too large (write -10 to 10)\n");
    assert_outer_wrong("real = 1.5;", "main.conf:1: real: 1.5 is too large (write 0 to 1)\n");
    assert_outer_wrong("real = -0.001;", "main.conf:1: real: -0.001 is too small (write 0 to 1)\n");
    assert_outer_wrong("duration = \"2h\";",
                       "main.conf:1: duration: \"2h\" is too large (write \"1ms\" to \"1h\")\n");
    assert_outer_wrong("duration = \"0\";",
                       "main.conf:1: duration: \"0\" is too small (write \"1ms\" to \"1h\")\n");
    assert_outer_wrong("size = \"2G\";", "main.conf:1: size: \"2G\" is too large (write \"0\" to \"1G\")\n");
    assert_outer_wrong("list = ( 1, 2, 3 );", "main.conf:1: list: has 3 elements, at most 2 are possible\n");
}

/* A check is told where its setting stands, and isn't called for a section that is wrong itself. */
static void test_checks(void **state)
{
    (void)state;
    assert_outer_wrong(
        "group = {\n\nnumber = 13; };\nlist = ( {\nnumber = 14; } ); map = { x = 13; };\noptional = { "
        "nmber = 13; };",
        "main.conf:3: group.number: is unlucky\n"
        "main.conf:4: warning: list[0].name: is nearly unlucky\n"
        "main.conf:5: map.x.number: is unlucky\n"
        "main.conf:6: optional.nmber: unknown setting (did you mean \"number\"?)\n");
    assert_int_equal(fixture.errors.count, 3);
    assert_int_equal(fixture.errors.warnings, 1);
    assert_false(outer_read("optional = { x = 1; };")->optional->checked);
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } durations[] = {{"250ms", 250},      {"30s", 30000}, {"5m", 300000}, {"1h", 3600000}, {"1d", 86400000},
                     {"2y", 63072000000}, {"0", 0},       {"0s", 0},      {"0001s", 1000}},
      sizes[] = {{"512", 512}, {"64K", 65536}, {"1M", 1 << 20}, {"1G", 1 << 30}, {"2T", 2ll << 40}, {"0", 0}};
    static const char *const wrong[] = {"",
                                        "s",
                                        "-1s",
                                        "+1s",
                                        "1.5s",
                                        "1 s",
                                        " 1s",
                                        "1s ",
                                        "1w",
                                        "1S",
                                        "1ss",
                                        "99999999999999999999s",
                                        "9223372036854775807d",
                                        "1h30m",
                                        "0x10s"};
    int64_t value;
    for (unsigned i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        assert_true(conf_parse_duration(durations[i].text, &value));
        assert_true(value == durations[i].value);
    }
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        assert_true(conf_parse_size(sizes[i].text, &value));
        assert_true(value == sizes[i].value);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_false(conf_parse_duration(wrong[i], &value));
        assert_false(conf_parse_size(wrong[i], &value));
    }
    assert_false(conf_parse_duration("30", &value)); /* of what? */
    assert_false(conf_parse_size("9223372036854775807K", &value));
}

static void test_secrets(void **state)
{
    (void)state;
    char large[(64 << 10) + 2];
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    conf_file("secrets/a", "two\nlines\n");
    conf_file("secrets/empty", "\n");
    conf_file("secrets/large", large);
    conf_file_bytes("secrets/nul", "a\0b", 3);
    conf_file("conf.d/x.conf", "secret = \"file:y\";");
    conf_file("conf.d/y", "beside");
    assert_string_equal(outer_read("secret = \"file:secrets/a\";")->secret, "two\nlines");
    assert_string_equal(outer_read("@include \"conf.d/x.conf\"\n")->secret, "beside");
    assert_int_equal(setenv("TEST_CONF_SECRET", "of the environment", 1), 0);
    assert_string_equal(outer_read("secret = \"env:TEST_CONF_SECRET\";")->secret, "of the environment");
    assert_int_equal(unsetenv("TEST_CONF_SECRET"), 0);
    assert_outer_wrong("secret = \"env:TEST_CONF_SECRET\";",
                       "main.conf:1: secret: the variable TEST_CONF_SECRET of the environment is not set\n");
    assert_outer_wrong("secret = \"file:\";",
                       "main.conf:1: secret: no path after \"file:\" (write \"file:/path\")\n");
    assert_outer_wrong("secret = \"file:/nowhere\";",
                       "main.conf:1: secret: can't open /nowhere: No such file or directory\n");
    assert_outer_wrong("secret = \"file:/\";", "main.conf:1: secret: / is not a regular file\n");
    static const char *const wrong[][2] = {{"empty", " is empty\n"},
                                           {"large", " is longer than 65536 bytes\n"},
                                           {"nul", " has a NUL byte in it (a secret is text)\n"}};
    for (unsigned i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof(text), "secret = \"file:secrets/%s\";", wrong[i][0]);
        outer_read(text);
        assert_int_equal(fixture.errors.count, 1);
        assert_non_null(strstr(conf_said(), wrong[i][1]));
    }
    large[sizeof(large) - 3] = '\n'; /* as large as may be, its last newline counted */
    large[sizeof(large) - 2] = '\0';
    conf_file("secrets/large", large);
    assert_int_equal(strlen(outer_read("secret = \"file:secrets/large\";")->secret), (64 << 10) - 1);
}

static void test_paths(void **state)
{
    (void)state;
    char expected[128];
    snprintf(expected, sizeof(expected), "%s/a/b", fixture.folder);
    assert_string_equal(outer_read("path = \"a/b\";")->path, expected);
    assert_string_equal(outer_read("path = \"/a/b\";")->path, "/a/b");
    assert_string_equal(outer_read("path = \"none\";")->path, "none");
    conf_file("conf.d/x.conf", "path = \"y\";");
    snprintf(expected, sizeof(expected), "%s/conf.d/y", fixture.folder);
    assert_string_equal(outer_read("@include \"conf.d/x.conf\"\n")->path, expected);
    assert_outer_wrong("path = \"\";", "main.conf:1: path: must be a path, not an empty text\n");
}

/* Printed, the values read back the same; a secret doesn't get out. */
static void test_dump(void **state)
{
    (void)state;
    char *texts[2];
    const char *from = "flag = false; real = 0.1; string = \"q\\\" b\\\\ n\\n \\x01 ü\"; secret = \"quiet\"; "
                       "size = \"1025\";"
                       "strings = [ ]; numbers = [ 1, 9 ]; group = { number = 3000000000; }; optional = { };"
                       "list = ( 1, 2 ); map = { a = 1; b = 2; };";
    for (unsigned i = 0; i < 2; i++) {
        size_t size;
        FILE *out = open_memstream(&texts[i], &size);
        const struct outer *outer = outer_read(from);
        assert_string_equal(conf_said(), "");
        assert_true(outer->real == 0.1);
        assert_string_equal(outer->string, "q\" b\\ n\n \x01 ü");
        assert_true(outer->group.number == 3000000000);
        assert_string_equal(outer->secret, i ? "********" : "quiet");
        assert_int_equal(outer->strings.count, 0);
        conf_dump(out, &outer_section, outer);
        assert_int_equal(fclose(out), 0);
        from = texts[i];
        assert_null(strstr(from, "quiet"));
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(test_defaults), CONF_TEST(test_values), CONF_TEST(test_kinds),
        CONF_TEST(test_bounds),   CONF_TEST(test_checks), CONF_TEST(test_units),
        CONF_TEST(test_secrets),  CONF_TEST(test_paths),  CONF_TEST(test_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
