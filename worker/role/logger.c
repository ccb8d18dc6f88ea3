/* logger: the process that drains the log rings of all others into files, standard error or syslog.
 *
 * The only child that may block: a full disk or a stuck pipe stops it, not the traffic; lines are then dropped and
 * counted in their rings. Started by the master, it outlives generations. It frees the slots of the dead once their
 * rings are drained. A ring has one reader: the logger touches none before GO, which the master says when the one
 * before it is gone.
 *
 * It rests at least REST_MS between two drains, so that under load nobody has to wake it: only a ring more than half
 * full does. Finding nothing, it sleeps until a line wakes it, and looks once a second all the same (a process may
 * die between its line and the wake-up).
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "worker/role/process.h"
#include "worker/role/sink.h"

enum {
    REST_MS = 50,
    SLEEP_MS = 1000,
    DROPS_MS = 1000,       /* between two reports of a slot's dropped lines */
    LOST_MS = 60 * 1000,   /* between two reports of lines that could not be written */
    ROUND_BYTES = 1 << 20, /* of a slot, before the next one's turn */
    LAST_ROUNDS = 1000,    /* at STOP: then the others write faster than we do, and it ends all the same */
};

static const char *const target_names[LOG_TARGETS] = {"error log", "access log"};

struct logger {
    struct process *process;
    struct shared *shared;
    unsigned slots;
    struct loop loop;
    struct member member;
    struct timer drain;
    uint64_t end_ms; /* draining: when it ends at the latest; 0: no limit */
    bool reads;      /* got GO: the rings are its own */
    struct shared_log log;
    struct sink sink[LOG_TARGETS];
    uint64_t lost[LOG_TARGETS];    /* of the sink's lost lines: those that were reported … */
    uint64_t lost_ms[LOG_TARGETS]; /* … and when, loop's clock; 0: never */
    uint64_t drops_ms[];           /* a slot's: when its dropped lines were reported last */
};

static struct slot *slot_of(struct logger *logger, unsigned slot)
{
    return &logger->shared->slots->slot[slot];
}

static uint32_t slot_pid(struct logger *logger, unsigned slot)
{
    return atomic_load_explicit(&slot_of(logger, slot)->pid, memory_order_relaxed);
}

static uint32_t slot_role(struct logger *logger, unsigned slot)
{
    return atomic_load_explicit(&slot_of(logger, slot)->role, memory_order_relaxed);
}

/* The line goes to the logger's own ring, which is drained last. */
static void report_drops(struct logger *logger, unsigned slot, bool last)
{
    uint64_t lines = logs_unreported(logger->shared->logs, slot), *told_ms = &logger->drops_ms[slot];
    if (lines == 0 || (!last && *told_ms && logger->loop.now_ms - *told_ms < DROPS_MS))
        return;
    log_warning("%" PRIu64 " log lines of %s[%" PRIu32 "] were dropped: the log ring was full", lines,
                role_name(slot_role(logger, slot)), slot_pid(logger, slot));
    logs_reported(logger->shared->logs, slot, lines);
    *told_ms = logger->loop.now_ms;
}

/* While the error log can't be written, that is said where it can be heard. */
static void report_lost(struct logger *logger)
{
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        const struct sink *sink = &logger->sink[i];
        uint64_t lines = sink->lost - logger->lost[i];
        bool early = logger->lost_ms[i] && logger->loop.now_ms - logger->lost_ms[i] < LOST_MS;
        if (lines == 0 || (sink->error && early))
            continue;
        char text[200];
        snprintf(text, sizeof(text), "%" PRIu64 " lines could not be written to the %s: %s", lines,
                 target_names[i], sink->error ? strerror(sink->error) : "now it can be written again");
        if (logger->sink[LOG_ERROR].error)
            sink_cry(LEVEL_ERROR, text);
        else
            log_error("%s", text);
        logger->lost[i] = sink->lost;
        logger->lost_ms[i] = logger->loop.now_ms;
    }
}

/* The lines of one slot, in order; true: all that there were. */
static bool drain_slot(struct logger *logger, unsigned slot, uint64_t *bytes)
{
    struct logs *logs = logger->shared->logs;
    struct logs_line line;
    uint32_t pid = slot_pid(logger, slot);
    for (uint64_t done = 0; logs_peek(logs, slot, &line);) {
        if (done >= ROUND_BYTES)
            return false;
        done += line.text.length + 1;
        *bytes += line.text.length + 1;
        sink_add(&logger->sink[line.target], pid, line.level, line.text);
        logs_consume(logs, slot);
    }
    return true;
}

/* A slot in turn. One that is DEAD is freed when it is empty: nobody writes to it any more. */
static bool drain_and_free(struct logger *logger, unsigned slot, uint64_t *bytes)
{
    uint32_t state = atomic_load_explicit(&slot_of(logger, slot)->state, memory_order_acquire);
    if (!drain_slot(logger, slot, bytes))
        return false;
    report_drops(logger, slot, state == SLOT_DEAD);
    if (state == SLOT_DEAD)
        atomic_compare_exchange_strong(&slot_of(logger, slot)->state, &state, SLOT_FREE);
    return true;
}

/* All slots, one's own last: it may have got lines by the others. Returns the bytes; `*all`: no ring has more. */
static uint64_t drain_round(struct logger *logger, bool *all)
{
    uint64_t bytes = 0;
    *all = true;
    for (unsigned i = 0; i < logger->slots; i++)
        if (i != logger->process->slot)
            *all &= drain_and_free(logger, i, &bytes);
    report_lost(logger);
    *all &= drain_slot(logger, logger->process->slot, &bytes);
    report_drops(logger, logger->process->slot, false);
    for (unsigned i = 0; i < LOG_TARGETS; i++)
        sink_flush(&logger->sink[i]);
    return bytes;
}

