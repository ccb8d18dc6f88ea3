/* reap: a child ended. */
#ifndef MASTER_REAP_H
#define MASTER_REAP_H

struct master;

/* All that ended; also strangers, which are ours to reap when we are PID 1 of a container. */
void reap_children(struct master *master);

#endif
