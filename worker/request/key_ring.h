/* key_ring: the keys of a fetched key set as a worker has them: read again when the keeper has published others. */
#ifndef REQUEST_KEY_RING_H
#define REQUEST_KEY_RING_H

#include "worker/codec/jose_key.h"
#include "worker/request/key_set.h"

struct worker;
struct key_ring;

/* Lives as long as `arena`. `set` is in the generation. */
struct key_ring *key_ring_new(const struct key_set *set, struct arena *arena);

/* Those that hold now; they change at the next call at the earliest. `*serial` is another one for other keys; 0: none were ever
 * fetched. */
const struct jose_keys *key_ring_keys(struct key_ring *ring, const struct worker *worker, uint64_t *serial);

#endif
