/* jwks: called by the keeper, on its loop. With discovery a set is two fetches: the issuer's metadata, then what that names. */
#include "worker/service/jwks.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/keys.h"
#include "worker/codec/cache_control.h"
#include "worker/request/site.h"
#include "worker/service/fetch.h"
#include "worker/upstream/spread.h"

enum {
    AGAIN_LEAST_MS = 1000,
    AGAIN_MOST_MS = 300 * 1000,
    AHEAD = 20,  /* percent of the time that a set is fresh */
    JITTER = 10, /* percent */
    KEYS_MOST = 256,
};

/* A set, and what is under way for it. */
struct issuer {
    struct fetch fetch;
    struct fetch_order order;
    struct jwks *jwks;
    const struct key_set *set;
    struct keys_cell *cell;
    bool discovering;      /* the metadata is being fetched, not the keys */
    struct url found;      /* where the keys are, as the metadata says; */
    struct arena *learned; /* what that points to; NULL: it isn't known */
    struct timer timer;    /* the next fetch */
    unsigned failures;     /* in a row */
    char why[FETCH_WHY];   /* of the last */
};

struct jwks {
    struct worker *worker;
    struct dns *dns;
    struct issuer *issuers;
    unsigned count;
    struct keys keys; /* for what is read from and written to cells */
};

/* --- pure parts --- */

int64_t jwks_fresh(const struct key_set_settings *settings, struct str cache_control, struct str age)
{
    int64_t seconds = cache_control_fresh(cache_control, age);
    int64_t fresh = seconds == CACHE_CONTROL_UNSAID ? settings->refresh : seconds * 1000;
    return fresh < settings->min_refresh   ? settings->min_refresh
           : fresh > settings->max_refresh ? settings->max_refresh
                                           : fresh;
}

uint64_t jwks_next(int64_t fresh)
{
    return (uint64_t)(fresh - fresh * AHEAD / 100);
}

uint64_t jwks_again(unsigned failures)
{
    enum { DOUBLINGS = 9 };
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    uint64_t ms = (uint64_t)AGAIN_LEAST_MS << (doublings < DOUBLINGS ? doublings : DOUBLINGS);
    return ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS;
}

static json_t *load(struct str json)
{
    json_error_t error;
    return json_loadb(json.data, json.length, JSON_REJECT_DUPLICATES, &error);
}

const char *jwks_wrong(struct str json, unsigned *count)
{
    json_t *root = load(json);
    const json_t *keys = json_object_get(root, "keys");
    const char *why = !root                               ? "it isn't JSON"
                      : !json_is_array(keys)              ? "it has no array \"keys\""
                      : json_array_size(keys) == 0        ? "it has no key"
                      : json_array_size(keys) > KEYS_MOST ? "it has more than 256 keys"
                                                          : NULL;
    for (size_t i = 0; !why && i < json_array_size(keys); i++)
        if (!json_is_string(json_object_get(json_array_get(keys, i), "kty"))) /* RFC 7517, section 4.1 */
            why = "one of its keys has no \"kty\"";
    *count = why ? 0 : (unsigned)json_array_size(keys);
    json_decref(root);
    return why;
}

const char *jwks_discover(struct str json, const char *issuer, const char **uri, struct arena *arena)
{
    json_t *root = load(json);
    const char *named = json_string_value(json_object_get(root, "issuer"));
    const char *keys = json_string_value(json_object_get(root, "jwks_uri"));
    const char *why = NULL;
    if (!root)
        why = "its metadata isn't JSON";
    else if (!named || strcmp(named, issuer) != 0) /* OpenID Connect Discovery 1.0, section 4.3 */
        why = "its metadata is of another issuer";
    else if (!keys)
        why = "its metadata has no jwks_uri";
    else if (strncmp(issuer, "https:", 6) == 0 && strncmp(keys, "https:", 6) != 0)
        why = "its jwks_uri isn't https";
    else
        *uri = arena_strdup(arena, keys);
    json_decref(root);
    return why;
}

/* --- the end of a fetch --- */

static int64_t seconds_now(const struct issuer *issuer)
{
    return (int64_t)(issuer->jwks->worker->loop.wall_ns / NS_PER_SECOND);
}

