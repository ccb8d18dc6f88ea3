/* handoff: the messages of a hand-off. Called by role/handoff and role/takeover. */
#include "worker/net/handoff.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/hash.h"

/* --- numbers and addresses: as they are in memory, since both ends are on one machine --- */

static void put_u32(struct buf *out, uint32_t value)
{
    buf_add(out, (const char *)&value, sizeof value);
}

static bool get(struct str *in, void *value, size_t size)
{
    if (in->length < size)
        return false;
    memcpy(value, in->data, size);
    in->data += size;
    in->length -= size;
    return true;
}

static void put_address(struct buf *out, const struct address *address)
{
    put_u32(out, address->length);
    buf_add(out, (const char *)&address->any, address->length);
}

static bool get_address(struct str *in, struct address *address)
{
    uint32_t length;
    memset(address, 0, sizeof *address);
    if (!get(in, &length, sizeof length) || length > sizeof address->un || !get(in, &address->any, length))
        return false;
    address->length = length;
    if (length == 0) /* not known */
        return true;
    size_t least = sizeof(sa_family_t);
    if (length >= least && address->any.sa_family == AF_INET)
        least = sizeof address->in;
    else if (length >= least && address->any.sa_family == AF_INET6)
        least = sizeof address->in6;
    else if (length >= least && address->any.sa_family != AF_UNIX)
        return false;
    return length >= least;
}

/* --- messages --- */

void handoff_put_head(struct buf *out, enum handoff_verb verb, uint32_t number)
{
    put_u32(out, verb);
    put_u32(out, number);
}

void handoff_set_number(struct buf *out, uint32_t number)
{
    assert(out->length >= sizeof(struct handoff_head));
    memcpy(out->data + offsetof(struct handoff_head, number), &number, sizeof number);
}

bool handoff_get_head(struct str *in, struct handoff_head *head)
{
    return get(in, head, sizeof *head);
}

void handoff_put_listener(struct buf *out, const struct handoff_listener *listener)
{
    put_address(out, &listener->address);
    buf_add(out, (const char *)&listener->rights, sizeof listener->rights);
}

bool handoff_get_listener(struct str *in, struct handoff_listener *listener)
{
    return get_address(in, &listener->address) && get(in, &listener->rights, sizeof listener->rights);
}

static void put_text(struct buf *out, struct str text)
{
    put_u32(out, (uint32_t)text.length);
    buf_str_add(out, text);
}

static bool get_text(struct str *in, struct str *text)
{
    uint32_t length;
    if (!get(in, &length, sizeof length) || length > in->length || length > HANDOFF_HELD_MAX)
        return false;
    *text = (struct str){in->data, length};
    in->data += length;
    in->length -= length;
    return true;
}

/* What stands in a tunnel's record, in order. */
#define TUNNEL_NUMBERS(tunnel)                                                                             \
    {                                                                                                      \
        {&(tunnel)->started, sizeof(tunnel)->started}, {&(tunnel)->started_wall, sizeof(tunnel)->started}, \
            {&(tunnel)->upstream_ns, sizeof(tunnel)->upstream_ns},                                         \
            {&(tunnel)->bytes_in, sizeof(tunnel)->bytes_in},                                               \
            {&(tunnel)->bytes_out, sizeof(tunnel)->bytes_out}, {&(tunnel)->tries, sizeof(tunnel)->tries},  \
            {&(tunnel)->silent_ms, sizeof(tunnel)->silent_ms}, {&(tunnel)->flags, sizeof(tunnel)->flags},  \
    }
#define TUNNEL_TEXTS(tunnel)                                                                                 \
    {                                                                                                        \
        &(tunnel)->head, &(tunnel)->id, &(tunnel)->api, &(tunnel)->route, &(tunnel)->upstream,               \
            &(tunnel)->position, &(tunnel)->client_kept, &(tunnel)->upstream_held, &(tunnel)->upstream_kept, \
    }

static void put_tunnel(struct buf *out, const struct handoff_tunnel *tunnel)
{
    const struct {
        const void *at;
        size_t size;
    } numbers[] = TUNNEL_NUMBERS(tunnel);
    const struct str *const texts[] = TUNNEL_TEXTS(tunnel);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buf_add(out, numbers[i].at, numbers[i].size);
    put_address(out, &tunnel->endpoint);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_text(out, *texts[i]);
}

