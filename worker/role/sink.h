/* sink: where the lines of a log go: a file, a pipe, a terminal, or a datagram socket to syslog.
 *
 * The logger's. Lines are collected and written in batches; a write may block. What can't be written is dropped and
 * counted, and the next lines are tried again.
 */
#ifndef ROLE_SINK_H
#define ROLE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/address.h"

enum { SINK_BATCH = 65536 };

struct sink {
    int fd;              /* owned when `own`; -1: lines are thrown away, uncounted */
    bool syslog;         /* a connected datagram socket: a line is a datagram */
    bool own;            /* closed when replaced */
    bool torn;           /* the last write ended within a line */
    int error;           /* of the last write: 0, or errno */
    uint64_t lost;       /* lines that could not be written, since ever */
    size_t length;       /* bytes waiting in the batch */
    struct address peer; /* of syslog: a socket whose peer went has forgotten it */
    char batch[SINK_BATCH];
};

void sink_init(struct sink *sink, int fd, bool syslog, bool own);

/* Takes a line, with or without its newline. `pid`: who wrote it; `level`: enum log_level; both for syslog. */
void sink_add(struct sink *sink, uint32_t pid, unsigned level, struct str line);

/* Writes what is waiting. */
void sink_flush(struct sink *sink);

/* Flushes into the old descriptor, then goes on with the new one, which is the sink's own. */
void sink_replace(struct sink *sink, int fd, bool syslog);

/* A line for the time when the error log itself can't be written: to syslog if there is one, else to standard
 * error. Never blocks on syslog. */
void sink_cry(unsigned level, const char *text);

#endif
