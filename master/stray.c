/* stray: a pipe of which all children have the writing end, read by the master's loop. */
#include "master/stray.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"

int stray_open(struct stray *stray)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    stray->read_end = ends[0];
    stray->write_end = ends[1];
    return 0;
}

void stray_read(struct stray *stray)
{
    /* As much as the pipe holds, not more: who writes without end doesn't keep the master. */
    for (unsigned turns = 0; turns < 64; turns++) {
        ssize_t got = read(stray->read_end, stray->line + stray->length, sizeof(stray->line) - stray->length);
        if (got <= 0)
            return;
        stray->length += (size_t)got;
        for (;;) {
            char *newline = memchr(stray->line, '\n', stray->length);
            size_t end = newline ? (size_t)(newline - stray->line) : stray->length;
            if (!newline && stray->length < sizeof(stray->line))
                break;
            log_error("written by a child: %.*s", (int)end, stray->line);
            end += newline ? 1 : 0;
            memmove(stray->line, stray->line + end, stray->length - end);
            stray->length -= end;
        }
    }
}

void stray_flush(struct stray *stray)
{
    if (stray->read_end >= 0)
        stray_read(stray);
    if (stray->length)
        log_error("written by a child: %.*s", (int)stray->length, stray->line);
    stray->length = 0;
}
