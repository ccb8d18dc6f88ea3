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
    struct list greetings;
    unsigned count;
};

void greeter_init(struct greeter *greeter, struct net *net, uint64_t timeout_ms);

/* Takes the descriptor over. A callback may come before it returns. `gate` goes to the callbacks. */
void greeting_open(struct greeter *greeter, void *gate, int fd, const struct address *peer);

/* Closes all of them; no callback. */
void greeter_close(struct greeter *greeter);

#endif
