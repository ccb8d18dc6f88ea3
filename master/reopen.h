/* reopen: the log files are opened anew, after they were renamed by who rotates them. */
#ifndef MASTER_REOPEN_H
#define MASTER_REOPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;
struct logfiles;

/* Opens and hands over. 0, or -1, `why`, and the old ones stay. */
int reopen_logs(struct master *master, char *why, size_t size);

/* Whether every logger that got the REOPEN of that number, or a later one, has obeyed it, or is gone. */
bool reopen_is_done(const struct master *master, uint64_t number);

/* The logger gets these; the old ones are closed. */
void reopen_take(struct master *master, struct logfiles *files);

#endif
