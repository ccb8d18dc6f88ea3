/* reopen: the log files are opened anew, after they were renamed by who rotates them. */
#ifndef MASTER_REOPEN_H
#define MASTER_REOPEN_H

#include <stddef.h>

struct master;
struct logfiles;

/* Opens and hands over. 0, or -1, `why`, and the old ones stay. */
int reopen_logs(struct master *master, char *why, size_t size);

/* The logger gets these; the old ones are closed. */
void reopen_take(struct master *master, struct logfiles *files);

#endif
