/* reload: a generation comes up beside the serving one, and takes over when all of it is ready; or nothing happened.
 * The first start is the same transaction with nothing before it. */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "master/crew.h"
#include "master/logfiles.h"

struct master;

/* The functions are in reload.c. */
enum reload_state {
    RELOAD_IDLE,
    RELOAD_ROOM,     /* loaded; waits until processes of ended generations are gone */
    RELOAD_STARTING, /* forked; waits until all are READY */
    RELOAD_UNDOING,  /* failed; waits until those it had forked are gone */
};

struct reload {
    enum reload_state state;
    bool queued;       /* one more is to follow */
    uint64_t serial;   /* how many were begun */
    uint64_t number;   /* of the last generation that serves */
    uint64_t deadline; /* of RELOAD_ROOM and RELOAD_STARTING, milliseconds */
    struct crew *crew; /* of the generation to come */
    struct logfiles logs;
    struct arena *arena; /* of the transaction */
    struct errors errors;
};

/* Asks for one: begun at the loop's next turn, or after the one in progress. The ticket of its outcome, or 0 when the
 * master starts or stops. */
uint64_t reload_request(struct master *master);

/* Whether so many slots are enough for these settings; if not, an error. */
void reload_check_room(unsigned slots, const struct settings *settings, struct errors *errors);

/* Descriptors that a process of these settings may have. */
uint64_t reload_files(const struct master *master, const struct settings *settings);

/* Begins the first one. */
void reload_first(struct master *master);

/* Goes on as far as it can now. */
void reload_advance(struct master *master);

/* A process of the generation to come ended, for that reason. */
void reload_lost(struct master *master, const char *reason);

/* The stop has come: what was begun is undone, what was asked for is refused. */
void reload_abort(struct master *master);

#endif
