/* master: the parent process as one structure. Each file beside it has one duty on it. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/control.h"
#include "master/crew.h"
#include "master/listen.h"
#include "master/logfiles.h"
#include "master/pidfile.h"
#include "master/priv.h"
#include "master/reload.h"
#include "master/signals.h"
#include "master/stray.h"
#include "master/upgrade.h"
#include "master/watchdog.h"
#include "shared/shm/shared.h"

/* In the order in which they are gone through; the functions are in master.c. */
enum master_state {
    MASTER_STARTING, /* the first generation is not serving yet */
    MASTER_SERVING,
    MASTER_DRAINING, /* told to stop: the workers finish */
    MASTER_CLOSING,  /* then the keeper */
    MASTER_ENDING,   /* then the logger, so that every line is written */
    MASTER_DONE,
};

struct master {
    const char *config; /* absolute */
    int report;         /* to the starting command; -1: foreground, or told already */
    enum master_state state;
    int status;      /* what the process will exit with */
    bool background; /* there is no terminal, no standard error to log to */
    bool urgent;     /* the stop is to be now */
    bool logs_run;   /* the first logger was READY: our own lines go to our ring */
    bool again;      /* something changed: turn once more before sleeping */
    uint64_t now;    /* monotonic, milliseconds: read once a turn */
    uint64_t born;   /* the same, at start */
    uint64_t
        orphans_at; /* when the orphans of a killed master are told to drain; 0: there are none, or they were */
    uint64_t reopens; /* how often the loggers were given new files */
    uint64_t cut;     /* requests and connections that draining processes told they had cut */

    struct signals signals;
    struct control control;
    struct stray stray;
    struct pidfile pidfile;
    struct priv priv;
    struct listeners listeners;
    struct logfiles logs;

    struct arena *arena; /* for what lives as long as the master */
    struct shared shared;
    struct shared_log log;
    struct list children; /* struct child, the oldest first */
    struct crew *lasting; /* processes that outlive generations */
    struct crew *crew;    /* those of the serving generation; NULL until the first serves */
    struct reload reload;
    struct upgrade upgrade;
    struct watchdog watchdog;
};

/* An empty one; `program` is where newer ones are found, or NULL. 0, or -1 with errno. */
int master_init(struct master *master, const char *config, const char *program, int report);

/* Runs it until it is done, and gives it back; the exit status. */
int master_loop(struct master *master);

/* Makes the posts for what outlives generations. */
void master_make_lasting(struct master *master);

/* Runs until told to stop; the exit status. `report` is of daemon_start(), or -1. */
int master_run(const char *config, const char *program, int report);

/* What must be there before the first generation's sockets: the lock, the control socket, the segment … 0, or -1 with
 * `errors`. */
int master_found(struct master *master, const struct settings *settings, struct errors *errors);

/* The first generation serves, or can't: `text` says why. */
void master_started(struct master *master);
void master_failed(struct master *master, const char *text);

#endif
