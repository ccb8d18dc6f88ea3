/* options: the command line of the program. Pure: nothing is opened, nothing is printed. */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stddef.h>

#include "master/command/command.h"

enum options_wanted { OPTIONS_COMMAND, OPTIONS_HELP, OPTIONS_VERSION };

/* Reads the line: the known options anywhere, the first other word is the command (none: "run"), the rest, in order,
 * is the command's. An unknown option before the command is an error; behind it, it is left to the command.
 * 0, or -1 and in `why` what is wrong. `argv` is reordered and stays the owner of the words. */
int options_parse(int argc, char **argv, struct options *options, enum options_wanted *wanted, char *why,
                  size_t size);

/* The command of that name in the table, or NULL. */
const struct command *options_command(const struct command *table, const char *name);

/* The name of the table that is closest to a mistyped one, or NULL when none is close. */
const char *options_suggest(const struct command *table, const char *name);

#endif
