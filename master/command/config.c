/* config: `gatehouse config --reference [--roff]`, the manual of all settings, and `gatehouse config --dump [-c FILE]`,
 * the values that a configuration gives, with every default written out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "master/command/command.h"
#include "shared/conf/print.h"
#include "worker/role/role.h"

static int config_dump(const struct options *options)
{
    struct arena *arena = arena_new(16 << 10);
    struct errors errors;
    errors_init(&errors, arena);
    struct generation *generation = generation_load(options->config, 1, &role_generation_kind, &errors);
    fputs(errors_text(&errors, arena), stderr);
    if (generation)
        conf_dump(stdout, &settings_section, generation->settings);
    int status = generation ? 0 : 1;
    generation_free(&generation);
    arena_free(&arena);
    return status;
}

static int config_usage(const char *why, const char *what)
{
    fprintf(stderr, "gatehouse config: %s%s (write --reference [--roff], or --dump)\n", why, what);
    return 2;
}

int command_config(const struct options *options)
{
    bool reference = false, roff = false, dump = false;
    int status = 0;
    for (int i = 1; i < options->argc; i++) {
        const char *argument = options->argv[i];
        if (strcmp(argument, "--reference") == 0)
            reference = true;
        else if (strcmp(argument, "--roff") == 0)
            roff = true;
        else if (strcmp(argument, "--dump") == 0)
            dump = true;
        else
            return config_usage("unknown argument ", argument);
    }
    if (reference == dump)
        return config_usage(dump ? "one thing at a time" : "nothing to do", "");
    if (roff && !reference)
        return config_usage("--roff is for --reference", "");
    if (reference) {
        conf_reference(stdout, &settings_section, role_generation_kind.extensions, roff);
        conf_reference_names(stdout, role_generation_kind.each_name, roff);
    } else {
        status = config_dump(options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gatehouse config: can't write: %s\n", strerror(errno));
        return 1;
    }
    return status;
}
