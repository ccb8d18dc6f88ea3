/* window: what came of an endpoint's calls lately, whichever process made them: a few buckets of time in its cell, which
 * begin anew by themselves. Called by eject.c and outlier.c.
 */
#ifndef UPSTREAM_WINDOW_H
#define UPSTREAM_WINDOW_H

#include "shared/shm/endpoints.h"

struct window_sum {
    uint64_t good, bad;
    uint64_t time_us; /* of the good ones */
};

/* `time_us` counts for a good call only. */
void window_add(struct endpoint_cell *cell, uint64_t window_ms, uint64_t now_ms, bool good, uint64_t time_us);

/* Over the last 7 to 8 eighths of the window. */
struct window_sum window_sum(const struct endpoint_cell *cell, uint64_t window_ms, uint64_t now_ms);

void window_clear(struct endpoint_cell *cell);

#endif
