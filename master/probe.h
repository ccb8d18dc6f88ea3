/* probe: who holds an address already. Sockets carry SO_REUSEPORT, so that bind() alone would let two gateways share
 * one address without a word. */
#ifndef MASTER_PROBE_H
#define MASTER_PROBE_H

#include <stdbool.h>
#include <sys/types.h>

#include "shared/base/address.h"

/* A line of /proc/net/tcp or tcp6. */
struct probe_line {
    struct address address; /* the local one */
    bool listens;
    uid_t uid;
    ino_t inode;
};

/* False: the line is none of a socket (the heading). Pure. */
bool probe_parse(const char *line, int family, struct probe_line *out);

/* Whether sockets bound to the two addresses can't both be had without SO_REUSEPORT: the same port, and the same
 * address or one that includes it. Pure. */
bool probe_overlap(const struct address *a, const struct address *b);

/* Whether a socket of TCP could be bound to the address if it were the only one of its program: 0, or an errno. */
int probe_bind(const struct address *address);

/* Calls `known(context, line)` for each socket that listens on an address that overlaps. True: it said true for all.
 * False: for one it said false, or they can't be known. */
bool probe_holders(const struct address *address, bool (*known)(void *context, const struct probe_line *line),
                   void *context);

/* What a path is to somebody who wants to listen there. */
enum probe_path {
    PROBE_FREE,       /* nothing is there */
    PROBE_STALE,      /* a socket that nobody listens on */
    PROBE_USED,       /* somebody listens */
    PROBE_NOT_SOCKET, /* something else is there */
    PROBE_UNKNOWN,    /* errno */
};

/* `type`: SOCK_STREAM or SOCK_SEQPACKET. `*listener`: for PROBE_USED who called listen(), which may be gone. */
enum probe_path probe_unix(const char *path, int type, pid_t *listener);

#endif
