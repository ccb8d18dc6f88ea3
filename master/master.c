/* master: the loop. It waits for signals, its children, and the control socket; each turn it does what is due, and
 * never blocks. Called by command/run.c. */
#include "master/master.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/channel.h"
#include "master/daemon.h"
#include "master/memory.h"
#include "master/notify.h"
#include "master/reap.h"
#include "master/reopen.h"
#include "master/stop.h"
#include "master/ticket_keys.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/title.h"

/* The first time that a client asks anew when its SYN was lost. */
enum { ORPHANS_MS = 1000 };

enum { TURN_MS = 1000 };

/* What is waited for: these, then a channel a child. */
enum {
    POLL_SIGNALS,
    POLL_STRAY,
    POLL_REPORT,
    POLL_UPGRADE,
    POLL_CONTROL,
    POLL_CLIENTS,
    POLL_CHILDREN = POLL_CLIENTS + CONTROL_CLIENTS
};

static void sooner(uint64_t *deadline, uint64_t at)
{
    if (at && at < *deadline)
        *deadline = at;
}

static void crew_deadlines(const struct crew *crew, uint64_t *deadline)
{
    for (unsigned i = 0; crew && i < crew->count; i++)
        if (!crew->posts[i].child)
            sooner(deadline, crew->posts[i].due);
}

/* The logger is replaced until the stop has come to it. */
static bool refills_lasting(const struct master *master)
{
    return master->crew && master->state < MASTER_ENDING;
}

/* Milliseconds until something is due; at most a second, for the heartbeat. */
static int wait_time(const struct master *master)
{
    uint64_t deadline = master->now + TURN_MS;
    if (master->again)
        return 0;
    if (refills_lasting(master))
        crew_deadlines(master->lasting, &deadline);
    if (master->state == MASTER_SERVING)
        crew_deadlines(master->crew, &deadline);
    if (master->reload.state == RELOAD_ROOM || master->reload.state == RELOAD_STARTING)
        sooner(&deadline, master->reload.deadline);
    sooner(&deadline, master->orphans_at);
    LIST_EACH(link, &master->children)
    sooner(&deadline, CONTAINER_OF(link, struct child, link)->kill_at);
    if (master->upgrade.state == UPGRADE_TRYING)
        sooner(&deadline, master->upgrade.deadline);
    return deadline > master->now ? (int)(deadline - master->now) : 0;
}

/* Fills in what is waited for; the caller frees it. */
static struct pollfd *collect(const struct master *master, unsigned *count)
{
    unsigned children = 0;
    LIST_EACH(link, &master->children)
    children++;
    struct pollfd *polls = calloc(POLL_CHILDREN + children, sizeof(*polls));
    if (!polls)
        abort();
    bool room = false;
    polls[POLL_SIGNALS].fd = master->signals.fd;
    polls[POLL_STRAY].fd = master->stray.read_end;
    polls[POLL_UPGRADE].fd = master->upgrade.pipe;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        polls[POLL_CLIENTS + i].fd = master->control.clients[i].fd;
        room |= master->control.clients[i].fd < 0;
    }
    polls[POLL_CONTROL].fd = room ? master->control.fd : -1;
    *count = POLL_CHILDREN;
    LIST_EACH(link, &master->children)
    polls[(*count)++].fd = CONTAINER_OF(link, struct child, link)->channel;
    for (unsigned i = 0; i < *count; i++)
        polls[i].events = POLLIN;
    polls[POLL_REPORT] = (struct pollfd){.fd = master->report};
    return polls;
}

static void obey_signals(struct master *master)
{
    struct signals *signals = &master->signals;
    char why[1024];
    if (signals->child) {
        signals->child = false;
        reap_children(master);
    }
    if (signals->now || signals->drain) /* the second one ends the patience */
        stop_request(master, signals->now || master->state == MASTER_DRAINING);
    if (signals->upgrade && !upgrade_request(master))
        log_warning("SIGUSR2 comes while the gateway starts or stops: no upgrade");
    if (signals->reload && reload_request(master) == 0)
        log_warning("SIGHUP comes while the gateway starts or stops: nothing is reloaded");
    if (signals->reopen && upgrade_takes(master))
        master->upgrade.back.reopen = true; /* when it is over */
    else if (signals->reopen && reopen_logs(master, why, sizeof(why)))
        log_error("SIGUSR1: %s", why);
    signals->now = signals->reload = signals->reopen = signals->drain = signals->upgrade = false;
}

static void read_all(struct master *master, const struct pollfd *polls, unsigned count)
{
    unsigned i = POLL_CHILDREN;
    if (polls[POLL_SIGNALS].revents)
        signals_read(&master->signals);
    if (polls[POLL_STRAY].revents)
        stray_read(&master->stray);
    if (polls[POLL_UPGRADE].revents)
        upgrade_read(master);
    if (polls[POLL_REPORT].revents) /* who starts us has lost patience: nobody waits for the report */
        master->signals.now = true;
    /* The list is as it was when it was collected: children come and go below only. */
    LIST_EACH(link, &master->children)
    {
        if (i < count && polls[i].revents)
            channel_read(master, CONTAINER_OF(link, struct child, link));
        i++;
    }
    for (unsigned c = 0; c < CONTROL_CLIENTS; c++)
        if (polls[POLL_CLIENTS + c].revents && master->control.clients[c].fd >= 0)
            control_client(master, &master->control.clients[c]);
    if (polls[POLL_CONTROL].revents)
        control_accept(master);
}

