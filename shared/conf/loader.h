/* loader: a loading in progress, shared by the files that do it: load.c walks, value.c converts, secret.c and
 * suggest.c help. */
#ifndef CONF_LOADER_H
#define CONF_LOADER_H

#include "shared/conf/load.h"
#include "shared/conf/place.h"
#include "shared/conf/tree.h"

struct conf_loader {
    struct arena *arena;   /* the generation's */
    struct arena *scratch; /* gone with the loading */
    struct errors *errors;
    unsigned errors_before; /* what was reported before this loading */
    bool whole;             /* nothing was, in all sections */
    struct tokens tokens;
    struct tree *tree; /* NULL: defaults only */
    const struct conf_extension *extensions;
    const struct place *place; /* what is being loaded, or checked */
};

/* An error at loader->place. */
void loader_error(struct conf_loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* suggest.c: the one of `count` names that is closest to `word`, if any is close enough; else NULL. */
const char *suggest_closest(const char *word, const char *const *names, unsigned count);

/* suggest.c: " (did you mean …?)", or the names to choose from. */
const char *suggest_text(const char *word, const char *const *names, unsigned count, struct arena *arena);

/* value.c: a value into the structure by its row: all kinds but those that hold sections. What is wrong is reported,
 * and the target is left as it is. */
void value_store(struct conf_loader *loader, const struct row *row, void *target, const struct value *value);

/* value.c: the row's default, by the same way. */
void value_default(struct conf_loader *loader, const struct row *row, void *target);

/* value.c: "text", "a number" … */
const char *value_kind_text(enum value_kind kind);

/* secret.c: the text itself, or what `file:PATH` and `env:NAME` stand for, in the loader's arena. NULL: reported. */
const char *secret_text(struct conf_loader *loader, const char *text);

/* secret.c: an absolute path; a relative one is relative to the file that it is written in. */
const char *path_absolute(struct conf_loader *loader, const char *path);

/* units.c */
const char *units_duration(int64_t milliseconds, struct arena *arena);
const char *units_size(int64_t bytes, struct arena *arena);

#endif
