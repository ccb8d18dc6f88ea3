/* health: the state of an endpoint by its probes. Called by cluster.c, which opens endpoints, and by prober.c.
 *
 * What a probe said holds for a time only: while no keeper probes (it died, its master too) nobody stays down for ever.
 */
#include "worker/upstream/health.h"

/* Longer than the master waits at most until it starts a keeper anew. */
enum { GRACE_MS = 60000, INTERVALS = 3 };

/* The cell's word: when the last probe was, ms, how many in a row contradicted the state, the state. */
enum { STATE_BITS = 2, STREAK_BITS = 14 };
#define STATE_MASK ((UINT64_C(1) << STATE_BITS) - 1)
#define STREAK_MASK ((UINT64_C(1) << STREAK_BITS) - 1)

static uint64_t make_word(enum health_state state, unsigned against, uint64_t probed_at)
{
    return probed_at << (STATE_BITS + STREAK_BITS) | (uint64_t)against << STATE_BITS | (uint64_t)state;
}

static enum health_state state_of(uint64_t word)
{
    return (enum health_state)(word & STATE_MASK);
}

static uint64_t probed_at(uint64_t word)
{
    return word >> (STATE_BITS + STREAK_BITS);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* How long the word of a probe holds. */
static uint64_t valid_ms(const struct health_settings *settings)
{
    return INTERVALS * (uint64_t)settings->interval + (uint64_t)settings->timeout + GRACE_MS;
}

void health_open(struct endpoint_cell *cell, const struct health_settings *settings, uint64_t now_ms)
{
    uint64_t word = load(&cell->health);
    if (state_of(word) != HEALTH_UNKNOWN && probed_at(word) + valid_ms(settings) > now_ms)
        return;
    /* Who loses against a probe that ends just now leaves it at what that says. */
    if (atomic_compare_exchange_strong(&cell->health, &word, make_word(HEALTH_UNKNOWN, 0, 0)))
        store(&cell->down_until, settings->start == HEALTH_START_DOWN ? now_ms + valid_ms(settings) : 0);
}

enum health_change health_judge(struct endpoint_cell *cell, const struct health_settings *settings, bool good,
                                uint64_t now_ms, unsigned *streak)
{
    uint64_t word = load(&cell->health);
    enum health_state before = state_of(word), after = before;
    unsigned against = (unsigned)(word >> STATE_BITS & STREAK_MASK) + 1;
    if (before == HEALTH_UNKNOWN)
        after = good ? HEALTH_UP : HEALTH_DOWN; /* the first one decides */
    else if (good == (before == HEALTH_UP))
        against = 0;
    else if (against >= (unsigned)(good ? settings->rise : settings->fall))
        after = good ? HEALTH_UP : HEALTH_DOWN;
    *streak = against;
    if (after != before) {
        against = 0;
        store(&cell->changed_at, now_ms);
        if (before == HEALTH_DOWN)
            store(&cell->up_since, now_ms);
    }
    /* Who dies in between leaves two words that contradict each other: the next probe puts that right. */
    store(&cell->health, make_word(after, against, now_ms));
    store(&cell->down_until, after == HEALTH_DOWN ? now_ms + valid_ms(settings) : 0);
    return after == before ? HEALTH_SAME : after == HEALTH_UP ? HEALTH_WENT_UP : HEALTH_WENT_DOWN;
}

enum health_state health_state_of(const struct endpoint_cell *cell)
{
    return state_of(load(&cell->health));
}

uint64_t health_probed_at(const struct endpoint_cell *cell)
{
    return probed_at(load(&cell->health));
}
