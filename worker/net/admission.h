/* admission: what a client's connection was let in under: kept with it by whoever serves it, given back when it is
 * closed. Made by whoever accepts (role/accepting).
 */
#ifndef NET_ADMISSION_H
#define NET_ADMISSION_H

#include "shared/base/address.h"

/* The answer that is all that a client gets. */
struct refusal {
    unsigned status;
    const char *detail;
};

struct admission {
    void *gate;                    /* the accepting side's: the listener that it came by */
    struct address *destination;   /* that a PROXY header named, malloc()ed; NULL: the socket's own */
    bool greeted;                  /* a PROXY header came first, whatever it said */
    uint32_t cell;                 /* the one of net/addresses that counts it; 0: none */
    bool http2;                    /* without TLS: what begins with HTTP/2's preface speaks it */
    const struct refusal *refusal; /* NULL: it is served */
};

/* The address that the client connected to. Family AF_UNSPEC when the kernel doesn't know. */
void admission_destination(const struct admission *admission, int fd, struct address *destination);

#endif
