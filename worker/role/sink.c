/* sink: batches, short writes, full disks, and syslog that was restarted. */
#include "worker/role/sink.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/shm/logs.h"

enum { PATIENCE_MS = 5000, SYSLOG_FACILITY = 3 /* daemon */, SYSLOG_HEAD = 64 };
_Static_assert(LOG_LINE_MAX + SYSLOG_HEAD < SINK_BATCH, "a batch holds a line at least");

static void set_target(struct sink *sink, int fd, bool syslog, bool own)
{
    sink->fd = fd;
    sink->syslog = syslog;
    sink->own = own;
    sink->torn = false;
    sink->error = 0;
    sink->peer.length = sizeof(sink->peer.un);
    if (syslog && getpeername(fd, &sink->peer.any, &sink->peer.length) < 0) {
        sink->peer.un = (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "/dev/log"};
        sink->peer.length = sizeof(sink->peer.un);
    }
}

void sink_init(struct sink *sink, int fd, bool syslog, bool own)
{
    sink->lost = 0;
    sink->length = 0;
    set_target(sink, fd, syslog, own);
}

/* For a descriptor that doesn't block: until it takes something again. False: it did not for too long. */
static bool wait_writable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int rc;
    do
        rc = poll(&poll_fd, 1, PATIENCE_MS);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        errno = EAGAIN;
    return rc > 0;
}

static uint64_t count_lines(const char *data, size_t length)
{
    uint64_t lines = 0;
    for (const char *end = data + length; (data = memchr(data, '\n', (size_t)(end - data))); data++)
        lines++;
    return lines;
}

/* All of it, however many writes that takes; false: errno. `*done` bytes were written. */
static bool write_all(int fd, const char *data, size_t length, size_t *done)
{
    *done = 0;
    while (*done < length) {
        ssize_t rc = write(fd, data + *done, length - *done);
        if (rc >= 0)
            *done += (size_t)rc;
        else if (errno == EAGAIN ? !wait_writable(fd) : errno != EINTR)
            return false;
    }
    return true;
}

void sink_flush(struct sink *sink)
{
    if (sink->length == 0)
        return;
    size_t length = sink->length, done = 0;
    sink->length = 0;
    sink->error = 0;
    /* The rest of a line that a full disk cut off is lost; its beginning becomes a line of its own. */
    if (sink->torn && !write_all(sink->fd, "\n", 1, &done)) {
        sink->error = errno;
        sink->lost += count_lines(sink->batch, length);
        return;
    }
    sink->torn = false;
    if (write_all(sink->fd, sink->batch, length, &done))
        return;
    sink->error = errno;
    sink->lost += count_lines(sink->batch + done, length - done);
    sink->torn = done > 0 && sink->batch[done - 1] != '\n';
}

/* syslogd may have been restarted: its new socket has the old name. */
static bool send_datagram(struct sink *sink, const char *data, size_t length)
{
    bool connected_again = false;
    while (send(sink->fd, data, length, MSG_NOSIGNAL) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == ENOBUFS) {
            if (!wait_writable(sink->fd))
                return false;
        } else if (connected_again || (errno != ECONNREFUSED && errno != ENOTCONN && errno != ECONNRESET)) {
            return false;
        } else {
            int error = errno;
            if (connect(sink->fd, &sink->peer.any, sink->peer.length) < 0) {
                errno = error;
                return false;
            }
            connected_again = true;
        }
    }
    return true;
}

/* RFC 3164, section 4.1: PRI is facility × 8 + severity. */
static int syslog_head(char out[SYSLOG_HEAD], uint32_t pid, unsigned level)
{
    static const unsigned severity[] = {3, 4, 5, 6, 7};
    assert(level <= LEVEL_DEBUG);
    return snprintf(out, SYSLOG_HEAD, "<%u>gatehouse[%" PRIu32 "]: ", SYSLOG_FACILITY * 8 + severity[level],
                    pid);
}

static void add_syslog(struct sink *sink, uint32_t pid, unsigned level, struct str line)
{
    size_t head = (size_t)syslog_head(sink->batch, pid, level);
    memcpy(sink->batch + head, line.data, line.length);
    sink->error = 0;
    if (send_datagram(sink, sink->batch, head + line.length))
        return;
    sink->error = errno;
    sink->lost++;
}

void sink_add(struct sink *sink, uint32_t pid, unsigned level, struct str line)
{
    if (sink->fd < 0)
        return;
    assert(line.length <= LOG_LINE_MAX);
    if (line.length && line.data[line.length - 1] == '\n')
        line.length--;
    if (sink->syslog) {
        add_syslog(sink, pid, level, line);
        return;
    }
    if (line.length + 1 > SINK_BATCH - sink->length)
        sink_flush(sink);
    memcpy(sink->batch + sink->length, line.data, line.length);
    sink->length += line.length;
    sink->batch[sink->length++] = '\n';
}

void sink_replace(struct sink *sink, int fd, bool syslog)
{
    sink_flush(sink);
    if (sink->own && sink->fd >= 0)
        close(sink->fd);
    set_target(sink, fd, syslog, true);
}

void sink_cry(unsigned level, const char *text)
{
    char line[1024];
    int length = syslog_head(line, (uint32_t)getpid(), level);
    length += snprintf(line + length, sizeof(line) - (size_t)length, "%s", text);
    if ((size_t)length >= sizeof(line))
        length = sizeof(line) - 1;
    struct sockaddr_un peer = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool said = fd >= 0 && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0 &&
                send(fd, line, (size_t)length, MSG_NOSIGNAL) == length;
    if (fd >= 0)
        close(fd);
    if (!said)
        dprintf(STDERR_FILENO, "gatehouse[%d]: %s\n", (int)getpid(), text);
}
