/* budget: the word. Called for calls to upstreams that repeat or hedge (worker/upstream/retry.c). */
#include "shared/shm/budget.h"

#include <math.h>

/* The word: tries in 256ths, and the time up to which it is reckoned, in ms, plus one; 0: never used. */
enum { TRY = 256, TRIES_BITS = 24, TRIES_MOST = (1 << TRIES_BITS) - 1 };

static uint64_t pack(double tries, uint64_t time_ms)
{
    double units = tries * TRY;
    uint64_t whole = units < TRIES_MOST ? (uint64_t)units : TRIES_MOST;
    return (time_ms + 1) << TRIES_BITS | whole;
}

/* How much may have come to be before the first call: a second's worth. */
static double initial(const struct budget_rules *rules)
{
    return rules->minimum;
}

/* What the word comes to now: what was there fades, what the time brings comes in. In steps that are long enough to be
 * reckoned in whole parts; `*time_ms` is up to when it was. */
static double reckon(uint64_t word, const struct budget_rules *rules, uint64_t now_ms, uint64_t *time_ms)
{
    double tries = (double)(word & TRIES_MOST) / TRY;
    double window = rules->window ? (double)rules->window : 1;
    *time_ms = now_ms;
    if (!word)
        return initial(rules);
    uint64_t then = (word >> TRIES_BITS) - 1;
    if (now_ms <= then) { /* another process's clock is ahead by a turn of its loop */
        *time_ms = then;
        return tries;
    }
    double passed = (double)(now_ms - then);
    if (passed * 64 < window && rules->minimum * passed < 1000) {
        *time_ms = then;
        return tries;
    }
    double fade = exp(-passed / window);
    return tries * fade + rules->minimum * window / 1000 * (1 - fade);
}

static bool swap(_Atomic uint64_t *budget, uint64_t *was, uint64_t to)
{
    return atomic_compare_exchange_weak_explicit(budget, was, to, memory_order_relaxed, memory_order_relaxed);
}

void budget_pay(_Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms,
                struct payer *payer)
{
    uint64_t word = atomic_load_explicit(budget, memory_order_relaxed), time, to;
    do {
        double tries = reckon(word, rules, now_ms, &time);
        to = pack(tries + rules->ratio * payer->calls, time);
    } while (!swap(budget, &word, to));
    payer->calls = 0;
    payer->paid_ms = now_ms;
}

bool budget_take(_Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms,
                 struct payer *payer)
{
    if (payer->calls)
        budget_pay(budget, rules, now_ms, payer);
    uint64_t word = atomic_load_explicit(budget, memory_order_relaxed), time;
    for (;;) {
        double tries = reckon(word, rules, now_ms, &time);
        if (tries < 1)
            return false;
        if (swap(budget, &word, pack(tries - 1, time)))
            return true;
    }
}

double budget_left(const _Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms)
{
    uint64_t time;
    return floor(reckon(atomic_load_explicit(budget, memory_order_relaxed), rules, now_ms, &time));
}
