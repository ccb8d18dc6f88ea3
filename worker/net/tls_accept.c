/* tls_accept: the TLS handshakes of connections that were accepted. */
#include "worker/net/tls_accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A signature takes up to a millisecond (RSA): while many wait for theirs, other connections get their turn. */
enum { STEPS_A_TURN = 8 };

struct handshake {
    struct source source; /* first: see loop_free_later() */
    struct list link;
    struct timer timer;
    struct tls_accept *accept;
    struct tls *tls;
    struct arrival arrival;
    char *kept; /* output that the socket didn't take; NULL: it took all */
    size_t kept_length;
    bool begun; /* something came */
    bool done;  /* but for what is kept */
};

static void on_event(struct source *source, uint32_t events);

/* It is over; descriptor and session stay. */
static struct tls *leave(struct handshake *handshake)
{
    struct tls_accept *accept = handshake->accept;
    struct tls *tls = handshake->tls;
    loop_remove(accept->net->loop, &handshake->source);
    timer_clear(&accept->net->loop->timers, &handshake->timer);
    list_remove(&handshake->link);
    accept->count--;
    free(handshake->kept);
    loop_free_later(accept->net->loop, handshake);
    return tls;
}

static void refuse(struct handshake *handshake, const char *why)
{
    struct tls_accept *accept = handshake->accept;
    struct arrival arrival = handshake->arrival;
    struct tls *tls = leave(handshake);
    close(arrival.fd); /* not before it left the loop */
    accept->on_refused(accept, &arrival, why);
    tls_free(&tls); /* `why` may be its own */
}

static void secured(struct handshake *handshake)
{
    struct tls_accept *accept = handshake->accept;
    struct arrival arrival = handshake->arrival;
    accept->on_secured(accept, &arrival, leave(handshake));
}

static void plain(struct handshake *handshake)
{
    struct tls_accept *accept = handshake->accept;
    struct arrival arrival = handshake->arrival;
    struct tls *tls = leave(handshake);
    tls_free(&tls);
    accept->on_plain(accept, &arrival);
}

static void keep(struct handshake *handshake, const char *data, size_t length)
{
    char *kept = malloc(length);
    if (!kept)
        abort();
    memcpy(kept, data, length);
    free(handshake->kept);
    handshake->kept = kept;
    handshake->kept_length = length;
    /* Nothing is read meanwhile: a half-closed peer would be reported in every turn. */
    loop_change(handshake->accept->net->loop, &handshake->source, EPOLLOUT);
}

/* Sends what the session has gathered. False: it broke, with errno. */
static bool send_gathered(struct handshake *handshake)
{
    struct net *net = handshake->accept->net;
    size_t length = net->sealed_length;
    net->sealed_length = 0;
    if (length == 0)
        return true;
    ssize_t n = send(handshake->arrival.fd, net->sealed, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    size_t taken = n < 0 ? 0 : (size_t)n;
    if (taken < length)
        keep(handshake, net->sealed + taken, length - taken);
    return true;
}

/* The socket takes more again. */
static void send_kept(struct handshake *handshake)
{
    ssize_t n = send(handshake->arrival.fd, handshake->kept, handshake->kept_length, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            refuse(handshake, strerror(errno));
        return;
    }
    handshake->kept_length -= (size_t)n;
    memmove(handshake->kept, handshake->kept + n, handshake->kept_length);
    if (handshake->kept_length)
        return;
    free(handshake->kept);
    handshake->kept = NULL;
    if (handshake->done)
        secured(handshake);
    else
        loop_change(handshake->accept->net->loop, &handshake->source, EPOLLIN | EPOLLRDHUP);
}

static void step(struct handshake *handshake, size_t length)
{
    enum tls_result result = tls_handshake(handshake->tls, handshake->accept->net->wire, length);
    bool sent = send_gathered(handshake);
    if (result == TLS_FAILED)
        refuse(handshake, tls_why(handshake->tls));
    else if (!sent)
        refuse(handshake, strerror(errno));
    else if (result == TLS_DONE && !handshake->kept)
        secured(handshake);
    else
        handshake->done = result == TLS_DONE;
}

/* A record of TLS begins with its type, which is no letter; a method does. */
static bool is_plain(const struct handshake *handshake, const char *data)
{
    return !handshake->begun && *data >= 'A' && *data <= 'Z';
}

static void read_more(struct handshake *handshake)
{
    ssize_t n = recv(handshake->arrival.fd, handshake->accept->net->wire, NET_READ, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            refuse(handshake, handshake->begun ? strerror(errno) : NULL);
        return;
    }
    if (n == 0)
        refuse(handshake, handshake->begun ? tls_why(handshake->tls) : NULL);
    else if (is_plain(handshake, handshake->accept->net->wire))
        plain(handshake);
    else {
        handshake->begun = true;
        step(handshake, (size_t)n);
    }
}

/* Whether one more step is to be made in this turn; the event comes again in the next. */
static bool may_step(struct tls_accept *accept)
{
    uint64_t now = accept->net->loop->now;
    if (accept->turn != now) {
        accept->turn = now;
        accept->in_turn = 0;
    }
    return accept->in_turn++ < STEPS_A_TURN;
}

static void on_event(struct source *source, uint32_t events)
{
    struct handshake *handshake = CONTAINER_OF(source, struct handshake, source);
    (void)events; /* what else there is to say, recv() and send() say */
    if (handshake->kept)
        send_kept(handshake);
    else if (may_step(handshake->accept))
        read_more(handshake);
}

static void on_timer(struct timer *timer)
{
    struct handshake *handshake = CONTAINER_OF(timer, struct handshake, timer);
    refuse(handshake, handshake->begun ? "the handshake took too long" : "no handshake came in time");
}

void tls_accept_init(struct tls_accept *accept, struct net *net)
{
    accept->net = net;
    list_init(&accept->handshakes);
    accept->count = 0;
    accept->turn = 0;
    accept->in_turn = 0;
}

bool tls_accept_open(struct tls_accept *accept, const struct arrival *arrival, SSL *ssl, uint64_t timeout_ms)
{
    struct loop *loop = accept->net->loop;
    struct handshake *handshake = calloc(1, sizeof *handshake);
    if (!handshake)
        abort();
    handshake->source = (struct source){.fd = arrival->fd, .on_event = on_event};
    handshake->accept = accept;
    handshake->arrival = *arrival;
    handshake->tls = tls_new(accept->net, ssl);
    if (loop_add(loop, &handshake->source, EPOLLIN | EPOLLRDHUP) < 0) {
        int error = errno;
        tls_free(&handshake->tls);
        free(handshake);
        errno = error;
        return false;
    }
    timer_init(&handshake->timer, on_timer);
    timer_set(&loop->timers, &handshake->timer, loop->now_ms + timeout_ms);
    list_push_back(&accept->handshakes, &handshake->link);
    accept->count++;
    return true;
}

void tls_accept_close(struct tls_accept *accept)
{
    while (!list_empty(&accept->handshakes)) {
        struct handshake *handshake = CONTAINER_OF(accept->handshakes.next, struct handshake, link);
        int fd = handshake->arrival.fd;
        struct tls *tls = leave(handshake);
        tls_free(&tls);
        close(fd);
    }
}
