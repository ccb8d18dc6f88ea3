/* Generations, the dump and the reference of all settings, and the speed of a load. */
#include <time.h>

#include "tests/unit/conf.h"

static const char example[] = "listeners = ( \"[::]:8080\", { listen = \"unix:/x\"; mode = \"0600\"; } );\n"
                              "upstreams = { users = { endpoints = ( \"10.0.0.1:80\", \"10.0.0.2:80\" ); "
                              "keepalive = { idle = 0; }; }; };\n"
                              "defaults = { limit = { rate = 3; key = \"quiet\"; }; };\n"
                              "log = { error = \"stderr\"; access = { file = \"a.log\"; format = "
                              "\"template\"; template = \"${host}\"; }; };\n"
                              "apis = ( { name = \"a\"; host = \"*.x\"; listeners = [ \"[::]:8080\" ]; limit "
                              "= ( { rate = 1; }, { rate = 0.1; } );\n"
                              "  routes = ( { match = { path = \"/x\"; methods = [ \"GET\", \"PUT\" ]; }; "
                              "proxy = \"users\"; limit = false; } ); } );";

static int site_freed;

static void site_free(void *object)
{
    (void)object;
    site_freed++;
}

static const struct site *compile(const struct settings *settings, struct wants *wants, struct arena *arena,
                                  struct errors *errors)
{
    site_freed = 0;
    wants_add(wants, WANT_UPSTREAM, "u");
    arena_on_free(arena, site_free, NULL);
    for (unsigned i = 0; i < settings->apis.count; i++) {
        const struct api_settings *api = settings->apis.items[i];
        if (api->prefix && strcmp(api->prefix, "/wrong") == 0)
            errors_add(errors, api->origin, "the compiler refuses it");
    }
    return arena_alloc(arena, 1);
}

static const struct generation_kind kind = {extensions, compile};

static struct generation *generation_read(const char *text)
{
    conf_file("main.conf", text);
    errors_init(&fixture.errors, fixture.error_arena);
    return generation_load("main.conf", 7, &kind, &fixture.errors);
}

static void overwrite(void *context)
{
    struct generation *generation = context;
    ((struct settings *)generation->settings)->workers = 9;
}

static void test_generation(void **state)
{
    (void)state;
    struct generation *generation = generation_read(example);
    assert_string_equal(conf_said(), "");
    assert_non_null(generation);
    assert_int_equal(generation->number, 7);
    assert_string_equal(generation->path, "main.conf");
    assert_int_equal(generation->settings->apis.count, 1);
    assert_non_null(generation->site);
    assert_int_equal(dies_of(overwrite, generation), SIGSEGV);
    assert_int_equal(site_freed, 0);
    generation_free(&generation);
    assert_null(generation);
    assert_int_equal(site_freed, 1);
    generation_free(&generation);
}

/* The errors are readable when the generation is gone; those of the compiler come with those between settings. */
static void test_generation_fails(void **state)
{
    (void)state;
    assert_null(generation_read(
        "apis = ( { name = \"a\"; prefix = \"/wrong\";\nlisteners = \"x\"; routes = ( { match = "
        "\"/\"; } ); } );"));
    assert_string_equal(conf_said(),
                        "main.conf:2: apis[0].listeners: no listener has the name \"x\" (known here: "
                        "none)\nmain.conf:1: the compiler refuses it\n");
    assert_int_equal(site_freed, 1);
    conf_file("b.inc", "workers = \"x\";\n");
    site_freed = 0;
    assert_null(generation_read("@include \"b.inc\"\n"));
    assert_string_equal(conf_said(),
                        "b.inc:1: workers: must be a whole number, not text (write 0 to 1024)\n");
    assert_null(generation_read("workers = ;"));
    assert_int_equal(site_freed, 0);
}

/* What `print` writes, in memory that the caller frees. */
static char *printed(void (*print)(FILE *out, const void *context), const void *context)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out, context);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void print_dump(FILE *out, const void *context)
{
    conf_dump(out, &settings_section, context);
}

static void print_reference(FILE *out, const void *context)
{
    conf_reference(out, &settings_section, extensions, *(const bool *)context);
}

