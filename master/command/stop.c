/* stop: `gatehouse stop`: returns when the last process is gone. */
#include "master/command/client.h"

int command_stop(const struct options *options)
{
    return client_command(options, "stop", true);
}
