/* channel: what children tell the master. */
#ifndef MASTER_CHANNEL_H
#define MASTER_CHANNEL_H

struct master;
struct child;

/* Reads all that it has told. */
void channel_read(struct master *master, struct child *child);

#endif
