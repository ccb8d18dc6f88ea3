/* health: what the node thinks of an endpoint by its probes: unknown, up, down. The state is in the endpoint's cell; the
 * keeper changes it (prober.c), everybody reads it.
 */
#ifndef UPSTREAM_HEALTH_H
#define UPSTREAM_HEALTH_H

#include "shared/conf/settings.h"
#include "shared/shm/endpoints.h"

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

enum health_change { HEALTH_SAME, HEALTH_WENT_UP, HEALTH_WENT_DOWN };

/* What the cell says of a generation's endpoint when that opens it: kept if probes said it lately, else what an endpoint
 * is at the start. Any process, any number of times. */
void health_open(struct endpoint_cell *cell, const struct health_settings *settings, uint64_t now_ms);

/* A probe's result. `*streak`: how many in a row say the same as this one. Keeper. */
enum health_change health_judge(struct endpoint_cell *cell, const struct health_settings *settings, bool good,
                                uint64_t now_ms, unsigned *streak);

/* Whether calls are kept away from it; else it is, or counts as, up. */
static inline bool health_is_down(const struct endpoint_cell *cell, uint64_t now_ms)
{
    return atomic_load_explicit(&cell->down_until, memory_order_relaxed) > now_ms;
}

enum health_state health_state_of(const struct endpoint_cell *cell);

/* When the last probe was, ms; 0: there was none. */
uint64_t health_probed_at(const struct endpoint_cell *cell);

#endif
