/* program: where the running program is, and where a newer one will be. */
#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H

/* The absolute path under which `name` (argv[0]) was found: as it was said, symbolic links and all, if that leads to
 * this program, else its own path; NULL: neither is known. The caller's to free. */
char *program_path(const char *name);

#endif
