/* override: called by engine.c each turn, by the keeper at GO, and by the admin socket. */
#include "worker/role/override.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/shm/overrides.h"
#include "worker/codec/uri.h"
#include "worker/role/json.h"
#include "worker/role/role.h"
#include "worker/upstream/cluster.h"

/* What a name stands for in this worker; found by a row. */
struct target {
    const struct overridable *row;
    struct cluster *cluster;
    const struct endpoint_settings *endpoint;
};

/* What may be changed: a row each. */
struct overridable {
    const char *form; /* as the user is told */
    bool (*find)(struct worker *worker, struct str name, struct target *target);
    void (*configured)(const struct worker *worker, const struct target *target, char out[OVERRIDE_VALUE]);
    /* `*why` in words when the value can't be. */
    bool (*check)(const char *value, const char **why);
    void (*apply)(struct worker *worker, const struct target *target, const char *value);
};

/* --- log.level --- */

static int level_of(const char *value)
{
    for (int i = 0; log_level_words[i]; i++)
        if (strcmp(log_level_words[i], value) == 0)
            return i;
    return -1;
}

static bool level_find(struct worker *worker, struct str name, struct target *target)
{
    (void)worker;
    (void)target;
    return str_eq(name, STR("log.level"));
}

static void level_configured(const struct worker *worker, const struct target *target,
                             char out[OVERRIDE_VALUE])
{
    (void)target;
    snprintf(out, OVERRIDE_VALUE, "%s", log_level_words[worker->site->settings->log.level]);
}

static bool level_check(const char *value, const char **why)
{
    *why = "is none of error, warning, notice, info, debug";
    return level_of(value) >= 0;
}

static void level_apply(struct worker *worker, const struct target *target, const char *value)
{
    (void)worker;
    (void)target;
    log_set_level((enum log_level)level_of(value));
}

/* --- upstreams.NAME.endpoints.ADDRESS.weight --- */

enum { WEIGHT_MOST = 1000 };

/* A name or an address may have dots: what is between is looked for, and not cut at them. */
static bool weight_find(struct worker *worker, struct str name, struct target *target)
{
    static const struct str first = {"upstreams.", 10}, second = {".endpoints.", 11}, last = {".weight", 7};
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    if (!str_starts(name, first) || name.length < first.length + last.length ||
        !str_eq(str_from(name, name.length - last.length), last))
        return false;
    struct str rest = {name.data + first.length, name.length - first.length - last.length};
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        struct str of = str_of(upstream->name);
        if (!str_starts(rest, of) || !str_starts(str_from(rest, of.length), second))
            continue;
        struct str address = str_from(rest, of.length + second.length);
        for (unsigned j = 0; j < upstream->endpoints.count; j++) {
            target->cluster = &worker->clusters[i];
            target->endpoint = upstream->endpoints.items[j];
            if (str_eq(address, str_of(target->endpoint->text)))
                return true;
        }
    }
    return false;
}

static void weight_configured(const struct worker *worker, const struct target *target,
                              char out[OVERRIDE_VALUE])
{
    (void)worker;
    snprintf(out, OVERRIDE_VALUE, "%" PRId64, target->endpoint->weight);
}

static int weight_of(const char *value)
{
    char *end;
    long weight = strtol(value, &end, 10);
    return value[0] >= '0' && value[0] <= '9' && *end == 0 && weight <= WEIGHT_MOST ? (int)weight : -1;
}

static bool weight_check(const char *value, const char **why)
{
    *why = "is no weight (0, which drains the endpoint, to 1000)";
    return weight_of(value) >= 0;
}

static void weight_apply(struct worker *worker, const struct target *target, const char *value)
{
    (void)worker;
    cluster_set_weight(target->cluster, target->endpoint, weight_of(value));
}

static const struct overridable rows[] = {
    {"upstreams.NAME.endpoints.ADDRESS.weight", weight_find, weight_configured, weight_check, weight_apply},
    {"log.level", level_find, level_configured, level_check, level_apply},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static bool find(struct worker *worker, struct str name, struct target *target)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].find(worker, name, target)) {
            target->row = &rows[i];
            return true;
        }
    return false;
}

/* --- following --- */

/* As the configuration has it: what is no longer changed is so again. */
static void reset(struct worker *worker)
{
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    log_set_level((enum log_level)worker->site->settings->log.level);
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        for (unsigned j = 0; j < upstream->endpoints.count; j++)
            cluster_set_weight(&worker->clusters[i], upstream->endpoints.items[j], -1);
    }
}

/* All of them, malloc()ed; `*count` -1: they are changing just now. */
static struct override *read_all(const struct overrides *overrides, uint64_t *serial, int *count)
{
    struct override *items = calloc(OVERRIDES_MAX, sizeof *items);
    if (!items)
        abort();
    *count = overrides_read(overrides, items, serial);
    return items;
}

