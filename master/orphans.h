/* orphans: children of a master that was killed. They serve on; the next master finds them by the title that they
 * gave themselves (worker/role/process.c), works beside them, and at last tells them to drain. */
#ifndef MASTER_ORPHANS_H
#define MASTER_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct orphans {
    const char *pidfile; /* that of their master and ours: what makes them ours */
    uid_t uid;           /* whom they run as */
};

/* How many live. */
unsigned orphans_count(const struct orphans *orphans);

enum orphans_answer { ORPHANS_NO, ORPHANS_YES, ORPHANS_HIDDEN /* we may not look at their descriptors */ };

/* Whether one of them holds the socket of that inode. */
enum orphans_answer orphans_hold(const struct orphans *orphans, ino_t socket);

/* Whether that process, the master of orphans perhaps, lives no more. */
bool orphans_gone(pid_t pid);

/* Sends each SIGTERM, which means: drain. How many were told. */
unsigned orphans_drain(const struct orphans *orphans);

/* Whether a command line (with its NULs) is the title of an orphan of that pidfile. Pure. */
bool orphans_match(const char *line, size_t length, const char *pidfile);

#endif
