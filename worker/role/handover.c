/* handover: the giving side of a hand-off.
 *
 * A pair is made and offered to each successor when the drain begins; who answers is given a batch at a time, who has the
 * fewest connections first. What is sent is out of our loop until the answer; it comes back when there is none.
 */
#include "worker/role/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "worker/http/http1_handoff.h"
#include "worker/net/connection.h"
#include "worker/upstream/tunnel_handoff.h"

enum {
    RETRY_MS = 50,
    PATIENCE_MS = 1000,
    FAILURES_MAX = 3, /* successors that die on us in one place, before we give that up */
    COUNT_MOST = HANDOFF_BATCH_MAX * CHANNEL_FDS,
};

_Static_assert(CHANNEL_FDS <= 16, "a connection remembers who refused it in 16 bits");

struct successor {
    struct source source; /* our end of the pair; fd -1: none. First: see loop_free_later() */
    struct list link;
    struct handover *handover;
    int inbox;
    unsigned number; /* below CHANNEL_FDS */
    uint32_t slot;   /* once welcome */
    uint32_t had;    /* connections when we met */
    uint32_t given;  /* to it */
    unsigned failures;
    bool welcome;
    bool full;             /* it said so */
    bool retired;          /* others were told since: only its answer is waited for */
    struct list sent;      /* struct connection: under way to it, in their order */
    struct list greetings; /* struct greeting: behind those, */
    struct list tunnels;   /* struct tunnel: and those */
    unsigned sent_count;   /* of all */
};

static struct worker *worker_of(const struct handover *handover)
{
    return handover->accepting->worker;
}

static struct successor *successor_of(struct list *link)
{
    return CONTAINER_OF(link, struct successor, link);
}

static struct tunnel *tunnel_of(struct list *link)
{
    return CONTAINER_OF(link, struct tunnel, link);
}

static void pump_soon(struct handover *handover)
{
    loop_defer(&worker_of(handover)->loop, &handover->pump);
}

static bool is_usable(const struct successor *successor)
{
    return !successor->retired && !successor->full && successor->failures < FAILURES_MAX;
}

/* --- the pair --- */

static void unpair(struct successor *successor)
{
    int fd = successor->source.fd;
    if (fd < 0)
        return;
    loop_remove(&worker_of(successor->handover)->loop, &successor->source);
    close(fd);
    successor->source.fd = -1;
    successor->welcome = false;
}

static void discharge(struct successor *successor)
{
    unpair(successor);
    if (successor->inbox >= 0)
        close(successor->inbox);
    list_remove(&successor->link);
    loop_free_later(&worker_of(successor->handover)->loop, successor);
}

/* What was sent, or was to be, is ours as before. */
static void take_back(struct successor *successor)
{
    for (struct list *link; (link = list_pop(&successor->sent));)
        http1_handoff_resume(CONTAINER_OF(link, struct connection, link));
    for (struct list *link; (link = list_pop(&successor->greetings));)
        greeting_resume(greeting_of(link), false);
    for (struct list *link; (link = list_pop(&successor->tunnels));)
        tunnel_go_on(tunnel_of(link));
    successor->sent_count = 0;
}

/* It is gone, and with it the answer: what was under way is ours as before. */
static void lost(struct successor *successor)
{
    struct handover *handover = successor->handover;
    unpair(successor);
    take_back(successor);
    successor->failures++;
    successor->full = false;
    if (successor->retired)
        discharge(successor);
    pump_soon(handover);
}

static unsigned usable_bits(const struct handover *handover)
{
    unsigned bits = 0;
    LIST_EACH(link, &handover->successors)
    bits |= is_usable(successor_of(link)) ? 1u << successor_of(link)->number : 0;
    return bits;
}

static void judged(struct successor *successor, struct connection *connection, enum handoff_verdict verdict)
{
    if (verdict == HANDOFF_IS_TAKEN) {
        successor->given++;
        http1_handoff_done(connection);
    } else if (successor->retired || verdict == HANDOFF_FULL) {
        successor->full = true; /* what its generation lacks the next one may have */
        http1_handoff_resume(connection);
    } else if (verdict == HANDOFF_NO_ROOM) {
        http1_handoff_refused(connection, successor->number);
    } else {
        http1_handoff_stay(connection);
    }
}