void override_follow(struct worker *worker, uint64_t *seen)
{
    const struct overrides *overrides = worker->shared->overrides;
    uint64_t serial = overrides_serial(overrides);
    int count;
    if (serial == *seen)
        return;
    struct override *items = read_all(overrides, &serial, &count);
    if (count >= 0) { /* else in the next turn */
        reset(worker);
        for (int i = 0; i < count; i++) {
            struct target target = {0};
            const char *why;
            if (find(worker, str_of(items[i].name), &target) && target.row->check(items[i].value, &why))
                target.row->apply(worker, &target, items[i].value);
        }
        *seen = serial;
    }
    free(items);
}

/* --- setting --- */

static void wake_all(const struct worker *worker)
{
    const struct slots *slots = worker->shared->slots;
    for (unsigned i = 0; i < slots->count; i++)
        if (atomic_load_explicit(&slots->slot[i].role, memory_order_relaxed) == ROLE_WORKER &&
            atomic_load_explicit(&slots->slot[i].pid, memory_order_relaxed))
            slot_wake(&worker->shared->wake, i, WAKE_RESCAN, 0, 0);
}

void override_prune(struct worker *worker)
{
    uint64_t serial;
    int count;
    struct override *items = read_all(worker->shared->overrides, &serial, &count);
    for (int i = 0; i < count; i++) {
        struct target target = {0};
        char now[OVERRIDE_VALUE] = "";
        bool known = find(worker, str_of(items[i].name), &target);
        if (known)
            target.row->configured(worker, &target, now);
        if (known && strcmp(now, items[i].before) == 0)
            continue;
        log_notice("%s was set to %s: that ends, as the configuration %s", items[i].name, items[i].value,
                   known ? "says something else now" : "has no such thing now");
        overrides_set(worker->shared->overrides, str_of(items[i].name), NULL, NULL);
    }
    free(items);
    wake_all(worker);
}

/* A parameter of the query, decoded; false: it is not there, or too long. */
static bool parameter(struct request *request, struct str name, char *out, size_t size)
{
    struct str raw;
    if (!uri_query_value(request->head->query, name, &raw))
        return false;
    ptrdiff_t length = uri_decode(raw, true, out, size - 1);
    if (length < 0 || memchr(out, 0, (size_t)length))
        return false;
    out[length] = 0;
    return true;
}

static enum verdict unknown(struct request *request, const char *name)
{
    char *forms = arena_strdup(request->arena, "");
    for (unsigned i = 0; i < ROWS; i++)
        forms = arena_printf(request->arena, "%s%s%s", forms, i ? ", " : "", rows[i].form);
    return request_fail(request, PROBLEM_BAD_REQUEST,
                        "%s can't be set while the gateway runs, or there is none (what can be: %s)", name,
                        forms);
}

static enum verdict done(struct request *request, const char *name, const char *value)
{
    json_t *object = json_pack("{s:s, s:s}", "name", name, "value", value);
    return json_answer(request, object);
}

enum verdict override_put(struct request *request)
{
    struct worker *worker = request->worker;
    char name[OVERRIDE_NAME], value[OVERRIDE_VALUE], before[OVERRIDE_VALUE];
    struct target target = {0};
    const char *why;
    if (!parameter(request, STR("name"), name, sizeof name) ||
        !parameter(request, STR("value"), value, sizeof value))
        return request_fail(request, PROBLEM_BAD_REQUEST, "a name and a value are wanted: ?name=…&value=…");
    if (!find(worker, str_of(name), &target))
        return unknown(request, name);
    if (!target.row->check(value, &why))
        return request_fail(request, PROBLEM_BAD_REQUEST, "%s: \"%s\" %s", name, value, why);
    target.row->configured(worker, &target, before);
    if (overrides_set(worker->shared->overrides, str_of(name), value, before))
        return request_fail(request, PROBLEM_OUT_OF_RESOURCES, "%d settings are changed already",
                            OVERRIDES_MAX);
    log_notice("%s is set to %s (the configuration has %s)", name, value, before);
    wake_all(worker);
    return done(request, name, value);
}

enum verdict override_delete(struct request *request)
{
    struct worker *worker = request->worker;
    char name[OVERRIDE_NAME], before[OVERRIDE_VALUE];
    struct target target = {0};
    if (!parameter(request, STR("name"), name, sizeof name))
        return request_fail(request, PROBLEM_BAD_REQUEST, "a name is wanted: ?name=…");
    if (!find(worker, str_of(name), &target))
        return unknown(request, name);
    target.row->configured(worker, &target, before);
    overrides_set(worker->shared->overrides, str_of(name), NULL, NULL);
    log_notice("%s is as configured again: %s", name, before);
    wake_all(worker);
    return done(request, name, before);
}

json_t *override_json(const struct worker *worker)
{
    uint64_t serial;
    int count;
    json_t *list = json_array();
    struct override *items = read_all(worker->shared->overrides, &serial, &count);
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", items[i].name, "value",
                                              items[i].value, "configured", items[i].before));
    free(items);
    return list;
}

enum verdict override_get(struct request *request)
{
    return json_answer(request, override_json(request->worker));
}
