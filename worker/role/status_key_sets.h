/* status_key_sets: which keys of issuers there are, and how old they are. */
#ifndef ROLE_STATUS_KEY_SETS_H
#define ROLE_STATUS_KEY_SETS_H

#include <jansson.h>

#include "worker/request/worker.h"

/* An object for each set, in the order of the configuration. */
json_t *status_key_sets(const struct worker *worker);

#endif
