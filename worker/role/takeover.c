/* takeover: the taking side of a hand-off. A batch is taken, then the answer is sent, then the connections are looked at:
 * all of the first two in one event, so that nothing is read before. */
#include "worker/role/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/channel.h"
#include "shared/base/log.h"

enum { OFFERS_AT_ONCE = 16, LISTENERS_MAX = 65536, ANSWER_SIZE = 8 + HANDOFF_BATCH_MAX };

/* A process that hands its connections over to us. */
struct predecessor {
    struct source source; /* first: see loop_free_later() */
    struct list link;
    struct takeover *takeover;
    struct gate **gates; /* by its own numbers; NULL: we have none like that */
    unsigned gate_count;
    bool welcome;
};

static struct worker *worker_of(const struct predecessor *predecessor)
{
    return predecessor->takeover->accepting->worker;
}

static void part(struct predecessor *predecessor)
{
    struct loop *loop = &worker_of(predecessor)->loop;
    int fd = predecessor->source.fd;
    loop_remove(loop, &predecessor->source);
    close(fd);
    list_remove(&predecessor->link);
    free(predecessor->gates);
    loop_free_later(loop, predecessor);
}

/* HELLO. False: not to be understood. */
static bool greet(struct predecessor *predecessor, struct str in, uint32_t count)
{
    char memory[ANSWER_SIZE];
    struct buf answer = buf_on(memory, sizeof memory);
    struct handoff_listener listener;
    if (predecessor->welcome || count > LISTENERS_MAX)
        return false;
    predecessor->gates = calloc(count + 1, sizeof(struct gate *));
    if (!predecessor->gates)
        abort();
    for (predecessor->gate_count = 0; predecessor->gate_count < count; predecessor->gate_count++) {
        if (!handoff_get_listener(&in, &listener))
            return false;
        predecessor->gates[predecessor->gate_count] =
            accepting_gate(predecessor->takeover->accepting, &listener);
    }
    predecessor->welcome = true;
    handoff_put_head(&answer, HANDOFF_WELCOME, worker_of(predecessor)->slot_index);
    /* One that died meanwhile has said nothing wrong: its end is read next. */
    return handoff_send(predecessor->source.fd, buf_str(&answer), NULL, 0) == 0 || errno == EPIPE;
}

/* Whether the message has as many connections as it says, and descriptors for no more than these. */
static bool is_whole(struct str in, uint32_t count, unsigned fd_count)
{
    struct handoff_record record;
    unsigned fds = 0;
    if (count > HANDOFF_BATCH_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!handoff_get_record(&in, &record))
            return false;
        fds += handoff_fds(&record);
    }
    return in.length == 0 && fd_count <= fds;
}

/* BATCH. False: nothing of it is ours. */
static bool take(struct predecessor *predecessor, struct str in, uint32_t count, const int *fds,
                 unsigned fd_count)
{
    struct accepting *accepting = predecessor->takeover->accepting;
    struct taken taken[HANDOFF_BATCH_MAX];
    unsigned taken_count = 0;
    char memory[ANSWER_SIZE];
    struct buf answer = buf_on(memory, sizeof memory);
    struct handoff_record record;
    unsigned used = 0;
    handoff_put_head(&answer, HANDOFF_TAKEN, count);
    for (uint32_t i = 0; i < count; i++) {
        enum handoff_verdict verdict = HANDOFF_FULL; /* there was no descriptor for it */
        handoff_get_record(&in, &record);
        struct gate *gate =
            record.listener < predecessor->gate_count ? predecessor->gates[record.listener] : NULL;
        unsigned own = handoff_fds(&record);
        if (used + own <= fd_count)
            verdict = accepting_take(accepting, gate, &record, fds + used, &taken[taken_count]);
        else if (used < fd_count)
            close(fds[used]); /* half of a tunnel */
        used += own;
        taken_count += verdict == HANDOFF_IS_TAKEN;
        handoff_put_verdict(&answer, verdict);
    }
    /* When it is gone, nobody else has them. */
    if (handoff_send(predecessor->source.fd, buf_str(&answer), NULL, 0) == 0 || !handoff_may_retry(errno)) {
        stat_add(accepting->worker->stats, STAT_TAKEN_OVER, taken_count);
        return true;
    }
    log_warning("connections of an older process can't be taken over: %s; it keeps them", strerror(errno));
    while (taken_count)
        accepting_drop(&taken[--taken_count]);
    return false;
}

