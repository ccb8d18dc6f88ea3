/* log: makes a line and hands it to the process's sink. Called from everywhere, also while memory is short: it
 * allocates nothing and leaves errno as it was.
 */
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/clock.h"

enum {
    LINE_SIZE = 4096
}; /* with the newline; PIPE_BUF, so that lines of several writers don't mix in a pipe */

const char *const log_level_words[] = {"error", "warning", "notice", "info", "debug", NULL};

enum log_level log_level_now = LEVEL_NOTICE;

static log_sink *sink_now;
static void *sink_context;
static const char *process_name = "gatehouse";

void log_to(log_sink *sink, void *context)
{
    sink_now = sink;
    sink_context = context;
}

void log_set_level(enum log_level level)
{
    log_level_now = level;
}

void log_set_process(const char *name)
{
    process_name = name;
}

static void message_add(struct buf *line, struct str message)
{
    for (size_t i = 0; i < message.length && !line->overflow; i++) {
        unsigned char c = (unsigned char)message.data[i];
        if (c >= 0x20 && c != 0x7f) {
            buf_char(line, (char)c);
            continue;
        }
        BUF_LITERAL(line, "\\x");
        buf_hex(line, c, 2);
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    int error = errno;
    assert(level <= LEVEL_DEBUG);
    char message[LINE_SIZE], text[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    assert(length >= 0);
    bool cut = (size_t)length >= sizeof(message);
    if (cut)
        length = sizeof(message) - 1;

    static const char ending[] = " [cut]\n";
    struct buf line = buf_on(text, sizeof(text) - sizeof(ending));
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ns(), time);
    buf_printf(&line, "%s %s %s[%d]: ", time, log_level_words[level], process_name, (int)getpid());
    message_add(&line, (struct str){message, (size_t)length});
    line.size = sizeof(text);
    if (cut || line.overflow)
        BUF_LITERAL(&line, " [cut]");
    buf_char(&line, '\n');

    if (sink_now)
        sink_now(sink_context, level, line.data, line.length);
    else if (write(STDERR_FILENO, line.data, line.length) < 0)
        errno = 0; /* there is nowhere left to say so */
    errno = error;
}

bool log_seldom(struct log_seldom *seldom, uint64_t now_ms)
{
    if (seldom->lines == 0 || now_ms - seldom->since_ms >= LOG_SELDOM_MS) {
        seldom->since_ms = now_ms;
        seldom->lines = 0;
    }
    if (seldom->lines >= LOG_SELDOM_LINES) {
        seldom->skipped++;
        return false;
    }
    seldom->lines++;
    seldom->left_out = seldom->skipped;
    seldom->skipped = 0;
    return true;
}
