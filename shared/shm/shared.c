/* shared: all zones of the segment, and the log's way into its ring. */
#include "shared/shm/shared.h"

#include <errno.h>

#include "shared/base/log.h"
#include "shared/shm/concurrency.h"
#include "shared/shm/endpoints.h"
#include "shared/shm/limits.h"
#include "shared/shm/quotas.h"
#include "shared/shm/snapshot.h"
#include "shared/shm/upstreams.h"

/* A zone is a line here. */
static const struct zone_kind *const kinds[] = {
    &slots_kind,       &wake_kind,      &logs_kind,   &stats_kind,
    &upstreams_kind,   &endpoints_kind, &limits_kind, &quotas_kind,
    &concurrency_kind, &overrides_kind, NULL};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) - 1 <= SEGMENT_ZONES, "the directory has room for all zones");

int shared_create(struct shared *shared, const struct segment_plan *plan, struct arena *arena,
                  const char **why)
{
    *shared = (struct shared){.segment = {.fd = -1}};
    if (segment_create(&shared->segment, kinds, plan, arena, why) < 0)
        return -1;
    shared->slots = segment_zone(&shared->segment, &slots_kind, NULL);
    shared->logs = segment_zone(&shared->segment, &logs_kind, NULL);
    shared->stats = segment_zone(&shared->segment, &stats_kind, NULL);
    shared->upstreams = segment_zone(&shared->segment, &upstreams_kind, NULL);
    shared->endpoints = segment_zone(&shared->segment, &endpoints_kind, NULL);
    shared->limits = segment_zone(&shared->segment, &limits_kind, NULL);
    shared->quotas = segment_zone(&shared->segment, &quotas_kind, NULL);
    shared->concurrency = segment_zone(&shared->segment, &concurrency_kind, NULL);
    shared->overrides = segment_zone(&shared->segment, &overrides_kind, NULL);
    if (wake_open(&shared->wake, segment_zone(&shared->segment, &wake_kind, NULL), plan->slots) < 0) {
        *why = arena_printf(arena, "no eventfd for each of %u processes: %s%s", plan->slots, strerror(errno),
                            errno == EMFILE ? " (raise the limit of open files, ulimit -n)" : "");
        shared_destroy(shared);
        return -1;
    }
    return 0;
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