static void judged_tunnel(struct successor *successor, struct tunnel *tunnel, enum handoff_verdict verdict)
{
    if (verdict == HANDOFF_IS_TAKEN) {
        successor->given++;
        tunnel_done(tunnel);
    } else if (successor->retired || verdict == HANDOFF_FULL) {
        successor->full = true;
        tunnel_go_on(tunnel);
    } else if (verdict == HANDOFF_NO_ROOM) {
        tunnel_refused(tunnel, successor->number);
    } else {
        tunnel_stay(tunnel);
        tunnel_go_on(tunnel);
    }
}

/* Where it can't be read, it is taken: a connection never has two owners. */
static enum handoff_verdict next_verdict(struct str *in)
{
    enum handoff_verdict verdict;
    return handoff_get_verdict(in, &verdict) ? verdict : HANDOFF_IS_TAKEN;
}

static void on_taken(struct successor *successor, struct str in)
{
    successor->sent_count = 0;
    for (struct list *link; (link = list_pop(&successor->sent));)
        judged(successor, CONTAINER_OF(link, struct connection, link), next_verdict(&in));
    for (struct list *link; (link = list_pop(&successor->greetings));) {
        enum handoff_verdict verdict = next_verdict(&in);
        successor->given += verdict == HANDOFF_IS_TAKEN;
        if (verdict == HANDOFF_IS_TAKEN)
            greeting_done(greeting_of(link));
        else /* once its header is here, it is offered again, as what it is then */
            greeting_resume(greeting_of(link), !successor->retired);
    }
    for (struct list *link; (link = list_pop(&successor->tunnels));)
        judged_tunnel(successor, tunnel_of(link), next_verdict(&in));
}

static uint32_t connections_of(const struct successor *successor)
{
    const struct slots *slots = worker_of(successor->handover)->shared->slots;
    if (successor->slot >= slots->count)
        return 0;
    return atomic_load_explicit(&slots->slot[successor->slot].connections, memory_order_relaxed);
}

/* False: it isn't what may come now. */
static bool obey(struct successor *successor, struct str in)
{
    struct handoff_head head;
    if (!handoff_get_head(&in, &head))
        return false;
    if (head.verb == HANDOFF_WELCOME && !successor->welcome) {
        successor->welcome = true;
        successor->slot = head.number;
        successor->had = connections_of(successor);
        successor->given = 0;
        return true;
    }
    if (head.verb != HANDOFF_TAKEN || !successor->sent_count)
        return false;
    on_taken(successor, in);
    return true;
}

static void on_successor(struct source *source, uint32_t events)
{
    struct successor *successor = CONTAINER_OF(source, struct successor, source);
    struct handover *handover = successor->handover;
    char memory[8 + HANDOFF_BATCH_MAX];
    int fds[HANDOFF_BATCH_MAX];
    unsigned fd_count;
    struct str message;
    (void)events;
    int got = handoff_receive(source->fd, memory, sizeof memory, &message, fds, &fd_count);
    if (got < 0 && handoff_may_retry(errno))
        return;
    while (fd_count)
        close(fds[--fd_count]); /* no answer has any */
    bool nonsense = got > 0 ? !obey(successor, message) : got < 0 && errno == EPROTO;
    if (nonsense)
        log_warning("a newer process answered what is no hand-off");
    if (nonsense && successor->sent_count)
        return; /* whose those are only TAKEN or its end can tell */
    if (nonsense || got <= 0) {
        lost(successor);
        return;
    }
    if (successor->retired && successor->sent_count == 0)
        discharge(successor);
    pump_soon(handover);
}

/* --- offering --- */

