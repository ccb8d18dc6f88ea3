/* pairs: finding a key's pair, changing it, giving a new key the place of one that holds nothing. Called by limits.c and
 * quotas.c.
 */
#include "shared/shm/pairs.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "shared/base/hash.h"

/* A test stops here. */
#ifndef PAIRS_STEP
#define PAIRS_STEP(name)
#endif

enum { OF_BUCKET = 4, BUCKETS_A_LOCK = 8 };

struct bucket {
    alignas(64) struct pair pair[OF_BUCKET];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

struct pairs {
    uint32_t bucket_count;
    uint32_t lock_count;
    uint64_t buckets; /* offset of the first from the zone's start; the locks lie before it */
    uint32_t reserved[SEGMENT_PAGE / sizeof(uint32_t) - 4]; /* the frozen page */
    uint64_t secret[2];
    _Atomic uint64_t own;
    uint64_t unused[5];
    struct lock locks[];
};
_Static_assert(offsetof(struct pairs, secret) == SEGMENT_PAGE, "only the first page is frozen");
_Static_assert(sizeof(struct pairs) % sizeof(struct bucket) == 0, "locks begin with a cache line");

/* Locks are whole cache lines. */
static size_t locks_size(size_t buckets)
{
    size_t size = (buckets / BUCKETS_A_LOCK + 1) * sizeof(struct lock);
    return (size + sizeof(struct bucket) - 1) & ~(sizeof(struct bucket) - 1);
}

/* The buckets that fit into a zone of this size. */
static size_t buckets_of(size_t size)
{
    size_t fixed = sizeof(struct pairs) + 2 * sizeof(struct bucket);
    size_t bits = 8 * sizeof(struct bucket) + 8 * sizeof(struct lock) / BUCKETS_A_LOCK;
    size_t count = size > fixed ? (size - fixed) * 8 / bits : 0;
    return count < UINT32_MAX ? count : UINT32_MAX;
}

size_t pairs_size(size_t wanted)
{
    enum { LEAST = 2 * SEGMENT_PAGE };
    return wanted < LEAST ? LEAST : wanted;
}

void pairs_init(void *zone, size_t size)
{
    struct pairs *pairs = zone;
    pairs->bucket_count = (uint32_t)buckets_of(size);
    pairs->lock_count = pairs->bucket_count / BUCKETS_A_LOCK + 1;
    pairs->buckets = sizeof(struct pairs) + locks_size(pairs->bucket_count);
    assert(pairs->bucket_count > 1 &&
           pairs->buckets + (uint64_t)pairs->bucket_count * sizeof(struct bucket) <= size);
    if (getrandom(pairs->secret, sizeof(pairs->secret), 0) != sizeof(pairs->secret))
        abort(); /* 16 bytes are given whole once the kernel is up (getrandom(2)) */
}

uint64_t pairs_room(const struct pairs *pairs)
{
    return (uint64_t)pairs->bucket_count * OF_BUCKET;
}

uint64_t pairs_key(const void *zone, const void *data, size_t length)
{
    const struct pairs *pairs = zone;
    uint64_t key = hash_keyed(pairs->secret, data, length);
    return key ? key : 1;
}

/* The two that a key may be in. */
static struct bucket *bucket_of(const struct pairs *pairs, uint64_t key, unsigned which)
{
    struct bucket *buckets = (struct bucket *)((char *)pairs + pairs->buckets);
    uint64_t count = pairs->bucket_count;
    uint64_t first = (key >> 32) * count >> 32, second = (key & UINT32_MAX) * count >> 32;
    if (second == first)
        second = (first + 1) % count;
    return &buckets[which ? second : first];
}

static struct pair *find(const struct pairs *pairs, uint64_t key)
{
    for (unsigned which = 0; which < 2; which++) {
        struct bucket *bucket = bucket_of(pairs, key, which);
        for (unsigned i = 0; i < OF_BUCKET; i++)
            if (atomic_load_explicit(&bucket->pair[i].key, memory_order_acquire) == key)
                return &bucket->pair[i];
    }
    return NULL;
}

uint64_t pairs_word(const struct pairs *pairs, uint64_t key)
{
    const struct pair *pair = find(pairs, key);
    struct pair_value value = pair ? pair_load(pair) : (struct pair_value){0, 0};
    return value.key == key ? value.word : 0;
}

/* A place that is free, of the emptier bucket; the first of equals, as it is looked at first. NULL: none. `value` is what
 * is there. */
static struct pair *find_place(const struct pairs *pairs, uint64_t key, const struct pairs_rule *rule,
                               void *context, struct pair_value *value)
{
    struct pair *best = NULL;
    unsigned most = 0;
    for (unsigned which = 0; which < 2; which++) {
        struct bucket *bucket = bucket_of(pairs, key, which);
        struct pair *place = NULL;
        struct pair_value there = {0, 0};
        unsigned free_count = 0;
        for (unsigned i = 0; i < OF_BUCKET; i++) {
            struct pair_value one = pair_load(&bucket->pair[i]);
            if (one.key && !rule->is_idle(context, one.word))
                continue;
            free_count++;
            if (!place || !one.key) { /* rather nobody's than one whose owner may come back */
                place = &bucket->pair[i];
                there = one;
            }
        }
        if (free_count > most) {
            most = free_count;
            best = place;
            *value = there;
        }
    }
    return best;
}

/* Under the key's lock, so that nobody else makes a pair for it. The places are other keys' too, who have other locks: a
 * place that was taken meanwhile isn't what it was, and another one is looked for. */
static enum pairs_result insert(struct pairs *pairs, uint64_t key, const struct pairs_rule *rule,
                                void *context)
{
    struct pair_value old;
    struct pair *place;
    /* Whoever threw the key's last pair out did so before it was looked for in vain: this clock is behind his. */
    rule->renew(context);
    while ((place = find_place(pairs, key, rule, context, &old))) {
        struct pair_value new = {.key = key};
        if (!rule->next(context, 0, &new.word))
            return PAIRS_KEPT;
        PAIRS_STEP("place found");
        if (pair_swap(place, old, new))
            return PAIRS_DONE;
    }
    return PAIRS_FULL;
}

/* Of a pair that was there; false: it is another key's by now. */
static bool change(struct pair *pair, uint64_t key, const struct pairs_rule *rule, void *context,
                   enum pairs_result *result)
{
    for (;;) {
        struct pair_value old = pair_load(pair), new = {.key = key};
        if (old.key != key)
            return false;
        *result = PAIRS_KEPT;
        if (!rule->next(context, old.word, &new.word)) {
            if (atomic_load_explicit(&pair->key, memory_order_acquire) == key)
                return true;
            continue; /* the word may have been another key's */
        }
        PAIRS_STEP("word made");
        *result = PAIRS_DONE;
        if (pair_swap(pair, old, new))
            return true;
    }
}

enum pairs_result pairs_update(struct pairs *pairs, const struct lock_caller *caller, uint64_t key,
                               const struct pairs_rule *rule, void *context, unsigned tries)
{
    struct lock *lock = &pairs->locks[key % pairs->lock_count];
    enum pairs_result result = PAIRS_KEPT;
    uint64_t ignored;
    __builtin_prefetch(bucket_of(pairs, key, 1));
    for (;;) {
        struct pair *pair = find(pairs, key);
        if (pair && change(pair, key, rule, context, &result))
            return result;
        if (!pair && !rule->next(context, 0, &ignored))
            return PAIRS_KEPT;
        if (!lock_take(lock, caller, tries))
            return PAIRS_BUSY;
        PAIRS_STEP("locked");
        pair = find(pairs, key);
        if (!pair) {
            PAIRS_STEP("not found");
            result = insert(pairs, key, rule, context);
            PAIRS_STEP("inserted");
        }
        lock_drop(lock);
        PAIRS_STEP("dropped");
        if (!pair)
            return result;
    }
}

_Atomic uint64_t *pairs_own(struct pairs *pairs)
{
    return &pairs->own;
}

struct zone_use pairs_use(const struct pairs *pairs, bool (*holds)(uint64_t word, uint64_t at), uint64_t now)
{
    const struct bucket *buckets = (const struct bucket *)((const char *)pairs + pairs->buckets);
    struct zone_use use = {.room = pairs_room(pairs), .of = "keys"};
    for (uint32_t i = 0; i < pairs->bucket_count; i++)
        for (unsigned j = 0; j < OF_BUCKET; j++) {
            struct pair_value value = pair_load(&buckets[i].pair[j]);
            use.used += value.key && holds(value.word, now);
        }
    return use;
}

/* --- snapshots --- */

struct saved {
    uint64_t secret[2];
    uint64_t own;
    struct pair_value pair[];
};

/* Not halves of two: what was read twice alike was there. */
static struct pair_value read_whole(const struct pair *pair)
{
    struct pair_value value = pair_load(pair), again;
    while ((again = pair_load(pair)).key != value.key || again.word != value.word)
        value = again;
    return value;
}

size_t pairs_save(const void *zone, void *out, size_t size)
{
    const struct pairs *pairs = zone;
    const struct bucket *buckets = (const struct bucket *)((const char *)pairs + pairs->buckets);
    struct saved *saved = out;
    size_t count = 0, most = (size - sizeof *saved) / sizeof saved->pair[0];
    *saved = (struct saved){{pairs->secret[0], pairs->secret[1]},
                            atomic_load_explicit(&pairs->own, memory_order_relaxed)};
    for (uint32_t i = 0; i < pairs->bucket_count; i++)
        for (unsigned j = 0; j < OF_BUCKET && count < most; j++) {
            struct pair_value value = read_whole(&buckets[i].pair[j]);
            if (value.key)
                saved->pair[count++] = value;
        }
    return sizeof *saved + count * sizeof saved->pair[0];
}

static bool take_word(void *context, uint64_t word, uint64_t *next)
{
    (void)word;
    *next = *(const uint64_t *)context;
    return true;
}

static bool is_never_idle(const void *context, uint64_t word)
{
    (void)context;
    (void)word;
    return false;
}

static void renew_nothing(void *context)
{
    (void)context;
}

bool pairs_load(struct pairs *pairs, const void *data, size_t size,
                uint64_t (*word)(uint64_t saved, const struct zone_time *then), const struct zone_time *time)
{
    static const struct pairs_rule rule = {take_word, is_never_idle, renew_nothing};
    const struct saved *saved = data;
    if (size < sizeof *saved || (size - sizeof *saved) % sizeof saved->pair[0])
        return false;
    size_t count = (size - sizeof *saved) / sizeof saved->pair[0];
    bool whole = true;
    pairs->secret[0] = saved->secret[0];
    pairs->secret[1] = saved->secret[1];
    atomic_store_explicit(&pairs->own, saved->own, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = saved->pair[i].key, now = word(saved->pair[i].word, time);
        if (now && (!key || find(pairs, key) || insert(pairs, key, &rule, &now) != PAIRS_DONE))
            whole = false;
    }
    return whole;
}
