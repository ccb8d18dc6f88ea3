/* print: what a configuration may be, and what it is, from the rows. */
#ifndef CONF_PRINT_H
#define CONF_PRINT_H

#include <stdio.h>

#include "shared/conf/row.h"

/* The manual of all settings: name, kind, default, bounds, help; as text, or as roff for the manual page. */
void conf_reference(FILE *out, const struct section *root, const struct conf_extension *extensions,
                    bool roff);

/* The names that ${…} knows; `argument`: it is written ${name.SOMETHING}. */
typedef void conf_tell_name(void *context, const char *name, bool argument, const char *help);

/* A chapter of the manual for them; `each` tells all. */
void conf_reference_names(FILE *out, void (*each)(conf_tell_name *tell, void *context), bool roff);

/* The effective values as a configuration that reads back the same; secrets as "********". */
void conf_dump(FILE *out, const struct section *root, const void *structure);

/* The same with secrets as they are: for the eyes of the program alone. */
void conf_dump_whole(FILE *out, const struct section *root, const void *structure);

/* The first setting with ROW_RESTART that differs between two structures of `root`: its dotted name, in `arena`;
 * NULL: none. */
const char *conf_restart_needed(const struct section *root, const void *before, const void *after,
                                struct arena *arena);

#endif