static void put_hello(const struct accepting *accepting, struct buf *out)
{
    struct handoff_listener listener;
    unsigned count = 0;
    handoff_put_head(out, HANDOFF_HELLO, 0);
    for (; count < accepting->gate_count && accepting_describe(&accepting->gates[count], &listener);
         count++) {
        size_t before = out->length;
        handoff_put_listener(out, &listener);
        if (out->overflow) { /* those beyond are not told of: their connections stay */
            *out = (struct buf){out->data, before, out->size, false};
            break;
        }
    }
    handoff_set_number(out, count);
}

/* False: not now. */
static bool offer(struct successor *successor)
{
    struct worker *worker = worker_of(successor->handover);
    struct channel_message message = {
        .verb = CHANNEL_OFFER, .number = HANDOFF_VERSION, .fd_count = 1, .fds = {-1}};
    struct buf hello = buf_on(worker->net.out, HANDOFF_BYTES_MAX);
    int ends[2], error = 0;
    if (channel_pair(ends))
        return false;
    int size =
        2 * HANDOFF_BYTES_MAX; /* a default that is smaller would not take our messages; where it can't be */
    (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size,
                     sizeof size); /* had, sending fails, and we are alone */
    put_hello(successor->handover->accepting, &hello);
    message.fds[0] = ends[1];
    successor->source = (struct source){.fd = ends[0], .on_event = on_successor};
    if (handoff_send(ends[0], buf_str(&hello), NULL, 0) || channel_send(successor->inbox, &message) ||
        loop_add(&worker->loop, &successor->source, EPOLLIN) < 0)
        error = errno;
    close(ends[1]);
    if (!error)
        return true;
    close(ends[0]);
    successor->source.fd = -1;
    if (handoff_may_retry(error) || error == ENOSPC)
        return false;
    successor->failures = FAILURES_MAX;
    return true;
}

static void on_retry(struct timer *timer)
{
    pump_soon(CONTAINER_OF(timer, struct handover, retry));
}

static void retry(struct handover *handover)
{
    struct loop *loop = &worker_of(handover)->loop;
    if (!handover->retry.deadline)
        timer_set(&loop->timers, &handover->retry, loop->now_ms + RETRY_MS);
}

/* --- giving --- */

static uint32_t load_of(const struct successor *successor)
{
    uint32_t now = connections_of(successor),
             least = successor->had + successor->given + successor->sent_count;
    return now > least ? now : least;
}

/* What there is to be shared out, and among how many. */
struct share {
    uint32_t leaving; /* of those that wait for a request COUNT_MOST at most */
    uint32_t each;    /* connections that a successor is to have in the end */
    unsigned usable;
    bool patient; /* who is below its share is waited for, even when others are free */
};

static struct share find_share(const struct handover *handover)
{
    const struct worker *worker = worker_of(handover);
    struct share share = {.patient = worker->loop.now_ms < handover->patient_until};
    uint64_t total = 0;
    for (const struct list *link = worker->service.leaving.next;
         link != &worker->service.leaving && share.leaving < COUNT_MOST; link = link->next)
        share.leaving++;
    LIST_EACH(link, &handover->accepting->greeter.greetings)
    share.leaving++;
    LIST_EACH(link, &worker->tunnels)
    share.leaving += tunnel_moves(tunnel_of(link));
    LIST_EACH(link, &handover->successors)
    {
        const struct successor *successor = successor_of(link);
        if (!is_usable(successor))
            continue;
        share.usable++;
        total += successor->welcome ? load_of(successor) : 0;
    }
    total += share.leaving;
    share.each = share.usable ? (uint32_t)((total + share.usable - 1) / share.usable) : 0;
    return share;
}

/* Who gets the next ones, of those that have answered all; NULL: nobody now. `but`: not those, a bit each. */
static struct successor *find_least(const struct handover *handover, const struct share *share, unsigned but)
{
    struct successor *found = NULL;
    LIST_EACH(link, &handover->successors)
    {
        struct successor *successor = successor_of(link);
        if (!is_usable(successor) || !successor->welcome || successor->sent_count ||
            but >> successor->number & 1)
            continue;
        if (share->patient && load_of(successor) >= share->each)
            continue;
        if (!found || load_of(successor) < load_of(found))
            found = successor;
    }
    return found;
}

