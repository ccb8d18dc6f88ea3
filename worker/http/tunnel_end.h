/* tunnel_end: one side of a tunnel, a plain HTTP/1 connection, as it moves to another process. */
#ifndef HTTP_TUNNEL_END_H
#define HTTP_TUNNEL_END_H

#include "shared/base/str.h"

struct tunnel_end {
    int fd;
    struct str held; /* read from it and not passed on */
    struct str kept; /* to be sent to it */
    bool ended;      /* it has sent its last byte, and that was passed on */
    bool shut;       /* nothing is sent to it but what is kept, and FIN */
};

#endif