/* What the metadata says holds for one fetch: the keys may be elsewhere the next time. */
static void set_next(struct issuer *issuer, uint64_t ms)
{
    struct worker *worker = issuer->jwks->worker;
    arena_free(&issuer->learned);
    timer_set(&worker->loop.timers, &issuer->timer,
              worker->loop.now_ms + spread_jitter(&worker->random, ms, JITTER));
}

/* What is published, into jwks->keys; false: nothing is. */
static bool read_keys(const struct issuer *issuer)
{
    uint64_t seen;
    return keys_read(issuer->cell, &issuer->jwks->keys, &seen);
}

static const char *place_of(const struct issuer *issuer)
{
    const struct key_set_settings *settings = issuer->set->settings;
    return settings->url ? settings->url : settings->issuer;
}

static void failed(struct issuer *issuer, const char *why)
{
    uint64_t ms = jwks_again(++issuer->failures);
    const char *left = read_keys(issuer) ? "those that are there stay" : "there are none yet";
    snprintf(issuer->why, sizeof issuer->why, "%s", why);
    log_warning("key_set %s: no keys from %s: %s (%s; asked again within %" PRIu64 " s)",
                issuer->set->settings->name, place_of(issuer), why, left, ms / 1000);
    stat_add(issuer->jwks->worker->stats, STAT_KEY_SETS_FAILED, 1);
    set_next(issuer, ms);
}

static void publish(struct issuer *issuer, bool changed)
{
    const struct fields *fields = &issuer->fetch.head->fields;
    const struct field *age = fields_find(fields, STR("age"));
    struct keys *keys = &issuer->jwks->keys;
    keys->fetched = seconds_now(issuer);
    keys->fresh = jwks_fresh(issuer->set->settings, fields_value(fields, FIELD_CACHE_CONTROL),
                             age ? age->value : STR(""));
    keys_publish(issuer->cell, keys);
    if (changed || issuer->failures)
        log_notice("key_set %s: %" PRIu64 " %s from %s%s", issuer->set->settings->name, keys->count,
                   keys->count == 1 ? "key" : "keys", place_of(issuer), changed ? "" : ", as before");
    stat_add(issuer->jwks->worker->stats, STAT_KEY_SETS, 1);
    issuer->failures = 0;
    issuer->why[0] = '\0';
    set_next(issuer, jwks_next(keys->fresh));
}

/* Only what can stand in a line of a request is kept (RFC 9110, section 8.8.3). */
static void take_tag(struct keys *keys, struct str tag)
{
    bool good = tag.length > 0 && tag.length < KEYS_TAG_BYTES;
    for (size_t i = 0; good && i < tag.length; i++)
        good = tag.data[i] > ' ' && tag.data[i] < 0x7f;
    memset(keys->tag, 0, sizeof keys->tag);
    if (good)
        memcpy(keys->tag, tag.data, tag.length);
}

static void judge_keys(struct issuer *issuer)
{
    struct str json = buf_str(&issuer->fetch.body);
    struct keys *keys = &issuer->jwks->keys;
    unsigned count;
    const char *why = jwks_wrong(json, &count);
    if (why) {
        failed(issuer, why);
        return;
    }
    bool same = read_keys(issuer) && str_eq((struct str){keys->json, keys->length}, json);
    keys->count = count;
    keys->length = json.length;
    memcpy(keys->json, json.data, json.length);
    take_tag(keys, fields_value(&issuer->fetch.head->fields, FIELD_ETAG));
    publish(issuer, !same);
}

/* --- asking --- */

static void ask(struct issuer *issuer);

static void judge_metadata(struct issuer *issuer)
{
    struct arena *arena = arena_new(1024);
    const char *uri = NULL;
    const char *why = jwks_discover(buf_str(&issuer->fetch.body), issuer->set->settings->issuer, &uri, arena);
    if (!why)
        why = url_parse(&issuer->found, str_of(uri), arena);
    if (why) {
        failed(issuer, why);
        arena_free(&arena);
        return;
    }
    issuer->learned = arena;
    timer_set(&issuer->jwks->worker->loop.timers, &issuer->timer, issuer->jwks->worker->loop.now_ms);
}

