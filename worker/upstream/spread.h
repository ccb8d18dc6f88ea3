/* spread: when things that are due again and again come, so that they don't come together. Pure. */
#ifndef UPSTREAM_SPREAD_H
#define UPSTREAM_SPREAD_H

#include "shared/base/random.h"

/* How long the n-th of `count` waits at first, ms: `rate` a second at most, but none longer than its interval. */
static inline uint64_t spread_first(unsigned n, unsigned count, unsigned rate, uint64_t interval_ms)
{
    uint64_t span = (uint64_t)count * 1000 / rate;
    return (span < interval_ms ? span : interval_ms) * n / count;
}

/* The interval, or less: by `percent` of it at most, by chance. */
static inline uint64_t spread_jitter(struct random *random, uint64_t interval_ms, double percent)
{
    return interval_ms - random_below(random, (uint64_t)((double)interval_ms * percent / 100) + 1);
}

#endif
