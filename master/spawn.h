/* spawn: a child is forked, and becomes what its role says. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <stddef.h>

struct master;
struct post;

/* Fills a vacant post. 0, or -1 and `why`. */
int spawn_post(struct master *master, struct post *post, char *why, size_t size);

/* Closes all descriptors from 3 on that are not in `keep`, which gets sorted. 0, or -1 with errno. */
int spawn_close_others(int *keep, unsigned count);

#endif
