/* quotas: the calendar and the arithmetic of a quota's word. Called by the policy `quota`. */
#include "shared/shm/quotas.h"

#include "shared/base/clock.h"

static size_t quotas_size(const struct segment_plan *plan)
{
    return pairs_size(plan->quotas);
}

static void quotas_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)plan;
    pairs_init(zone, size);
}

/* --- time --- */

enum { MINUTES_BACK = 60 };

static uint64_t whole(uint64_t minute, uint64_t length)
{
    return (minute / length + 1) * length;
}

uint64_t quota_window_end(enum quota_window window, uint64_t minute)
{
    enum { HOUR = 60, DAY = 24 * HOUR, WEEK = 7 * DAY, FIRST_MONDAY = 4 * DAY }; /* 1970-01-05 */
    switch (window) {
    case QUOTA_MINUTE:
        return minute + 1;
    case QUOTA_HOUR:
        return whole(minute, HOUR);
    case QUOTA_DAY:
        return whole(minute, DAY);
    case QUOTA_WEEK:
        return whole(minute + WEEK - FIRST_MONDAY, WEEK) + FIRST_MONDAY - WEEK;
    case QUOTA_MONTH:
        return clock_next_month(minute * 60) / 60;
    }
    return minute + 1;
}

/* The present minute. The zone's own word is the latest that any process has seen. */
static uint64_t minute_now(struct pairs *quotas, uint64_t wall_ns)
{
    _Atomic uint64_t *latest = pairs_own(quotas);
    uint64_t minute = wall_ns / (60 * NS_PER_SECOND),
             before = atomic_load_explicit(latest, memory_order_acquire);
    for (;;) {
        if (before == minute || (before > minute && before - minute <= MINUTES_BACK))
            return before;
        if (atomic_compare_exchange_weak(latest, &before, minute))
            return minute;
    }
}

/* --- words --- */

enum { COUNT_BITS = 40, END_BITS = 24 };

static uint64_t word_of(uint64_t end, uint64_t count)
{
    return end << COUNT_BITS | (count < QUOTAS_MOST ? count : QUOTAS_MOST);
}

/* Minutes from `minute` to the end of a word's window; 0 or less: it has ended. Ends are kept modulo 2^24 minutes, 31 years. */
static int64_t minutes_left(uint64_t word, uint64_t minute)
{
    uint64_t difference = ((word >> COUNT_BITS) - minute) << (64 - END_BITS);
    return word ? (int64_t)difference >> (64 - END_BITS) : 0;
}

/* --- the zone --- */

/* A window that has ended by the wall clock holds nothing any more. */
static uint64_t loaded_word(uint64_t word, const struct zone_time *time)
{
    return minutes_left(word, time->wall_ns / (60 * NS_PER_SECOND)) > 0 ? word : 0;
}

static bool quotas_load(void *zone, const void *data, size_t size, const struct zone_time *time)
{
    return pairs_load(zone, data, size, loaded_word, time);
}

static bool holds(uint64_t word, uint64_t minute)
{
    return minutes_left(word, minute) > 0;
}

static struct zone_use quotas_use(const void *zone)
{
    return pairs_use(zone, holds, clock_wall_ns() / (60 * NS_PER_SECOND));
}

const struct zone_kind quotas_kind = {
    .name = "quotas",
    .version = 1,
    .size = quotas_size,
    .init = quotas_init,
    .save = pairs_save,
    .load = quotas_load,
    .use = quotas_use,
    .frozen = true,
};

/* --- charging --- */

/* A charge under way. */
struct counting {
    struct pairs *quotas;
    const struct quota_terms *terms;
    uint64_t cost;
    uint64_t wall_ns, minute, end;
    uint64_t used;
    bool refused, reset;
};

static void renew(void *context)
{
    struct counting *counting = context;
    counting->wall_ns = clock_wall_ns();
    counting->minute = minute_now(counting->quotas, counting->wall_ns);
    counting->end = quota_window_end(counting->terms->window, counting->minute);
}

static bool is_idle(const void *context, uint64_t word)
{
    const struct counting *counting = context;
    return minutes_left(word, counting->minute) <= 0;
}

/* What a word has used in the present window. One that ends later than that was made by who came later, as a new look at
 * the clock tells, or by a wrong clock. */
