/* resume: the side of an upgrade on which the program finds a master's processes, sockets and memory. */
#ifndef MASTER_RESUME_H
#define MASTER_RESUME_H

#include <stdbool.h>
#include <stddef.h>

/* The last line of a trial that went well. */
#define RESUME_PASSED "gatehouse: ready to take over"

struct errors;
struct master;
struct settings;

/* Whether we were executed to take a master's place, or to try whether we could: takes the word of that out of the
 * environment, into `out`, and returns it, or NULL. In main(), before the environment is moved. */
const char *resume_wanted(char *out, size_t size);

/* Does it, and is the master until told to stop. The exit status. */
int resume_run(const char *said, const char *config, const char *program);

/* What must be there before the first generation's sockets, from what was found. `trial`: nothing is changed by it. 0,
 * or -1 with `errors`. */
int resume_found(struct master *master, const struct settings *settings, bool trial, struct errors *errors);

#endif
