/* content_digest: whether a request's body is what its Content-Digest says (RFC 9530). The body streams on as it comes, but for its last
 * byte, which is held back until all of it is known to be right: what isn't right never becomes a whole request.
 */
#ifndef REQUEST_CONTENT_DIGEST_H
#define REQUEST_CONTENT_DIGEST_H

#include "worker/request/policy.h"

/* Checks the body as it will come, by the strongest digest that the field has; a body that is empty already now. NEXT, also without
 * the field; FAIL, when the field says nothing that can be checked. */
enum verdict content_digest_check(struct request *request);

#endif
