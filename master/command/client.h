/* client: the commands' side of the running gateway's two sockets. */
#ifndef MASTER_COMMAND_CLIENT_H
#define MASTER_COMMAND_CLIENT_H

#include "master/command/command.h"
#include "shared/base/arena.h"

/* Where the running gateway is: from the configuration, even from a broken one, or from --control. */
struct client_paths {
    const char *control;
    const char *admin;   /* NULL: not known */
    struct arena *arena; /* holds the two; the caller's to free */
};

/* 0, or -1 and a message was printed. */
int client_paths(const struct options *options, struct client_paths *paths);

/* Gives the order, waits for its outcome, and until the master is gone if it is to `end`. The text is the caller's to
 * free. 0: done; 1: it failed, the text says why; -1: nobody answers, and a message was printed. */
int client_order(const char *control, const char *verb, bool end, char **text);

/* A whole command: no arguments, one order, its outcome printed. The exit status. */
int client_command(const struct options *options, const char *verb, bool end);

/* Asks over the UNIX socket: the body of the answer, to be freed, and whether it is a 200; NULL and in `why` the cause.
 * At most `milliseconds`. */
char *client_ask(const char *socket, const char *method, const char *target, int milliseconds, bool *done,
                 const char **why);

/* Complains about arguments that a command doesn't take; true: there are some. */
bool client_surplus(const struct options *options);

#endif
