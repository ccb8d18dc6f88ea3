/* A configuration: any text loads or is refused in words; what loads is dumped, and that reads back the same. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/conf/load.h"
#include "shared/conf/print.h"
#include "shared/conf/settings.h"

struct limit_conf {
    struct origin origin;
    double rate;
    const char *key;
    struct conf_numbers codes;
};

static const struct row limit_rows[] = {
    ROW_(ROW_REAL, struct limit_conf, rate, .fallback = "1.5", .min = 0, .max = 100, .help = "how fast"),
    ROW_(ROW_STRING, struct limit_conf, key, .help = "by what"),
    ROW_(ROW_NUMBERS, struct limit_conf, codes, .fallback = "1, 2", .help = "which"),
    ROW_END,
};
static const struct section limit_section = {
    .name = "limit", .size = sizeof(struct limit_conf), .rows = limit_rows, .shorthand = "rate"};
static const struct conf_extension extensions[] = {
    {.name = "limit", .section = &limit_section, .list = true, .help = "slows it down"}, {.name = NULL}};

static const struct settings *load(const void *text, size_t size, struct arena *arena, struct errors *errors)
{
    char path[32];
    int fd = memfd_create("conf", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct settings *settings = conf_load(path, &settings_section, extensions, arena, errors, NULL);
    close(fd);
    return settings;
}

static char *dump(const struct settings *settings, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    CHECK(out);
    conf_dump(out, &settings_section, settings);
    CHECK(fclose(out) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && memmem(data, size, "@include", 8)) /* it would read the machine's files */
        return -1;
    struct arena *arena = arena_new(4096);
    struct errors errors;
    errors_init(&errors, arena);
    const struct settings *settings = load(data, size, arena, &errors);
    CHECK(settings || errors.count > 0);
    for (const struct error *error = errors.first; error; error = error->next) {
        CHECK(error->text && *error->text && error->origin.file);
        CHECK(strcmp(error->text, "syntax: syntax error") !=
              0); /* libconfig's: our grammar should have told it */
        CHECK(strcmp(error->text, "syntax: duplicate setting name") != 0);
    }
    errors_text(&errors, arena);
    if (settings && errors.count == 0) {
        size_t length, again;
        char *first = dump(settings, &length);
        settings = load(first, length, arena, &errors);
        CHECK(settings && errors.count == 0);
        char *second = dump(settings, &again);
        CHECK(length == again && memcmp(first, second, length) == 0);
        free(first);
        free(second);
    }
    arena_free(&arena);
    return 0;
}
