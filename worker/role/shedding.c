/* shedding: called by the engine of workers. What it costs: a reading of the clock a turn, a reading of /proc ten times a
 * second when memory has a bound; nothing when `shed` is off.
 */
#include "worker/role/shedding.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/request/site.h"

enum { LOOK_MS = 100, TRIM_MS = 1000, MB = 1 << 20 };

static const char *who(enum shed_level level)
{
    switch (level) {
    case SHED_NOBODY:
        return "nobody is refused any more";
    case SHED_LOW:
        return "requests of low importance are refused";
    case SHED_NORMAL:
        return "requests are refused, but those of high importance";
    }
    return "";
}

static void judge(struct shedding *shedding)
{
    struct worker *worker = shedding->worker;
    struct shed *shed = &worker->shed;
    enum shed_level before = shed->level;
    if (!shed_judge(shed, worker->loop.now_ms))
        return;
    uint64_t refused = shed->refused;
    if (shed->level == SHED_NOBODY)
        shed->refused = 0;
    if (!log_seldom(&shedding->said, worker->loop.now_ms))
        return;
    if (shed->level > before)
        log_warning("overloaded (%.0f ms late, %" PRIu64 " MB): %s", shed->lag / 1e6, shed->memory / MB,
                    who(shed->level));
    else
        log_notice("less load (%.0f ms late, %" PRIu64 " MB): %s (%" PRIu64 " were)", shed->lag / 1e6,
                   shed->memory / MB, who(shed->level), refused);
}

/* Connections have their turn BATCH at a time. */
static void on_turn(struct loop *loop, const struct loop_turn *turn)
{
    struct shedding *shedding = loop->turn_owner;
    shed_turn(&shedding->worker->shed, turn->worked, turn->slept, turn->overslept, turn->full,
              *shedding->connections / LOOP_BATCH + 1);
    judge(shedding);
}

/* What is the process's alone: all that is resident, less files and what it shares. 0: it can't be read. */
static uint64_t read_memory(int statm)
{
    char text[128], *at = text;
    ssize_t length = pread(statm, text, sizeof text - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    strtoull(at, &at, 10); /* the whole size */
    uint64_t resident = strtoull(at, &at, 10), shared = strtoull(at, &at, 10);
    return resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* What was freed is given back before anybody is refused for it, but not all the time. */
static void look_at_memory(struct shedding *shedding)
{
    struct worker *worker = shedding->worker;
    uint64_t bound = (uint64_t)worker->shed.settings->memory, now = worker->loop.now_ms;
    worker->shed.memory = read_memory(shedding->statm);
    if (worker->shed.memory <= bound / 10 * 9 || now - shedding->trimmed < TRIM_MS)
        return;
    shedding->trimmed = now;
    malloc_trim(0);
    worker->shed.memory = read_memory(shedding->statm);
}

static void on_timer(struct timer *timer)
{
    struct shedding *shedding = CONTAINER_OF(timer, struct shedding, timer);
    struct loop *loop = &shedding->worker->loop;
    if (shedding->statm >= 0)
        look_at_memory(shedding);
    judge(shedding);
    timer_set(&loop->timers, timer, loop->now_ms + LOOK_MS);
}

int shedding_start(struct shedding *shedding, struct worker *worker)
{
    const struct shed_settings *settings = &worker->site->settings->shed;
    *shedding = (struct shedding){.worker = worker, .statm = -1};
    shed_init(&worker->shed, settings);
    timer_init(&shedding->timer, on_timer);
    if (!shed_is_on(settings))
        return 0;
    if (settings->memory) {
        shedding->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        if (shedding->statm < 0)
            return -1;
    }
    shedding->connections = &worker->service.connection_count;
    worker->loop.on_turn = on_turn;
    worker->loop.turn_owner = shedding;
    on_timer(&shedding->timer);
    return 0;
}

void shedding_end(struct shedding *shedding)
{
    shedding->worker->loop.on_turn = NULL;
    timer_clear(&shedding->worker->loop.timers, &shedding->timer);
    if (shedding->statm >= 0)
        close(shedding->statm);
    shedding->statm = -1;
}
