/* control: verbs are rows of a table. Bounded: a few clients, one packet each. Called by the master's loop. */
#include "master/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/master.h"
#include "master/probe.h"
#include "master/reopen.h"
#include "master/state.h"
#include "master/stop.h"
#include "shared/base/log.h"

enum { CONTROL_BACKLOG = 16, SPEAK_MS = 10000, REOPEN_MS = 10000 };

void control_init(struct control *control)
{
    memset(control, 0, sizeof(*control));
    control->fd = -1;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
}

/* NULL, or why the path can't be had. */
static const char *path_refused(const char *path, pid_t *listener)
{
    switch (probe_unix(path, SOCK_SEQPACKET, listener)) {
    case PROBE_FREE:
        return NULL;
    case PROBE_STALE:
        return unlink(path) && errno != ENOENT ? strerror(errno) : NULL;
    case PROBE_USED:
        return "another instance answers on it (stop it, or choose another path)";
    case PROBE_NOT_SOCKET:
        return "something that is no socket has this path (remove it, or choose another path)";
    case PROBE_UNKNOWN:
        break;
    }
    return strerror(errno);
}

int control_open(struct control *control, const char *path, char *why, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat made;
    pid_t listener;
    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(why, size, "control: %s: the path has more than 107 bytes", path);
        return -1;
    }
    const char *refused = path_refused(path, &listener);
    if (refused) {
        snprintf(why, size, "control: %s: %s", path, refused);
        return -1;
    }
    strcpy(address.sun_path, path);
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->fd < 0 || bind(control->fd, (struct sockaddr *)&address, sizeof(address)) ||
        lstat(path, &made))
        goto failed;
    control->path = path;
    control->device = made.st_dev;
    control->inode = made.st_ino;
    if (chmod(path, 0600) || listen(control->fd, CONTROL_BACKLOG))
        goto failed;
    return 0;
failed:
    snprintf(why, size, "control: %s: %s", path,
             errno == ENOENT ? "its folder doesn't exist" : strerror(errno));
    control_close(control);
    return -1;
}

static void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

/* The packet is small against what the socket holds, and it is the only one: it doesn't block. */
static void reply(const struct client *client, bool done, const char *text)
{
    char status = done ? '0' : '1';
    size_t length = strnlen(text, CONTROL_REPLY_MAX - 1);
    struct iovec parts[2] = {{&status, 1}, {(void *)(uintptr_t)text, length}};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(client->fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE &&
        errno != ECONNRESET)
        log_warning("the outcome can't be told on the control socket: %m");
}

static void reply_and_close(struct client *client, bool done, const char *text)
{
    reply(client, done, text);
    client_close(client);
}

static void verb_reload(struct master *master, struct client *client)
{
    client->ticket = reload_request(master);
    client->wait = CLIENT_AWAITS_RELOAD;
    if (client->ticket == 0)
        reply_and_close(client, false, "the gateway is not serving: it starts or stops");
}

static void verb_stop(struct master *master, struct client *client)
{
    client->wait = CLIENT_AWAITS_STOP;
    stop_request(master, false);
}

static void verb_reopen(struct master *master, struct client *client)
{
    char why[1024];
    client->wait = CLIENT_AWAITS_REOPEN;
    client->until = master->now + REOPEN_MS;
    if (reopen_logs(master, why, sizeof(why)))
        reply_and_close(client, false, why);
    else
        client->ticket = master->reopens;
}

static void verb_upgrade(struct master *master, struct client *client)
{
    client->wait = CLIENT_AWAITS_UPGRADE;
    if (!upgrade_request(master))
        reply_and_close(client, false, "the gateway is not serving: it starts, stops, or is being upgraded");
}

static void verb_state(struct master *master, struct client *client)
{
    char *text = malloc(CONTROL_REPLY_MAX);
    if (!text)
        abort();
    state_json(master, text, CONTROL_REPLY_MAX);
    reply_and_close(client, true, text);
    free(text);
}

static const struct verb {
    const char *name;
    void (*obey)(struct master *master, struct client *client);
} verbs[] = {
    {"reload", verb_reload},   {"stop", verb_stop},   {"reopen", verb_reopen},
    {"upgrade", verb_upgrade}, {"state", verb_state},
};

static bool permitted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    log_warning("user %u may not give orders on the control socket (process %ld)", peer.uid, (long)peer.pid);
    return false;
}

/* With all places taken the next ones wait in the socket's own queue. */
void control_accept(struct master *master)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &master->control.clients[i];
        if (client->fd >= 0)
            continue;
        int fd = accept4(master->control.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        *client = (struct client){.fd = fd, .wait = CLIENT_SPEAKS, .until = master->now + SPEAK_MS};
        if (!permitted(fd))
            reply_and_close(client, false, "only root and the gateway's own user may give orders");
    }
}

void control_client(struct master *master, struct client *client)
{
    char verb[CONTROL_VERB_MAX + 1];
    ssize_t got = recv(client->fd, verb, sizeof(verb) - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    /* It left; what it asked for goes on. One that waits has nothing more to say. */
    if (got <= 0 || client->wait != CLIENT_SPEAKS) {
        client_close(client);
        return;
    }
    verb[got] = '\0';
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (strcmp(verb, verbs[i].name) == 0) {
            verbs[i].obey(master, client);
            return;
        }
    reply_and_close(client, false, "the running gateway doesn't know this order");
}

void control_overdue(struct master *master)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &master->control.clients[i];
        if (client->fd >= 0 && client->wait == CLIENT_SPEAKS && master->now >= client->until)
            client_close(client);
    }
}

void control_reopened(struct master *master)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &master->control.clients[i];
        if (client->fd < 0 || client->wait != CLIENT_AWAITS_REOPEN)
            continue;
        if (reopen_is_done(master, client->ticket))
            reply_and_close(client, true, "the logs were opened again");
        else if (master->now >= client->until)
            reply_and_close(client, false,
                            "the logs were opened again, but the logger still writes to the old ones: it is "
                            "stopped, or waits for a disk");
    }
}

void control_reload_done(struct control *control, uint64_t ticket, bool done, const char *text)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd >= 0 && client->wait == CLIENT_AWAITS_RELOAD && client->ticket <= ticket)
            reply_and_close(client, done, text);
    }
}

void control_upgrade_done(struct control *control, bool done, const char *text)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].wait == CLIENT_AWAITS_UPGRADE)
            reply_and_close(&control->clients[i], done, text);
}

bool control_awaits_reload(const struct control *control)
{
    bool any = false;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        any |= control->clients[i].fd >= 0 && control->clients[i].wait == CLIENT_AWAITS_RELOAD;
    return any;
}

void control_stop_done(struct control *control, const char *text)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].wait == CLIENT_AWAITS_STOP)
            reply(&control->clients[i], true, text);
}

void control_close(struct control *control)
{
    struct stat found;
    if (control->fd < 0)
        return;
    if (control->path && lstat(control->path, &found) == 0 && found.st_dev == control->device &&
        found.st_ino == control->inode)
        unlink(control->path);
    close(control->fd);
    control->fd = -1;
}
