/* signals: what others ask of the master by signal, read from a descriptor: no handler runs anywhere. */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

#include <stdbool.h>

/* What was asked since the last look; the master clears what it has done. */
struct signals {
    int fd;
    bool child;   /* SIGCHLD */
    bool reload;  /* SIGHUP */
    bool reopen;  /* SIGUSR1 */
    bool upgrade; /* SIGUSR2 */
    bool drain;   /* SIGTERM, SIGQUIT */
    bool now;     /* SIGINT */
};

/* Blocks the signals and opens the descriptor. 0, or -1 with errno. */
int signals_open(struct signals *signals);
void signals_close(struct signals *signals);

/* Reads all that came. */
void signals_read(struct signals *signals);

/* In a child: the master's and the terminal's signals mean nothing to it, it takes its orders by its channel. */
void signals_child(void);

#endif
