/* breaker: the word and the window. Called for each call to an upstream that has a breaker (worker/upstream/breaking.c);
 * by the master when a process died. */
#include "shared/shm/breaker.h"

/* The word: state, level, count (failures, or the owner's slot), time in ms: 34 years of it. */
enum {
    STATE_BITS = 2,
    LEVEL_BITS = 6,
    COUNT_BITS = 16,
    LEVEL_MOST = (1 << LEVEL_BITS) - 1,
    COUNT_MOST = (1 << COUNT_BITS) - 1,
};
#define TIME_SHIFT (STATE_BITS + LEVEL_BITS + COUNT_BITS)

static uint64_t pack(enum breaker_state state, unsigned level, unsigned count, uint64_t time_ms)
{
    level = level < LEVEL_MOST ? level : LEVEL_MOST;
    count = count < COUNT_MOST ? count : COUNT_MOST;
    return (uint64_t)state | (uint64_t)level << STATE_BITS | (uint64_t)count << (STATE_BITS + LEVEL_BITS) |
           time_ms << TIME_SHIFT;
}

static struct breaker_view unpack(uint64_t word)
{
    unsigned state = word & 3;
    return (struct breaker_view){
        .state = state <= BREAKER_HALF_OPEN ? (enum breaker_state)state : BREAKER_CLOSED,
        .level = word >> STATE_BITS & LEVEL_MOST,
        .count = word >> (STATE_BITS + LEVEL_BITS) & COUNT_MOST,
        .time_ms = word >> TIME_SHIFT,
    };
}

static uint64_t load(const struct breaker_cell *cell)
{
    return atomic_load_explicit(&cell->word, memory_order_acquire);
}

/* `*was` is the word as it is now when it failed. */
static bool swap(struct breaker_cell *cell, uint64_t *was, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(&cell->word, was, to, memory_order_acq_rel,
                                                   memory_order_acquire);
}

struct breaker_view breaker_view(const struct breaker_cell *cell)
{
    return unpack(load(cell));
}

/* --- the window --- */

/* A bucket: which of all since the clock began, good calls, bad ones. */
enum { CALLS_BITS = 20, CALLS_MOST = (1 << CALLS_BITS) - 1, EPOCH_MASK = (1 << 24) - 1 };

static uint64_t bucket_ms(const struct breaker_rules *rules)
{
    uint64_t ms = rules->window / BREAKER_BUCKETS;
    return ms ? ms : 1;
}

static uint64_t pack_bucket(uint64_t epoch, uint64_t good, uint64_t bad)
{
    return (epoch & EPOCH_MASK) << (2 * CALLS_BITS) | good << CALLS_BITS | bad;
}

/* Counts one; a bucket of another time begins anew. One that is full is halved: the ratio stays. */
static void count(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms, bool failed)
{
    uint64_t epoch = now_ms / bucket_ms(rules);
    _Atomic uint64_t *bucket = &cell->bucket[epoch % BREAKER_BUCKETS];
    uint64_t was = atomic_load_explicit(bucket, memory_order_relaxed), to;
    do {
        uint64_t good = 0, bad = 0;
        if (was >> (2 * CALLS_BITS) == (epoch & EPOCH_MASK)) {
            good = was >> CALLS_BITS & CALLS_MOST;
            bad = was & CALLS_MOST;
        }
        if (good == CALLS_MOST || bad == CALLS_MOST) {
            good /= 2;
            bad /= 2;
        }
        to = failed ? pack_bucket(epoch, good, bad + 1) : pack_bucket(epoch, good + 1, bad);
    } while (
        !atomic_compare_exchange_weak_explicit(bucket, &was, to, memory_order_relaxed, memory_order_relaxed));
}

void breaker_sum(const struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                 uint32_t *calls, uint32_t *failed)
{
    uint64_t epoch = now_ms / bucket_ms(rules);
    *calls = *failed = 0;
    for (unsigned i = 0; i < BREAKER_BUCKETS; i++) {
        uint64_t word = atomic_load_explicit(&cell->bucket[i], memory_order_relaxed);
        uint64_t age = (epoch - (word >> (2 * CALLS_BITS))) & EPOCH_MASK;
        if (age >= BREAKER_BUCKETS)
            continue;
        *failed += word & CALLS_MOST;
        *calls += (uint32_t)((word & CALLS_MOST) + (word >> CALLS_BITS & CALLS_MOST));
    }
}

/* What led to it being open says nothing about the time after. */
static void forget(struct breaker_cell *cell)
{
    for (unsigned i = 0; i < BREAKER_BUCKETS; i++)
        atomic_store_explicit(&cell->bucket[i], 0, memory_order_relaxed);
}

static bool too_many(const struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms)
{
    uint32_t calls, failed;
    if (rules->ratio <= 0)
        return false;
    breaker_sum(cell, rules, now_ms, &calls, &failed);
    return calls && calls >= rules->volume && failed >= rules->ratio * calls;
}

/* --- asking --- */

/* The longest that the rules let it be open. One that stays open for longer was opened under other rules. */
static uint64_t longest(const struct breaker_rules *rules)
{
    uint64_t most = rules->open_most > rules->open ? rules->open_most : rules->open;
    return most + (uint64_t)(rules->jitter * (double)most) + 1;
}

