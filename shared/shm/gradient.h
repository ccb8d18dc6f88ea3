/* gradient: how many calls may be in progress at an upstream, learned from how long its answers take: the limit that all
 * processes of the node keep together.
 *
 * The least time is measured now and then with few calls in progress. From then on, after each interval:
 * gradient = least time × (1 + buffer) / the interval's average, within [0.5, 2]; limit = gradient × limit + √limit. Answers
 * that become slower lower the limit before the upstream breaks down.
 */
#ifndef SHM_GRADIENT_H
#define SHM_GRADIENT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing is known, the least time is to be measured. */
struct gradient_cell {
    alignas(64) _Atomic uint64_t limit; /* calls, in 256ths; 0: the least allowed */
    _Atomic uint64_t sample;            /* the present interval, answers in it, the sum of their times */
    _Atomic uint64_t base; /* the least time, whether it is being measured, until or since when */
};

struct gradient_rules {
    uint32_t least, most;
    double buffer;
    uint64_t interval; /* ms */
    uint64_t probe;    /* ms from one measuring of the least time to the next */
    double jitter;     /* of `probe`, by chance */
};

enum { GRADIENT_PROBES = 50, GRADIENT_SAMPLES = 10 };

/* The limit now. Begins to measure the least time when it is due. */
uint32_t gradient_limit(struct gradient_cell *cell, const struct gradient_rules *rules, uint64_t now_ms);

/* An answer took `us`, its call began at `began_ms`. `chance` in [0, 1). */
void gradient_add(struct gradient_cell *cell, const struct gradient_rules *rules, uint64_t now_ms,
                  uint64_t began_ms, uint64_t us, double chance);

/* For the status: the least time in µs (0: not known yet), and whether it is being measured. */
uint32_t gradient_base(const struct gradient_cell *cell, bool *measuring);

#endif
