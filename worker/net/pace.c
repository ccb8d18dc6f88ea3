/* pace: whether a client moves its bytes. */
#include "worker/net/pace.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

void pace_begin(struct pace *pace, uint64_t now_ms, uint64_t bytes)
{
    *pace = (struct pace){now_ms, bytes, now_ms, bytes};
}

enum pace_verdict pace_look(struct pace *pace, const struct pace_rules *rules, uint64_t now_ms,
                            uint64_t bytes)
{
    if (bytes != pace->moved_bytes) {
        pace->moved_at = now_ms;
        pace->moved_bytes = bytes;
    } else if (now_ms - pace->moved_at >= rules->timeout) {
        return PACE_STALLED;
    }
    uint64_t span = now_ms - pace->window_began;
    if (!rules->rate || span < rules->window)
        return PACE_GOOD;
    if ((bytes - pace->window_bytes) * 1000 < rules->rate * span)
        return PACE_SLOW;
    pace->window_began = now_ms;
    pace->window_bytes = bytes;
    return PACE_GOOD;
}

uint64_t pace_next(const struct pace *pace, const struct pace_rules *rules, uint64_t now_ms)
{
    uint64_t due = pace->moved_at + rules->timeout;
    if (rules->rate && pace->window_began + rules->window < due)
        due = pace->window_began + rules->window;
    return due > now_ms ? due - now_ms : 0;
}

uint64_t pace_taken(int fd, uint64_t sent)
{
    int queued = 0;
    if (ioctl(fd, SIOCOUTQ, &queued) < 0 || queued < 0 || (uint64_t)queued > sent)
        return sent;
    return sent - (uint64_t)queued;
}
