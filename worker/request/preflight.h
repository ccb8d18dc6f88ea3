/* preflight: what a browser asks before it sends a request to another origin (Fetch, section 3.2.2). */
#ifndef REQUEST_PREFLIGHT_H
#define REQUEST_PREFLIGHT_H

#include "worker/http/message.h"

/* Of the request that it comes before. */
struct preflight {
    struct str method;
    struct str
        names; /* of its header fields, but for the browser's own and safelisted ones; a list, may be empty */
};

/* Whether the request is one. */
bool preflight_of(const struct request_head *head, struct preflight *preflight);

#endif
