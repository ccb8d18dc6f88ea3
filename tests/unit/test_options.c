/* Options: the command line, in every order. */
#include "tests/unit/unit.h"

#include "master/options.h"

struct line {
    struct options options;
    enum options_wanted wanted;
    char why[128];
    char *argv[16];
};

/* Parses up to 14 words behind the program's name. */
static int parse(struct line *line, const char *const *words)
{
    static char program[] = "gatehouse";
    int argc = 1;
    memset(line, 0, sizeof(*line));
    line->argv[0] = program;
    line->options.config = "default.conf";
    while (words[argc - 1]) {
        line->argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    return options_parse(argc, line->argv, &line->options, &line->wanted, line->why, sizeof(line->why));
}

#define PARSE(line, ...) parse((line), (const char *const[]){__VA_ARGS__, NULL})

static void nothing_means_run(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(PARSE(&line, NULL), 0);
    assert_string_equal(line.options.argv[0], "run");
    assert_int_equal(line.options.argc, 1);
    assert_null(line.options.argv[1]);
    assert_string_equal(line.options.config, "default.conf");
    assert_int_equal(line.wanted, OPTIONS_COMMAND);
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(PARSE(&line, "-f", "run", "-c", "a.conf", "--json"), 0);
    assert_string_equal(line.options.argv[0], "run");
    assert_int_equal(line.options.argc, 1);
    assert_string_equal(line.options.config, "a.conf");
    assert_true(line.options.foreground);
    assert_true(line.options.json);
    assert_int_equal(PARSE(&line, "--config=b.conf", "--control", "/c.sock", "stop"), 0);
    assert_string_equal(line.options.config, "b.conf");
    assert_string_equal(line.options.control, "/c.sock");
    assert_string_equal(line.options.argv[0], "stop");
    assert_int_equal(PARSE(&line, "-cc.conf"), 0);
    assert_string_equal(line.options.config, "c.conf");
}

static void the_rest_is_the_commands(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(PARSE(&line, "config", "--reference", "-c", "a.conf", "--roff"), 0);
    assert_string_equal(line.options.argv[0], "config");
    assert_int_equal(line.options.argc, 3);
    assert_string_equal(line.options.argv[1], "--reference");
    assert_string_equal(line.options.argv[2], "--roff");
    assert_null(line.options.argv[3]);
}

static void wrong_lines_are_refused(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(PARSE(&line, "run", "-c"), -1);
    assert_non_null(strstr(line.why, "-c"));
    assert_int_equal(PARSE(&line, "--config=", "run"), -1);
    assert_int_equal(PARSE(&line, "--configure", "run"), -1);
    assert_non_null(strstr(line.why, "--configure"));
    assert_int_equal(PARSE(&line, "-x"), -1);
}

static void help_and_version(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(PARSE(&line, "reload", "--help"), 0);
    assert_int_equal(line.wanted, OPTIONS_HELP);
    assert_int_equal(PARSE(&line, "-V"), 0);
    assert_int_equal(line.wanted, OPTIONS_VERSION);
}

static int nop(const struct options *options)
{
    (void)options;
    return 0;
}

static void close_names_are_suggested(void **state)
{
    (void)state;
    const struct command table[] = {{"reload", "", "", nop}, {"stop", "", "", nop}, {NULL, NULL, NULL, NULL}};
    assert_ptr_equal(options_command(table, "stop"), &table[1]);
    assert_null(options_command(table, "sto"));
    assert_string_equal(options_suggest(table, "relaod"), "reload");
    assert_string_equal(options_suggest(table, "stpo"), "stop");
    assert_null(options_suggest(table, "purge"));
    assert_null(options_suggest(table, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_means_run),        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(the_rest_is_the_commands), cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(help_and_version),         cmocka_unit_test(close_names_are_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
