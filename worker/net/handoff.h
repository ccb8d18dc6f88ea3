/* handoff: the messages by which a process of an older generation hands client connections to one of a newer, over a
 * SOCK_SEQPACKET pair that the older one made.
 *
 *     older                                  newer
 *     HELLO: its listeners              ->
 *                                       <-   WELCOME: its slot
 *     BATCH: connections, descriptors   ->
 *                                       <-   TAKEN: a verdict for each
 *
 * Whose a connection is: the older one's until it has read TAKEN; so it keeps its descriptor, and nobody else reads or
 * writes the connection before TAKEN is sent. When the newer one is gone without, or can't send it, the older one
 * goes on. When the older one is gone, the newer one does. At most one BATCH is under way.
 *
 * The version is told with the offer of the pair (CHANNEL_OFFER), before anything is sent on it; who doesn't know it
 * closes the pair. What a message says is bounds-checked: the other end may be another program.
 */
#ifndef NET_HANDOFF_H
#define NET_HANDOFF_H

#include "shared/base/address.h"
#include "shared/base/buf.h"

enum { HANDOFF_VERSION = 2 };

enum handoff_verb { HANDOFF_HELLO = 1, HANDOFF_WELCOME = 2, HANDOFF_BATCH = 3, HANDOFF_TAKEN = 4 };

enum handoff_verdict {
    HANDOFF_IS_TAKEN,
    HANDOFF_NO_LISTENER, /* it has none of that kind there */
    HANDOFF_NO_ROUTE,    /* a tunnel: its route or its endpoint isn't there any more */
    HANDOFF_NO_ROOM,     /* under a limit of the listener or the address */
    HANDOFF_FULL,        /* for none at all */
    HANDOFF_VERDICTS,
};

enum {
    HANDOFF_BATCH_MAX = 128,   /* descriptors, of which a tunnel has two; the kernel passes 253 at most */
    HANDOFF_HELD_MAX = 81920,  /* unread bytes; of a tunnel all that moves: a full read and a head */
    HANDOFF_BYTES_MAX = 98304, /* of a message: well below the least that the kernel lets be queued */
};

/* A listener as the older one has it, and what it depends on whether the newer one's is the same. */
struct handoff_listener {
    struct address address;
    uint64_t rights; /* of who may connect: see handoff_rights() */
};

enum handoff_kind {
    HANDOFF_HTTP1,    /* waits for a request */
    HANDOFF_GREETING, /* waits for its PROXY header, of which `held` is the begin */
    HANDOFF_TUNNEL, /* a request that was answered by 101: two descriptors, the client's and the upstream's */
};

/* Of both sides of a tunnel: it has sent its last byte; FIN follows what is kept for it. */
enum {
    HANDOFF_CLIENT_ENDED = 1,
    HANDOFF_CLIENT_SHUT = 2,
    HANDOFF_UPSTREAM_ENDED = 4,
    HANDOFF_UPSTREAM_SHUT = 8,
};

enum { HANDOFF_POSITION = 64 }; /* bytes at most */

/* The rest of a tunnel's record. `held` of the record is what was read from the client. */
struct handoff_tunnel {
    uint64_t started, started_wall, upstream_ns; /* ns: of the request */
    uint64_t bytes_in, bytes_out;                /* that went through it, heads included */
    uint32_t tries;
    uint32_t silent_ms; /* since bytes last went */
    uint32_t flags;
    struct address endpoint;
    struct str head, id, api, route, upstream; /* of the request: as it came; names */
    struct str position; /* between the frames: struct websocket_position, down and up */
    struct str client_kept, upstream_held, upstream_kept;
};

enum {
    HANDOFF_GREETED = 1,     /* a PROXY header came first */
    HANDOFF_DESTINATION = 2, /* and named one */
    HANDOFF_HEAD_BEGUN = 4,
};

struct handoff_record {
    uint32_t listener; /* as in HELLO: 0 is the first */
    uint32_t left_ms;  /* until its time-out */
    uint32_t requests; /* that it has had */
    uint8_t kind;      /* enum handoff_kind */
    uint8_t flags;
    struct address peer, destination;
    struct str held;              /* read and not understood yet */
    struct handoff_tunnel tunnel; /* of that kind */
};

/* A message begins with it. `number`: what follows, or the slot in WELCOME. */
struct handoff_head {
    uint32_t verb;
    uint32_t number;
};

/* --- to write: all into a buf, which overflows when it is too much --- */

void handoff_put_head(struct buf *out, enum handoff_verb verb, uint32_t number);
/* When it isn't known at first how many follow: puts the number right. */
void handoff_set_number(struct buf *out, uint32_t number);
void handoff_put_listener(struct buf *out, const struct handoff_listener *listener);
void handoff_put_record(struct buf *out, const struct handoff_record *record);
void handoff_put_verdict(struct buf *out, enum handoff_verdict verdict);

/* --- to read: takes what it read off the front; false: it is not there, or malformed --- */

bool handoff_get_head(struct str *in, struct handoff_head *head);
bool handoff_get_listener(struct str *in, struct handoff_listener *listener);
bool handoff_get_record(struct str *in, struct handoff_record *record); /* texts point into the message */

/* Descriptors that belong to a record. */
static inline unsigned handoff_fds(const struct handoff_record *record)
{
    return record->kind == HANDOFF_TUNNEL ? 2 : 1;
}

bool handoff_get_verdict(struct str *in, enum handoff_verdict *verdict);

/* Who may connect to a UNIX socket, as a number; NULL where it isn't said. */
uint64_t handoff_rights(const char *mode, const char *owner, const char *group);

/* --- the wire --- */

/* 0, or -1 with errno (EAGAIN and its like: not now; else the other end is gone). */
int handoff_send(int fd, struct str message, const int *fds, unsigned fd_count);

/* 1: a message; 0: the other end is gone; -1: errno (EAGAIN: none now; EPROTO: not one that can be read). The descriptors are
 * the caller's, HANDOFF_BATCH_MAX at most, close-on-exec: fewer than were sent when there was none free. */
int handoff_receive(int fd, char *memory, size_t size, struct str *message, int *fds, unsigned *fd_count);

/* Whether an errno of sending may pass by itself. */
bool handoff_may_retry(int error);

#endif
