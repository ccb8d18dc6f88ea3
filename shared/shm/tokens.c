/* tokens: the zone. Asked and filled by the schemes that identify callers (worker/policy). */
#include "shared/shm/tokens.h"

#include <stdalign.h>
#include <string.h>

#include "shared/base/clock.h"

#ifndef TOKENS_STEP
#define TOKENS_STEP(name) /* where a test may stop a writer */
#endif

enum {
    WAYS = 4, /* places that a digest can be in */
    DIGEST_WORDS = TOKEN_DIGEST / sizeof(uint64_t),
    TEXT_WORDS = TOKEN_TEXT / sizeof(uint64_t),
};

/* `version` is even while the rest is whole, and 0 while there was never anything. A writer, who has the set's lock, makes it
 * odd first; one who dies then leaves it so, and nobody finds it until the next writer takes the place. */
struct place {
    alignas(64) _Atomic uint64_t version;
    _Atomic uint64_t ends;  /* seconds of the wall clock; 0: nothing is kept */
    _Atomic uint64_t asked; /* when it was last found */
    _Atomic uint64_t length;
    _Atomic uint64_t digest[DIGEST_WORDS];
    _Atomic uint64_t text[TEXT_WORDS];
};
_Static_assert(sizeof(struct place) == 1024, "whole cache lines");

struct set {
    alignas(64) struct lock lock;
    struct place places[WAYS];
};

struct tokens {
    alignas(64) uint64_t sets; /* less than 2^32 */
    struct set set[];
};

static uint64_t sets_of(size_t size)
{
    size_t least = sizeof(struct tokens) + sizeof(struct set);
    return size < least ? 1 : (size - sizeof(struct tokens)) / sizeof(struct set);
}

static size_t size_of(const struct segment_plan *plan)
{
    return sizeof(struct tokens) + sets_of(plan->tokens) * sizeof(struct set);
}

static void init(void *zone, size_t size, const struct segment_plan *plan)
{
    struct tokens *tokens = zone;
    (void)plan;
    tokens->sets = sets_of(size);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static struct zone_use use(const void *zone)
{
    const struct tokens *tokens = zone;
    struct zone_use use = {.room = tokens->sets * WAYS, .of = "credentials"};
    uint64_t now = clock_wall_ns() / NS_PER_SECOND;
    for (uint64_t i = 0; i < tokens->sets; i++)
        for (unsigned way = 0; way < WAYS; way++)
            use.used += load(&tokens->set[i].places[way].ends) > now;
    return use;
}

const struct zone_kind tokens_kind = {
    .name = "tokens", .version = 1, .size = size_of, .init = init, .use = use};

/* A digest as words: any of them says where it is kept. */
struct key {
    uint64_t words[DIGEST_WORDS];
};

static struct key key_of(const uint8_t digest[TOKEN_DIGEST])
{
    struct key key;
    memcpy(key.words, digest, sizeof key.words);
    return key;
}

static bool has(const struct place *place, const struct key *key)
{
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        if (load(&place->digest[i]) != key->words[i])
            return false;
    return true;
}

/* A digest is as good as random: its first half word, as a fraction of all. */
static struct set *set_of(struct tokens *tokens, const struct key *key)
{
    return &tokens->set[(key->words[0] >> 32) * tokens->sets >> 32];
}

/* --- reading --- */

static bool read_place(struct place *place, const struct key *key, uint64_t now, char *text, size_t *length)
{
    uint64_t version = atomic_load_explicit(&place->version, memory_order_acquire);
    if (version & 1 || !has(place, key) || load(&place->ends) <= now)
        return false;
    uint64_t bytes = load(&place->length);
    if (bytes > TOKEN_TEXT)
        return false;
    for (uint64_t i = 0; i * sizeof(uint64_t) < bytes; i++) {
        uint64_t word = load(&place->text[i]);
        memcpy(text + i * sizeof word, &word, sizeof word);
    }
    atomic_thread_fence(memory_order_acquire);
    if (load(&place->version) != version)
        return false;
    if (load(&place->asked) != now) /* the line is shared: written once a second, not at each question */
        store(&place->asked, now);
    *length = bytes;
    return true;
}

bool tokens_find(struct tokens *tokens, const uint8_t digest[TOKEN_DIGEST], uint64_t now, char *text,
                 size_t *length)
{
    struct key key = key_of(digest);
    struct set *set = set_of(tokens, &key);
    for (unsigned way = 0; way < WAYS; way++)
        if (read_place(&set->places[way], &key, now, text, length))
            return true;
    return false;
}

/* --- writing --- */

/* The place that has it, or else one that is over, or else the one that was asked for longest ago. */
static struct place *choose(struct set *set, const struct key *key, uint64_t now)
{
    struct place *worst = NULL;
    uint64_t worst_asked = 0;
    for (unsigned way = 0; way < WAYS; way++) {
        struct place *place = &set->places[way];
        bool over = load(&place->version) & 1 || load(&place->ends) <= now;
        uint64_t asked = over ? 0 : load(&place->asked) + 1;
        if (has(place, key))
            return place;
        if (!worst || asked < worst_asked) {
            worst = place;
            worst_asked = asked;
        }
    }
    return worst;
}

static void write_place(struct place *place, const struct key *key, uint64_t now, uint64_t ends,
                        struct str text)
{
    uint64_t version = load(&place->version) | 1;
    store(&place->version, version);
    /* Who sees a word of what follows also sees that it isn't whole. */
    atomic_thread_fence(memory_order_release);
    TOKENS_STEP("begun");
    store(&place->ends, ends);
    store(&place->asked, now);
    store(&place->length, text.length);
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        store(&place->digest[i], key->words[i]);
    TOKENS_STEP("named");
    for (size_t at = 0; at < text.length; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        size_t left = text.length - at;
        memcpy(&word, text.data + at, left < sizeof word ? left : sizeof word);
        store(&place->text[at / sizeof word], word);
    }
    atomic_store_explicit(&place->version, version + 1, memory_order_release);
}

bool tokens_keep(struct tokens *tokens, const struct lock_caller *caller, const uint8_t digest[TOKEN_DIGEST],
                 uint64_t now, uint64_t ends, struct str text)
{
    struct key key = key_of(digest);
    struct set *set = set_of(tokens, &key);
    if (text.length > TOKEN_TEXT || ends <= now || !lock_take(&set->lock, caller, LOCK_TRIES))
        return false;
    write_place(choose(set, &key, now), &key, now, ends, text);
    lock_drop(&set->lock);
    return true;
}
