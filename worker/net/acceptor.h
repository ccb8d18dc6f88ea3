/* acceptor: a listening socket in a process's loop. It leaves the loop while there is no room (connections at a cap,
 * descriptors used up) or while this worker has more than its share. What waits in the kernel's queue is accepted by
 * the other workers, or later.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include "shared/base/address.h"
#include "worker/net/net.h"

struct acceptor;

enum room {
    ROOM,       /* for one more */
    ROOM_LATER, /* not now: asked again a short time later */
    ROOM_FULL,  /* not before acceptor_resume() */
};

struct acceptor_events {
    /* A connection came; the descriptor is the callee's. */
    void (*on_accept)(struct acceptor *acceptor, int fd, const struct address *peer);
    enum room (*room)(struct acceptor *acceptor);
    /* There was no descriptor or no memory for one more: `error`, an errno. True: something was given up, and it is tried
     * again. Else it waits for acceptor_resume(), which is to be called when a connection was closed, or for a while:
     * other descriptors may be free by then. */
    bool (*on_exhausted)(struct acceptor *acceptor, int error);
};

struct acceptor {
    struct source source;
    struct net *net;
    const struct acceptor_events *events;
    struct timer retry;
    bool in_loop, closed;
};

/* Takes over a listening socket. Where it can't be watched now it is later. */
void acceptor_open(struct acceptor *acceptor, struct net *net, int fd, const struct acceptor_events *events);

/* There may be room again. */
void acceptor_resume(struct acceptor *acceptor);

/* Accepts what waits, until there is nothing, then closes: for a listener that no new worker has. */
void acceptor_finish(struct acceptor *acceptor);

/* Leaves the loop and closes the descriptor (others may still have it). */
void acceptor_close(struct acceptor *acceptor);

#endif
