/* jwt: signed tokens (JWT, RFC 7519) as the scheme of that name has them: its settings, what of them is compiled, how a token is
 * judged, and how what was found out of a good one is kept (shared/shm/tokens).
 */
#ifndef REQUEST_JWT_H
#define REQUEST_JWT_H

#include "shared/base/buf.h"
#include "shared/shm/tokens.h"
#include "worker/codec/jose_key.h"
#include "worker/request/key_ring.h"
#include "worker/request/problem.h"

struct regex;
struct request;

struct jwt_key_settings {
    struct origin origin;
    int alg;
    const char *kid, *secret, *pem;
};

struct jwt_claim_settings {
    struct origin origin;
    const char *name; /* a path */
    struct conf_strings equals;
    const char *pattern;
};

struct jwt_require_settings {
    struct origin origin;
    struct conf_strings scope, roles;
    const char *roles_claim;
    struct conf_list claims; /* struct jwt_claim_settings */
};

struct jwt_forward_settings {
    struct origin origin;
    const char *claim, *header;
};

struct jwt_settings {
    struct origin origin;
    const char *issuer;
    struct conf_strings audience, typ;
    struct conf_list keys; /* struct jwt_key_settings */
    const char *jwks, *key_set;
    int64_t leeway; /* ms */
    bool unlimited, strip;
    int in; /* enum jwt_place */
    const char *name;
    const char *consumer;
    struct jwt_require_settings require;
    struct conf_list forward; /* struct jwt_forward_settings */
};

enum jwt_place { JWT_AUTHORIZATION, JWT_HEADER, JWT_COOKIE, JWT_QUERY };
extern const char *const jwt_places[];

extern const struct section jwt_section; /* of one that is declared */

struct jwt_required_claim {
    const struct jwt_claim_settings *settings;
    const struct regex *pattern; /* NULL: none */
};

/* An issuer that is declared. */
struct jwt_issuer {
    const struct jwt_settings *settings;
    struct jose_keys keys;
    struct key_ring *ring; /* NULL: nothing is fetched */
    const struct jwt_required_claim *claims;
    struct str scope; /* as the client is told */
    struct str realm;
};

/* Compiled for a route. */
struct jwt {
    const struct jwt_issuer **issuers;
    unsigned count;
    struct sha256 *sha256;
    const struct consumers *consumers;
    uint64_t tag[TOKEN_DIGEST / 8]; /* tells this route's findings from all others */
};

struct jwt_finding {
    unsigned issuer;
    uint64_t expires;                         /* seconds of the wall clock; 0: never */
    struct str subject, consumer, thumbprint; /* empty: none */
    struct str *forwarded;                    /* of its issuer's; NULL data: there is no such claim */
};

/* Fills `out` with it; one that doesn't fit is not kept. */
void jwt_put(struct buf *out, const struct jwt *jwt, const struct jwt_finding *finding);

/* Its texts are in `in`. False: it isn't one. */
bool jwt_get(struct str in, const struct jwt *jwt, struct arena *arena, struct jwt_finding *finding);

/* What is wrong with a token. */
struct jwt_judgement {
    enum problem problem; /* 0: nothing */
    const char *why;      /* for the client's developer */
};

/* Verifies a token that isn't known yet, and fills the finding; its texts are in the request's memory, or in the token. */
struct jwt_judgement jwt_judge(struct request *request, const struct jwt *jwt, struct str token,
                               struct jwt_finding *finding);

#endif
