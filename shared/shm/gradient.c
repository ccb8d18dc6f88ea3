/* gradient: the limit of an upstream's calls in progress. Called for each call of one with `adaptive`
 * (worker/upstream/retry.c).
 *
 * Whoever takes an interval's sum out of its word, by compare-and-swap, reckons with it: nobody else has it.
 */
#include "shared/shm/gradient.h"

#include <math.h>

/* base: µs, measuring, ms. */
enum { US_BITS = 24, US_MOST = (1 << US_BITS) - 1 };

struct base {
    uint32_t us;
    bool measuring;
    uint64_t time_ms; /* measuring: since when; else: when it is to be measured again */
};

static uint64_t pack_base(struct base base)
{
    return base.us | (uint64_t)base.measuring << US_BITS | base.time_ms << (US_BITS + 1);
}

static struct base unpack_base(uint64_t word)
{
    if (!word)
        return (struct base){0, true, 0};
    return (struct base){word & US_MOST, word >> US_BITS & 1, word >> (US_BITS + 1)};
}

static struct base load_base(const struct gradient_cell *cell)
{
    return unpack_base(atomic_load_explicit(&cell->base, memory_order_acquire));
}

/* sample: the interval's number (of measuring: MEASURING), answers, the sum of their µs. */
enum { COUNT_BITS = 12, SUM_BITS = 32, COUNT_MOST = (1 << COUNT_BITS) - 1, MEASURING = (1 << 20) - 1 };

struct sample {
    uint32_t epoch, count;
    uint64_t sum;
};

static struct sample unpack_sample(uint64_t word)
{
    return (struct sample){(uint32_t)(word >> (COUNT_BITS + SUM_BITS)), word >> SUM_BITS & COUNT_MOST,
                           word & UINT32_MAX};
}

static uint64_t pack_sample(struct sample sample)
{
    return (uint64_t)sample.epoch << (COUNT_BITS + SUM_BITS) | (uint64_t)sample.count << SUM_BITS |
           sample.sum;
}

static double load_limit(const struct gradient_cell *cell, const struct gradient_rules *rules)
{
    double limit = (double)atomic_load_explicit(&cell->limit, memory_order_relaxed) / 256;
    return fmin(fmax(limit, rules->least), rules->most);
}

uint32_t gradient_limit(struct gradient_cell *cell, const struct gradient_rules *rules, uint64_t now_ms)
{
    uint64_t word = atomic_load_explicit(&cell->base, memory_order_acquire);
    struct base base = unpack_base(word);
    if (!base.measuring && base.time_ms > now_ms + 2 * rules->probe)
        base.time_ms = 0; /* set under other rules */
    if (!base.measuring && now_ms >= base.time_ms) {
        uint64_t to = pack_base((struct base){base.us, true, now_ms});
        atomic_compare_exchange_strong_explicit(&cell->base, &word, to, memory_order_acq_rel,
                                                memory_order_relaxed);
        base.measuring = true;
    }
    return base.measuring ? rules->least : (uint32_t)load_limit(cell, rules);
}

static void reckon(struct gradient_cell *cell, const struct gradient_rules *rules, struct base base,
                   double average)
{
    double limit = load_limit(cell, rules);
    double gradient = base.us * (1 + rules->buffer) / fmax(average, 1);
    gradient = fmin(fmax(gradient, 0.5), 2);
    limit = gradient * limit + sqrt(limit);
    limit = fmin(fmax(limit, rules->least), rules->most);
    atomic_store_explicit(&cell->limit, (uint64_t)(limit * 256), memory_order_relaxed);
}

/* Enough answers with few in progress. */
static void measured(struct gradient_cell *cell, const struct gradient_rules *rules, uint64_t now_ms,
                     double average, double chance)
{
    uint64_t wait = rules->probe + (uint64_t)(rules->jitter * chance * (double)rules->probe);
    uint32_t us = average < 1 ? 1 : average < US_MOST ? (uint32_t)average : US_MOST;
    atomic_store_explicit(&cell->base, pack_base((struct base){us, false, now_ms + wait}),
                          memory_order_release);
}

void gradient_add(struct gradient_cell *cell, const struct gradient_rules *rules, uint64_t now_ms,
                  uint64_t began_ms, uint64_t us, double chance)
{
    struct base base = load_base(cell);
    if (base.measuring && began_ms < base.time_ms)
        return; /* it was among many */
    uint32_t epoch = base.measuring ? MEASURING : (uint32_t)(now_ms / rules->interval % MEASURING);
    uint64_t word = atomic_load_explicit(&cell->sample, memory_order_relaxed), to;
    struct sample was, now;
    bool whole;
    do {
        was = unpack_sample(word);
        now = was.epoch == epoch ? was : (struct sample){epoch, 0, 0};
        if (us > US_MOST || now.count == COUNT_MOST || now.sum + us > UINT32_MAX)
            return; /* more would not make it better */
        now.count++;
        now.sum += us;
        whole = base.measuring && now.count >= GRADIENT_PROBES;
        to = whole ? 0 : pack_sample(now);
    } while (!atomic_compare_exchange_weak_explicit(&cell->sample, &word, to, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (whole)
        measured(cell, rules, now_ms, (double)now.sum / now.count, chance);
    else if (was.epoch != epoch && was.epoch != MEASURING && was.count >= GRADIENT_SAMPLES && base.us)
        reckon(cell, rules, base, (double)was.sum / was.count);
}

uint32_t gradient_base(const struct gradient_cell *cell, bool *measuring)
{
    struct base base = load_base(cell);
    *measuring = base.measuring;
    return base.us;
}
