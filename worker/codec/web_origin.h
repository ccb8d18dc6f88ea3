/* web_origin: the origins of web pages (RFC 6454, section 6.2: "https://app.example.com"), and sets of those that are allowed.
 *
 * An origin is compared as a browser writes it: lower case, no default port, nothing behind the port. Nothing is decoded or
 * mended, so that no origin is taken for another.
 */
#ifndef CODEC_WEB_ORIGIN_H
#define CODEC_WEB_ORIGIN_H

#include "worker/codec/regex.h"

/* One that is allowed, or all of a form: "https://shop.example.com", any name below a host, any port of one. */
struct web_origin {
    struct str scheme; /* with its "://" */
    struct str rest;   /* host and port; of a wildcard from its dot on */
    bool below;        /* a wildcard: any name below `rest` */
    bool any_port;     /* or none; `rest` is without one */
};

struct web_origins {
    const struct web_origin *items;
    unsigned count;
    const struct regex *const *patterns;
    unsigned pattern_count;
    bool any;    /* "*" is among them */
    bool opaque; /* "null" is */
};

/* Why a text is no origin that could be allowed, in words; NULL: it is one. */
const char *web_origin_wrong(struct str text);

/* A set of `count` good texts, and of patterns that match an origin as a whole; both may be none. Keeps what it is given. */
struct web_origins web_origins_of(const char *const *texts, unsigned count,
                                  const struct regex *const *patterns, unsigned pattern_count,
                                  struct arena *arena);

/* Whether it has what a request's Origin says: hostile bytes of any length. */
bool web_origins_have(const struct web_origins *origins, struct str origin);

#endif
