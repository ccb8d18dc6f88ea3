/* channel: one message, one packet. Called by the master and by its children.
 *
 * On the wire: the head below, then the text without a NUL; descriptors go beside it. A receiver of another version
 * finds the fields that it knows in their places.
 */
#include "shared/base/channel.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire {
    uint32_t verb;
    uint32_t flags;
    uint64_t number;
    uint32_t fd_count;
    uint32_t text_length;
    char text[CHANNEL_TEXT];
};

enum { WIRE_HEAD = offsetof(struct wire, text) };
_Static_assert(WIRE_HEAD == 24, "the head is the same in every version");

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)];
};

int channel_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

int channel_send(int fd, const struct channel_message *message)
{
    assert(message->fd_count <= CHANNEL_FDS);
    struct wire wire = {message->verb, message->flags, message->number, message->fd_count, 0, {0}};
    wire.text_length = (uint32_t)strnlen(message->text, CHANNEL_TEXT - 1);
    memcpy(wire.text, message->text, wire.text_length);

    struct iovec data = {&wire, WIRE_HEAD + wire.text_length};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};
    union control control = {.space = {0}};
    size_t fds_size = sizeof(int) * message->fd_count;
    if (fds_size) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(fds_size);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(fds_size);
        memcpy(CMSG_DATA(&control.head), message->fds, fds_size);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    /* A peer that closed is told in several ways, by what was still unread. */
    if (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN)
        errno = EPIPE;
    return -1;
}

/* Takes the descriptors out of `packet`; false: more than fit came (the kernel closed the rest). */
static bool take_fds(struct msghdr *packet, struct channel_message *message)
{
    message->fd_count = 0;
    for (int i = 0; i < CHANNEL_FDS; i++)
        message->fds[i] = -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(packet); head; head = CMSG_NXTHDR(packet, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(message->fd_count + count <=
               CHANNEL_FDS); /* there is no room for more in the control buffer */
        memcpy(message->fds + message->fd_count, CMSG_DATA(head), count * sizeof(int));
        message->fd_count += (uint32_t)count;
    }
    return !(packet->msg_flags & MSG_CTRUNC);
}

static void close_fds(struct channel_message *message)
{
    for (uint32_t i = 0; i < message->fd_count; i++) {
        close(message->fds[i]);
        message->fds[i] = -1;
    }
    message->fd_count = 0;
}

int channel_receive(int fd, struct channel_message *message)
{
    struct wire wire;
    struct iovec data = {&wire, sizeof(wire)};
    union control control;
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got;
    do
        got = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    /* ECONNRESET is said once, when the peer left something unread; what it sent before that follows. */
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got <= 0)
        return (int)got;

    bool whole = take_fds(&packet, message);
    if (!whole || (packet.msg_flags & MSG_TRUNC) || got < WIRE_HEAD || wire.text_length >= CHANNEL_TEXT ||
        (size_t)got != WIRE_HEAD + wire.text_length || wire.fd_count != message->fd_count) {
        close_fds(message);
        errno = EPROTO;
        return -1;
    }
    message->verb = wire.verb;
    message->flags = wire.flags;
    message->number = wire.number;
    memcpy(message->text, wire.text, wire.text_length);
    message->text[wire.text_length] = '\0';
    return 1;
}

int channel_tell(int fd, enum channel_verb verb, uint64_t number)
{
    struct channel_message message = {.verb = verb, .number = number, .fds = {-1, -1, -1, -1}};
    return channel_send(fd, &message);
}
