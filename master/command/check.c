/* check: `gatehouse check [-c FILE]`: everything that a reload would find wrong with a configuration, without touching
 * anything: no socket is bound, no file written. */
#include <stdio.h>

#include "master/command/command.h"
#include "master/memory.h"
#include "worker/role/role.h"

/* "1 API", "2 APIs" */
static void print_count(const char *before, unsigned count, const char *thing)
{
    printf("%s%u %s%s", before, count, thing, count == 1 ? "" : "s");
}

static void print_summary(const char *path, const struct settings *settings)
{
    unsigned routes = 0;
    for (unsigned i = 0; i < settings->apis.count; i++)
        routes += ((const struct api_settings *)settings->apis.items[i])->routes.count;
    printf("%s: ok", path);
    print_count(" (", settings->listeners.count, "listener");
    print_count(", ", settings->upstreams.count, "upstream");
    print_count(", ", settings->apis.count, "API");
    print_count(", ", routes, "route");
    printf(")\n");
}

int command_check(const struct options *options)
{
    struct arena *arena = arena_new(16 << 10);
    struct errors errors;
    errors_init(&errors, arena);
    struct generation *generation = generation_load(options->config, 1, &role_generation_kind, &errors);
    const char *memory = generation ? memory_check(generation, &errors) : NULL;
    fputs(errors_text(&errors, arena), stderr);
    bool good = generation && errors.count == 0;
    if (good) {
        print_summary(options->config, generation->settings);
        printf("shared memory: %s\n", memory);
    }
    int status = good && fflush(stdout) == 0 ? 0 : 1;
    generation_free(&generation);
    arena_free(&arena);
    return status;
}
