/* signature_base: what of a message a signature covers, and the text that is signed (HTTP Message Signatures, RFC 9421, sections 2
 * and 3): the same for who verifies and who signs.
 */
#ifndef CODEC_SIGNATURE_BASE_H
#define CODEC_SIGNATURE_BASE_H

#include "shared/base/buf.h"

enum {
    SIGNATURE_COMPONENTS = 32,  /* that a signature may cover */
    SIGNATURE_BASE_MAX = 16384, /* bytes of a base that is worth making */
};

/* One thing that is covered: a field, or with an @ something derived from the message. */
struct signature_component {
    struct str name;       /* in lower case */
    struct str parameters; /* as they stand */
    struct str
        key;    /* of a member of a dictionary (`key`); of a query parameter its `name`. NULL data: none */
    bool bytes; /* `bs`: each line by itself, as bytes */
    bool structured; /* `sf`: the field's canonical form */
};

/* A member of Signature-Input (section 4.1). */
struct signature_input {
    struct str text; /* the list and its parameters, as they stand */
    struct signature_component components[SIGNATURE_COMPONENTS];
    unsigned count;
    int64_t created, expires;          /* seconds of the wall clock; -1: not said */
    struct str keyid, alg, nonce, tag; /* NULL data: not said */
};

/* The request that is signed, as it came or will be sent. */
struct signature_message {
    struct str method, scheme, authority;
    struct str path;
    struct str query; /* without its `?`; NULL data: there is none */
    const void *fields;
    /* The next value of the fields of a name, without spaces around it; `*at` is 0 at the begin. False: there is none more. */
    bool (*field)(const void *fields, struct str name, unsigned *at, struct str *value);
};

/* Reads a member's value. NULL, or why it is refused, in words. */
const char *signature_input_parse(struct str text, struct signature_input *input);

/* Appends the base (section 2.5). NULL, or why there is none, in words; `*component` is then the one that it is for want of, or has
 * NULL data. */
const char *signature_base(const struct signature_input *input, const struct signature_message *message,
                           struct buf *out, struct str *component);

/* Whether what is covered binds a part of a request: a name of a component, which may be covered by one that has it in it
 * ("@target-uri" has "@path"). Parameters that leave something of it out don't count. */
bool signature_covers(const struct signature_input *input, struct str name);

#endif