static bool get_tunnel(struct str *in, struct handoff_tunnel *tunnel)
{
    const struct {
        void *at;
        size_t size;
    } numbers[] = TUNNEL_NUMBERS(tunnel);
    struct str *const texts[] = TUNNEL_TEXTS(tunnel);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!get(in, numbers[i].at, numbers[i].size))
            return false;
    if (!get_address(in, &tunnel->endpoint))
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!get_text(in, texts[i]))
            return false;
    return true;
}

void handoff_put_record(struct buf *out, const struct handoff_record *record)
{
    put_u32(out, record->listener);
    put_u32(out, record->left_ms);
    put_u32(out, record->requests);
    buf_char(out, (char)record->kind);
    buf_char(out, (char)record->flags);
    put_address(out, &record->peer);
    if (record->flags & HANDOFF_DESTINATION)
        put_address(out, &record->destination);
    put_text(out, record->held);
    if (record->kind == HANDOFF_TUNNEL)
        put_tunnel(out, &record->tunnel);
}

bool handoff_get_record(struct str *in, struct handoff_record *record)
{
    if (!get(in, &record->listener, sizeof record->listener) ||
        !get(in, &record->left_ms, sizeof record->left_ms) ||
        !get(in, &record->requests, sizeof record->requests) ||
        !get(in, &record->kind, sizeof record->kind) || !get(in, &record->flags, sizeof record->flags) ||
        !get_address(in, &record->peer))
        return false;
    record->destination = (struct address){.length = 0};
    if (record->flags & HANDOFF_DESTINATION && !get_address(in, &record->destination))
        return false;
    return get_text(in, &record->held) && (record->kind != HANDOFF_TUNNEL || get_tunnel(in, &record->tunnel));
}

void handoff_put_verdict(struct buf *out, enum handoff_verdict verdict)
{
    buf_char(out, (char)verdict);
}

bool handoff_get_verdict(struct str *in, enum handoff_verdict *verdict)
{
    uint8_t value;
    if (!get(in, &value, sizeof value) || value >= HANDOFF_VERDICTS)
        return false;
    *verdict = value;
    return true;
}

uint64_t handoff_rights(const char *mode, const char *owner, const char *group)
{
    const char *words[] = {mode, owner, group};
    uint64_t rights = 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        rights = rights * 31 + (words[i] ? hash_name(str_of(words[i])) : i);
    return rights;
}

/* --- the wire --- */

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int) * HANDOFF_BATCH_MAX)];
};

int handoff_send(int fd, struct str message, const int *fds, unsigned fd_count)
{
    assert(fd_count <= HANDOFF_BATCH_MAX);
    struct iovec data = {(char *)message.data, message.length};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};
    union control control;
    if (fd_count) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        memset(&control, 0, packet.msg_controllen);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

bool handoff_may_retry(int error)
{
    /* ETOOMANYREFS: the user has more descriptors under way than one process may have open. */
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

static void take_fds(struct msghdr *packet, int *fds, unsigned *fd_count)
{
    *fd_count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(packet); head; head = CMSG_NXTHDR(packet, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(*fd_count + count <= HANDOFF_BATCH_MAX); /* there is no room for more in the control buffer */
        memcpy(fds + *fd_count, CMSG_DATA(head), count * sizeof(int));
        *fd_count += (unsigned)count;
    }
}

int handoff_receive(int fd, char *memory, size_t size, struct str *message, int *fds, unsigned *fd_count)
{
    struct iovec data = {memory, size};
    union control control;
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    /* ECONNRESET is said once, when the peer left something unread; what it sent before that follows. */
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    *fd_count = 0;
    if (got <= 0)
        return (int)got;
    take_fds(&packet, fds, fd_count);
    if (packet.msg_flags & MSG_TRUNC) {
        while (*fd_count)
            close(fds[--*fd_count]);
        errno = EPROTO;
        return -1;
    }
    *message = (struct str){memory, (size_t)got};
    return 1;
}