static unsigned batch_size(const struct successor *successor, const struct share *share)
{
    uint32_t size = share->patient ? share->each - load_of(successor)
                                   : (share->leaving + share->usable - 1) / share->usable;
    return size < HANDOFF_BATCH_MAX ? size : HANDOFF_BATCH_MAX;
}

static void put_connection(const struct handover *handover, const struct http1_parcel *parcel,
                           struct buf *out)
{
    const struct gate *gate = parcel->admission.gate;
    struct handoff_record record = {
        .listener = (uint32_t)(gate - handover->accepting->gates),
        .left_ms = parcel->left_ms < UINT32_MAX ? (uint32_t)parcel->left_ms : UINT32_MAX,
        .requests = parcel->requests,
        .kind = HANDOFF_HTTP1,
        .flags = (uint8_t)((parcel->admission.greeted ? HANDOFF_GREETED : 0) |
                           (parcel->head_begun ? HANDOFF_HEAD_BEGUN : 0)),
        .peer = parcel->peer,
        .held = parcel->held,
    };
    if (parcel->admission.destination) {
        record.flags |= HANDOFF_DESTINATION;
        record.destination = *parcel->admission.destination;
    }
    handoff_put_record(out, &record);
}

/* Fills the message with those that wait, as many as fit; their descriptors. */
static unsigned gather(struct successor *successor, unsigned most, struct buf *out, int *fds)
{
    struct handover *handover = successor->handover;
    struct list *leaving = &worker_of(handover)->service.leaving;
    struct http1_parcel parcel;
    unsigned count = 0, usable = usable_bits(handover);
    for (struct list *link = leaving->next, *next; link != leaving && count < most; link = next) {
        struct connection *connection = CONTAINER_OF(link, struct connection, link);
        size_t before = out->length;
        next = link->next;
        if (http1_handoff_is_refused(connection, usable)) {
            http1_handoff_stay(connection);
            continue;
        }
        if (!http1_handoff_ready(connection, HANDOFF_HELD_MAX, successor->number))
            continue;
        http1_handoff_suspend(connection, &parcel);
        put_connection(handover, &parcel, out);
        if (out->overflow) {
            *out = (struct buf){out->data, before, out->size, false};
            http1_handoff_resume(connection);
            break;
        }
        list_push_back(&successor->sent, &connection->link);
        fds[count++] = parcel.fd;
    }
    return count;
}

static void put_greeting(const struct handover *handover, const struct greeting_parcel *parcel,
                         struct buf *out)
{
    const struct gate *gate = parcel->gate;
    struct handoff_record record = {
        .listener = (uint32_t)(gate - handover->accepting->gates),
        .left_ms = parcel->left_ms < UINT32_MAX ? (uint32_t)parcel->left_ms : UINT32_MAX,
        .kind = HANDOFF_GREETING,
        .peer = parcel->peer,
        .held = parcel->read,
    };
    handoff_put_record(out, &record);
}

/* The same of those whose PROXY header isn't whole; how many there are then. */
static unsigned gather_greetings(struct successor *successor, unsigned count, unsigned most, struct buf *out,
                                 int *fds)
{
    struct handover *handover = successor->handover;
    struct greeting_parcel parcel;
    for (struct greeting *greeting;
         count < most && (greeting = greeting_first(&handover->accepting->greeter));) {
        size_t before = out->length;
        greeting_suspend(greeting, &parcel);
        put_greeting(handover, &parcel, out);
        if (out->overflow) {
            *out = (struct buf){out->data, before, out->size, false};
            greeting_resume(greeting, false);
            break;
        }
        list_push_back(&successor->greetings, greeting_link(greeting));
        fds[count++] = parcel.fd;
    }
    return count;
}

