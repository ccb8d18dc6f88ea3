/* pair: two words that change together: a key and what belongs to it.
 *
 * Whoever found a pair by its key can't change the word of another key that took the place meanwhile: both words are
 * compared. So a pair changes hands in one step, and a process that dies leaves it either as it was or as it is to be.
 */
#ifndef SHM_PAIR_H
#define SHM_PAIR_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pair {
    alignas(16) _Atomic uint64_t key; /* 0: nobody's */
    _Atomic uint64_t word;
};
_Static_assert(sizeof(struct pair) == 16, "a pair is two words");

/* A copy. The two words of a pair that another process is changing may not belong together: pair_swap() finds out. */
struct pair_value {
    uint64_t key, word;
};

static inline struct pair_value pair_load(const struct pair *pair)
{
    return (struct pair_value){atomic_load_explicit(&pair->key, memory_order_acquire),
                               atomic_load_explicit(&pair->word, memory_order_acquire)};
}

/* False: it isn't `old` any more. A full barrier. */
static inline bool pair_swap(struct pair *pair, struct pair_value old, struct pair_value new)
{
    typedef unsigned __int128 both __attribute__((may_alias));
    union {
        struct pair_value value;
        unsigned __int128 both;
    } from = {old}, to = {new};
    return __sync_bool_compare_and_swap((both *)pair, from.both, to.both);
}

#endif
