/* forward: what a message carries on to the next hop: its own end-to-end fields, and what a proxy must add
 * (RFC 9110, section 7.6; X-Forwarded-*). */
#ifndef UPSTREAM_FORWARD_H
#define UPSTREAM_FORWARD_H

#include "shared/base/buf.h"

struct request;

/* The request's fields for an upstream, each line with its CRLF; not Host, not framing. */
void forward_fields(struct request *request, struct buf *head);

/* Via on request->response, which came from an upstream. */
void forward_answer(struct request *request);

#endif
