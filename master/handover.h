/* handover: what a master leaves to the program that takes its place: JSON in a memfd, with the numbers of descriptors
 * that stay open over the exec. Of the format a later program reads every one; it may have more members than known. */
#ifndef MASTER_HANDOVER_H
#define MASTER_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct crew;
struct master;

enum { HANDOVER_FORMAT = 1 };

/* Descriptors that are named in it. */
struct handover_fds {
    int *fds;
    unsigned count;
};

struct handover {
    int fd;       /* the memfd; -1: none */
    json_t *root; /* what is in it */
    struct handover_fds passed;
};

/* What it says, from the master; `image` is the program that runs, `settings` the values in effect. 0, or -1 and `why`. */
int handover_make(struct handover *handover, const struct master *master, int image, int settings, char *why,
                  size_t size);

/* Why the program that had taken over gives the place back, and what was asked of it meanwhile. */
struct handover_back {
    const char *why;
    bool reload, reopen, stop, now;
};

/* The same, to the program that it came from: what has changed since, and that it goes back. */
int handover_return(struct handover *handover, const struct master *master, const struct handover_back *back,
                    char *why, size_t size);

/* Fills in a master, whose lists are empty yet, from the memfd; all that is kept of it is in master->arena, or owned by
 * `handover`. Its descriptors are close-on-exec from then on. 0, or -1 and `why`. */
int handover_read(struct handover *handover, struct master *master, char *why, size_t size);

/* False: it doesn't come back. The text is handover->root's. */
bool handover_came_back(const struct handover *handover, struct handover_back *back);

/* A number that handover_make() was given; -1: it is not there. */
int handover_number(const struct handover *handover, const char *name);

/* What program wrote it. */
const char *handover_version(const struct handover *handover);

/* The inboxes of the crew that served, into the posts of the same one; NULL: they are closed. */
void handover_inboxes(const struct handover *handover, struct crew *crew);

/* Whether what it names stays open when another program is executed. */
void handover_pass(const struct handover *handover, bool pass);

void handover_close(struct handover *handover);

#endif
