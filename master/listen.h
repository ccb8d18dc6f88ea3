/* listen: the listening sockets, made and kept by the master, shared by all workers of all generations, and found
 * again by address from one generation to the next. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/orphans.h"
#include "shared/base/list.h"
#include "worker/role/role.h"

/* The rights of a UNIX socket's file. */
struct rights {
    unsigned mode;
    uid_t owner; /* -1: ours */
    gid_t group;
};

/* One socket. Between a generation's preparation and its commit it may be wanted by the old one, the new one, or both. */
struct listening {
    struct list link;
    struct address address;
    int fd;
    bool current; /* the serving generation wants it */
    bool coming;  /* the one that is being started wants it */
    bool admin;   /* the keeper's: closed later than the others at a stop */
    bool takes;   /* an orphan listens at the path still: bound beside it, moved over it by listen_start() */
    unsigned others; /* orphans' sockets with the very same address: see steer() */
    int backlog;     /* as `coming` wants it */
    struct rights rights, coming_rights;
    dev_t device; /* of a UNIX socket: which file it is, so that nobody else's is removed */
    ino_t inode;
};

struct listeners {
    struct list list;       /* struct listening */
    struct orphans orphans; /* who else may hold our addresses */
};

/* What a generation's processes inherit: its listeners in the order of the file, then the admin socket. */
struct inheritance {
    struct bound *bound;
    unsigned count; /* with the admin socket, which is the last */
};

void listen_init(struct listeners *listeners, const struct orphans *orphans);

/* Finds or binds the sockets of a generation; none of the new ones listens yet. 0, or -1 with what is wrong in `errors`;
 * then listen_undo() is due too. `inheritance` is the caller's to free by listen_forget(). */
int listen_prepare(struct listeners *listeners, const struct settings *settings,
                   struct inheritance *inheritance, struct errors *errors);
void listen_forget(struct inheritance *inheritance);

/* From now on they listen, also the new ones. 0, or -1 and `errors`: nothing of the current generation was changed. */
int listen_start(struct listeners *listeners, struct errors *errors);

/* The new generation is the current one: what only the old one wanted is closed here (workers that drain have their own
 * copies) and its path removed. */
void listen_commit(struct listeners *listeners);

/* What only the new generation wanted is closed. */
void listen_undo(struct listeners *listeners);

/* Closes all but the admin socket, or all. */
void listen_close(struct listeners *listeners, bool admin_too);

unsigned listen_count(const struct listeners *listeners);

#endif
