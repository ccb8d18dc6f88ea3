/* jwks: fetches the key sets of issuers (RFC 7517), looks them over, and publishes them in the zone `keys`, ahead of the time that they
 * are fresh. The keeper's: one process of the node does it.
 *
 * What was fetched stays until the issuer has something better: one that is down, slow, or answers nonsense changes nothing.
 */
#ifndef SERVICE_JWKS_H
#define SERVICE_JWKS_H

#include "worker/request/key_set.h"
#include "worker/request/worker.h"

struct jwks;

/* How long an answer's keys are fresh, ms: what its Cache-Control and Age say, within the set's bounds. Pure. */
int64_t jwks_fresh(const struct key_set_settings *settings, struct str cache_control, struct str age);

/* Milliseconds until a set is fetched again, that is fresh for so long: ahead of the end. Pure. */
uint64_t jwks_next(int64_t fresh);

/* The same after so many failures in a row, before chance makes it a little less: from a second to five minutes. Pure. */
uint64_t jwks_again(unsigned failures);

/* Why a text is no key set, in words; NULL: it is one, of `*count` keys. Pure. */
const char *jwks_wrong(struct str json, unsigned *count);

/* Why a text isn't the metadata of that issuer, in words; NULL: it is, and `*uri` (in `arena`) says where its keys are. Pure. */
const char *jwks_discover(struct str json, const char *issuer, const char **uri, struct arena *arena);

/* Begins, when no other keeper is at it. NULL: there is nothing to fetch. Memory is the worker's for its life. */
struct jwks *jwks_start(struct worker *worker, struct arena *arena);

/* Why the last fetch of the set of that index failed; NULL: it didn't, or there was none. `jwks` NULL is fine. */
const char *jwks_why(const struct jwks *jwks, unsigned index);

/* Ends what is under way. NULL is fine. */
void jwks_close(struct jwks *jwks);

#endif
