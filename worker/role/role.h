/* role: what the master knows of its children's programs.
 *
 * A child is forked with everything it needs in a struct process and calls its role's main(), which prepares, tells
 * READY, waits for GO, runs, drains on DRAIN, and exits. It has dropped its privileges by then.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "shared/base/address.h"
#include "shared/conf/generation.h"
#include "shared/shm/shared.h"

/* Which row of the master's table of roles: what stands in a slot's `role`. New ones go to the end. */
enum role_index { ROLE_MASTER, ROLE_LOGGER, ROLE_KEEPER, ROLE_WORKER, ROLE_COUNT };

static inline const char *role_name(uint32_t role)
{
    static const char *const names[ROLE_COUNT] = {"master", "logger", "keeper", "worker"};
    return role < ROLE_COUNT ? names[role] : "unknown";
}

/* A socket that the master bound. It listens from GO on. */
struct bound {
    const struct listener_settings *listener; /* NULL: the admin socket */
    int fd;
};

struct process {
    const char *role; /* "worker" … */
    unsigned number;  /* worker 0, 1, … */
    unsigned slot;
    struct shared *shared;
    const struct generation *generation; /* NULL for the logger, which outlives generations */
    int channel;                         /* to the master */
    const struct bound *bound;           /* what the role inherits */
    unsigned bound_count;
    int inbox;                    /* where older processes offer it their connections; -1: none */
    unsigned max_files;           /* descriptors that the process may have */
    int log_fds[LOG_TARGETS];     /* the logger's; -1: none */
    bool log_syslog[LOG_TARGETS]; /* that one is a connected datagram socket to /dev/log */
};

/* What the configuration loader needs of the policies and the compiler. */
extern const struct generation_kind role_generation_kind;

/* Each runs until it is told to end and returns the exit status. */
int worker_main(struct process *process);
int keeper_main(struct process *process);
int logger_main(struct process *process);

#endif
