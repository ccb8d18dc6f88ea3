/* crew: the processes of one generation (or those that outlive generations), as places that are to be filled. */
#ifndef MASTER_CREW_H
#define MASTER_CREW_H

#include "master/child.h"
#include "master/listen.h"

struct master;

/* A place. While its crew is the current one, who dies is replaced. */
struct post {
    const struct role *role;
    unsigned number;
    struct crew *crew;
    struct child *child; /* NULL: vacant */
    int inbox[2]; /* where a process is offered connections: its end, and that of who offers; -1: none. They
                          * outlive the process: who fills the post next has them too */
    unsigned backoff; /* milliseconds that the last vacancy lasted */
    uint64_t due;     /* vacant: when it is to be filled; milliseconds */
};

struct crew {
    struct generation *generation; /* owned; NULL: those that outlive generations */
    struct inheritance inheritance;
    unsigned max_files; /* descriptors of each process */
    unsigned count;
    struct post posts[];
};

/* A crew with vacant posts: of a generation, or (NULL) the lasting one. Takes over the generation and what it
 * inherits. */
struct crew *crew_new(struct generation *generation, struct inheritance *inheritance, unsigned max_files);

/* Gives it back, and nulls the pointer. Its children go on, unreplaced. */
void crew_free(struct master *master, struct crew **crew);

/* How many processes a crew of these settings has. */
unsigned crew_size(const struct settings *settings);

/* Fills every post; 0, or -1 and `why`. */
int crew_start(struct master *master, struct crew *crew, char *why, size_t size);

/* The post whose process is not READY yet, or NULL: all are. */
const struct post *crew_late(const struct crew *crew);

/* Fills the vacant posts that are due. */
void crew_refill(struct master *master, struct crew *crew);

/* GO to all that are READY; a role of which one serves at a time waits until the others are gone. */
void crew_go(struct master *master, struct crew *crew);

/* Makes the inbox of a post whose role has one, if it isn't there. 0, or -1 with errno. */
int crew_open_inbox(struct post *post);

/* Tells a child whom it may hand its connections to: some workers of `crew`, others for each number; NULL: nobody. */
void crew_succeeds(const struct crew *crew, struct child *child);

/* How long a post stays vacant. `early`: the process died before it was READY or within a second of GO. Pure. */
unsigned crew_backoff(unsigned before, bool early);

#endif
