/* roles: the table of the programs that the master's children are. A new one is a row. */
#ifndef MASTER_ROLES_H
#define MASTER_ROLES_H

#include <stdbool.h>

#include "worker/role/role.h"

enum role_inherits { INHERIT_LISTENERS = 1, INHERIT_ADMIN = 2, INHERIT_LOGS = 4, INHERIT_INBOX = 8 };

struct role {
    const char *name;
    int (*main)(struct process *process); /* NULL: the master itself */
    /* How many a generation has; NULL: one. */
    unsigned (*count)(const struct settings *settings);
    unsigned inherits; /* of enum role_inherits */
    bool lasting;      /* tied to no generation: one set of them for the life of the master */
    bool single;       /* one serves at a time: the new one gets GO when the old one is gone */
    bool watched;      /* never blocks: the watchdog ends one that does */
    bool drains;       /* has requests to finish: told to drain where others are told to stop */
};

extern const struct role roles[ROLE_COUNT];

#endif
