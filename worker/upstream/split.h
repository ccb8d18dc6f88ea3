/* split: which of several upstreams gets a request: a share for each, by its weight. Pure.
 *
 * The same value is given to the same upstream by every worker and node, before and after a reload: what decides is the
 * configuration alone. When weights change, only those move that must.
 */
#ifndef UPSTREAM_SPLIT_H
#define UPSTREAM_SPLIT_H

#include "shared/base/arena.h"
#include "shared/base/random.h"
#include "shared/base/str.h"

enum { SPLIT_TOKEN = 16 };

struct variant {
    struct str name;   /* of the upstream */
    unsigned upstream; /* its index in the settings */
    uint64_t weight;
    uint64_t below;          /* the sum of the weights up to and with this one */
    char token[SPLIT_TOKEN]; /* stands for it in a cookie */
};

struct split {
    struct variant *variants; /* name, upstream and weight are the caller's to fill in */
    unsigned count;
    uint64_t total; /* not 0 */
    uint64_t key[2];
};

/* Makes what follows from the variants; `by` is the name of what is hashed, or empty. */
void split_prepare(struct split *split, struct str by);

/* One of the variants, by its weight: for a random number, or for a value. */
const struct variant *split_at(const struct split *split, uint64_t point);
const struct variant *split_of_value(const struct split *split, struct str value);

static inline const struct variant *split_random(const struct split *split, struct random *random)
{
    return split_at(split, random_next(random));
}

/* The variant that a token stands for, whatever its weight; NULL: none. */
const struct variant *split_of_token(const struct split *split, struct str token);

#endif
