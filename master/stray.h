/* stray: what children of a master in the background write to standard error (a failed assertion, a sanitizer's
 * report): it becomes lines of the error log. */
#ifndef MASTER_STRAY_H
#define MASTER_STRAY_H

#include <stddef.h>

struct stray {
    int read_end, write_end; /* -1: the foreground, where standard error is somebody's already */
    char line[1024];
    size_t length;
};

/* 0, or -1 with errno. Writers never block: what doesn't fit is lost. */
int stray_open(struct stray *stray);
void stray_read(struct stray *stray);

/* What is there of a line is told, though it has no end yet. */
void stray_flush(struct stray *stray);

#endif
