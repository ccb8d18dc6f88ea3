/* log: the error log of a process.
 *
 * A line goes to the process's sink: standard error until log_to() names another (the process's ring in the shared
 * segment). A sink never blocks. Lines are one line: control characters of the message are escaped.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG };

/* The words of the setting log.level, by enum log_level, NULL at the end. */
extern const char *const log_level_words[];

/* `line` is "TIME LEVEL PROCESS[PID]: MESSAGE\n". */
typedef void log_sink(void *context, enum log_level level, const char *line, size_t length);

/* `sink` NULL: back to standard error. */
void log_to(log_sink *sink, void *context);
void log_set_level(enum log_level level);
void log_set_process(const char *name); /* "master", "worker" …: a constant */

extern enum log_level log_level_now;

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For lines that a peer can cause as often as it likes. */
struct log_seldom {
    uint64_t since_ms; /* when the present span began */
    unsigned lines;    /* in it */
    unsigned skipped;  /* since the last line */
    unsigned left_out; /* before this line: for its text */
};

/* Whether a line may be written now: LOG_SELDOM_LINES in LOG_SELDOM_MS. `now_ms` is any clock in milliseconds. */
enum { LOG_SELDOM_LINES = 10, LOG_SELDOM_MS = 10000 };
bool log_seldom(struct log_seldom *seldom, uint64_t now_ms);

#define log_at(level, ...) ((level) <= log_level_now ? log_line((level), __VA_ARGS__) : (void)0)
#define log_error(...) log_at(LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_at(LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LEVEL_DEBUG, __VA_ARGS__)

#endif
