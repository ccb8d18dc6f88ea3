/* error: a list of what was found wrong, in the order found. Called by whatever reads a configuration. */
#include "shared/base/error.h"

#include <stdio.h>

void errors_init(struct errors *errors, struct arena *arena)
{
    *errors = (struct errors){.arena = arena};
    errors->last = &errors->first;
}

static void add(struct errors *errors, struct origin origin, bool warning, const char *format,
                va_list arguments)
{
    struct error *error = arena_zalloc(errors->arena, sizeof(*error));
    error->origin = origin;
    error->warning = warning;
    error->text = arena_vprintf(errors->arena, format, arguments);
    *errors->last = error;
    errors->last = &error->next;
    if (warning)
        errors->warnings++;
    else
        errors->count++;
}

void errors_add(struct errors *errors, struct origin origin, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(errors, origin, false, format, arguments);
    va_end(arguments);
}

void errors_warn(struct errors *errors, struct origin origin, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(errors, origin, true, format, arguments);
    va_end(arguments);
}

/* Writes one line; returns its length, as snprintf(). */
static size_t write_line(const struct error *error, char *out, size_t size)
{
    const char *kind = error->warning ? "warning: " : "";
    int length;
    if (error->origin.file && error->origin.line)
        length =
            snprintf(out, size, "%s:%u: %s%s\n", error->origin.file, error->origin.line, kind, error->text);
    else if (error->origin.file)
        length = snprintf(out, size, "%s: %s%s\n", error->origin.file, kind, error->text);
    else
        length = snprintf(out, size, "%s%s\n", kind, error->text);
    return (size_t)length;
}

char *errors_text(const struct errors *errors, struct arena *arena)
{
    size_t size = 1;
    for (const struct error *error = errors->first; error; error = error->next)
        size += write_line(error, NULL, 0);
    char *text = arena_alloc(arena, size), *end = text + size;
    text[0] = '\0';
    char *at = text;
    for (const struct error *error = errors->first; error; error = error->next)
        at += write_line(error, at, (size_t)(end - at));
    return text;
}
