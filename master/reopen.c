/* reopen: by SIGUSR1, the control socket, and at the end of a reload. */
#include "master/reopen.h"

#include <stdio.h>

#include "master/master.h"
#include "shared/base/log.h"

void reopen_take(struct master *master, struct logfiles *files)
{
    struct channel_message message;
    logfiles_message(files, &message);
    message.number = ++master->reopens;
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (!(child->role->inherits & INHERIT_LOGS) || child->channel < 0)
            continue;
        child->reopen_told = message.number;
        if (channel_send(child->channel, &message))
            log_error("%s doesn't take the log files: %m", child_name(child).text);
    }
    logfiles_close(&master->logs);
    master->logs = *files;
    logfiles_init(files);
}

bool reopen_is_done(const struct master *master, uint64_t number)
{
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->reopen_told >= number && child->reopen_done < number)
            return false;
    }
    return true;
}

int reopen_logs(struct master *master, char *why, size_t size)
{
    struct logfiles files;
    struct errors errors;
    if (!master->crew) {
        snprintf(why, size, "the gateway is not serving yet");
        return -1;
    }
    struct arena *arena = arena_new(4096);
    errors_init(&errors, arena);
    int error = logfiles_open(&files, &master->crew->generation->settings->log, master->background, &errors);
    if (error) {
        snprintf(why, size, "%s", errors_text(&errors, arena));
        log_error("the logs were not opened again: %s", errors.first->text);
    } else
        reopen_take(master, &files);
    arena_free(&arena);
    return error;
}
