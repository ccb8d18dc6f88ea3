/* command: the table of sub-commands. Adding one is a file in this folder and a line here. */
#include "master/command/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"run", "[-c FILE] [-f]", "start the gateway, in the background unless -f (the default command)",
     command_run},
    {"check", "[-c FILE]", "find everything that is wrong with a configuration", command_check},
    {"reload", "[-c FILE]", "read the configuration anew, with no request lost", command_reload},
    {"stop", "[-c FILE]", "answer the requests in progress, then exit", command_stop},
    {"reopen", "[-c FILE]", "open the log files anew", command_reopen},
    {"upgrade", "[-c FILE]", "let the program that is installed now take over, with no request lost",
     command_upgrade},
    {"status", "[-c FILE] [--json]", "processes, generations, upstreams, counters", command_status},
    {"set", "[-c FILE] NAME VALUE",
     "change a setting while the gateway runs, until the configuration changes it", command_set},
    {"unset", "[-c FILE] NAME", "take such a change back", command_unset},
    {"key", "new", "make a key for a consumer, and the line that the configuration gets of it", command_key},
    {"config", "--reference | --dump", "all settings there are; the values in effect", command_config},
    {NULL, NULL, NULL, NULL},
};
