/* override: settings that are changed while the gateway runs (`gatehouse set`): which ones there are, how a worker takes
 * them over, and how the keeper sets them. What may be changed so is a row of a table.
 */
#ifndef ROLE_OVERRIDE_H
#define ROLE_OVERRIDE_H

#include <jansson.h>

#include "worker/request/request.h"

/* Takes over what changed since edition `*seen`. Every process that serves, once a turn: one load when nothing did. */
void override_follow(struct worker *worker, uint64_t *seen);

/* Drops those for which the configuration says something else than it did, or nothing at all. The keeper, at GO. */
void override_prune(struct worker *worker);

/* Those there are, for the status. */
json_t *override_json(const struct worker *worker);

/* Contents of the admin socket. PUT /overrides?name=…&value=…; DELETE /overrides?name=…; GET /overrides. */
enum verdict override_put(struct request *request);
enum verdict override_delete(struct request *request);
enum verdict override_get(struct request *request);

#endif
