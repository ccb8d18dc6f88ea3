/* control: the socket of `gatehouse reload`, stop, reopen, upgrade and status: a packet with a verb in, a packet with the
 * outcome out ('0' or '1' for done or failed, then text). It needs no other process than the master. */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct master;

enum { CONTROL_CLIENTS = 16, CONTROL_VERB_MAX = 32, CONTROL_REPLY_MAX = 65536 };

enum client_wait {
    CLIENT_SPEAKS,
    CLIENT_AWAITS_RELOAD,
    CLIENT_AWAITS_STOP,
    CLIENT_AWAITS_UPGRADE,
    CLIENT_AWAITS_REOPEN
};

struct client {
    int fd; /* -1: a free place */
    enum client_wait wait;
    uint64_t ticket; /* the reload, or REOPEN, whose outcome is awaited */
    uint64_t until;  /* when who speaks is turned away, and who awaits a REOPEN is told no; milliseconds */
};

struct control {
    int fd; /* -1: not open */
    const char *path;
    dev_t device;
    ino_t inode;
    struct client clients[CONTROL_CLIENTS];
};

void control_init(struct control *control);

/* Binds and listens; refuses when somebody answers on it. 0, or -1 and `why`. `path` outlives it. */
int control_open(struct control *control, const char *path, char *why, size_t size);

/* Takes new clients; reads and obeys one that has something to say. */
void control_accept(struct master *master);
void control_client(struct master *master, struct client *client);

/* Turns away who says nothing. */
void control_overdue(struct master *master);

/* Answers who waits for a REOPEN that loggers have obeyed, or that takes too long. */
void control_reopened(struct master *master);

/* Answers all that wait for a reload up to that ticket, for the stop, or for the upgrade. */
void control_reload_done(struct control *control, uint64_t ticket, bool done, const char *text);
void control_stop_done(struct control *control, const char *text);
void control_upgrade_done(struct control *control, bool done, const char *text);

/* Whether one waits for a reload. */
bool control_awaits_reload(const struct control *control);

/* Removes the socket; clients that wait stay connected until the process ends. */
void control_close(struct control *control);

#endif