static bool obey(struct predecessor *predecessor, struct str in, const int *fds, unsigned fd_count)
{
    struct handoff_head head;
    bool understood = handoff_get_head(&in, &head);
    if (understood && head.verb == HANDOFF_BATCH && predecessor->welcome &&
        is_whole(in, head.number, fd_count))
        return take(predecessor, in, head.number, fds, fd_count);
    while (fd_count)
        close(fds[--fd_count]);
    return understood && head.verb == HANDOFF_HELLO && greet(predecessor, in, head.number);
}

static void on_predecessor(struct source *source, uint32_t events)
{
    struct predecessor *predecessor = CONTAINER_OF(source, struct predecessor, source);
    struct net *net = &worker_of(predecessor)->net;
    int fds[HANDOFF_BATCH_MAX];
    unsigned fd_count;
    struct str message;
    (void)events;
    int got = handoff_receive(source->fd, net->in, NET_IN, &message, fds, &fd_count);
    if (got < 0 && handoff_may_retry(errno))
        return;
    if (got > 0 && obey(predecessor, message, fds, fd_count))
        return;
    /* One that exits with our welcome unread resets the connection. */
    if (got > 0 || (got < 0 && errno != ECONNRESET))
        log_warning("an older process told what is no hand-off: it keeps its connections");
    part(predecessor);
}

/* --- offers --- */

static void meet(struct takeover *takeover, int fd)
{
    struct predecessor *predecessor = calloc(1, sizeof *predecessor);
    if (!predecessor)
        abort();
    predecessor->source = (struct source){.fd = fd, .on_event = on_predecessor};
    predecessor->takeover = takeover;
    if (loop_add(&takeover->accepting->worker->loop, &predecessor->source, EPOLLIN) < 0) {
        log_warning("an older process can't be watched: %s; it keeps its connections", strerror(errno));
        close(fd);
        free(predecessor);
        return;
    }
    list_push_back(&takeover->predecessors, &predecessor->link);
}

static void on_inbox(struct source *source, uint32_t events)
{
    struct takeover *takeover = CONTAINER_OF(source, struct takeover, inbox);
    struct channel_message message;
    (void)events;
    for (unsigned i = 0; i < OFFERS_AT_ONCE; i++) {
        int got = channel_receive(source->fd, &message);
        if (got < 0 && errno == EPROTO)
            continue;
        if (got < 0)
            return; /* none now; the loop comes again */
        if (got == 0) {
            loop_remove(&takeover->accepting->worker->loop, source); /* nobody can offer any more */
            return;
        }
        bool known = message.verb == CHANNEL_OFFER && message.number == HANDOFF_VERSION;
        for (uint32_t j = 0; j < message.fd_count; j++) {
            if (known && j == 0)
                meet(takeover, message.fds[j]);
            else
                close(message.fds[j]); /* who offered sees that */
        }
    }
}

void takeover_init(struct takeover *takeover, struct accepting *accepting, int inbox)
{
    takeover->inbox = (struct source){.fd = inbox};
    takeover->accepting = accepting;
    list_init(&takeover->predecessors);
}

void takeover_start(struct takeover *takeover)
{
    if (takeover->inbox.fd < 0)
        return;
    takeover->inbox.on_event = on_inbox;
    if (loop_add(&takeover->accepting->worker->loop, &takeover->inbox, EPOLLIN) == 0)
        return;
    takeover->inbox.on_event = NULL;
    log_warning("connections of older processes can't be taken over: %s", strerror(errno));
}

void takeover_stop(struct takeover *takeover)
{
    if (takeover->inbox.on_event)
        loop_remove(&takeover->accepting->worker->loop, &takeover->inbox);
    while (!list_empty(&takeover->predecessors))
        part(CONTAINER_OF(takeover->predecessors.next, struct predecessor, link));
}
