/* identity: who a request is from, and how the schemes of its route find that out together.
 *
 * A scheme is a policy of the stage IDENTIFY with a `declared` section and a `challenge`. Its on_request begins with
 * identity_settled(), and ends by one of identity_accept(), identity_absent() and identity_reject(), whose verdict it returns
 * (or gives to request_resume() after a wait). What these come to when a route has several schemes is decided here:
 *
 *   all   each must accept, and they must find the same consumer; the first that doesn't ends the request
 *   any   the first that accepts is enough; the request ends when none has (policy auth_mode)
 *
 * It ends by 401 with the challenges of all schemes of the route.
 */
#ifndef REQUEST_IDENTITY_H
#define REQUEST_IDENTITY_H

#include "shared/base/buf.h"
#include "shared/conf/consumers.h"
#include "worker/request/problem.h"

/* Lives as long as the request, and is never changed once it was accepted. */
struct identity {
    struct str scheme;               /* the policy's name */
    struct str subject;              /* whom the scheme found; empty: it doesn't say */
    const struct consumer *consumer; /* NULL: none */
    /* A claim by a path of names with dots; NULL data: there is none. `scratch`: room for a value that must be made. NULL
     * function: the scheme has no claims. */
    struct str (*claim)(const struct identity *identity, struct str path, struct buf *scratch);
    const void *claims; /* for `claim` */
    uint64_t expires;   /* seconds of the wall clock; 0: never */
};

/* Where a route with auth_mode = "any" is. */
struct identifying {
    enum problem problem; /* of the first scheme that rejected; 0: none did */
    char *detail;
};

/* What a route says of a scheme: which of those that are declared it takes. */
struct scheme_settings {
    struct origin origin;
    struct conf_strings use;
};

extern const struct row scheme_rows[]; /* for the section of a scheme, with the shorthand "use" */

static inline const struct consumer *identity_consumer(const struct identity *identity)
{
    return identity ? identity->consumer : NULL;
}

/* From here on the schemes of the route are alternatives. */
void identity_begin_any(struct request *request);

/* What an "any" came to: NEXT if one has accepted. */
enum verdict identity_end_any(struct request *request);

/* Another scheme has accepted, and that is enough. */
bool identity_settled(const struct request *request);

/* The credential is good. */
enum verdict identity_accept(struct request *request, const struct identity *identity);

/* The request has no credential of the scheme's. */
enum verdict identity_absent(struct request *request);

/* The credential is wrong. The detail is for developers of clients: it tells nothing that an attacker couldn't know. */
enum verdict identity_reject(struct request *request, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds the challenges of the route's schemes to the answer (RFC 9110, section 15.5.2). */
void identity_challenge(struct request *request);

#endif
