/* watchdog: a process whose heart stopped is replaced. */
#ifndef MASTER_WATCHDOG_H
#define MASTER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct master;
struct child;

struct watchdog {
    uint64_t looked;     /* the last turn, milliseconds */
    uint64_t since;      /* from when on silence counts */
    struct child *child; /* the one that is being ended; NULL: none */
};

/* Looks at all that serve; each turn of the loop. */
void watchdog_look(struct master *master);

/* A child is gone. */
void watchdog_gone(struct master *master, const struct child *child);

/* From when on silence counts, given from when it did, the last look and this one: the time in which the master itself
 * stood still says nothing about the others. Pure; milliseconds. */
uint64_t watchdog_since(uint64_t since, uint64_t looked, uint64_t now);

#endif
