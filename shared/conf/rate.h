/* rate: so many in so long, from text: "100/s", "1000/m", "1M/day", "5/10s". */
#ifndef CONF_RATE_H
#define CONF_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/arena.h"

enum rate_unit { RATE_SECOND, RATE_MINUTE, RATE_HOUR, RATE_DAY, RATE_WEEK, RATE_MONTH };

struct rate {
    uint64_t count; /* 1 at least */
    enum rate_unit unit;
    uint64_t units;     /* in how many of them, 1 to 1000 */
    uint64_t period_ns; /* the same as a time; 0: a month has no fixed length */
};

/* The count may have K, M, G or T behind it: powers of 1000, or of 1024 when it counts `bytes`. The unit is s, m, h, d, or
 * second, minute, hour, day, week, month. NULL, or what is wrong, in `arena`, with what to write instead. */
const char *rate_parse(const char *text, bool bytes, struct rate *rate, struct arena *arena);

#endif
