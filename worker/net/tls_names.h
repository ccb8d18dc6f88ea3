/* tls_names: which certificates belong to the name that a client asks for (SNI, RFC 6066, section 3): exact, else by a
 * wildcard for the first label. Pure: it knows identities by their numbers.
 */
#ifndef NET_TLS_NAMES_H
#define NET_TLS_NAMES_H

#include "shared/base/arena.h"
#include "worker/net/tls_identity.h"

/* A name that an identity has. */
struct tls_claim {
    struct str name; /* lower case, "*.example.com" too */
    unsigned identity;
    enum tls_algorithm algorithm;
};

enum { TLS_NAMELESS = -1 };

struct tls_name {
    struct str text;
    int identities[TLS_ALGORITHMS]; /* TLS_NAMELESS: none of that kind */
    void *value;                    /* for who asks: the owner's */
};

struct tls_names {
    struct tls_name *items; /* in order */
    unsigned count;
};

/* From claims in the order of the configuration: of two with the same name and kind of key the first wins. Reorders them. */
struct tls_names tls_names_new(struct tls_claim *claims, unsigned count, struct arena *arena);

/* The host name of a server_name extension (RFC 6066, section 3), within its bytes; empty: there is none, or it is malformed,
 * which the library refuses. */
struct str tls_names_asked(const unsigned char *extension, size_t length);

/* NULL: nobody has it. `host` in any case, with or without the root's dot; whatever bytes. */
struct tls_name *tls_names_find(const struct tls_names *names, struct str host);

#endif
