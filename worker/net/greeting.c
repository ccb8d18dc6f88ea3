/* greeting: the PROXY protocol's header that comes first on a connection. The bytes are peeked at first: where the header
 * ends is known only when all of it is there. What is read before that is part of it, and kept.
 */
#include "worker/net/greeting.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct greeting {
    struct source source; /* first: see loop_free_later() */
    struct list link;
    struct timer timer;
    struct greeter *greeter;
    void *gate;
    struct address peer;
    size_t length; /* of what was read */
    char *data;    /* PROXY_PROTOCOL_MAX bytes; NULL: nothing was */
    bool in_loop;
    uint64_t deadline; /* of its time-out, while it is suspended */
};

static void on_event(struct source *source, uint32_t events);

/* It is over; the descriptor stays. */
static void leave(struct greeting *greeting)
{
    struct greeter *greeter = greeting->greeter;
    if (greeting->in_loop)
        loop_remove(greeter->net->loop, &greeting->source);
    greeting->source.on_event = NULL;
    timer_clear(&greeter->net->loop->timers, &greeting->timer);
    list_remove(&greeting->link);
    greeter->count--;
    free(greeting->data);
    loop_free_later(greeter->net->loop, greeting);
}

static void refuse(struct greeting *greeting, const char *why)
{
    struct greeter *greeter = greeting->greeter;
    struct address peer = greeting->peer;
    void *gate = greeting->gate;
    int fd = greeting->source.fd;
    leave(greeting);
    close(fd); /* not before it left the loop */
    greeter->on_refused(greeter, gate, &peer, why);
}

/* Takes `length` bytes that were peeked at. */
static bool take(const struct greeting *greeting, char *data, size_t length)
{
    return recv(greeting->source.fd, data, length, 0) == (ssize_t)length;
}

static bool keep(struct greeting *greeting, char *data, size_t length)
{
    if (!greeting->data && !(greeting->data = malloc(PROXY_PROTOCOL_MAX)))
        abort();
    memcpy(greeting->data + greeting->length, data, length);
    greeting->length += length;
    return take(greeting, data, length);
}

static void greeted(struct greeting *greeting, const struct proxy_header *header)
{
    struct greeter *greeter = greeting->greeter;
    struct address peer = greeting->peer;
    void *gate = greeting->gate;
    int fd = greeting->source.fd;
    leave(greeting);
    greeter->on_greeted(greeter, gate, fd, &peer, header);
}

/* True: it is over. */
static bool look(struct greeting *greeting)
{
    char *in = greeting->greeter->net->in, *fresh = in + greeting->length;
    size_t kept = greeting->length;
    struct proxy_header header;
    const char *why = "it broke within the header";
    if (kept)
        memcpy(in, greeting->data, kept);
    ssize_t n = recv(greeting->source.fd, fresh, PROXY_PROTOCOL_MAX - kept, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        refuse(greeting, kept ? "it ended within the header" : NULL);
        return true;
    }
    enum proxy_result result = proxy_protocol_read(in, kept + (size_t)n, &header, &why);
    if (result == PROXY_MORE && keep(greeting, fresh, (size_t)n))
        return false;
    if (result == PROXY_WHOLE && take(greeting, fresh, header.length - kept))
        greeted(greeting, &header);
    else
        refuse(greeting, why);
    return true;
}

static void on_event(struct source *source, uint32_t events)
{
    (void)events; /* what else there is to say, recv() says */
    look(CONTAINER_OF(source, struct greeting, source));
}

static void on_timer(struct timer *timer)
{
    struct greeting *greeting = CONTAINER_OF(timer, struct greeting, timer);
    refuse(greeting, greeting->length ? "the header's end didn't come in time" : "no header came in time");
}

void greeter_init(struct greeter *greeter, struct net *net, uint64_t timeout_ms)
{
    greeter->net = net;
    greeter->timeout_ms = timeout_ms;
    list_init(&greeter->greetings);
    list_init(&greeter->staying);
    greeter->count = 0;
}

