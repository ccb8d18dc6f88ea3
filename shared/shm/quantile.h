/* quantile: the time that a given share of the answers take at most, estimated in one word that all processes write.
 *
 * Each sample moves the estimate a little: up by p where it was longer, down by 1 - p where it wasn't, in parts of the
 * estimate itself. It rests where a share of p is below. Two that write at once may lose one step: it is an estimate.
 */
#ifndef SHM_QUANTILE_H
#define SHM_QUANTILE_H

#include <stdatomic.h>
#include <stdint.h>

/* Samples before the estimate says anything. */
enum { QUANTILE_LEARNS = 64 };

/* The word: how many samples (up to QUANTILE_LEARNS), the estimate in µs. All zero: none. */
static inline void quantile_add(_Atomic uint64_t *quantile, double p, uint64_t us)
{
    uint64_t word = atomic_load_explicit(quantile, memory_order_relaxed);
    uint64_t samples = word >> 48;
    double estimate = (double)(word & 0xffffffffffff) / 256;
    double step = samples < QUANTILE_LEARNS ? 0.5 : 0.06;
    if (samples == 0)
        estimate = (double)us;
    else if ((double)us > estimate)
        estimate += step * p * (estimate + 1);
    else
        estimate -= step * (1 - p) * estimate;
    if (estimate > 1e9)
        estimate = 1e9;
    samples += samples < QUANTILE_LEARNS;
    atomic_store_explicit(quantile, samples << 48 | (uint64_t)(estimate * 256), memory_order_relaxed);
}

/* µs; 0: too few samples. */
static inline uint64_t quantile_us(const _Atomic uint64_t *quantile)
{
    uint64_t word = atomic_load_explicit(quantile, memory_order_relaxed);
    return word >> 48 < QUANTILE_LEARNS ? 0 : (word & 0xffffffffffff) / 256;
}

#endif
