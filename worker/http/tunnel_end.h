/* tunnel_end: one side of a tunnel, a plain HTTP/1 connection, as it moves to another process. */
#ifndef HTTP_TUNNEL_END_H
#define HTTP_TUNNEL_END_H

#include "worker/net/connection.h"

struct tunnel_end {
    int fd;
    struct str held; /* read from it and not passed on */
    struct str kept; /* to be sent to it */
    bool ended;      /* it has sent its last byte, and that was passed on */
    bool shut;       /* nothing is sent to it but what is kept, and FIN */
};

/* How many bytes of others' would move with this connection; SIZE_MAX: it can't move. */
size_t tunnel_end_bytes(const struct connection *connection);

/* It is frozen, and described but for how far its two directions are; what is kept for it is copied to `*room`, which moves on. */
struct tunnel_end tunnel_end_of(struct connection *connection, char **room);

/* The bytes that came with one that was adopted. */
void tunnel_end_restore(struct connection *connection, const struct tunnel_end *end);

#endif
