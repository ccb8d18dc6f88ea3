/* signing: signs requests to an upstream (HTTP Message Signatures, RFC 9421), each try as it is sent. */
#ifndef UPSTREAM_SIGNING_H
#define UPSTREAM_SIGNING_H

#include "shared/base/buf.h"

struct request;
struct signature_key;

enum { SIGNING_COMPONENTS = 24 };

/* What a route says of it, compiled. */
struct signing {
    const struct signature_key *key;
    struct str label;                          /* its key in Signature and Signature-Input */
    struct str components[SIGNING_COMPONENTS]; /* names; fields that a request doesn't have are left out */
    unsigned count;
    struct str said;  /* parameters that are always the same, as they are written */
    uint64_t expires; /* seconds; 0: it doesn't */
    bool nonce;
};

/* Whether a component can be signed by name: a field, or something of the request line. */
bool signing_knows(struct str name);

/* Appends the two fields to a head that is otherwise whole, but for its empty line. False: it doesn't fit. */
bool signing_write(const struct signing *signing, struct request *request, struct str scheme,
                   struct buf *head);

#endif
