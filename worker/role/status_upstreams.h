/* status_upstreams: what the status tells of upstreams and their endpoints. */
#ifndef ROLE_STATUS_UPSTREAMS_H
#define ROLE_STATUS_UPSTREAMS_H

#include <jansson.h>

#include "worker/request/worker.h"

/* A list, an object an upstream; the caller's. */
json_t *status_upstreams(const struct worker *worker);

#endif
