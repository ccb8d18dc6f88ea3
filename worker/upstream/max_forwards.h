/* max_forwards: how many more hops a TRACE or an OPTIONS may take (RFC 9110, section 7.6.2). Called by the content that
 * would send the request on. */
#ifndef UPSTREAM_MAX_FORWARDS_H
#define UPSTREAM_MAX_FORWARDS_H

#include "worker/request/policy.h"

/* NEXT: it goes on, Max-Forwards counted down, if it had one. ANSWER: it may go no further, and this is the answer of its
 * last recipient. FAIL: Max-Forwards is no number. */
enum verdict max_forwards(struct request *request);

#endif
