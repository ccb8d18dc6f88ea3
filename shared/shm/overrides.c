/* overrides: two editions, of which one is in force. */
#include "shared/shm/overrides.h"

#include <stdalign.h>
#include <string.h>

struct edition {
    uint32_t count;
    struct override item[OVERRIDES_MAX];
};

struct overrides {
    alignas(64) _Atomic uint64_t serial; /* its lowest bit says which edition */
    struct edition edition[2];
};

static size_t overrides_size(const struct segment_plan *plan)
{
    (void)plan;
    return sizeof(struct overrides);
}

static void overrides_init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)zone; /* it is all zero */
    (void)size;
    (void)plan;
}

uint64_t overrides_serial(const struct overrides *overrides)
{
    return atomic_load_explicit(&overrides->serial, memory_order_acquire);
}

static struct zone_use overrides_use(const void *zone)
{
    const struct overrides *overrides = zone;
    uint32_t count = overrides->edition[overrides_serial(overrides) & 1].count;
    return (struct zone_use){count < OVERRIDES_MAX ? count : OVERRIDES_MAX, OVERRIDES_MAX, "settings"};
}

const struct zone_kind overrides_kind = {
    .name = "overrides",
    .version = 1,
    .size = overrides_size,
    .init = overrides_init,
    .use = overrides_use,
};

/* Whoever wrote it may have gone wild: texts end where they must. */
static void read_one(struct override *out, const struct override *item)
{
    memcpy(out, item, sizeof *out);
    out->name[OVERRIDE_NAME - 1] = out->value[OVERRIDE_VALUE - 1] = out->before[OVERRIDE_VALUE - 1] = 0;
}

int overrides_read(const struct overrides *overrides, struct override *out, uint64_t *serial)
{
    *serial = overrides_serial(overrides);
    const struct edition *edition = &overrides->edition[*serial & 1];
    uint32_t count = edition->count;
    if (count > OVERRIDES_MAX)
        count = OVERRIDES_MAX;
    for (uint32_t i = 0; i < count; i++)
        read_one(&out[i], &edition->item[i]);
    atomic_thread_fence(memory_order_acquire);
    /* The edition is written to again only after the other one was published. */
    return overrides_serial(overrides) == *serial ? (int)count : -1;
}

static bool is_of(const struct override *item, struct str name)
{
    return strnlen(item->name, OVERRIDE_NAME) == name.length &&
           memcmp(item->name, name.data, name.length) == 0;
}

int overrides_set(struct overrides *overrides, struct str name, const char *value, const char *before)
{
    uint64_t serial = overrides_serial(overrides);
    const struct edition *old = &overrides->edition[serial & 1];
    struct edition *new = &overrides->edition[~serial & 1];
    if (name.length >= OVERRIDE_NAME || (value && strlen(value) >= OVERRIDE_VALUE) ||
        (before && strlen(before) >= OVERRIDE_VALUE))
        return -1;
    uint32_t count = 0;
    /* Who sees a part of what follows also sees that this edition is not in force any more. */
    atomic_thread_fence(memory_order_release);
    for (uint32_t i = 0; i < old->count && i < OVERRIDES_MAX; i++)
        if (!is_of(&old->item[i], name))
            new->item[count++] = old->item[i];
    if (value && count == OVERRIDES_MAX)
        return -1;
    if (value) {
        struct override *item = &new->item[count++];
        memset(item, 0, sizeof *item);
        memcpy(item->name, name.data, name.length);
        strcpy(item->value, value);
        strcpy(item->before, before);
    }
    new->count = count;
    atomic_store_explicit(&overrides->serial, serial + 1, memory_order_release);
    return 0;
}