static struct greeting *make(struct greeter *greeter, void *gate, int fd, const struct address *peer)
{
    struct greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting)
        abort();
    greeting->source = (struct source){.fd = fd, .on_event = on_event};
    greeting->greeter = greeter;
    greeting->gate = gate;
    greeting->peer = *peer;
    timer_init(&greeting->timer, on_timer);
    list_push_back(&greeter->greetings, &greeting->link);
    greeter->count++;
    return greeting;
}

/* False: with errno. */
static bool join(struct greeting *greeting)
{
    greeting->source.on_event = on_event;
    greeting->in_loop = loop_add(greeting->greeter->net->loop, &greeting->source, EPOLLIN | EPOLLRDHUP) == 0;
    return greeting->in_loop;
}

void greeting_open(struct greeter *greeter, void *gate, int fd, const struct address *peer)
{
    struct loop *loop = greeter->net->loop;
    struct greeting *greeting = make(greeter, gate, fd, peer);
    timer_set(&loop->timers, &greeting->timer, loop->now_ms + greeter->timeout_ms);
    /* A proxy sends the header with the connection: mostly it is there, and the loop needn't know. */
    if (look(greeting))
        return;
    if (!join(greeting))
        refuse(greeting, strerror(errno));
}

/* --- handing over --- */

struct greeting *greeting_first(const struct greeter *greeter)
{
    return list_empty(&greeter->greetings) ? NULL : greeting_of(greeter->greetings.next);
}

struct list *greeting_link(struct greeting *greeting)
{
    return &greeting->link;
}

struct greeting *greeting_of(struct list *link)
{
    return CONTAINER_OF(link, struct greeting, link);
}

void greeting_suspend(struct greeting *greeting, struct greeting_parcel *parcel)
{
    struct loop *loop = greeting->greeter->net->loop;
    uint64_t deadline = greeting->timer.deadline;
    loop_remove(loop, &greeting->source);
    greeting->in_loop = false;
    timer_clear(&loop->timers, &greeting->timer);
    list_remove(&greeting->link);
    greeting->deadline = deadline;
    *parcel = (struct greeting_parcel){.fd = greeting->source.fd,
                                       .gate = greeting->gate,
                                       .peer = greeting->peer,
                                       .read = {greeting->data, greeting->length},
                                       .left_ms = deadline > loop->now_ms ? deadline - loop->now_ms : 1};
}

void greeting_resume(struct greeting *greeting, bool stays)
{
    struct greeter *greeter = greeting->greeter;
    list_push_back(stays ? &greeter->staying : &greeter->greetings, &greeting->link);
    timer_set(&greeter->net->loop->timers, &greeting->timer, greeting->deadline);
    if (!join(greeting))
        refuse(greeting, strerror(errno));
}

void greeting_done(struct greeting *greeting)
{
    refuse(greeting, NULL);
}

struct greeting *greeting_take(struct greeter *greeter, const struct greeting_parcel *parcel)
{
    struct loop *loop = greeter->net->loop;
    uint64_t left = parcel->left_ms < greeter->timeout_ms ? parcel->left_ms : greeter->timeout_ms;
    struct greeting *greeting = make(greeter, parcel->gate, parcel->fd, &parcel->peer);
    if (parcel->read.length) {
        greeting->data = malloc(PROXY_PROTOCOL_MAX);
        if (!greeting->data)
            abort();
        assert(parcel->read.length <= PROXY_PROTOCOL_MAX);
        memcpy(greeting->data, parcel->read.data, parcel->read.length);
        greeting->length = parcel->read.length;
    }
    timer_set(&loop->timers, &greeting->timer, loop->now_ms + left);
    if (join(greeting))
        return greeting;
    refuse(greeting, strerror(errno));
    return NULL;
}

static void close_all(struct list *greetings)
{
    while (!list_empty(greetings)) {
        struct greeting *greeting = greeting_of(greetings->next);
        int fd = greeting->source.fd;
        leave(greeting);
        close(fd);
    }
}

void greeter_close(struct greeter *greeter)
{
    close_all(&greeter->greetings);
    close_all(&greeter->staying);
}
