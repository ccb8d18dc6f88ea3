/* greeting: the PROXY protocol's header that comes first on a connection, before whatever protocol is spoken on it (TLS
 * too). It takes the header's bytes off the socket and not one more, so that who serves the connection finds it as if
 * it had come without.
 */
#ifndef NET_GREETING_H
#define NET_GREETING_H

#include "worker/codec/proxy_protocol.h"
#include "worker/net/net.h"

/* Those of a process. */
struct greeter {
    struct net *net;
    uint64_t timeout_ms; /* from the accept to the header's end */
    void *owner;
    /* The header came; the descriptor is the callee's. `peer` is the connection's own. */
    void (*on_greeted)(struct greeter *greeter, void *gate, int fd, const struct address *peer,
                       const struct proxy_header *header);
    /* It is closed: `why` in words, or NULL: the peer left without a byte, as those do who only look whether somebody
     * listens. */
    void (*on_refused)(struct greeter *greeter, void *gate, const struct address *peer, const char *why);
    struct list greetings; /* struct greeting */
    struct list staying;   /* those that nobody takes over */
    unsigned count;        /* of both, and of those that are suspended */
};

void greeter_init(struct greeter *greeter, struct net *net, uint64_t timeout_ms);

/* Takes the descriptor over. A callback may come before it returns. `gate` goes to the callbacks. */
void greeting_open(struct greeter *greeter, void *gate, int fd, const struct address *peer);

/* --- handing over: see http/http1_handoff, which does the same for what comes behind the header --- */

struct greeting_parcel {
    int fd;
    void *gate;
    struct address peer;
    struct str read; /* the begin of the header; the greeting's */
    uint64_t left_ms;
};

/* The first one that may be handed over, or NULL. */
struct greeting *greeting_first(const struct greeter *greeter);

/* Takes it out of the loop and the list. One of the following is due. */
void greeting_suspend(struct greeting *greeting, struct greeting_parcel *parcel);
struct list *greeting_link(struct greeting *greeting); /* the caller's, while it is suspended */
struct greeting *greeting_of(struct list *link);

/* Goes on here; `stays`: and isn't to be handed over. */
void greeting_resume(struct greeting *greeting, bool stays);

/* It is another's: on_refused(NULL) comes, as of one that has left. Also to give back what was taken in vain. */
void greeting_done(struct greeting *greeting);

/* The other side: goes on with one. Nothing is read from it before the next turn of the loop. NULL with errno: closed. */
struct greeting *greeting_take(struct greeter *greeter, const struct greeting_parcel *parcel);

/* Closes all of them but those that are suspended; no callback. */
void greeter_close(struct greeter *greeter);

#endif
