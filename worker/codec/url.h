/* url: "http://host:port/path?query" and "https://…", as the configuration and documents of issuers name what is fetched (RFC 9110,
 * section 4.2).
 */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include "shared/base/arena.h"

struct url {
    bool tls;             /* https */
    struct str authority; /* for Host: as written */
    struct str name;      /* the host alone, without the brackets of an IPv6 address; a NUL is behind it */
    uint16_t port;
    struct str target; /* path and query; "/" if there is none */
};

/* NULL, or why it is no URL to fetch, in words. What it points to is a copy in `arena`. Neither user nor fragment is taken: the
 * one would be sent in clear, the other not at all. */
const char *url_parse(struct url *url, struct str text, struct arena *arena);

#endif