static void put_tunnel(const struct handover *handover, const struct tunnel_parcel *parcel, struct buf *out)
{
    const struct gate *gate = parcel->connection.admission.gate;
    char position[HANDOFF_POSITION];
    struct handoff_record record = {
        .listener = (uint32_t)(gate - handover->accepting->gates),
        .requests = parcel->connection.requests,
        .kind = HANDOFF_TUNNEL,
        .flags = parcel->connection.admission.greeted ? HANDOFF_GREETED : 0,
        .peer = parcel->connection.peer,
        .held = parcel->client.held,
        .tunnel = {.started = parcel->story.started,
                   .started_wall = parcel->story.started_wall,
                   .upstream_ns = parcel->story.upstream_ns,
                   .bytes_in = parcel->bytes_in,
                   .bytes_out = parcel->bytes_out,
                   .tries = parcel->story.tries,
                   .silent_ms = parcel->silent_ms < UINT32_MAX ? (uint32_t)parcel->silent_ms : UINT32_MAX,
                   .flags = (parcel->client.ended ? HANDOFF_CLIENT_ENDED : 0u) |
                            (parcel->client.shut ? HANDOFF_CLIENT_SHUT : 0u) |
                            (parcel->upstream.ended ? HANDOFF_UPSTREAM_ENDED : 0u) |
                            (parcel->upstream.shut ? HANDOFF_UPSTREAM_SHUT : 0u),
                   .endpoint = parcel->endpoint,
                   .head = parcel->head,
                   .id = parcel->story.id,
                   .api = parcel->story.api,
                   .route = parcel->story.route,
                   .upstream = parcel->cluster,
                   .position = tunnel_write_position(parcel, position),
                   .client_kept = parcel->client.kept,
                   .upstream_held = parcel->upstream.held,
                   .upstream_kept = parcel->upstream.kept},
    };
    if (parcel->connection.admission.destination) {
        record.flags |= HANDOFF_DESTINATION;
        record.destination = *parcel->connection.admission.destination;
    }
    handoff_put_record(out, &record);
}

/* The same of tunnels, while there is room for two descriptors each. */
static unsigned gather_tunnels(struct successor *successor, unsigned count, unsigned most, struct buf *out,
                               int *fds, unsigned *fd_count)
{
    struct handover *handover = successor->handover;
    struct worker *worker = worker_of(handover);
    struct tunnel_parcel parcel;
    unsigned usable = usable_bits(handover);
    for (struct list *link = worker->tunnels.next, *next; link != &worker->tunnels; link = next) {
        struct tunnel *tunnel = tunnel_of(link);
        size_t before = out->length;
        next = link->next;
        if (count == most || *fd_count + 2 > HANDOFF_BATCH_MAX)
            break;
        if (tunnel_moves(tunnel) && tunnel_is_refused(tunnel, usable))
            tunnel_stay(tunnel);
        if (!tunnel_is_ready(tunnel, HANDOFF_HELD_MAX, successor->number))
            continue;
        tunnel_suspend(tunnel, &parcel, worker->net.in);
        put_tunnel(handover, &parcel, out);
        if (out->overflow) {
            *out = (struct buf){out->data, before, out->size, false};
            tunnel_go_on(tunnel);
            break;
        }
        list_push_back(&successor->tunnels, &tunnel->link);
        fds[(*fd_count)++] = parcel.client.fd;
        fds[(*fd_count)++] = parcel.upstream.fd;
        count++;
    }
    return count;
}

/* False: nothing is given to it now. */
static bool give(struct successor *successor, unsigned most)
{
    struct handover *handover = successor->handover;
    struct buf message = buf_on(worker_of(handover)->net.out, HANDOFF_BYTES_MAX);
    int fds[HANDOFF_BATCH_MAX];
    handoff_put_head(&message, HANDOFF_BATCH, 0);
    unsigned count = gather(successor, most, &message, fds);
    count = gather_greetings(successor, count, most, &message, fds);
    unsigned fd_count = count;
    count = gather_tunnels(successor, count, most, &message, fds, &fd_count);
    successor->sent_count = count;
    if (count == 0)
        return false;
    handoff_set_number(&message, count);
    if (handoff_send(successor->source.fd, buf_str(&message), fds, fd_count) == 0)
        return true;
    if (!handoff_may_retry(errno)) {
        lost(successor);
        return true;
    }
    take_back(successor);
    retry(handover);
    return false;
}

