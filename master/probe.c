/* probe: asked by listen.c and control.c before they bind. */
#include "master/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TCP_STATE_LISTEN = 10 };

/* The kernel prints the words of an address as numbers of this machine, so that they can be stored as they are read. */
bool probe_parse(const char *line, int family, struct probe_line *out)
{
    unsigned word[4] = {0}, port, state, uid;
    unsigned long long inode;
    int behind = 0;
    memset(out, 0, sizeof(*out));
    if (family == AF_INET6)
        sscanf(line, " %*u: %8x%8x%8x%8x:%4x %n", &word[0], &word[1], &word[2], &word[3], &port, &behind);
    else
        sscanf(line, " %*u: %8x:%4x %n", &word[0], &port, &behind);
    if (behind == 0 ||
        sscanf(line + behind, "%*x:%*x %x %*x:%*x %*x:%*x %*x %u %*u %llu", &state, &uid, &inode) != 3)
        return false;
    if (family == AF_INET6) {
        out->address.in6.sin6_family = AF_INET6;
        out->address.in6.sin6_port = htons((in_port_t)port);
        memcpy(&out->address.in6.sin6_addr, word, 16);
        out->address.length = sizeof(out->address.in6);
    } else {
        out->address.in.sin_family = AF_INET;
        out->address.in.sin_port = htons((in_port_t)port);
        memcpy(&out->address.in.sin_addr, word, 4);
        out->address.length = sizeof(out->address.in);
    }
    out->listens = state == TCP_STATE_LISTEN;
    out->uid = uid;
    out->inode = (ino_t)inode;
    return true;
}

static in_port_t port_of(const struct address *address)
{
    return address->any.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port;
}

static bool is_any(const struct address *address)
{
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
    return address->in.sin_addr.s_addr == INADDR_ANY;
}

bool probe_overlap(const struct address *a, const struct address *b)
{
    if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX || port_of(a) != port_of(b))
        return false;
    if (a->any.sa_family == b->any.sa_family) {
        if (is_any(a) || is_any(b))
            return true;
        if (a->any.sa_family == AF_INET6)
            return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
        return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    }
    /* [::] takes IPv4 too, unless its owner said that it is for IPv6 only: that can't be seen here. */
    return is_any(a->any.sa_family == AF_INET6 ? a : b);
}

int probe_bind(const struct address *address)
{
    int one = 1, zero = 0, error = 0;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    /* With SO_REUSEADDR only a socket that listens is in the way, no connection that just ended. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        (address->any.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero))) ||
        bind(fd, &address->any, address->length))
        error = errno;
    close(fd);
    return error;
}

/* One of the two tables. 1: all known, 0: one is not, -1: it can't be read. Those that listen come first. */
static int holders_in(const char *path, int family, const struct address *address,
                      bool (*known)(void *context, const struct probe_line *line), void *context)
{
    char text[512];
    struct probe_line line;
    int all = 1;
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    while (all == 1 && fgets(text, sizeof(text), file)) {
        if (!probe_parse(text, family, &line))
            continue;
        if (!line.listens)
            break;
        if (probe_overlap(&line.address, address) && !known(context, &line))
            all = 0;
    }
    fclose(file);
    return all;
}

bool probe_holders(const struct address *address, bool (*known)(void *context, const struct probe_line *line),
                   void *context)
{
    /* A kernel without IPv6 has no tcp6. */
    return holders_in("/proc/net/tcp", AF_INET, address, known, context) == 1 &&
           holders_in("/proc/net/tcp6", AF_INET6, address, known, context) != 0;
}

enum probe_path probe_unix(const char *path, int type, pid_t *listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    *listener = 0;
    if (lstat(path, &found))
        return errno == ENOENT ? PROBE_FREE : PROBE_UNKNOWN;
    if (!S_ISSOCK(found.st_mode))
        return PROBE_NOT_SOCKET;
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return PROBE_UNKNOWN;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return PROBE_UNKNOWN;
    int error = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        *listener = peer.pid;
    close(fd);
    errno = error;
    switch (error) {
    case 0:
    case EAGAIN:     /* its queue is full */
    case EPROTOTYPE: /* somebody listens for another kind of connection */
        return PROBE_USED;
    case ECONNREFUSED:
        return PROBE_STALE;
    default:
        return PROBE_UNKNOWN;
    }
}
