/* key_ring: asked by the schemes that verify by the keys of issuers. Each process has its own: what was made before the fork is
 * empty.
 */
#include "worker/request/key_ring.h"

#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/shm/keys.h"
#include "worker/request/worker.h"

struct key_ring {
    const struct key_set *set;
    struct arena *arena; /* the keys'; NULL: there are none */
    struct jose_keys keys;
    uint64_t seen;
};

static void ring_free(void *object)
{
    struct key_ring *ring = object;
    arena_free(&ring->arena);
    free(ring);
}

struct key_ring *key_ring_new(const struct key_set *set, struct arena *arena)
{
    struct key_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        abort();
    ring->set = set;
    arena_on_free(arena, ring_free, ring);
    return ring;
}

/* The keeper has looked the text over: that it can't be read here would be a fault of ours. */
static void replace(struct key_ring *ring, const struct keys *keys)
{
    struct arena *arena = arena_new(16384);
    struct jose_keys fresh = {.count = 0};
    const char *why;
    if (!jose_keys_add(arena, &fresh, (struct str){keys->json, keys->length}, false, &why)) {
        log_error("key set %s: what was fetched can't be used: %s; the keys before it stay",
                  ring->set->settings->name, why);
        arena_free(&arena);
        return;
    }
    arena_free(&ring->arena);
    ring->arena = arena;
    ring->keys = fresh;
}

const struct jose_keys *key_ring_keys(struct key_ring *ring, const struct worker *worker, uint64_t *serial)
{
    const struct keys_cell *cell =
        keys_cell(worker->shared->keys, worker->generation->cells[ring->set->want]);
    if (twin_changed(&cell->twin, ring->seen)) {
        struct keys *keys = malloc(sizeof *keys);
        if (keys && keys_read(cell, keys, &ring->seen))
            replace(ring, keys);
        free(keys);
    }
    *serial = ring->seen;
    return &ring->keys;
}
