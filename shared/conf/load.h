/* load: a configuration file becomes structures.
 *
 * libconfig is known in tree.c only. `@include "path"` is relative to the file that names it and takes patterns
 * ("conf.d/" followed by a glob); no match is no error for a pattern.
 */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "shared/conf/row.h"

/* Reads `path`, fills a structure of `root` from `arena`. All that is wrong goes to `errors`; NULL when the file
 * couldn't be read or parsed at all. `extensions` is a table ended by a NULL name, or NULL. `*whole` (may be NULL):
 * every section is as its rows and its check want it; all that may be wrong is what the root's check found, between
 * them. */
void *conf_load(const char *path, const struct section *root, const struct conf_extension *extensions,
                struct arena *arena, struct errors *errors, bool *whole);

/* A structure with every default and nothing else: what an empty file gives. */
void *conf_defaults(const struct section *root, struct arena *arena, struct errors *errors);

/* A duration or a size from text, as ROW_DURATION and ROW_SIZE take it. */
bool conf_parse_duration(const char *text, int64_t *milliseconds);
bool conf_parse_size(const char *text, int64_t *bytes);

#endif
