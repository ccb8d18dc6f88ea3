/* host_name: an endpoint that is a name and not an address: "orders.internal:8002", "srv:_http._tcp.orders.internal". */
#ifndef CONF_HOST_NAME_H
#define CONF_HOST_NAME_H

#include <stdint.h>

#include "shared/base/str.h"

enum { HOST_NAME_MAX_LENGTH = 253, HOST_LABEL_MAX_LENGTH = 63 };

struct host_name {
    struct str host;
    bool srv;      /* SRV records of `host` say where it is */
    uint16_t port; /* 0 with `srv`: the records have it */
};

/* Whether a text is meant as a name: it begins with "srv:", or has a letter where an IPv4 address has none. Pure. */
bool host_name_is_meant(struct str text);

/* False, and `*why` in words: it isn't one. Pure. */
bool host_name_parse(struct str text, struct host_name *name, const char **why);

#endif
