/* The words, grammar and files of a configuration: each mistake has its file and line, and is told in words. */
#include "tests/unit/conf.h"

static void test_forms(void **state)
{
    (void)state;
    struct settings *settings =
        conf_right("\xef\xbb\xbf# a comment\r\n"
                   "workers = 0x10; // another\n"
                   "user : \"a\" \"b\", /* and\n one */ group = \"multi\nline\\\nx\\n\\\\\";\n"
                   "client = { max_fields = +9L; };;\n"
                   "listeners = ( \"127.0.0.1:1\", \"127.0.0.1:2\", );\n"
                   "trusted_proxies = [ \"::1\", ]");
    assert_int_equal(settings->workers, 16);
    assert_string_equal(settings->user, "ab");
    assert_string_equal(settings->group, "multi\nline\\\nx\n\\");
    assert_int_equal(settings->client.max_fields, 9);
    assert_int_equal(settings->listeners.count, 2);
    assert_int_equal(settings->trusted_proxies.count, 1);
}

static void test_empty(void **state)
{
    (void)state;
    struct settings *settings = conf_right("");
    assert_int_equal(settings->max_connections, 8192);
    assert_int_equal(conf_right("# nothing\n")->client.max_head, 32 << 10);
}

/* 5000000000 would be 705032704 without us. */
static void test_numbers(void **state)
{
    (void)state;
    assert_wrong("\nworkers = 5000000000;",
                 "main.conf:2: workers: 5000000000 is too large (write 0 to 1024)\n");
    assert_wrong("workers = 0x100000000;",
                 "main.conf:1: workers: 4294967296 is too large (write 0 to 1024)\n");
    assert_wrong("workers = -1;", "main.conf:1: workers: -1 is too small (write 0 to 1024)\n");
    assert_wrong("workers = 99999999999999999999;",
                 "main.conf:1: syntax: the number 99999999999999999999 is beyond "
                 "64 bits\nmain.conf:1: workers: 9223372036854775807 is too large "
                 "(write 0 to 1024)\n");
    assert_wrong("workers = 010;",
                 "main.conf:1: syntax: the number 010 begins with 0 (without the 0 if it is decimal, "
                 "in double quotes if it is octal)\n");
    assert_wrong("workers = 1e999;",
                 "main.conf:1: syntax: the number 1e999 is too large\nmain.conf:1: workers: must "
                 "be a whole number, not a number with a point (write 0 to 1024)\n");
}

static void test_quotes(void **state)
{
    (void)state;
    assert_wrong("user = gatehouse;\nworkers = 3",
                 "main.conf:1: user: gatehouse is text and goes in double quotes (write \"gatehouse\")\n");
    assert_wrong("start_timeout = 90s;",
                 "main.conf:1: syntax: 90s is text and goes in double quotes (write \"90s\")\n");
    assert_wrong("listeners = ( 127.0.0.1:8080 );",
                 "main.conf:1: syntax: 127.0.0.1:8080 is text and goes in double "
                 "quotes (write \"127.0.0.1:8080\")\n");
    assert_wrong("\"workers\" = 2;",
                 "main.conf:1: syntax: a setting's name goes without quotes (write workers = …)\n");
    assert_wrong("workers = 2;\n\nuser = \"x;\n",
                 "main.conf:3: syntax: this text is never closed (a \" is missing)\n");
}

static void test_grammar(void **state)
{
    (void)state;
    assert_wrong("workers = ;", "main.conf:1: workers: expected a value after \"=\", found \";\"\n");
    assert_wrong("workers =\nuser = \"x\";", "main.conf:1: workers: no value after \"=\"\n");
    assert_wrong("workers 2;", "main.conf:1: syntax: expected \"=\" after \"workers\", found the number 2\n");
    assert_wrong("upstreams {\n};", "main.conf:1: syntax: expected \"=\" after \"upstreams\", found \"{\"\n");
    assert_wrong("\nlog = { level = \"info\";\n", "main.conf:2: log: this \"{\" is never closed\n");
    assert_wrong("log = { level = \"info\"; };\n}", "main.conf:2: syntax: expected a setting, found \"}\"\n");
    assert_wrong(
        "listeners = ( { listen = \"127.0.0.1:1\"; }\n { listen = \"127.0.0.1:2\"; } );",
        "main.conf:2: listeners: expected \",\" or \")\", found \"{\" (the \"(\" of line 1 is open)\n");
    assert_wrong("listeners = (\n{ listen = \"127.0.0.1:1\"; )",
                 "main.conf:2: listeners[0]: expected a setting or "
                 "\"}\", found \")\"\n");
    assert_wrong("listeners = [ { } ];",
                 "main.conf:1: listeners: [ ] holds plain values only (write ( ) for a list of groups)\n");
    assert_wrong(
        "user = \"x\n;\nworkers = \"2\";",
        "main.conf:3: syntax: this text is never closed (a \" is missing)\nmain.conf:3: syntax: expected a "
        "setting, found the number 2; the text before it began in line 1: is its closing quote missing?\n");
    assert_wrong("user = \"x;\npidfile = \"/run/x\";",
                 "main.conf:2: syntax: /run/x is text and goes in double quotes (write \"/run/x\"); the text "
                 "before it "
                 "began in line 1: is its closing quote missing?\n"
                 "main.conf:2: syntax: this text is never closed (a \" is missing)\n");
}