static void be_alone(struct handover *handover)
{
    unsigned left = accepting_count(handover->accepting);
    handover->gives = false;
    timer_clear(&worker_of(handover)->loop.timers, &handover->retry);
    if (left && !list_empty(&handover->successors))
        log_notice("%u connections can't be handed over: each ends with its next answer", left);
    handover->on_alone(handover->owner);
}

static void on_pump(struct deferred *deferred)
{
    struct handover *handover = CONTAINER_OF(deferred, struct handover, pump);
    struct worker *worker = worker_of(handover);
    if (!handover->gives || !accepting_count(handover->accepting))
        return;
    net_flush(&worker->net); /* its buffer is ours now */
    LIST_EACH(link, &handover->successors)
    {
        struct successor *successor = successor_of(link);
        if (is_usable(successor) && successor->source.fd < 0 && !offer(successor))
            retry(handover);
    }
    for (unsigned without = 0;;) {
        struct share share = find_share(handover);
        if (!share.usable) {
            be_alone(handover);
            return;
        }
        if (!share.leaving)
            return;
        struct successor *successor = find_least(handover, &share, without);
        if (!successor) {
            if (share.patient)
                retry(handover);
            return;
        }
        if (!give(successor, batch_size(successor, &share)))
            without |= 1u << successor->number;
    }
}

/* --- life --- */

void handover_init(struct handover *handover, struct accepting *accepting)
{
    handover->accepting = accepting;
    list_init(&handover->successors);
    list_init(&handover->pump.link);
    handover->pump.run = on_pump;
    timer_init(&handover->retry, on_retry);
    handover->begun = handover->gives = false;
}

void handover_told(struct handover *handover, struct channel_message *message)
{
    for (struct list *link = handover->successors.next, *next; link != &handover->successors; link = next) {
        struct successor *successor = successor_of(link);
        next = link->next;
        successor->retired = true;
        if (successor->sent_count == 0)
            discharge(successor);
    }
    for (uint32_t i = 0; i < message->fd_count; i++) {
        struct successor *successor = calloc(1, sizeof *successor);
        if (!successor)
            abort();
        successor->source.fd = -1;
        successor->handover = handover;
        successor->inbox = message->fds[i];
        successor->number = i;
        list_init(&successor->sent);
        list_init(&successor->greetings);
        list_init(&successor->tunnels);
        list_push_back(&handover->successors, &successor->link);
        message->fds[i] = -1;
    }
    if (handover->begun)
        handover_begin(handover);
}

void handover_begin(struct handover *handover)
{
    struct worker *worker = worker_of(handover);
    handover->begun = handover->gives = true;
    handover->patient_until = worker->loop.now_ms + PATIENCE_MS;
    if (usable_bits(handover))
        http1_handoff_begin(&worker->service, &handover->pump);
    tunnels_offer(worker);
    pump_soon(handover); /* which finds out when there is nobody */
}

unsigned handover_end(struct handover *handover)
{
    struct loop *loop = &worker_of(handover)->loop;
    unsigned under_way = 0;
    handover->begun = handover->gives = false;
    loop_undefer(&handover->pump);
    timer_clear(&loop->timers, &handover->retry);
    while (!list_empty(&handover->successors)) {
        struct successor *successor = successor_of(handover->successors.next);
        for (struct list *link; (link = list_pop(&successor->sent)); under_way++)
            http1_handoff_done(CONTAINER_OF(link, struct connection, link));
        for (struct list *link; (link = list_pop(&successor->greetings)); under_way++)
            greeting_done(greeting_of(link));
        for (struct list *link; (link = list_pop(&successor->tunnels)); under_way++)
            tunnel_done(tunnel_of(link));
        discharge(successor);
    }
    return under_way;
}
