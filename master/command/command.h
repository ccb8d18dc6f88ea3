/* command: the sub-commands of the program, a row each in command.c. */
#ifndef MASTER_COMMAND_H
#define MASTER_COMMAND_H

#include <stdbool.h>

/* What the command line said, before and after the sub-command's name. */
struct options {
    const char *program; /* where it was started from: absolute; NULL: not known */
    const char *resume;  /* what resume_wanted() said, or NULL */
    const char *config;  /* -c FILE; default: $sysconfdir/gatehouse/gatehouse.conf */
    bool foreground;     /* -f */
    bool json;           /* --json */
    const char *control; /* --control PATH: overrides the configuration's, also when that can't be read */
    int argc;            /* what is left for the command, argv[0] being its name */
    char **argv;
};

struct command {
    const char *name; /* NULL ends the table */
    const char *arguments;
    const char *help;                          /* one line */
    int (*run)(const struct options *options); /* the exit status: 0 done, 1 failed, 2 usage */
};

extern const struct command commands[];

int command_run(const struct options *options); /* the master: daemon, or -f */
int command_check(const struct options *options);
int command_config(const struct options *options); /* --reference [--roff], --dump */
int command_key(const struct options *options);    /* new */
int command_reload(const struct options *options);
int command_stop(const struct options *options);
int command_reopen(const struct options *options);
int command_upgrade(const struct options *options);
int command_status(const struct options *options);
int command_set(const struct options *options);
int command_unset(const struct options *options);

#endif
