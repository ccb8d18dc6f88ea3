/* upgrade: `gatehouse upgrade`: the program that is installed now takes the place of the one that runs. */
#include "master/command/client.h"

int command_upgrade(const struct options *options)
{
    return client_command(options, "upgrade", false);
}
