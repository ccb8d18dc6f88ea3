/* process: what every child does alike. Called by the roles' mains; orders come in by the channel and go to the role's
 * callbacks, on the loop.
 *
 * When the channel ends, the master was killed: the child serves on, under a title by which a new master finds it,
 * and takes SIGTERM for the order to drain.
 */
#include "worker/role/process.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/title.h"

enum { HEARTBEAT_MS = 1000, CHANNEL_BATCH = 16 };

static void set_state(struct member *member, enum slot_state state)
{
    atomic_store_explicit(&member->slot->state, state, memory_order_release);
}

static void stop(struct member *member)
{
    if (member->on_stop)
        member->on_stop(member);
    else
        member->loop->stop = true;
}

/* Once: a shorter time for a process that drains already is not asked for, it is told to stop. */
static void drain(struct member *member, uint64_t timeout_ms)
{
    if (member->draining)
        return;
    member->draining = true;
    set_state(member, SLOT_DRAINING);
    if (member->on_drain)
        member->on_drain(member, timeout_ms);
    else
        stop(member);
}

/* The role takes the descriptors that it wants, leaving -1; the others are closed. */
static void obey(struct member *member, struct channel_message *message)
{
    switch (message->verb) {
    case CHANNEL_GO:
        if (member->draining)
            break;
        set_state(member, SLOT_SERVING);
        if (member->on_go)
            member->on_go(member);
        break;
    case CHANNEL_DRAIN:
        drain(member, message->number);
        break;
    case CHANNEL_STOP:
        stop(member);
        break;
    case CHANNEL_REOPEN:
        if (member->on_reopen)
            member->on_reopen(member, message);
        break;
    case CHANNEL_SUCCESSORS:
        if (member->on_successors)
            member->on_successors(member, message);
        break;
    default:
        log_warning("the master sent the unknown order %" PRIu32 ": not obeyed", message->verb);
    }
    for (uint32_t i = 0; i < message->fd_count; i++)
        if (message->fds[i] >= 0)
            close(message->fds[i]);
}

static void on_signal(struct source *source, uint32_t events)
{
    (void)events;
    struct member *member = CONTAINER_OF(source, struct member, signals);
    struct signalfd_siginfo info;
    if (read(source->fd, &info, sizeof(info)) != sizeof(info))
        return;
    const struct generation *generation = member->process->generation;
    log_notice("told to drain by process %" PRIu32, info.ssi_pid);
    drain(member, generation ? (uint64_t)generation->settings->drain_timeout : 0);
}

/* SIGTERM was ignored until now. Blocked first: from then on none is lost. */
static int take_sigterm(struct member *member)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGTERM, SIG_DFL) == SIG_ERR)
        return -1;
    member->signals =
        (struct source){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .on_event = on_signal};
    if (member->signals.fd < 0)
        return -1;
    return loop_add(member->loop, &member->signals, EPOLLIN);
}

static void become_orphan(struct member *member)
{
    struct process *process = member->process;
    member->orphan = true;
    loop_remove(member->loop, &member->channel);
    close(process->channel);
    process->channel = -1;
    uint32_t state = atomic_load_explicit(&member->slot->state, memory_order_relaxed);
    if (state == SLOT_STARTING || state == SLOT_READY) {
        log_error("the master is gone before it said GO: nothing to do");
        stop(member);
        return;
    }
    /* Before the title: who finds that sends the signal. */
    if (take_sigterm(member) < 0)
        log_error("an orphan that can't be told by SIGTERM: %s; it must be killed", strerror(errno));
    if (process->generation)
        title_set("gatehouse: %s %u (orphan of %s)", process->role, process->number,
                  process->generation->settings->pidfile);
    else
        title_set("gatehouse: %s %u (orphan)", process->role, process->number);
    log_error("the master is gone: this process serves on until it gets SIGTERM");
}

static void on_channel(struct source *source, uint32_t events)
{
    (void)events;
    struct member *member = CONTAINER_OF(source, struct member, channel);
    struct channel_message message;
    for (unsigned i = 0; i < CHANNEL_BATCH; i++) {
        int rc = channel_receive(source->fd, &message);
        if (rc > 0)
            obey(member, &message);
        else if (rc < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS))
            return; /* the loop comes again */
        else if (rc < 0 && errno == EPROTO)
            log_warning("the master sent what is no message: dropped");
        else {
            become_orphan(member);
            return;
        }
    }
}

static void drop_letters(struct member *member)
{
    struct wake_letter letter;
    while (wake_next(&member->process->shared->wake, member->process->slot, &letter))
        ;
}

static void on_wake(struct source *source, uint32_t events)
{
    (void)events;
    struct member *member = CONTAINER_OF(source, struct member, wake);
    uint64_t count;
    if (read(source->fd, &count, sizeof(count)) < 0)
        assert(errno == EAGAIN);
    if (member->on_wake)
        member->on_wake(member);
    else
        drop_letters(member);
}

static void on_heartbeat(struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member, heartbeat);
    atomic_store_explicit(&member->slot->heartbeat, member->loop->now, memory_order_relaxed);
    timer_set(&member->loop->timers, timer, member->loop->now_ms + HEARTBEAT_MS);
}

int member_join(struct member *member, struct process *process, struct loop *loop)
{
    struct shared *shared = process->shared;
    member->process = process;
    member->loop = loop;
    member->slot = &shared->slots->slot[process->slot];
    member->orphan = member->draining = false;
    member->channel = (struct source){.fd = process->channel, .on_event = on_channel};
    member->wake = (struct source){.fd = shared->wake.fds[process->slot], .on_event = on_wake};
    member->signals = (struct source){.fd = -1};
    /* Letters to the slot's last owner; reading them also makes the next one write the eventfd. */
    drop_letters(member);
    if (loop_add(loop, &member->channel, EPOLLIN) < 0 || loop_add(loop, &member->wake, EPOLLIN) < 0)
        return -1;
    timer_init(&member->heartbeat, on_heartbeat);
    on_heartbeat(&member->heartbeat);
    return 0;
}

void member_ready(struct member *member)
{
    set_state(member, SLOT_READY);
    /* A master that is gone is seen on the loop's first turn. */
    if (channel_tell(member->process->channel, CHANNEL_READY, 0) < 0 && errno != EPIPE)
        log_error("READY can't be told to the master: %s", strerror(errno));
}

void member_failed(struct process *process, const char *format, ...)
{
    struct channel_message message = {.verb = CHANNEL_FAILED};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    if (channel_send(process->channel, &message) < 0)
        log_error("%s", message.text);
}
