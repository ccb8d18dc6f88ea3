/* shared: all zones of the segment, and the log's way into its ring. */
#include "shared/shm/shared.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/shm/concurrency.h"
#include "shared/shm/endpoints.h"
#include "shared/shm/limits.h"
#include "shared/shm/names.h"
#include "shared/shm/quotas.h"
#include "shared/shm/snapshot.h"
#include "shared/shm/upstreams.h"

/* A zone is a line here. */
static const struct zone_kind *const kinds[] = {
    &slots_kind,       &wake_kind,      &logs_kind,   &stats_kind,
    &upstreams_kind,   &endpoints_kind, &limits_kind, &quotas_kind,
    &concurrency_kind, &overrides_kind, &names_kind,  &tickets_kind,
    &staples_kind,     &keys_kind,      &tokens_kind, NULL};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) - 1 <= SEGMENT_ZONES, "the directory has room for all zones");

/* These name the same processes, by slot: of one that changes, all start anew. */
static const struct zone_kind *const of_processes[] = {&slots_kind, &wake_kind, &logs_kind, NULL};

static void look_up(struct shared *shared)
{
    shared->slots = segment_zone(&shared->segment, &slots_kind, NULL);
    shared->logs = segment_zone(&shared->segment, &logs_kind, NULL);
    shared->stats = segment_zone(&shared->segment, &stats_kind, NULL);
    shared->upstreams = segment_zone(&shared->segment, &upstreams_kind, NULL);
    shared->endpoints = segment_zone(&shared->segment, &endpoints_kind, NULL);
    shared->limits = segment_zone(&shared->segment, &limits_kind, NULL);
    shared->quotas = segment_zone(&shared->segment, &quotas_kind, NULL);
    shared->concurrency = segment_zone(&shared->segment, &concurrency_kind, NULL);
    shared->overrides = segment_zone(&shared->segment, &overrides_kind, NULL);
    shared->names = segment_zone(&shared->segment, &names_kind, NULL);
    shared->keys = segment_zone(&shared->segment, &keys_kind, NULL);
    shared->staples = segment_zone(&shared->segment, &staples_kind, NULL);
    shared->tickets = segment_zone(&shared->segment, &tickets_kind, NULL);
    shared->tokens = segment_zone(&shared->segment, &tokens_kind, NULL);
}

/* With eventfds that were found, or (NULL) new ones. */
static int open_wake(struct shared *shared, const int *fds, unsigned slots, struct arena *arena,
                     const char **why)
{
    struct wake_zone *zone = segment_zone(&shared->segment, &wake_kind, NULL);
    if (fds ? wake_adopt(&shared->wake, zone, fds, slots) : wake_open(&shared->wake, zone, slots)) {
        *why = arena_printf(arena, "no eventfd for each of %u processes: %s%s", slots, strerror(errno),
                            errno == EMFILE ? " (raise the limit of open files, ulimit -n)" : "");
        shared_destroy(shared);
        return -1;
    }
    return 0;
}

int shared_create(struct shared *shared, const struct segment_plan *plan, struct arena *arena,
                  const char **why)
{
    *shared = (struct shared){.segment = {.fd = -1}};
    if (segment_create(&shared->segment, kinds, plan, arena, why) < 0)
        return -1;
    look_up(shared);
    return open_wake(shared, NULL, plan->slots, arena, why);
}

static bool is_of(const struct zone_kind *const *list, const struct zone_kind *kind)
{
    while (*list && *list != kind)
        list++;
    return *list != NULL;
}

/* Whether a zone of processes is laid out otherwise. */
static bool processes_change(const struct segment *segment, const struct segment_plan *plan,
                             struct arena *arena)
{
    const char *how;
    bool change = false;
    for (const struct zone_kind *const *kind = of_processes; *kind; kind++)
        change |= segment_fit(segment, *kind, plan, arena, &how) == SEGMENT_OTHER_LAYOUT;
    return change;
}

/* Which zones start cold, into `cold`, ended by NULL; how many. -1 and `*why`: one has another size though it is of the
 * same layout. That is by the settings, for which nobody's limits shall be forgotten. */
