/* status_guards: what the status tells of breakers, budgets of retries and adaptive limits. */
#ifndef ROLE_STATUS_GUARDS_H
#define ROLE_STATUS_GUARDS_H

#include <jansson.h>

#include "worker/request/worker.h"

/* Adds to an upstream's object what it has of them; `index`: in the settings. */
void status_guards(const struct worker *worker, unsigned index, json_t *object);

/* The breakers of routes. */
json_t *status_route_breakers(const struct worker *worker);

#endif
