/* channel: called by the loop when there is something, and a last time when the child was reaped. */
#include "master/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"
#include "shared/base/log.h"

enum { LEAVES_MS = 1000 };

static void ready(struct master *master, struct child *child)
{
    if (child->state != CHILD_STARTING)
        return;
    child->state = CHILD_READY;
    child->kill_at = 0;
    master->again = true;
    /* From its first logger on the master's own lines go that way too. */
    if ((child->role->inherits & INHERIT_LOGS) && !master->logs_run) {
        shared_log_start(&master->log);
        master->logs_run = true;
    }
}

static void obey(struct master *master, struct child *child, const struct channel_message *message)
{
    switch (message->verb) {
    case CHANNEL_READY:
        ready(master, child);
        break;
    case CHANNEL_FAILED:
        memcpy(child->failed, message->text, sizeof(child->failed));
        break;
    case CHANNEL_REOPENED:
        child->reopen_done = message->number;
        master->again = true;
        break;
    case CHANNEL_CUT:
        master->cut += message->number;
        log_notice("%s cut %" PRIu64 " %s", child_name(child).text, message->number, message->text);
        break;
    default:
        log_warning("%s told something unknown (%u)", child_name(child).text, message->verb);
    }
}

void channel_read(struct master *master, struct child *child)
{
    struct channel_message message;
    while (child->channel >= 0) {
        int got = channel_receive(child->channel, &message);
        for (uint32_t i = 0; got > 0 && i < message.fd_count; i++)
            close(message.fds[i]); /* no verb of theirs has any */
        if (got > 0)
            obey(master, child, &message);
        else if (got < 0 && errno == EPROTO)
            log_warning("%s told what is no message", child_name(child).text);
        else if (got < 0 && errno == EAGAIN)
            return;
        else {
            /* It is about to exit. One that isn't can't be told anything: it goes too. */
            close(child->channel);
            child->channel = -1;
            if (child->kill_at == 0 || child->kill_at > master->now + LEAVES_MS)
                child->kill_at = master->now + LEAVES_MS;
        }
    }
}
