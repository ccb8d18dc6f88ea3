/* limits: the arithmetic of GCRA over a pair's word. Called by the policy `limit`.
 *
 * The clock is read for each charge, not once a turn of the loop: an admission's time lies between its request and its
 * answer then, and the bound holds for whoever measures from outside.
 */
#include "shared/shm/limits.h"

#include "shared/base/clock.h"

static size_t limits_size(const struct segment_plan *plan)
{
    return pairs_size(plan->limits);
}

static void limits_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)plan;
    pairs_init(zone, size);
}

/* A TAT on the clock of this boot. A debt that no limit can have stems from a wrong clock. */
static uint64_t loaded_word(uint64_t word, const struct zone_time *time)
{
    uint64_t arrival = word + (uint64_t)time->shift_ns;
    if ((int64_t)(arrival - time->monotonic_ns) <= 0)
        return 0;
    return arrival - time->monotonic_ns < LIMITS_LONGEST ? arrival : time->monotonic_ns + LIMITS_LONGEST;
}

static bool limits_load(void *zone, const void *data, size_t size, const struct zone_time *time)
{
    return pairs_load(zone, data, size, loaded_word, time);
}

static bool holds(uint64_t word, uint64_t now)
{
    return word > now;
}

static struct zone_use limits_use(const void *zone)
{
    return pairs_use(zone, holds, clock_monotonic_ns());
}

const struct zone_kind limits_kind = {
    .name = "limits",
    .version = 1,
    .size = limits_size,
    .init = limits_init,
    .save = pairs_save,
    .load = limits_load,
    .use = limits_use,
    .frozen = true,
};

/* n × factor / divisor, rounded up; UINT64_MAX when it is beyond. */
static uint64_t scale(uint64_t n, uint64_t factor, uint64_t divisor)
{
    unsigned __int128 product = (unsigned __int128)n * factor;
    if (product <= UINT64_MAX)
        return (uint64_t)product / divisor + ((uint64_t)product % divisor != 0);
    product = (product + divisor - 1) / divisor;
    return product < UINT64_MAX ? (uint64_t)product : UINT64_MAX;
}

/* No debt is longer: arrival times stay far from their end. */
#define LONGEST (UINT64_MAX / 8)

static uint64_t within(uint64_t ns)
{
    return ns < LONGEST ? ns : LONGEST;
}

struct limit_terms limit_terms_of(uint64_t count, uint64_t period, uint64_t burst, bool bytes)
{
    struct limit_terms terms = {.burst = burst, .bytes = bytes, .count = count, .period = period};
    terms.interval = within(scale(1, period, count));
    terms.capacity = within(bytes ? scale(burst, period, count) : scale(burst, terms.interval, 1));
    return terms;
}

/* A charge under way. */
struct charging {
    const struct limit_terms *terms;
    uint64_t cost;    /* ns */
    uint64_t refused; /* ns to wait; 0: admitted */
    uint64_t arrival;
    uint64_t now;
};

static bool is_idle(const void *context, uint64_t word)
{
    const struct charging *charging = context;
    return word <= charging->now;
}

static void renew(void *context)
{
    struct charging *charging = context;
    charging->now = clock_monotonic_ns();
}

/* The debt of a word. More than the terms allow stems from other terms; or from who charged it later than our clock was
 * read, which a new look at the clock tells. */
static uint64_t debt_of(struct charging *charging, uint64_t word, uint64_t most)
{
    if (word > charging->now && word - charging->now > most)
        renew(charging);
    return word > charging->now ? word - charging->now : 0;
}

static bool charge(void *context, uint64_t word, uint64_t *next)
{
    struct charging *charging = context;
    uint64_t most = charging->terms->capacity + charging->terms->delay;
    uint64_t debt = debt_of(charging, word, most);
    bool cut = debt > most;
    if (cut)
        debt = most;
    charging->refused = debt + charging->cost > most ? debt + charging->cost - most : 0;
    charging->arrival = charging->now + debt + (charging->refused ? 0 : charging->cost);
    *next = charging->arrival;
    return cut || !charging->refused;
}

