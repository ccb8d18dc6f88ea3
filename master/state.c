/* state: read from the slots, whose owners may have written anything: names and numbers are bounded here. */
#include "master/state.h"

#include "config.h"

#include <inttypes.h>
#include <unistd.h>

#include "master/master.h"
#include "shared/base/buf.h"
#include "shared/base/clock.h"

#define LOAD(member) atomic_load_explicit(&slot->member, memory_order_relaxed)

static void add_process(struct buf *buf, const struct slot *slot, uint32_t state, uint64_t now)
{
    char started[CLOCK_RFC3339_SIZE];
    uint64_t heartbeat = LOAD(heartbeat), age = now > heartbeat ? (now - heartbeat) / NS_PER_MS : 0;
    clock_rfc3339(LOAD(started), started);
    buf_printf(buf,
               "{\"role\":\"%s\",\"number\":%" PRIu32 ",\"pid\":%" PRIu32
               ",\"state\":\"%s\",\"generation\":%" PRIu64 ",\"connections\":%" PRIu32
               ",\"requests\":%" PRIu32 ",\"started\":\"%s\",\"heartbeat_age_ms\":%" PRIu64 "}",
               role_name(LOAD(role)), LOAD(number), LOAD(pid), slot_state_name(state), LOAD(generation),
               LOAD(connections), LOAD(requests), started, age);
}

void state_json(const struct master *master, char *out, size_t size)
{
    static const char end[] = "]}";
    struct buf buf = buf_on(out, size - sizeof(end));
    const struct slots *slots = master->shared.slots;
    const char *comma = "";
    uint64_t now = clock_monotonic_ns();
    buf_printf(&buf,
               "{\"version\":\"%s\",\"pid\":%ld,\"generation\":%" PRIu64 ",\"uptime_seconds\":%" PRIu64
               ",\"processes\":[",
               PACKAGE_VERSION, (long)getpid(), master->reload.number, (master->now - master->born) / 1000);
    for (uint32_t i = 0; slots && i < slots->count; i++) {
        uint32_t state = atomic_load_explicit(&slots->slot[i].state, memory_order_acquire);
        size_t before = buf.length;
        if (state == SLOT_FREE)
            continue;
        buf_printf(&buf, "%s", comma);
        add_process(&buf, &slots->slot[i], state, now);
        comma = ",";
        if (buf.overflow) { /* a process that doesn't fit is left out whole */
            buf.length = before;
            break;
        }
    }
    memcpy(out + buf.length, end, sizeof(end));
}