static uint64_t used_of(struct counting *counting, uint64_t word)
{
    counting->reset = false;
    if (minutes_left(word, counting->minute) > (int64_t)(counting->end - counting->minute))
        renew(counting);
    int64_t left = minutes_left(word, counting->minute);
    if (left == (int64_t)(counting->end - counting->minute))
        return word & QUOTAS_MOST;
    counting->reset = left > 0;
    return 0;
}

static bool charge(void *context, uint64_t word, uint64_t *next)
{
    struct counting *counting = context;
    counting->used = used_of(counting, word);
    counting->refused = counting->used + counting->cost > counting->terms->limit;
    if (!counting->refused)
        counting->used += counting->cost;
    *next = word_of(counting->end, counting->used);
    return !counting->refused;
}

static struct quotas_outcome outcome_of(const struct counting *counting, enum count_verdict verdict)
{
    uint64_t limit = counting->terms->limit, now = counting->wall_ns / NS_PER_SECOND,
             end = counting->end * 60;
    return (struct quotas_outcome){
        .verdict = verdict,
        .reset = counting->reset,
        .remaining = counting->used < limit ? limit - counting->used : 0,
        .end = counting->end,
        .left = end > now ? end - now : 1,
    };
}

struct quotas_outcome quotas_charge(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                                    const struct quota_terms *terms, uint64_t cost)
{
    static const struct pairs_rule rule = {charge, is_idle, renew};
    struct counting counting = {.quotas = quotas, .terms = terms, .cost = cost};
    enum count_verdict verdict = COUNT_ADMITTED;
    renew(&counting);
    if (cost == 0 || cost > terms->limit) {
        verdict = cost ? COUNT_NEVER : COUNT_ADMITTED;
        counting.used = used_of(&counting, pairs_word(quotas, key));
    } else {
        switch (pairs_update(quotas, caller, key, &rule, &counting, LOCK_TRIES)) {
        case PAIRS_DONE:
        case PAIRS_KEPT:
            verdict = counting.refused ? COUNT_REFUSED : COUNT_ADMITTED;
            break;
        case PAIRS_FULL:
            verdict = COUNT_FULL;
            break;
        case PAIRS_BUSY:
            verdict = COUNT_BUSY;
            break;
        }
    }
    struct quotas_outcome outcome = outcome_of(&counting, verdict);
    if (verdict == COUNT_ADMITTED)
        outcome.charged = cost;
    return outcome;
}

struct quotas_outcome quotas_look(struct pairs *quotas, uint64_t key, const struct quota_terms *terms)
{
    struct counting counting = {.quotas = quotas, .terms = terms};
    renew(&counting);
    counting.used = used_of(&counting, pairs_word(quotas, key));
    return outcome_of(&counting, counting.used < terms->limit ? COUNT_ADMITTED : COUNT_REFUSED);
}

static bool debit(void *context, uint64_t word, uint64_t *next)
{
    struct counting *counting = context;
    *next = word_of(counting->end, used_of(counting, word) + counting->cost);
    return true;
}

bool quotas_debit(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                  const struct quota_terms *terms, uint64_t bytes)
{
    static const struct pairs_rule rule = {debit, is_idle, renew};
    struct counting counting = {
        .quotas = quotas, .terms = terms, .cost = bytes < QUOTAS_MOST ? bytes : QUOTAS_MOST};
    renew(&counting);
    return bytes == 0 || pairs_update(quotas, caller, key, &rule, &counting, LOCK_TRIES_LAST) == PAIRS_DONE;
}

static bool refund(void *context, uint64_t word, uint64_t *next)
{
    struct counting *counting = context;
    uint64_t used = word & QUOTAS_MOST;
    *next = word_of(counting->end, used > counting->cost ? used - counting->cost : 0);
    return word >> COUNT_BITS == (counting->end & ((1u << END_BITS) - 1));
}

void quotas_refund(struct pairs *quotas, const struct lock_caller *caller, uint64_t key,
                   const struct quota_terms *terms, const struct quotas_outcome *charge)
{
    static const struct pairs_rule rule = {refund, is_idle, renew};
    struct counting counting = {
        .quotas = quotas, .terms = terms, .cost = charge->charged, .end = charge->end};
    pairs_update(quotas, caller, key, &rule, &counting, LOCK_TRIES);
}
