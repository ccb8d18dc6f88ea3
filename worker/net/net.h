/* net: what all connections of a process share: the loop, the scratch buffer that is read into, and the one that
 * output is gathered in.
 *
 * Both are hot: nearly every request is read, parsed, rebuilt and sent without touching other memory. Gathered output
 * belongs to one connection at a time and leaves in one system call, at the end of the event that produced it.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "shared/base/str.h"
#include "shared/shm/stats.h"
#include "worker/loop/loop.h"
#include "worker/net/recycler.h"

struct connection;

enum {
    NET_READ = 65536,      /* bytes read at once */
    NET_RECORD = 18 << 10, /* of TLS, with all that is around its 16K of data (RFC 8446, section 5.2) */
    NET_OPENED = NET_READ + 2 * NET_RECORD, /* what that may have in it, with what TLS kept from before */
    NET_IN = NET_READ + NET_OPENED,         /* what was held from before stands in front of what is read */
    NET_OUT = 2 * NET_READ,                 /* a head of the largest size fits behind anything */
    NET_BRIEF = 4096, /* bytes read at once where what follows them goes on unseen (connection_relay.c), */
    NET_PIECE = 2 * NET_READ, /* and at most so many at a time */
    NET_PIPE = 1 << 20,       /* bytes of the pipe that it goes through, if there were whole pages in it */
    NET_COALESCE = 4096,      /* a body up to this is copied behind its head, a larger one goes by writev */
    NET_FRAME = 17 << 10,     /* of HTTP/2, the largest that is made, and what the library has around it */
    NET_SEALED =
        NET_OUT + NET_READ + NET_RECORD, /* what is gathered and a piece behind it, as TLS makes it */
};

struct net {
    struct loop *loop;
    struct stats_row *stats;
    char *in;
    char *out;
    size_t out_length;
    struct recycler recycler;     /* of what HTTP/2 allocates */
    struct connection *out_owner; /* whose the gathered output is */
    int pipe[2];                  /* connection_relay.c's; -1 until it is needed */
    bool splices;                 /* sockets can be spliced, as far as is known */
    /* TLS's: what comes from a socket is read into `wire` and goes decrypted to `in`; what goes there stands in `sealed`
     * until it is sent, within the event that made it. In front of `wire` there is room for the begin of a record. */
    char *wire_room;   /* NET_RECORD bytes, then `wire` */
    char *wire;        /* NET_READ bytes */
    struct str unread; /* what the session at work hasn't taken of that */
    char *sealed;
    size_t sealed_length;
    char *
        frame; /* HTTP/2's: where a session makes a frame, which is copied before another one is made (http2_session) */
};

/* 0, or -1 with errno. */
int net_init(struct net *net, struct loop *loop, struct stats_row *stats);
void net_close(struct net *net);

/* Sends what is gathered. Called at the end of every event. */
void net_flush(struct net *net);

#endif
