/* baton: what a master leaves to the program that takes its place: JSON in a memfd, with the numbers of descriptors
 * that stay open over the exec. Of the format a later program reads every one; it may have more members than known. */
#ifndef MASTER_BATON_H
#define MASTER_BATON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct crew;
struct master;

enum { BATON_FORMAT = 1 };

/* Descriptors that are named in it. */
struct baton_fds {
    int *fds;
    unsigned count;
};

struct baton {
    int fd;       /* the memfd; -1: none */
    json_t *root; /* what is in it */
    struct baton_fds passed;
};

/* What it says, from the master; `image` is the program that runs, `settings` the values in effect. 0, or -1 and `why`. */
int baton_make(struct baton *baton, const struct master *master, int image, int settings, char *why,
               size_t size);

/* Why the program that had taken over gives the place back, and what was asked of it meanwhile. */
struct baton_back {
    const char *why;
    bool reload, reopen, stop, now;
};

/* The same, to the program that it came from: what has changed since, and that it goes back. */
int baton_return(struct baton *baton, const struct master *master, const struct baton_back *back, char *why,
                 size_t size);

/* Fills in a master, whose lists are empty yet, from the memfd; all that is kept of it is in master->arena, or owned by
 * `baton`. Its descriptors are close-on-exec from then on. 0, or -1 and `why`. */
int baton_read(struct baton *baton, struct master *master, char *why, size_t size);

/* False: it doesn't come back. The text is baton->root's. */
bool baton_came_back(const struct baton *baton, struct baton_back *back);

/* A number that baton_make() was given; -1: it is not there. */
int baton_number(const struct baton *baton, const char *name);

/* What program wrote it. */
const char *baton_version(const struct baton *baton);

/* The inboxes of the crew that served, into the posts of the same one; NULL: they are closed. */
void baton_inboxes(const struct baton *baton, struct crew *crew);

/* Whether what it names stays open when another program is executed. */
void baton_pass(const struct baton *baton, bool pass);

void baton_close(struct baton *baton);

#endif