/* The time for which nobody is let through, from the word; 0: it is over. */
static uint64_t left(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                     uint64_t *word)
{
    struct breaker_view view = unpack(*word);
    uint64_t most = longest(rules);
    if (view.state == BREAKER_OPEN && view.time_ms > now_ms + most) {
        uint64_t to = pack(BREAKER_OPEN, view.level, 0, now_ms + most);
        if (swap(cell, word, to))
            *word = to;
        return most;
    }
    return view.time_ms > now_ms ? view.time_ms - now_ms : 0;
}

enum breaker_gate breaker_ask(struct breaker_cell *cell, const struct breaker_rules *rules, unsigned slot,
                              uint64_t now_ms, uint64_t *ticket, uint64_t *left_ms)
{
    uint64_t word = load(cell);
    *ticket = 0;
    for (;;) {
        struct breaker_view view = unpack(word);
        if (view.state == BREAKER_CLOSED)
            return BREAKER_PASS;
        *left_ms = left(cell, rules, now_ms, &word);
        if (*left_ms)
            return BREAKER_SHUT;
        uint64_t probe = pack(BREAKER_HALF_OPEN, view.level, slot, now_ms + rules->probe);
        if (swap(cell, &word, probe)) {
            *ticket = probe;
            return view.state == BREAKER_OPEN ? BREAKER_PROBE : BREAKER_TAKEN;
        }
    }
}

/* --- results --- */

/* Whether a call that is no probe counts at this word. */
static bool counts(struct breaker_view view, const struct breaker_result *result)
{
    return view.state == BREAKER_CLOSED && (view.time_ms == 0 || result->began_ms >= view.time_ms);
}

bool breaker_good(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                  const struct breaker_result *result)
{
    if (result->ticket) {
        uint64_t word = result->ticket;
        if (unpack(load(cell)).state != BREAKER_CLOSED)
            forget(cell); /* before others can count */
        return swap(cell, &word, pack(BREAKER_CLOSED, unpack(word).level, 0, now_ms));
    }
    uint64_t word = load(cell);
    if (!counts(unpack(word), result))
        return false;
    if (rules->ratio > 0)
        count(cell, rules, now_ms, false);
    for (;;) {
        struct breaker_view view = unpack(word);
        if (view.state != BREAKER_CLOSED || view.count == 0)
            return false;
        if (swap(cell, &word, pack(BREAKER_CLOSED, view.level, 0, view.time_ms)))
            return false;
    }
}

/* How long it is open at this level. */
static uint64_t open_time(const struct breaker_rules *rules, unsigned level,
                          const struct breaker_result *result)
{
    enum { SHIFTS = 20 };
    unsigned shift = level ? level - 1 : 0;
    uint64_t most = rules->open_most > rules->open ? rules->open_most : rules->open;
    uint64_t ms = rules->open << (shift < SHIFTS ? shift : SHIFTS);
    ms = ms < most ? ms : most;
    ms += (uint64_t)(rules->jitter * result->chance * (double)ms);
    uint64_t asked = result->retry_after_ms < most ? result->retry_after_ms : most;
    return ms > asked ? ms : asked;
}

/* The probe failed. */
static enum breaker_cause reopen(struct breaker_cell *cell, const struct breaker_rules *rules,
                                 uint64_t now_ms, const struct breaker_result *result, uint64_t *open_ms)
{
    uint64_t word = result->ticket;
    unsigned level = unpack(word).level + 1;
    *open_ms = open_time(rules, level, result);
    return swap(cell, &word, pack(BREAKER_OPEN, level, 0, now_ms + *open_ms)) ? BREAKER_BY_PROBE
                                                                              : BREAKER_STAYS;
}

enum breaker_cause breaker_bad(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                               const struct breaker_result *result, uint64_t *open_ms)
{
    if (result->ticket)
        return reopen(cell, rules, now_ms, result, open_ms);
    uint64_t word = load(cell);
    if (!counts(unpack(word), result))
        return BREAKER_STAYS;
    if (rules->ratio > 0)
        count(cell, rules, now_ms, true);
    bool by_ratio = too_many(cell, rules, now_ms);
    for (;;) {
        struct breaker_view view = unpack(word);
        if (!counts(view, result))
            return BREAKER_STAYS;
        bool by_errors = rules->errors && view.count + 1 >= rules->errors;
        uint64_t to = pack(BREAKER_CLOSED, view.level, view.count + 1, view.time_ms);
        if (by_errors || by_ratio) {
            bool follows = view.level && now_ms < view.time_ms + longest(rules);
            unsigned level = follows ? view.level + 1 : 1;
            *open_ms = open_time(rules, level, result);
            to = pack(BREAKER_OPEN, level, 0, now_ms + *open_ms);
        }
        if (swap(cell, &word, to))
            return by_errors ? BREAKER_BY_ERRORS : by_ratio ? BREAKER_BY_RATIO : BREAKER_STAYS;
    }
}

void breaker_give_back(struct breaker_cell *cell, uint64_t ticket, uint64_t at_ms)
{
    uint64_t word = ticket;
    swap(cell, &word, pack(BREAKER_OPEN, unpack(ticket).level, 0, at_ms));
}

void breaker_release(struct breaker_cell *cell, unsigned slot)
{
    uint64_t word = load(cell);
    struct breaker_view view = unpack(word);
    if (view.state == BREAKER_HALF_OPEN && view.count == slot)
        swap(cell, &word, pack(BREAKER_OPEN, view.level, 0, 0));
}
