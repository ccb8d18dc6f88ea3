/* accepting: the client connections of a process: whether there is room for one more, whom it comes from (a PROXY
 * header may say), whether that address has too many, and what was counted for it when it is closed.
 */
#ifndef ROLE_ACCEPTING_H
#define ROLE_ACCEPTING_H

#include "shared/base/log.h"
#include "worker/net/acceptor.h"
#include "worker/net/addresses.h"
#include "worker/net/greeting.h"
#include "worker/net/handoff.h"
#include "worker/net/tls_accept.h"
#include "worker/request/worker.h"
#include "worker/role/role.h"

/* A listener of this process. */
struct gate {
    struct acceptor acceptor;
    struct accepting *accepting;
    const struct listener_settings *settings; /* NULL: the admin socket */
    const void *router;                       /* for its requests */
    const struct tls_server *tls;             /* NULL: plain */
    unsigned connections;
    struct log_seldom full_said, proxy_said, tls_said;
};

struct accepting {
    struct worker *worker;
    struct gate *gates;
    unsigned gate_count;
    struct greeter greeter;      /* connections whose PROXY header isn't there yet */
    struct tls_accept tls;       /* those whose TLS handshake isn't done */
    struct addresses *addresses; /* NULL: not limited */
    unsigned refused;            /* connections that are being told that their address has too many */
    uint64_t share_checked;      /* ms: when `share` was worked out */
    uint32_t share;              /* connections beyond which this worker lets others accept */
    struct log_seldom full_said, address_said, exhausted_said;
    void (*on_empty)(void *owner); /* the last connection is gone */
    void *owner;
};

/* Prepares; nothing is accepted yet. `arena`: the worker's. */
void accepting_init(struct accepting *accepting, struct worker *worker, struct arena *arena,
                    const struct bound *bound, unsigned count);

/* Listens to all of them. */
void accepting_start(struct accepting *accepting, const struct bound *bound, unsigned count);

/* One of the three. */
struct taken {
    struct connection *connection;
    struct greeting *greeting;
    struct tunnel *tunnel;
};

/* The listener that is the same one in this generation; NULL: there is none. */
struct gate *accepting_gate(const struct accepting *accepting, const struct handoff_listener *listener);

/* How a listener is told to the next generation; false: it is none of the configuration's. */
bool accepting_describe(const struct gate *gate, struct handoff_listener *listener);

/* Goes on with a connection of an older process, whose descriptors (one, of a tunnel two) are then ours, but for a verdict other than
 * HANDOFF_IS_TAKEN: closed. Nothing is read from it in this turn. `*taken`: to be given to accepting_drop() when that was in
 * vain, since the older process has it still. */
enum handoff_verdict accepting_take(struct accepting *accepting, struct gate *gate,
                                    const struct handoff_record *record, const int *fds, struct taken *taken);
void accepting_drop(const struct taken *taken);

/* Accepts what waits, then closes the listeners. */
void accepting_finish(struct accepting *accepting);

/* Closes the listeners. */
void accepting_stop(struct accepting *accepting);

/* Closes the connections that nobody serves yet; how many they were. */
unsigned accepting_cut(struct accepting *accepting);

/* A connection was closed: it counts no more, and there may be room. */
void accepting_left(struct accepting *accepting, const struct admission *admission);

/* Connections, served or not yet. */
unsigned accepting_count(const struct accepting *accepting);

void accepting_free(struct accepting *accepting);

#endif
