/* acceptor: a listening socket in a process's loop. */
#include "worker/net/acceptor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"

enum { RETRY_MS = 20, RETRY_EXHAUSTED_MS = 500 };
enum { FINISH_MAX = 65536 }; /* more than a queue can hold: what comes on and on is not waited for */

static void on_event(struct source *source, uint32_t events);

static void join(struct acceptor *acceptor)
{
    struct loop *loop = acceptor->net->loop;
    if (acceptor->in_loop || acceptor->closed)
        return;
    timer_clear(&loop->timers, &acceptor->retry);
    acceptor->source.on_event = on_event; /* leaving took it away */
    /* EPOLLEXCLUSIVE: a new connection wakes one process, not all. */
    if (loop_add(loop, &acceptor->source, EPOLLIN | EPOLLEXCLUSIVE) == 0) {
        acceptor->in_loop = true;
        return;
    }
    /* The user's watches or the kernel's memory are used up: by others perhaps, so no end of ours would tell. */
    log_error("can't watch a listener: %s; trying again", strerror(errno));
    timer_set(&loop->timers, &acceptor->retry, loop->now_ms + RETRY_EXHAUSTED_MS);
}

/* `retry_ms` 0: until it is told. */
static void leave(struct acceptor *acceptor, uint64_t retry_ms)
{
    struct loop *loop = acceptor->net->loop;
    if (acceptor->in_loop)
        loop_remove(loop, &acceptor->source);
    acceptor->in_loop = false;
    if (retry_ms)
        timer_set(&loop->timers, &acceptor->retry, loop->now_ms + retry_ms);
}

/* One connection, which may be gone again: 1; none: 0; no descriptor or memory: -1. */
static int accept_one(struct acceptor *acceptor)
{
    struct address peer = {.length = sizeof peer.un};
    int fd = accept4(acceptor->source.fd, &peer.any, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (peer.any.sa_family == AF_INET6)
            address_unmap(&peer);
        acceptor->events->on_accept(acceptor, fd, &peer);
        return 1;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return acceptor->events->on_exhausted(acceptor, errno) ? 1 : -1;
    if (errno == EAGAIN)
        return 0; /* taken by another worker */
    return 1; /* gone before it was accepted, or the network's error is told here (accept(2)): there may be others */
}

static void on_event(struct source *source, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(source, struct acceptor, source);
    (void)events;
    enum room room = acceptor->events->room(acceptor);
    if (room != ROOM)
        leave(acceptor, room == ROOM_LATER ? RETRY_MS : 0);
    else if (accept_one(acceptor) < 0)
        leave(acceptor, RETRY_EXHAUSTED_MS);
}

static void on_retry(struct timer *timer)
{
    join(CONTAINER_OF(timer, struct acceptor, retry));
}

void acceptor_open(struct acceptor *acceptor, struct net *net, int fd, const struct acceptor_events *events)
{
    acceptor->source = (struct source){.fd = fd, .on_event = on_event};
    acceptor->net = net;
    acceptor->events = events;
    timer_init(&acceptor->retry, on_retry);
    join(acceptor);
}

void acceptor_resume(struct acceptor *acceptor)
{
    join(acceptor);
}

void acceptor_finish(struct acceptor *acceptor)
{
    for (int i = 0; i < FINISH_MAX && accept_one(acceptor) > 0; i++)
        continue;
    acceptor_close(acceptor);
}

void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->closed)
        return;
    if (acceptor->in_loop)
        loop_remove(acceptor->net->loop, &acceptor->source);
    acceptor->in_loop = false;
    acceptor->closed = true;
    timer_clear(&acceptor->net->loop->timers, &acceptor->retry);
    close(acceptor->source.fd);
}