static void keep_full(struct master *master)
{
    if (refills_lasting(master))
        crew_refill(master, master->lasting);
    if (master->state == MASTER_SERVING) {
        crew_refill(master, master->crew);
        crew_go(master, master->crew);
    }
    if (master->lasting)
        crew_go(master, master->lasting);
}

static void nothing(struct master *master)
{
    (void)master;
}

static void (*const states[])(struct master *master) = {
    [MASTER_STARTING] = nothing,     [MASTER_SERVING] = nothing,    [MASTER_DRAINING] = stop_draining,
    [MASTER_CLOSING] = stop_closing, [MASTER_ENDING] = stop_ending, [MASTER_DONE] = nothing,
};

static void heartbeat(struct master *master)
{
    uint64_t ns = clock_monotonic_ns();
    master->now = ns / NS_PER_MS;
    if (master->shared.slots)
        atomic_store_explicit(&master->shared.slots->slot[master->log.slot].heartbeat, ns,
                              memory_order_relaxed);
}

/* What is asked of us comes to the new sockets already: what was on its way to the old ones has arrived by now. */
static void drain_orphans(struct master *master)
{
    bool due = master->now >= master->orphans_at || master->state != MASTER_SERVING;
    if (master->orphans_at == 0 || !due)
        return;
    master->orphans_at = 0;
    unsigned orphans = orphans_drain(&master->listeners.orphans);
    if (orphans)
        log_notice("%u processes of a killed master were told to drain", orphans);
}

static void turn_ticket_keys(struct master *master)
{
    if (master->crew)
        ticket_keys_turn(master->shared.tickets,
                         (uint64_t)master->crew->generation->settings->tls.ticket_lifetime);
}

static void turn(struct master *master)
{
    unsigned count;
    struct pollfd *polls = collect(master, &count);
    int ready = poll(polls, count, wait_time(master));
    heartbeat(master);
    master->again = false;
    if (ready > 0)
        read_all(master, polls, count);
    free(polls);
    obey_signals(master);
    control_overdue(master);
    control_reopened(master);
    child_kill_overdue(master);
    watchdog_look(master);
    drain_orphans(master);
    turn_ticket_keys(master);
    keep_full(master);
    reload_advance(master);
    upgrade_advance(master);
    states[master->state](master);
}

void master_make_lasting(struct master *master)
{
    master->lasting = crew_new(NULL, NULL, master->shared.slots->count + 2 * POLL_CHILDREN);
}

int master_found(struct master *master, const struct settings *settings, struct errors *errors)
{
    char why[512];
    log_set_level((enum log_level)settings->log.level);
    priv_resolve(&master->priv, settings, errors);
    const char *pidfile = arena_strdup(master->arena, settings->pidfile);
    const char *control = arena_strdup(master->arena, settings->control);
    if (errors->count)
        return -1;
    if (pidfile_take(&master->pidfile, pidfile, why, sizeof(why)) ||
        control_open(&master->control, control, why, sizeof(why))) {
        errors_add(errors, settings->origin, "%s", why);
        return -1;
    }
    listen_init(&master->listeners, &(struct orphans){.pidfile = pidfile, .uid = master->priv.uid});
    if (master->background && stray_open(&master->stray)) {
        errors_add(errors, settings->origin, "no pipe: %s", strerror(errno));
        return -1;
    }
    if (memory_found(master, settings, errors))
        return -1;
    master_make_lasting(master);
    return 0;
}

void master_started(struct master *master)
{
    char why[512];
    if (upgrade_takes(master)) {
        upgrade_taken(master);
        return;
    }
    master->state = MASTER_SERVING;
    if (pidfile_write(&master->pidfile, why, sizeof(why)))
        log_error("%s", why);
    master->orphans_at = master->now + ORPHANS_MS;
    notify_ready();
    daemon_report(master->report, 0, -1);
    master->report = -1;
}

void master_failed(struct master *master, const char *text)
{
    fprintf(stderr, "%s\n", text);
    master->status = 1;
    stop_after_failure(master);
}

static void master_free(struct master *master)
{
    if (master->lasting)
        crew_free(master, &master->lasting);
    crew_free(master, &master->crew);
    logfiles_close(&master->logs);
    priv_free(&master->priv);
    signals_close(&master->signals);
    if (master->shared.slots)
        shared_destroy(&master->shared);
    arena_free(&master->arena);
}

int master_init(struct master *master, const char *config, const char *program, int report)
{
    *master = (struct master){.config = config,
                              .report = report,
                              .background = report >= 0,
                              .stray = {.read_end = -1, .write_end = -1},
                              .pidfile = {.fd = -1},
                              .shared = {.segment = {.fd = -1}}};
    master->born = master->now = clock_monotonic_ns() / NS_PER_MS;
    master->watchdog.looked = master->now;
    master->arena = arena_new(4096);
    list_init(&master->children);
    list_init(&master->listeners.list);
    control_init(&master->control);
    logfiles_init(&master->logs);
    upgrade_init(&master->upgrade, program);
    log_set_process("master");
    return signals_open(&master->signals);
}

int master_loop(struct master *master)
{
    title_set("gatehouse: master %s", master->config);
    while (master->state != MASTER_DONE)
        turn(master);
    daemon_report(master->report, master->status, -1);
    master_free(master);
    return master->status;
}

int master_run(const char *config, const char *program, int report)
{
    struct master master;
    if (master_init(&master, config, program, report)) {
        fprintf(stderr, "gatehouse: signals can't be read: %s\n", strerror(errno));
        return 1;
    }
    reload_first(&master);
    return master_loop(&master);
}