static void test_bytes(void **state)
{
    (void)state;
    conf_file_bytes("main.conf", "user\n\0", 6);
    assert_wrong(NULL, "main.conf:2: syntax: a NUL byte (is this a text file?)\n");
    assert_wrong("user = \"a\\x00b\";", "main.conf:1: syntax: a text can't contain \\x00\n");
    assert_wrong("workers = 1; \x01", "main.conf:1: syntax: unexpected byte 0x01\n");
    assert_wrong("workers = 1;\n/* …", "main.conf:2: syntax: this comment is never closed (end it by */)\n");
    assert_wrong("@incl_de\"x\"\nworkers = 1;",
                 "main.conf:1: syntax: unexpected \"@\" (write @include \"conf.d/*.conf\")\n");
    assert_wrong("@includes \"x\"\nworkers = 1;",
                 "main.conf:1: syntax: unexpected \"@\" (write @include \"conf.d/*.conf\")\n");
}

static void test_depth(void **state)
{
    (void)state;
    char text[1024] = "a = ";
    memset(text + 4, '(', 1000);
    assert_null(conf_read(text));
    assert_non_null(strstr(conf_said(), "[0][0]: more than 64 brackets deep\n"));
    assert_int_equal(fixture.errors.count, 1);
}

static void test_twice(void **state)
{
    (void)state;
    assert_wrong(
        "workers = 1;\nlog = { level = \"info\"; error = \"stderr\"; level = \"debug\"; };\nworkers = 2;\n"
        "start_timeout = 5;",
        "main.conf:2: log.level: is there twice, first in line 2 (remove one)\n"
        "main.conf:3: workers: is there twice, first in line 1 (remove one)\n"
        "main.conf:4: start_timeout: a duration is text with its unit, not a number (write \"5s\")\n");
    assert_int_equal(conf_read(NULL)->workers, 1);
    conf_file("conf.d/a.conf", "upstreams = { };\n");
    conf_file("conf.d/b.conf", "\nupstreams = { };\n");
    assert_wrong("@include \"conf.d/*\"\n",
                 "conf.d/b.conf:2: upstreams: is there twice, first in conf.d/a.conf:1 "
                 "(remove one, or put the @include inside its brackets)\n");
}

static void test_include(void **state)
{
    (void)state;
    conf_file("conf.d/a.conf", "{ listen = \"127.0.0.1:1\"; },\n@include \"deeper.inc\"\n");
    conf_file("conf.d/b.conf", "\n\n{ listen = \"127.0.0.1:3\"; },\n");
    conf_file("conf.d/deeper.inc", "\n\"127.0.0.1:2\",\n");
    const struct settings *settings =
        conf_right("workers = 3;\nlisteners = (\n"
                   "  @include \"conf.d/*.conf\"\n"
                   "  @include \"none.d/*.conf\"\n\"127.0.0.1:4\"\n)\nuser = \"x\"; "
                   "# @include \"missing\"\n group = \"@include \\\"y\\\"\"");
    assert_int_equal(settings->listeners.count, 4);
    static const struct origin places[] = {
        {"conf.d/a.conf", 1}, {"conf.d/deeper.inc", 2}, {"conf.d/b.conf", 3}, {"main.conf", 5}};
    for (unsigned i = 0; i < 4; i++) {
        const struct listener_settings *listener = settings->listeners.items[i];
        assert_string_equal(listener->origin.file, places[i].file);
        assert_int_equal(listener->origin.line, places[i].line);
        assert_int_equal(ntohs(listener->address.in.sin_port), i + 1);
    }
}

