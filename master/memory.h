/* memory: the shared memory: how large it is to be, how it is made, and what a snapshot gives it. */
#ifndef MASTER_MEMORY_H
#define MASTER_MEMORY_H

#include "shared/base/error.h"
#include "shared/conf/generation.h"
#include "shared/shm/segment.h"

struct master;

/* The segment that a first generation of these settings needs; what outgrows it later needs a restart. */
struct segment_plan memory_plan(const struct settings *settings);

/* Makes it, with what state.file has, and takes the master's own slot. 0, or -1 with `errors`. Once. */
int memory_found(struct master *master, const struct settings *settings, struct errors *errors);

/* The descriptors that the master needs for such a segment: 0, or -1 with `errors`. */
int memory_raise_files(const struct settings *settings, const struct segment_plan *plan,
                       struct errors *errors);

/* The slot becomes the master's own. */
void memory_own_slot(struct master *master, unsigned slot);

/* For `check`: whether it fits, and room for the cells of the generation twice, as at a reload. Errors are told; the zones
 * and their sizes as a line of text, in the errors' arena. */
const char *memory_check(const struct generation *generation, struct errors *errors);

#endif
