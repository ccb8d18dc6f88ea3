/* split: which of several upstreams gets a request. Called when a configuration is compiled, and by proxy. */
#include "worker/upstream/split.h"

#include "shared/base/buf.h"
#include "shared/base/hash.h"

/* Of the names, so that two splits don't give the same clients the new upstream; not of the weights. */
static uint64_t key_of(const struct split *split)
{
    uint64_t key = 0;
    for (unsigned i = 0; i < split->count; i++)
        key = key * 0x9e3779b97f4a7c15 + hash_name(split->variants[i].name);
    return key;
}

void split_prepare(struct split *split, struct str by)
{
    split->key[0] = key_of(split);
    split->key[1] = hash_name(by);
    split->total = 0;
    for (unsigned i = 0; i < split->count; i++) {
        struct variant *variant = &split->variants[i];
        struct buf token = buf_on(variant->token, sizeof variant->token);
        split->total += variant->weight;
        variant->below = split->total;
        buf_hex(&token, hash_keyed(split->key, variant->name.data, variant->name.length), SPLIT_TOKEN);
    }
}

const struct variant *split_at(const struct split *split, uint64_t point)
{
    uint64_t at = (uint64_t)(((unsigned __int128)point * split->total) >> 64);
    const struct variant *variant = split->variants;
    while (at >= variant->below)
        variant++;
    return variant;
}

const struct variant *split_of_value(const struct split *split, struct str value)
{
    return split_at(split, hash_keyed(split->key, value.data, value.length));
}

const struct variant *split_of_token(const struct split *split, struct str token)
{
    for (unsigned i = 0; i < split->count; i++)
        if (str_eq(token, (struct str){split->variants[i].token, SPLIT_TOKEN}))
            return &split->variants[i];
    return NULL;
}
