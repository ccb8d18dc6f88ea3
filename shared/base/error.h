/* error: what was found wrong, collected, so that a user sees all of it at once. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

#include "shared/base/arena.h"

/* Where a setting stands. `file` NULL: it has no place (a default). */
struct origin {
    const char *file;
    unsigned line;
};

struct error {
    struct error *next;
    struct origin origin;
    bool warning;
    char *text; /* "setting: what is wrong (what instead)" */
};

struct errors {
    struct arena *arena; /* holds the entries; outlives them */
    struct error *first, **last;
    unsigned count; /* errors, without the warnings */
    unsigned warnings;
};

void errors_init(struct errors *errors, struct arena *arena);
void errors_add(struct errors *errors, struct origin origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void errors_warn(struct errors *errors, struct origin origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All of it, a line each, "file:line: text\n", warnings as "file:line: warning: text\n", in `arena`. */
char *errors_text(const struct errors *errors, struct arena *arena);

#endif
