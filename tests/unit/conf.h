/* conf: what the tests of the configuration share: a folder of their own to write files in, which is the current one,
 * and policies to load with. */
#ifndef TESTS_UNIT_CONF_H
#define TESTS_UNIT_CONF_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "shared/conf/generation.h"
#include "shared/conf/load.h"
#include "shared/conf/print.h"
#include "tests/unit/unit.h"

struct fixture {
    char folder[64];
    struct arena *arena, *error_arena;
    struct errors errors;
    bool whole;
};

/* The fixture of the running test. */
static struct fixture fixture;

struct proxy_conf {
    struct origin origin;
    const char *upstream;
    bool strip_prefix;
};

struct limit_conf {
    struct origin origin;
    double rate;
    const char *key;
};

static const struct row proxy_rows[] = {
    ROW_(ROW_STRING, struct proxy_conf, upstream, .flags = ROW_REQUIRED, .help = "where to"),
    ROW_(ROW_FLAG, struct proxy_conf, strip_prefix, .fallback = "false", .help = "without the prefix"),
    ROW_END,
};

static const struct row limit_rows[] = {
    ROW_(ROW_REAL, struct limit_conf, rate, .fallback = "1.5", .min = 0, .max = 100, .help = "how fast"),
    ROW_(ROW_STRING, struct limit_conf, key, .flags = ROW_SECRET, .help = "by what"),
    ROW_END,
};

static const struct section proxy_section = {
    .name = "proxy", .size = sizeof(struct proxy_conf), .rows = proxy_rows, .shorthand = "upstream"};
static const struct section limit_section = {
    .name = "limit", .size = sizeof(struct limit_conf), .rows = limit_rows};

static const struct conf_extension extensions[] = {
    {.name = "proxy", .section = &proxy_section, .help = "sends it on"},
    {.name = "limit", .section = &limit_section, .list = true, .help = "slows it down"},
    {.name = NULL},
};

static int fixture_setup(void **state)
{
    (void)state;
    strcpy(fixture.folder, "/tmp/test_conf.XXXXXX");
    assert_non_null(mkdtemp(fixture.folder));
    assert_int_equal(chdir(fixture.folder), 0);
    fixture.arena = arena_new(16 << 10);
    fixture.error_arena = arena_new(16 << 10);
    errors_init(&fixture.errors, fixture.error_arena);
    return 0;
}

static int fixture_remove(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int fixture_teardown(void **state)
{
    (void)state;
    arena_free(&fixture.arena);
    arena_free(&fixture.error_arena);
    return chdir("/") || nftw(fixture.folder, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#define CONF_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* Writes a file, "folder/name" too. */
static inline void conf_file_bytes(const char *name, const char *data, size_t length)
{
    char folder[64];
    const char *slash = strchr(name, '/');
    if (slash) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name), name);
        mkdir(folder, 0700);
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void conf_file(const char *name, const char *text)
{
    conf_file_bytes(name, text, strlen(text));
}

/* The settings that "main.conf" gives, which gets this text first (NULL: it stays). */
static inline struct settings *conf_read(const char *text)
{
    if (text)
        conf_file("main.conf", text);
    errors_init(&fixture.errors, fixture.error_arena);
    return conf_load("main.conf", &settings_section, extensions, fixture.arena, &fixture.errors,
                     &fixture.whole);
}

/* What was reported, without the one warning that a text without listeners gets. */
static inline const char *conf_said(void)
{
    static const char nothing[] =
        "main.conf: warning: listeners: there are none, so that nothing is served\n";
    char *text = errors_text(&fixture.errors, fixture.error_arena), *at = strstr(text, nothing);
    if (at)
        memmove(at, at + strlen(nothing), strlen(at + strlen(nothing)) + 1);
    return text;
}

/* The text is wrong in exactly these ways. */
#define assert_wrong(text, expected)                  \
    do {                                              \
        conf_read(text);                              \
        assert_string_equal(conf_said(), (expected)); \
    } while (0)

/* The text is right; the settings. */
static inline struct settings *conf_right(const char *text)
{
    struct settings *settings = conf_read(text);
    assert_string_equal(conf_said(), "");
    assert_non_null(settings);
    assert_true(fixture.whole);
    return settings;
}

#endif