static void test_dump(void **state)
{
    (void)state;
    char *first = printed(print_dump, conf_right(example));
    assert_null(strstr(first, "quiet"));
    assert_non_null(strstr(first, "key = \"********\";"));
    const struct settings *again = conf_right(first);
    assert_int_equal(again->apis.count, 1);
    char *second = printed(print_dump, again);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void reference_has_rows(const char *reference, const struct section *section)
{
    for (const struct row *row = section->rows; row->name; row++) {
        if (row->kind == ROW_POLICIES)
            continue;
        assert_non_null(row->help);
        assert_non_null(strstr(reference, row->name));
        assert_non_null(strstr(reference, row->help + 1)); /* its first letter is a capital */
        if (row->section)
            reference_has_rows(reference, row->section);
    }
}

static void test_reference(void **state)
{
    (void)state;
    bool roff = false;
    char *text = printed(print_reference, &roff);
    reference_has_rows(text, &settings_section);
    assert_non_null(
        strstr(text, "upstreams.NAME.endpoints[].weight = number\n    Its share of the requests, against the "
                     "other endpoints' weights; of a name: each address's, times the weight of its SRV "
                     "record.\n    Default: "
                     "1. From 1 to 1000.\n"));
    assert_non_null(strstr(text, "A change needs a restart."));
    assert_non_null(strstr(text, "\nlimit = { ... } | ( { ... }, ... ) | false\n    Slows it down.\n"));
    free(text);
    roff = true;
    text = printed(print_reference, &roff);
    assert_non_null(strstr(text, ".TP\n\\fBlog.level\\fR = \"error\" |"));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        if (*line == '.')
            assert_true(strncmp(line, ".SH ", 4) == 0 || strncmp(line, ".SS ", 4) == 0 ||
                        strncmp(line, ".TP\n", 4) == 0 || strncmp(line, ".br\n", 4) == 0);
    free(text);
}

static void test_restart(void **state)
{
    (void)state;
    static const char *const changes[][2] = {{"user = \"x\";", "user"},
                                             {"group = \"x\";", "group"},
                                             {"pidfile = \"/x\";", "pidfile"},
                                             {"control = \"/x\";", "control"},
                                             {"state = { size = \"64M\"; };", "state.size"}};
    const struct settings *before = conf_right("");
    for (unsigned i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        const struct settings *after = conf_right(changes[i][0]);
        assert_string_equal(conf_restart_needed(&settings_section, before, after, fixture.arena),
                            changes[i][1]);
        assert_string_equal(conf_restart_needed(&settings_section, after, before, fixture.arena),
                            changes[i][1]);
        assert_null(conf_restart_needed(&settings_section, after, after, fixture.arena));
    }
    assert_null(conf_restart_needed(&settings_section, before, conf_right(example), fixture.arena));
}

static double cpu_seconds(void)
{
    struct timespec time;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void test_ten_thousand_routes(void **state)
{
    (void)state;
    static const char *const kinds[] = {"path = \"/exact/%d/end\"", "path = \"/template/%d/{id}/x\"",
                                        "prefix = \"/prefix/%d\""};
    FILE *file = fopen("main.conf", "w");
    assert_non_null(file);
    fputs("apis = ( { name = \"a\"; routes = (\n", file);
    for (int i = 0; i < 10000; i++) {
        fprintf(file, "{ name = \"r%d\"; match = { ", i);
        fprintf(file, kinds[i % 3], i);
        fprintf(file,
                "; methods = [ \"GET\" ]; }; proxy = { upstream = \"u\"; }; limit = { rate = %d; }; },\n",
                i % 90);
    }
    fputs("); } );\n", file);
    assert_int_equal(fclose(file), 0);
    double began = cpu_seconds();
    const struct settings *settings = conf_right(NULL);
    double spent = cpu_seconds() - began;
    const struct api_settings *api = settings->apis.items[0];
    assert_int_equal(api->routes.count, 10000);
    assert_int_equal(((const struct route_settings *)api->routes.items[9999])->origin.line, 10001);
#ifdef __SANITIZE_ADDRESS__
    assert_true(spent < 3.0);
#else
    assert_true(spent < 0.3);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(test_generation), CONF_TEST(test_generation_fails), CONF_TEST(test_dump),
        CONF_TEST(test_reference),  CONF_TEST(test_restart),          CONF_TEST(test_ten_thousand_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
