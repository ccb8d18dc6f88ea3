/* set: `gatehouse set NAME VALUE`, `gatehouse unset NAME`: changes a setting while the gateway runs, until the
 * configuration says something else. Asks the keeper. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/command/client.h"

enum { KEEPER_MS = 5000 };

/* Percent-encodes what isn't unreserved (RFC 3986, section 2.3). */
static const char *encoded(const char *text, struct arena *arena)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * strlen(text) + 1), *at = out;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
            strchr("-._~", *c)) {
            *at++ = (char)*c;
        } else {
            *at++ = '%';
            *at++ = hex[*c >> 4];
            *at++ = hex[*c & 15];
        }
    }
    *at = 0;
    return out;
}

/* What the keeper says to it: its outcome, or its problem's detail. */
static int report(const char *answer, bool done)
{
    json_error_t error;
    json_t *object = json_loads(answer, 0, &error);
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *value = json_string_value(json_object_get(object, "value"));
    const char *detail = json_string_value(json_object_get(object, "detail"));
    if (done && name && value)
        printf("%s = %s\n", name, value);
    else
        fprintf(stderr, "gatehouse: %s\n", detail ? detail : answer);
    json_decref(object);
    return done ? 0 : 1;
}

static int change(const struct options *options, const char *method, const char *name, const char *value)
{
    struct client_paths paths;
    const char *why;
    bool done;
    if (client_paths(options, &paths))
        return 1;
    const char *target = value ? arena_printf(paths.arena, "/overrides?name=%s&value=%s",
                                              encoded(name, paths.arena), encoded(value, paths.arena))
                               : arena_printf(paths.arena, "/overrides?name=%s", encoded(name, paths.arena));
    char *answer = client_ask(paths.admin, method, target, KEEPER_MS, &done, &why);
    int status = 1;
    if (answer)
        status = report(answer, done);
    else
        fprintf(stderr, "gatehouse: %s: %s\n", paths.admin, why);
    free(answer);
    arena_free(&paths.arena);
    return status;
}

static int usage(const char *text)
{
    fprintf(stderr, "gatehouse: usage: gatehouse %s\n", text);
    return 2;
}

int command_set(const struct options *options)
{
    if (options->argc != 3)
        return usage("set NAME VALUE");
    return change(options, "PUT", options->argv[1], options->argv[2]);
}

int command_unset(const struct options *options)
{
    if (options->argc != 2)
        return usage("unset NAME");
    return change(options, "DELETE", options->argv[1], NULL);
}
