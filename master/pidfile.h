/* pidfile: the file with the master's pid, and the lock on it that says that a master lives. */
#ifndef MASTER_PIDFILE_H
#define MASTER_PIDFILE_H

#include <stddef.h>

struct pidfile {
    const char *path; /* the caller's; outlives it */
    int fd;           /* -1: not taken */
};

/* Opens and locks; 0, or -1 and `why` in words (also: that another instance runs, with its pid).
 * The lock is a record lock: children don't inherit it, and it ends with this process, however that ends. */
int pidfile_take(struct pidfile *pidfile, const char *path, char *why, size_t size);

/* Writes our pid: from then on the file says where to send signals. 0, or -1 and `why`. */
int pidfile_write(struct pidfile *pidfile, char *why, size_t size);

/* Removes the file, then lets the lock go. Harmless when none was taken. */
void pidfile_remove(struct pidfile *pidfile);

#endif