/* The most is 64 MB: once that is said, the files that a pattern has still are not read in vain. */
static void test_too_much_is_said_once(void **state)
{
    (void)state;
    enum { MB = 1 << 20, FILES = 5, EACH = 24 * MB };
    char *text = malloc(EACH), name[32];
    assert_non_null(text);
    memset(text, '\n', EACH);
    for (unsigned i = 1; i <= FILES; i++) {
        snprintf(name, sizeof name, "large.d/%u.conf", i);
        conf_file_bytes(name, text, EACH);
    }
    free(text);
    conf_read("@include \"large.d/*.conf\"\n");
    assert_int_equal(fixture.errors.count, 1);
    assert_non_null(
        strstr(fixture.errors.first->text, "the configuration is larger than 64 MB with large.d/3.conf"));
}

static void test_include_errors(void **state)
{
    (void)state;
    conf_file("a/1.conf", "\n\nlog = { levle = \"info\"; };\nuser = 5");
    conf_file("a/2.conf", "\nclient = {\n");
    assert_wrong("\n@include \"missing.conf\"\n@include \"a\"\n@include \"\"\n@include \"a/1.conf\"\n",
                 "main.conf:2: can't open missing.conf: No such file or directory\n"
                 "main.conf:3: a is a directory (name a file, or a pattern as \"conf.d/*.conf\")\n"
                 "main.conf:4: @include: the path is empty\n"
                 "a/1.conf:3: log.levle: unknown setting (did you mean \"level\"?)\n"
                 "a/1.conf:4: user: must be text, not a number (write \"5\")\n");
    assert_wrong("@include \"a/2.conf\"\n\n", "a/2.conf:2: client: this \"{\" is never closed\n");
    assert_int_equal(mkdir("a/3.conf", 0700), 0);
    conf_file("a/2.conf", "");
    conf_file("a/1.conf", "");
    assert_wrong("@include \"a/*.conf\"\n",
                 "main.conf:1: warning: @include: a/3.conf/ is a directory and is left out\n");
}

static void test_include_circle(void **state)
{
    (void)state;
    conf_file("a.conf", "\n@include \"./b.conf\"\n");
    conf_file("b.conf", "@include \"a.conf\"\n");
    assert_wrong(
        "@include \"a.conf\"\n",
        "./b.conf:1: @include: a circle: main.conf includes a.conf includes ./b.conf includes ./a.conf\n");
    assert_wrong("@include \"main.conf\"\n",
                 "main.conf:1: @include: a circle: main.conf includes main.conf\n");
}

static void test_include_depth(void **state)
{
    (void)state;
    char name[16], text[32];
    for (int i = 1; i < 12; i++) {
        snprintf(name, sizeof(name), "%d.inc", i);
        snprintf(text, sizeof(text), "@include \"%d.inc\"\n", i + 1);
        conf_file(name, i < 11 ? text : "workers = 1;");
    }
    assert_wrong("@include \"1.inc\"\n", "10.inc:1: @include: more than 10 files deep\n");
    conf_file("10.inc", "workers = 7;\n");
    assert_int_equal(conf_right(NULL)->workers, 7);
}

/* A folder whose name looks like a pattern. */
static void test_include_odd_folder(void **state)
{
    (void)state;
    conf_file("a[b]*/1.conf", "@include \"x*.inc\"\n");
    conf_file("a[b]*/x1.inc", "workers = 5;\n");
    assert_int_equal(conf_right("@include \"a[[]b]*/1.conf\"\n")->workers, 5);
}

static void test_no_file(void **state)
{
    (void)state;
    assert_null(conf_load("/nowhere", &settings_section, NULL, fixture.arena, &fixture.errors, NULL));
    assert_null(conf_load(fixture.folder, &settings_section, NULL, fixture.arena, &fixture.errors, NULL));
    assert_null(conf_load("/dev/null", &settings_section, NULL, fixture.arena, &fixture.errors, NULL));
    assert_int_equal(fixture.errors.count, 3);
    const char *text = conf_said();
    assert_non_null(strstr(text, "/nowhere: can't open /nowhere: No such file"));
    assert_non_null(strstr(text, " is a directory (name a file)\n"));
    assert_non_null(strstr(text, "/dev/null is not a regular file\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(test_forms),
        CONF_TEST(test_empty),
        CONF_TEST(test_numbers),
        CONF_TEST(test_quotes),
        CONF_TEST(test_grammar),
        CONF_TEST(test_bytes),
        CONF_TEST(test_depth),
        CONF_TEST(test_twice),
        CONF_TEST(test_include),
        CONF_TEST(test_include_errors),
        CONF_TEST(test_too_much_is_said_once),
        CONF_TEST(test_include_circle),
        CONF_TEST(test_include_depth),
        CONF_TEST(test_include_odd_folder),
        CONF_TEST(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
