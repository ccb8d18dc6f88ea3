/* acceptor: a listening socket in a process's loop. It leaves the loop while there is no room (connections at their
 * cap, descriptors used up) or while this worker has more than its share, and comes back by itself. */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include "shared/base/address.h"
#include "worker/net/net.h"

struct acceptor;

struct acceptor_events {
    /* A connection came; the descriptor is the callee's. */
    void (*on_accept)(struct acceptor *acceptor, int fd, const struct address *peer);
    /* Whether there is room for one more; false: the acceptor leaves until acceptor_resume() or a short time later. */
    bool (*has_room)(struct acceptor *acceptor);
};

struct acceptor {
    struct source source;
    struct net *net;
    const struct acceptor_events *events;
    struct timer retry;
    void *owner;
    const void *tag; /* the owner's: which listener it is */
    bool in_loop, closed;
    uint64_t complained; /* when the lack of descriptors was last logged, ms */
};

/* Takes over a listening socket. 0, or -1 with errno. */
int acceptor_open(struct acceptor *acceptor, struct net *net, int fd, const struct acceptor_events *events);

/* There is room again. */
void acceptor_resume(struct acceptor *acceptor);

/* Accepts what waits, until there is nothing, then closes: for a listener that no new worker has. */
void acceptor_finish(struct acceptor *acceptor);

/* Leaves the loop and closes the descriptor (others may still have it). */
void acceptor_close(struct acceptor *acceptor);

#endif
