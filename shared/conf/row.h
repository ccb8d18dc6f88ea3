/* row: a setting is a row of a table.
 *
 * A section is a table of rows and the structure that it fills. Rows drive parsing, bounds, "did you mean", `check`,
 * `config --reference`, `--dump` and the manual page, so that they cannot disagree.
 *
 * Every structure that a section fills begins with `struct origin origin;`, set by the loader to where the section
 * stands in the file.
 */
#ifndef CONF_ROW_H
#define CONF_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/error.h"

enum row_kind {
    ROW_FLAG,   /* bool: true, false */
    ROW_NUMBER, /* int64_t within [min, max] */
    ROW_REAL,   /* double within [min, max] */
    ROW_STRING, /* const char *; NULL when absent and without fallback; `file:PATH` and `env:NAME` read if ROW_SECRET */
    ROW_DURATION, /* int64_t milliseconds within [min, max]; "250ms", "30s", "5m", "1h", "1d"; "0" */
    ROW_SIZE,     /* int64_t bytes within [min, max]; "512", "64K", "1M", "1G" (powers of 1024) */
    ROW_WORD,     /* int: the index of one of `words` */
    ROW_STRINGS,  /* struct conf_strings: a string, or an array or list of strings */
    ROW_NUMBERS,  /* struct conf_numbers: a number, or an array or list of numbers within [min, max] */
    ROW_GROUP,    /* a structure of `section`, in place; absent: its defaults */
    ROW_OPTIONAL, /* a pointer to a structure of `section`; NULL when absent */
    ROW_LIST,     /* struct conf_list: ( {…}, {…} ); elements of `section` */
    ROW_MAP,      /* struct conf_list: { name = {…}; }; the name goes to the section's `name_offset` */
    ROW_POLICIES, /* struct conf_policies: every setting of this group that a policy declares; no name of its own */
    ROW_DECLARED, /* struct conf_declared: { POLICY = { NAME = {…}; }; }, of the policies' `declared` sections */
};

enum {
    ROW_REQUIRED = 1,
    ROW_SECRET = 2,
    ROW_RESTART = 4, /* a reload can't change it */
    ROW_PATH = 8, /* a file: relative to the one that it is written in, made absolute; `words` aren't paths */
};

struct conf_strings {
    const char **items;
    unsigned count;
};

struct conf_numbers {
    int64_t *items;
    unsigned count;
};

struct conf_list {
    void **items; /* pointers to structures of the row's section */
    unsigned count;
};

struct row {
    const char *name; /* NULL ends a table */
    enum row_kind kind;
    unsigned flags;
    size_t offset;
    const char *fallback; /* the default, as a user would write it (strings without quotes); NULL: none */
    int64_t min,
        max; /* both 0: no bounds but those of the kind; of ROW_LIST and ROW_MAP: how many elements */
    const char *const *words;
    const struct section *section;
    const char *help; /* one line */
};

struct conf_loader; /* the loading in progress: what a check reports to */

struct section {
    const char *name; /* as the reference calls it */
    size_t size;
    const struct row *rows;
    const char *shorthand; /* where a group is wanted, a bare value stands for this setting; or NULL */
    size_t name_offset;    /* const char *, for the elements of a ROW_MAP; 0: none */
    /* Across settings; reports by conf_error(). Called after the rows, children first; not when a setting of the
     * section itself is wrong (an element of a list or a policy may be). The root's is always called. May be NULL. */
    void (*check)(struct conf_loader *loader, void *structure);
};

/* A feature that brings a setting of its own to `defaults`, APIs and routes. */
struct conf_extension {
    const char *name; /* the setting's name */
    const struct section *section;
    bool list;           /* may be a list of groups: several on one route */
    const char *help;    /* one line */
    const void *feature; /* whose it is: the policy */
    const struct section
        *declared; /* of what is declared once under a name (ROW_DECLARED); NULL: nothing is */
};

/* One use of an extension. `off`: `name = false`, an inherited one is switched off. */
struct conf_policy {
    const struct conf_extension *extension;
    struct origin origin;
    bool off;
    void *conf; /* a structure of the extension's section; NULL if off */
};

struct conf_policies {
    struct conf_policy *items; /* in the order of the file */
    unsigned count;
};

/* What is declared under a name, for policies that name it. */
struct conf_declaration {
    const struct conf_extension *extension;
    struct origin origin;
    const char *name;
    void *conf;           /* a structure of the extension's declared section */
    const void *compiled; /* the policy's: made of it when it was first named; NULL before */
};

struct conf_declared {
    struct conf_declaration *items; /* in the order of the file */
    unsigned count;
};

/* An error or warning at a setting of the section that is being checked, "name" or a path such as "list[2].name": it
 * gets the setting's line if it is in the file, else `origin`'s. `setting` NULL: the section itself. */
void conf_error(struct conf_loader *loader, struct origin origin, const char *setting, const char *format,
                ...) __attribute__((format(printf, 4, 5)));
void conf_warn(struct conf_loader *loader, struct origin origin, const char *setting, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Where a setting of the section that is being checked stands; if it isn't in the file, where the section does. */
struct origin conf_origin(struct conf_loader *loader, const char *setting);

/* A setting that is looked at again when the whole file is loaded: where it stands, and its name there. */
struct setting {
    struct origin origin;
    const char *path; /* "listeners[0].tls.ciphers" */
};

/* One of the section that is being checked, in the generation's arena. */
struct setting conf_setting(struct conf_loader *loader, const char *setting);

/* The generation's arena: what a check derives lives there. */
struct arena *conf_arena(struct conf_loader *loader);

/* Row makers. */
#define ROW_(kind_, type, member, ...)                                                  \
    {                                                                                   \
        .kind = (kind_), .name = #member, .offset = offsetof(type, member), __VA_ARGS__ \
    }
#define ROW_END      \
    {                \
        .name = NULL \
    }

#endif