static bool anything(struct logger *logger)
{
    struct logs_line line;
    for (unsigned i = 0; i < logger->slots; i++)
        if (logs_peek(logger->shared->logs, i, &line))
            return true;
    return false;
}

/* Whether nobody is left who could write a line. The master is no reason to stay: it waits for us. */
static bool alone(struct logger *logger)
{
    for (unsigned i = 0; i < logger->slots; i++) {
        uint32_t pid = slot_pid(logger, i);
        uint32_t state = atomic_load_explicit(&slot_of(logger, i)->state, memory_order_acquire);
        if (i == logger->process->slot || state == SLOT_FREE || slot_role(logger, i) == ROLE_MASTER)
            continue;
        /* An orphan has no master that marks the dead. What another user runs now under the pid is none of ours. */
        if (!logger->member.orphan || (pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) == 0))
            return false;
    }
    return true;
}

static void set_drain(struct logger *logger, uint64_t after_ms)
{
    timer_set(&logger->loop.timers, &logger->drain, logger->loop.now_ms + after_ms);
}

static void drain(struct logger *logger)
{
    struct logs *logs = logger->shared->logs;
    bool all;
    if (!logger->reads)
        return;
    bool leaving = logger->member.draining || logger->member.orphan;
    bool late = logger->end_ms && logger->loop.now_ms >= logger->end_ms;
    /* Asked before the rings are drained: what a process wrote last is then among it. */
    leaving = leaving && (late || alone(logger));
    logs_sleeping(logs, false);
    uint64_t bytes = drain_round(logger, &all);
    if (leaving) {
        logger->loop.stop = true;
    } else if (bytes || !all) {
        set_drain(logger, all ? REST_MS : 0);
    } else {
        logs_sleeping(logs, true);
        set_drain(logger, anything(logger) || logger->member.draining ? REST_MS : SLEEP_MS);
    }
}

static void on_timer(struct timer *timer)
{
    drain(CONTAINER_OF(timer, struct logger, drain));
}

/* Who wakes us had reason to: we sleep, or a ring fills up. */
static void on_wake(struct member *member)
{
    struct logger *logger = member->owner;
    struct wake_letter letter;
    bool any = false;
    while (wake_next(&logger->shared->wake, logger->process->slot, &letter))
        any = true;
    if (any)
        drain(logger);
}

static void on_drain(struct member *member, uint64_t timeout_ms)
{
    struct logger *logger = member->owner;
    logger->end_ms = timeout_ms ? logger->loop.now_ms + timeout_ms : 0;
    drain(logger);
}

/* flags: bits 0 and 1: an error log, an access log is among the descriptors, in that order; bits 8 and 9: it is
 * syslog. The log that is not among them stays as it is. */
static void on_reopen(struct member *member, struct channel_message *message)
{
    struct logger *logger = member->owner;
    bool all;
    unsigned next = 0;
    if (logger->reads)
        drain_round(logger, &all);
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        if (!(message->flags & 1u << i))
            continue;
        if (next == message->fd_count) {
            log_error("the master sent no descriptor for the %s: it stays as it was", target_names[i]);
            break;
        }
        sink_replace(&logger->sink[i], message->fds[next], message->flags & 1u << (8 + i));
        message->fds[next++] = -1;
    }
    log_info("the logs were opened again");
    if (channel_tell(logger->process->channel, CHANNEL_REOPENED, message->number) < 0)
        log_warning("the master can't be told that the logs were opened again: %s", strerror(errno));
    drain(logger);
}

static void on_go(struct member *member)
{
    struct logger *logger = member->owner;
    logger->reads = true;
    logs_set_reader(logger->shared->logs, logger->process->slot);
    drain(logger);
}

static struct logger *logger_new(struct process *process)
{
    unsigned slots = process->shared->slots->count;
    struct logger *logger = calloc(1, sizeof(*logger) + slots * sizeof(logger->drops_ms[0]));
    if (!logger)
        return NULL;
    logger->process = process;
    logger->shared = process->shared;
    logger->slots = slots;
    logger->member.owner = logger;
    logger->member.on_go = on_go;
    logger->member.on_wake = on_wake;
    logger->member.on_drain = on_drain;
    logger->member.on_reopen = on_reopen;
    for (unsigned i = 0; i < LOG_TARGETS; i++)
        sink_init(&logger->sink[i], process->log_fds[i], process->log_syslog[i],
                  process->log_fds[i] > STDERR_FILENO);
    if (process->log_fds[LOG_ERROR] < 0)
        sink_init(&logger->sink[LOG_ERROR], STDERR_FILENO, false, false);
    timer_init(&logger->drain, on_timer);
    return logger;
}

int logger_main(struct process *process)
{
    struct logger *logger = logger_new(process);
    if (!logger || loop_init(&logger->loop, logger) < 0 ||
        member_join(&logger->member, process, &logger->loop) < 0) {
        member_failed(process, "the logger can't start: %s", strerror(errno));
        free(logger);
        return 1;
    }
    logger->log = (struct shared_log){process->shared, process->slot};
    shared_log_start(&logger->log);
    member_ready(&logger->member);
    loop_run(&logger->loop);

    bool all = false;
    for (unsigned i = 0; logger->reads && i < LAST_ROUNDS && (drain_round(logger, &all) || !all); i++)
        ;
    log_to(NULL, NULL);
    if (logger->reads)
        logs_sleeping(process->shared->logs, false);
    loop_close(&logger->loop);
    free(logger);
    return 0;
}
