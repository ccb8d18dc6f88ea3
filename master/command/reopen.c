/* reopen: `gatehouse reopen`: open the log files anew, after logrotate renamed them. */
#include "master/command/client.h"

int command_reopen(const struct options *options)
{
    return client_command(options, "reopen", false);
}
