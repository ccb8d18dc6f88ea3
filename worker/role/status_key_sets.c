/* status_key_sets: called by status.c, in the keeper, which fetches them. */
#include "worker/role/status_key_sets.h"

#include "shared/base/clock.h"
#include "worker/request/site.h"
#include "worker/service/jwks.h"

static json_t *key_set(const struct worker *worker, unsigned index, struct keys *keys)
{
    const struct key_set *set = &worker->site->key_sets[index];
    const struct key_set_settings *settings = set->settings;
    uint64_t seen;
    bool there =
        keys_read(keys_cell(worker->shared->keys, worker->generation->cells[set->want]), keys, &seen);
    int64_t age = there ? (int64_t)(worker->loop.wall_ns / NS_PER_SECOND) - keys->fetched : 0;
    const char *state = !there ? "none" : age * 1000 > keys->fresh ? "stale" : "fresh";
    const char *why = jwks_why(worker->jwks, index);
    return json_pack("{s:s, s:s, s:I, s:o, s:s, s:o}", "name", settings->name, "from",
                     settings->url ? settings->url : settings->issuer, "keys",
                     (json_int_t)(there ? keys->count : 0), "age_seconds",
                     there ? json_integer(age) : json_null(), "state", state, "error",
                     why ? json_string(why) : json_null());
}

json_t *status_key_sets(const struct worker *worker)
{
    struct keys keys;
    json_t *list = json_array();
    for (unsigned i = 0; i < worker->site->settings->key_sets.count; i++)
        json_array_append_new(list, key_set(worker, i, &keys));
    return list;
}
