/* budget: how many tries beyond the first the node may make to an upstream: one word, changed by compare-and-swap.
 *
 * Each call pays `ratio` of a try in, each second pays `minimum`, a further try takes one out, and what isn't used fades
 * away within about `window`. So over any span the further tries are at most ratio × calls + minimum × (seconds + 1),
 * whatever fails. A process pays in for several calls at once (struct payer): the word is seldom written.
 */
#ifndef SHM_BUDGET_H
#define SHM_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget_rules {
    double ratio;    /* of calls */
    double minimum;  /* tries a second */
    uint64_t window; /* ms */
};

/* A process's part: calls that it hasn't paid in for. */
struct payer {
    uint32_t calls;
    uint64_t paid_ms; /* when it paid last */
};

enum { PAYER_CALLS = 32, PAYER_MS = 100 };

/* Pays in what the payer owes. */
void budget_pay(_Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms,
                struct payer *payer);

/* A call begins. */
static inline void budget_call(_Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms,
                               struct payer *payer)
{
    if (++payer->calls >= PAYER_CALLS || now_ms - payer->paid_ms >= PAYER_MS)
        budget_pay(budget, rules, now_ms, payer);
}

/* Takes one try out. False: there is none. */
bool budget_take(_Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms,
                 struct payer *payer);

/* Whole tries that are there now. */
double budget_left(const _Atomic uint64_t *budget, const struct budget_rules *rules, uint64_t now_ms);

#endif
