/* upgrade: another program takes the place of the running one, in the same process: the pid stays, sockets, shared
 * memory and children go over.
 *
 * The program that runs tries the new one in a child first, then executes it; the new one brings its first generation
 * up beside the processes that it finds. If it can't, it executes the old one, which goes on as if nothing had
 * happened. The new one's side of it is in resume.c. */
#ifndef MASTER_UPGRADE_H
#define MASTER_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/baton.h"
#include "shared/shm/shared.h"

struct master;

/* The functions are in upgrade.c. */
enum upgrade_state {
    UPGRADE_IDLE,
    UPGRADE_TRYING,    /* a child looks whether the new program can take over */
    UPGRADE_TAKING,    /* we are the new program, and our first generation comes up */
    UPGRADE_RETURNING, /* it didn't: when what we had started is gone, the old program gets its place back */
};

enum { UPGRADE_TEXT = 8192 };

struct upgrade {
    enum upgrade_state state;
    bool queued;         /* one is to begin when the reload in progress is over */
    const char *program; /* what is executed: absolute; NULL: not known */
    struct baton baton;

    /* UPGRADE_TRYING */
    pid_t pid;         /* the child; 0: it ended */
    int status;        /* how */
    int pipe;          /* what it says; -1: all is read */
    uint64_t deadline; /* milliseconds */
    char *said;        /* UPGRADE_TEXT bytes */
    size_t length;

    /* UPGRADE_TAKING and UPGRADE_RETURNING */
    int image; /* the old program */
    char *why; /* that we failed */
    struct baton_back back;
    struct shared_found found;
    struct shared_change change;

    /* Slots, mailboxes and log rings are numbered by how often they had to be made anew since the first start. Children
     * of an older set write to that; the logger that reads it stays until the last of them is gone. */
    unsigned set;
    bool stale; /* zones that were replaced are kept for children of the old program */
};

void upgrade_init(struct upgrade *upgrade, const char *program);

/* Asks for one: begun at the loop's next turn, or after the reload in progress. False: the master starts or stops. */
bool upgrade_request(struct master *master);

/* Goes on as far as it can now. */
void upgrade_advance(struct master *master);

/* The child that tries the new program says something, or ended; true: it was that one. */
void upgrade_read(struct master *master);
bool upgrade_reaped(struct master *master, pid_t pid, int status);

/* The stop has come. */
void upgrade_abort(struct master *master);

/* Whether this is the new program, and its first generation doesn't serve yet. */
bool upgrade_takes(const struct master *master);

/* The new program's first generation serves; or can't, for that reason. */
void upgrade_taken(struct master *master);
void upgrade_failed(struct master *master, const char *why);

/* In the old program: the new one gave the place back, for that reason. */
void upgrade_came_back(struct master *master, const char *why);

/* Executes the program of that descriptor with what was handed over; returns only when that fails. `word` says in
 * what role: "" to take over, "back" to go on. */
void upgrade_execute(int image, const struct master *master, int baton, const char *word);

/* The variable of the environment by which the program knows that it takes over. */
#define UPGRADE_VARIABLE "GATEHOUSE_BATON"

#endif