static void on_fetched(struct fetch *fetch, enum fetch_end end)
{
    struct issuer *issuer = CONTAINER_OF(fetch, struct issuer, fetch);
    unsigned status = end == FETCH_ANSWERED ? fetch->head->status : 0;
    if (end == FETCH_CUT) /* it says nothing of the issuer */
        set_next(issuer, AGAIN_LEAST_MS);
    else if (end == FETCH_FAILED)
        failed(issuer, fetch->why);
    else if (status == 304 && !issuer->discovering && read_keys(issuer))
        publish(issuer, false);
    else if (status != 200)
        failed(issuer, arena_printf(fetch->arena, "it answered %u", status));
    else if (issuer->discovering)
        judge_metadata(issuer);
    else
        judge_keys(issuer);
    fetch_put_down(fetch);
}

static void ask(struct issuer *issuer)
{
    struct arena *arena = fetch_begin(&issuer->fetch);
    const char *tag = "";
    issuer->discovering = issuer->set->settings->issuer && !issuer->learned;
    if (!issuer->discovering && read_keys(issuer) && issuer->jwks->keys.tag[0])
        tag = arena_printf(arena, "If-None-Match: %s\r\n", issuer->jwks->keys.tag);
    issuer->order = (struct fetch_order){
        .url = issuer->learned ? &issuer->found : &issuer->set->url,
        .tls = issuer->set->tls,
        .method = METHOD_GET,
        .fields =
            str_of(arena_printf(arena, "Accept: application/json, application/jwk-set+json\r\n%s", tag)),
        .most = KEYS_BYTES,
        .timeout = (uint64_t)issuer->set->settings->timeout,
    };
    fetch_start(&issuer->fetch, &issuer->order);
}

static void on_timer(struct timer *timer)
{
    struct issuer *issuer = CONTAINER_OF(timer, struct issuer, timer);
    if (!fetch_is_free(&issuer->fetch)) /* the last question for its address still has no answer */
        set_next(issuer, AGAIN_LEAST_MS);
    else if (!issuer->jwks->worker->service.draining)
        ask(issuer);
}

/* --- the beginning --- */

/* What an earlier keeper has fetched is fetched again when that would have done so. */
static void start(struct issuer *issuer, struct jwks *jwks, const struct key_set *set)
{
    struct worker *worker = jwks->worker;
    *issuer = (struct issuer){
        .jwks = jwks,
        .set = set,
        .cell = keys_cell(worker->shared->keys, worker->generation->cells[set->want]),
    };
    fetch_init(&issuer->fetch, worker, jwks->dns, on_fetched);
    timer_init(&issuer->timer, on_timer);
    int64_t age = read_keys(issuer) ? (seconds_now(issuer) - jwks->keys.fetched) * 1000 : -1;
    int64_t due = (int64_t)jwks_next(jwks->keys.fresh) - age;
    if (age >= 0 && due > 0 && due <= set->settings->max_refresh)
        set_next(issuer, (uint64_t)due);
    else
        timer_set(&worker->loop.timers, &issuer->timer, worker->loop.now_ms);
}

struct jwks *jwks_start(struct worker *worker, struct arena *arena)
{
    unsigned count = worker->site->settings->key_sets.count;
    const char *why = NULL;
    if (count == 0)
        return NULL;
    struct jwks *jwks = arena_zalloc(arena, sizeof *jwks);
    jwks->worker = worker;
    jwks->issuers = arena_array(arena, count, sizeof *jwks->issuers);
    jwks->dns = dns_new(&worker->loop, &worker->site->settings->resolver, &why);
    if (!jwks->dns) {
        log_error("issuers can't be looked up: %s: no keys are fetched", why);
        return NULL;
    }
    for (; jwks->count < count; jwks->count++)
        start(&jwks->issuers[jwks->count], jwks, &worker->site->key_sets[jwks->count]);
    return jwks;
}

const char *jwks_why(const struct jwks *jwks, unsigned index)
{
    return jwks && jwks->issuers[index].why[0] ? jwks->issuers[index].why : NULL;
}

void jwks_close(struct jwks *jwks)
{
    if (!jwks)
        return;
    for (unsigned i = 0; i < jwks->count; i++) {
        fetch_put_down(&jwks->issuers[i].fetch);
        timer_clear(&jwks->worker->loop.timers, &jwks->issuers[i].timer);
        arena_free(&jwks->issuers[i].learned);
    }
    dns_free(&jwks->dns);
}
