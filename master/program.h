/* program: where the running program is, and where a newer one will be. */
#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H

#include <stddef.h>

/* The absolute path under which `name` (argv[0]) was found, in `out`: as it was said, symbolic links and all, if that leads
 * to this program, else its own path. Returns `out`, or NULL: neither is known. */
const char *program_path(const char *name, char *out, size_t size);

#endif