static int find_cold(const struct segment *segment, const struct segment_plan *plan,
                     const struct zone_kind *cold[SEGMENT_ZONES + 1], struct shared_change *change,
                     struct arena *arena, const char **why)
{
    int count = 0;
    *change = (struct shared_change){NULL, processes_change(segment, plan, arena)};
    for (const struct zone_kind *const *kind = kinds; *kind; kind++) {
        const char *how;
        enum segment_fit fit = segment_fit(segment, *kind, plan, arena, &how);
        bool with_others = fit != SEGMENT_OTHER_LAYOUT && change->processes && is_of(of_processes, *kind);
        if (fit == SEGMENT_OTHER_SIZE && !with_others) {
            *why = arena_printf(arena,
                                "the shared memory of %s can't be changed by an upgrade: %s (set it as it "
                                "was, or restart the gateway)",
                                (*kind)->name, how);
            return -1;
        }
        if (fit == SEGMENT_FITS && !with_others)
            continue;
        cold[count++] = *kind;
        change->text =
            arena_printf(arena, "%s%s%s (%s)", change->text ? change->text : "", change->text ? ", " : "",
                         (*kind)->name, with_others ? "with the others of processes" : how);
    }
    cold[count] = NULL;
    return count;
}

/* All of the segments, each before the next. */
static int open_all(struct segment *segment, const struct shared_found *found, struct arena *arena,
                    const char **why)
{
    struct segment *older = NULL;
    *segment = (struct segment){.fd = -1};
    for (unsigned i = found->segment_count; i-- > 0;) {
        if (segment->base) {
            older = malloc(sizeof(*older));
            if (!older)
                abort();
            *older = *segment;
        }
        if (segment_open(segment, found->segments[i], older, arena, why) < 0) {
            while (i-- > 0)
                close(found->segments[i]);
            return -1;
        }
    }
    *why = "there is no shared memory to take over";
    return segment->base ? 0 : -1;
}

int shared_adopt(struct shared *shared, const struct shared_found *found, const struct segment_plan *plan,
                 bool trial, struct shared_change *change, struct arena *arena, const char **why)
{
    const struct zone_kind *cold[SEGMENT_ZONES + 1];
    *shared = (struct shared){.segment = {.fd = -1}};
    if (open_all(&shared->segment, found, arena, why) < 0)
        return -1;
    int count = find_cold(&shared->segment, plan, cold, change, arena, why);
    if (count < 0) {
        shared_destroy(shared);
        return -1;
    }
    for (const struct zone_kind *const *kind = kinds; *kind; kind++)
        if (!is_of(cold, *kind))
            segment_refreeze(&shared->segment, *kind);
    if (trial)
        return 0;
    if (count > 0 && segment_extend(&shared->segment, cold, plan, arena, why) < 0) {
        shared_destroy(shared);
        return -1;
    }
    look_up(shared);
    return open_wake(shared, change->processes ? NULL : found->wake, plan->slots, arena, why);
}

void shared_destroy(struct shared *shared)
{
    wake_close(&shared->wake);
    segment_destroy(&shared->segment);
    *shared = (struct shared){.segment = {.fd = -1}};
}

uint64_t shared_measure(const struct segment_plan *plan,
                        void (*tell)(void *context, const char *name, uint64_t size), void *context)
{
    return segment_measure(kinds, plan, tell, context);
}

void shared_zones(const struct shared *shared,
                  void (*tell)(void *context, const char *name, uint64_t size, const struct zone_use *use),
                  void *context)
{
    for (unsigned i = 0; kinds[i]; i++) {
        size_t size = 0;
        const void *zone = segment_zone(&shared->segment, kinds[i], &size);
        struct zone_use use = {0};
        if (zone && kinds[i]->use)
            use = kinds[i]->use(zone);
        tell(context, kinds[i]->name, size, use.of ? &use : NULL);
    }
}

int shared_save(const struct shared *shared, const char *path)
{
    return snapshot_write(path, &shared->segment, kinds);
}

void shared_load(struct shared *shared, const struct snapshot *snapshot, struct arena *arena,
                 const char **cold)
{
    snapshot_load(snapshot, &shared->segment, kinds, arena, cold);
}

void shared_release(struct shared *shared, unsigned slot)
{
    for (unsigned i = 0; kinds[i]; i++)
        if (kinds[i]->release)
            kinds[i]->release(segment_zone(&shared->segment, kinds[i], NULL), slot);
}

static void shared_log_sink(void *context, enum log_level level, const char *line, size_t length)
{
    struct shared_log *log = context;
    logs_append(log->shared->logs, log->slot, LOG_ERROR, level, (struct str){line, length});
    shared_log_flush(log->shared, log->slot);
}

void shared_log_start(struct shared_log *log)
{
    log_to(shared_log_sink, log);
}

void shared_log_flush(struct shared *shared, unsigned slot)
{
    if (logs_wants_wake(shared->logs, slot))
        slot_wake(&shared->wake, logs_reader(shared->logs), WAKE_LOGS, slot, 0);
}
