/* shedding: measures how late a worker's loop is and how much memory it has, for `shed`. */
#ifndef ROLE_SHEDDING_H
#define ROLE_SHEDDING_H

#include "shared/base/log.h"
#include "worker/request/worker.h"

struct shedding {
    struct worker *worker;
    const unsigned *connections; /* of the process, now */
    int statm;                   /* /proc/self/statm; -1: memory isn't measured */
    uint64_t trimmed;            /* ms: unused memory was given back */
    struct timer timer;          /* memory is looked at, and a level is left */
    struct log_seldom said;
};

/* Begins, if the settings ask for it. 0, or -1 and errno: the memory can't be seen. */
int shedding_start(struct shedding *shedding, struct worker *worker);
void shedding_end(struct shedding *shedding);

#endif
