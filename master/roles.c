/* roles: read by spawn.c, reload.c and stop.c; the order is that of enum role_index, and that of starting. */
#include "master/roles.h"

#include "master/host.h"

static unsigned worker_count(const struct settings *settings)
{
    return settings->workers > 0 ? (unsigned)settings->workers : host_cpus();
}

const struct role roles[ROLE_COUNT] = {
    [ROLE_MASTER] = {.name = "master", .lasting = true},
    [ROLE_LOGGER] =
        {.name = "logger", .main = logger_main, .inherits = INHERIT_LOGS, .lasting = true, .single = true},
    [ROLE_KEEPER] =
        {.name = "keeper", .main = keeper_main, .inherits = INHERIT_ADMIN, .single = true, .watched = true},
    [ROLE_WORKER] = {.name = "worker",
                     .main = worker_main,
                     .count = worker_count,
                     .inherits = INHERIT_LISTENERS | INHERIT_INBOX,
                     .watched = true,
                     .drains = true},
};