static uint64_t remaining(const struct limit_terms *terms, uint64_t arrival, uint64_t now)
{
    uint64_t debt = arrival > now ? arrival - now : 0;
    if (debt >= terms->capacity)
        return 0;
    if (!terms->bytes)
        return (terms->capacity - debt) / terms->interval;
    unsigned __int128 bytes = (unsigned __int128)(terms->capacity - debt) * terms->count / terms->period;
    return bytes < terms->burst ? (uint64_t)bytes : terms->burst;
}

struct limits_outcome limits_charge(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                                    const struct limit_terms *terms, uint64_t cost)
{
    static const struct pairs_rule rule = {charge, is_idle, renew};
    struct charging charging = {.terms = terms, .now = clock_monotonic_ns()};
    struct limits_outcome outcome = {.verdict = COUNT_ADMITTED};
    if (cost == 0 || cost > terms->burst) {
        outcome.verdict = cost ? COUNT_NEVER : COUNT_ADMITTED;
        charging.arrival = pairs_word(limits, key);
    } else {
        charging.cost = cost * terms->interval;
        switch (pairs_update(limits, caller, key, &rule, &charging, LOCK_TRIES)) {
        case PAIRS_DONE:
        case PAIRS_KEPT:
            outcome.verdict = charging.refused ? COUNT_REFUSED : COUNT_ADMITTED;
            break;
        case PAIRS_FULL:
            outcome.verdict = COUNT_FULL;
            break;
        case PAIRS_BUSY:
            outcome.verdict = COUNT_BUSY;
            break;
        }
    }
    outcome.now = charging.now;
    outcome.arrival = charging.arrival;
    outcome.remaining = remaining(terms, charging.arrival, charging.now);
    if (outcome.verdict == COUNT_REFUSED) {
        outcome.wait = charging.refused;
    } else if (outcome.verdict == COUNT_ADMITTED) {
        outcome.charged = charging.cost;
        if (charging.arrival > charging.now + terms->capacity)
            outcome.wait = charging.arrival - charging.now - terms->capacity;
    }
    return outcome;
}

struct limits_outcome limits_look(const struct pairs *limits, uint64_t key, const struct limit_terms *terms)
{
    struct limits_outcome outcome = {.verdict = COUNT_ADMITTED, .now = clock_monotonic_ns()};
    outcome.arrival = pairs_word(limits, key);
    outcome.remaining = remaining(terms, outcome.arrival, outcome.now);
    if (outcome.arrival >= outcome.now && outcome.arrival - outcome.now >= terms->capacity) {
        outcome.verdict = COUNT_REFUSED;
        outcome.wait = outcome.arrival - outcome.now - terms->capacity + 1;
    }
    return outcome;
}

static bool debit(void *context, uint64_t word, uint64_t *next)
{
    struct charging *charging = context;
    uint64_t debt = debt_of(charging, word, charging->terms->capacity);
    *next = charging->now + within(debt + charging->cost);
    return true;
}

bool limits_debit(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                  const struct limit_terms *terms, uint64_t bytes)
{
    static const struct pairs_rule rule = {debit, is_idle, renew};
    struct charging charging = {.terms = terms, .now = clock_monotonic_ns()};
    charging.cost = within(scale(bytes, terms->period, terms->count));
    return bytes == 0 || pairs_update(limits, caller, key, &rule, &charging, LOCK_TRIES_LAST) == PAIRS_DONE;
}

/* A charge lies in the debt from its arrival time back. What of it has passed is paid off: to give that back would pay off
 * what others were charged. */
static bool refund(void *context, uint64_t word, uint64_t *next)
{
    struct charging *charging = context;
    renew(charging);
    uint64_t left = charging->arrival > charging->now ? charging->arrival - charging->now : 0;
    uint64_t debt = word > charging->now ? word - charging->now : 0;
    if (left > charging->cost)
        left = charging->cost;
    if (left > debt)
        left = debt;
    *next = word - left;
    return left > 0;
}

void limits_refund(struct pairs *limits, const struct lock_caller *caller, uint64_t key,
                   const struct limits_outcome *charge)
{
    static const struct pairs_rule rule = {refund, is_idle, renew};
    struct charging charging = {.cost = charge->charged, .arrival = charge->arrival};
    pairs_update(limits, caller, key, &rule, &charging, 1);
}
