/* consumers: see consumers.h. Both tables are open-addressed, at most half full: a look-up ends at a free place. */
#include "shared/conf/consumers.h"

#include <string.h>

#include "shared/base/hash.h"
#include "shared/conf/sections.h"

struct consumers {
    struct consumer_key *keys;
    const struct consumer **names;
    size_t key_mask, name_mask;
};

/* --- looking up --- */

/* A digest is as good a hash as any: who could choose its bits would have to choose keys by the million, and those aren't in
 * the table. */
static size_t key_place(const struct consumers *consumers, const unsigned char digest[32])
{
    uint64_t first;
    memcpy(&first, digest, sizeof first);
    return (size_t)first & consumers->key_mask;
}

/* The same time whatever the bytes are. */
static bool digests_equal(const unsigned char a[32], const unsigned char b[32])
{
    uint64_t x[4], y[4];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

/* Where it is, or would be. */
static struct consumer_key *key_find(const struct consumers *consumers, const unsigned char digest[32])
{
    size_t place = key_place(consumers, digest);
    while (consumers->keys[place].consumer && !digests_equal(consumers->keys[place].digest, digest))
        place = (place + 1) & consumers->key_mask;
    return &consumers->keys[place];
}

const struct consumer_key *consumers_by_key(const struct consumers *consumers, const unsigned char digest[32])
{
    if (!consumers)
        return NULL;
    const struct consumer_key *key = key_find(consumers, digest);
    return key->consumer ? key : NULL;
}

static const struct consumer **name_find(const struct consumers *consumers, struct str name)
{
    size_t place = (size_t)hash_name(name) & consumers->name_mask;
    while (consumers->names[place] && !str_eq(consumers->names[place]->name, name))
        place = (place + 1) & consumers->name_mask;
    return &consumers->names[place];
}

const struct consumer *consumers_by_name(const struct consumers *consumers, struct str name)
{
    const struct consumer *consumer = consumers ? *name_find(consumers, name) : NULL;
    return consumer && !consumer->off ? consumer : NULL;
}

bool consumers_know(const struct consumers *consumers, struct str name)
{
    return consumers && *name_find(consumers, name);
}

struct str consumer_fact(const struct consumer *consumer, struct str name)
{
    if (str_eq(name, STR("plan")))
        return consumer->plan;
    if (str_eq(name, STR("groups")))
        return consumer->groups;
    for (unsigned i = 0; i < consumer->metadata_count; i++)
        if (str_eq(consumer->metadata[i].name, name))
            return consumer->metadata[i].value;
    return (struct str){NULL, 0};
}

bool consumer_in_group(const struct consumer *consumer, struct str group)
{
    for (unsigned i = 0; i < consumer->group_count; i++)
        if (str_eq(consumer->group_list[i], group))
            return true;
    return false;
}

/* --- building --- */

/* A power of two, more than twice as many. */
static size_t places_for(size_t count)
{
    size_t places = 4;
    while (places <= 2 * count)
        places *= 2;
    return places;
}

static void set_groups(struct consumer *consumer, const struct conf_strings *groups, struct arena *arena)
{
    struct str *list = arena_array(arena, groups->count, sizeof *list);
    size_t size = 0, length = 0;
    for (unsigned i = 0; i < groups->count; i++) {
        list[i] = str_of(groups->items[i]);
        size += list[i].length + 1;
    }
    char *text = arena_alloc(arena, size + 1);
    for (unsigned i = 0; i < groups->count; i++) {
        if (i)
            text[length++] = ',';
        memcpy(text + length, list[i].data, list[i].length);
        length += list[i].length;
    }
    consumer->groups = (struct str){text, length};
    consumer->group_list = list;
    consumer->group_count = groups->count;
}

static void set_metadata(struct consumer *consumer, const struct conf_list *list, struct arena *arena)
{
    struct consumer_fact *facts = arena_array(arena, list->count, sizeof *facts);
    for (unsigned i = 0; i < list->count; i++) {
        const struct consumer_metadata_settings *item = list->items[i];
        facts[i] = (struct consumer_fact){str_of(item->name), str_of(item->value)};
    }
    consumer->metadata = facts;
    consumer->metadata_count = list->count;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

static void add_keys(struct conf_loader *loader, struct consumers *consumers, const struct consumer *consumer,
                     const struct consumer_settings *settings, unsigned index)
{
    struct arena *arena = conf_arena(loader);
    for (unsigned i = 0; i < settings->keys.count; i++) {
        const struct consumer_key_settings *key = settings->keys.items[i];
        struct consumer_key *place = key_find(consumers, key->sha256);
        if (place->consumer) {
            conf_error(loader, key->origin, arena_printf(arena, "consumers[%u].keys[%u]", index, i),
                       "is a key of \"%.*s\" too (a key is one consumer's, once)",
                       STR_ARG(place->consumer->name));
            continue;
        }
        memcpy(place->digest, key->sha256, sizeof place->digest);
        place->expires = sooner(key->expires_at, consumer->expires);
        place->consumer = consumer;
    }
}

static void add_consumer(struct conf_loader *loader, struct consumers *consumers, struct consumer *consumer,
                         const struct consumer_settings *settings, unsigned index)
{
    struct arena *arena = conf_arena(loader);
    const struct consumer **place;
    consumer->name = str_of(settings->name);
    if (!settings->name)
        return; /* reported */
    place = name_find(consumers, consumer->name);
    if (*place) {
        conf_error(loader, settings->origin, arena_printf(arena, "consumers[%u].name", index),
                   "\"%s\" is taken by another consumer (each needs one of its own)", settings->name);
        return;
    }
    consumer->plan = str_of(settings->plan);
    consumer->expires = settings->expires_at;
    set_groups(consumer, &settings->groups, arena);
    set_metadata(consumer, &settings->metadata, arena);
    consumer->off = !settings->enabled;
    *place = consumer;
    if (settings->enabled)
        add_keys(loader, consumers, consumer, settings, index);
}

const struct consumers *consumers_build(struct conf_loader *loader, const struct conf_list *list)
{
    struct arena *arena = conf_arena(loader);
    size_t keys = 0;
    for (unsigned i = 0; i < list->count; i++)
        keys += ((const struct consumer_settings *)list->items[i])->keys.count;
    if (list->count == 0)
        return NULL;
    struct consumers *consumers = arena_zalloc(arena, sizeof *consumers);
    struct consumer *all = arena_array(arena, list->count, sizeof *all);
    consumers->key_mask = places_for(keys) - 1;
    consumers->name_mask = places_for(list->count) - 1;
    consumers->keys = arena_array(arena, consumers->key_mask + 1, sizeof *consumers->keys);
    consumers->names = arena_array(arena, consumers->name_mask + 1, sizeof *consumers->names);
    for (unsigned i = 0; i < list->count; i++)
        add_consumer(loader, consumers, &all[i], list->items[i], i);
    return consumers;
}
