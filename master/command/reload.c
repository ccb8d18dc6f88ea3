/* reload: `gatehouse reload`: read the configuration anew; the outcome is that of the transaction. */
#include "master/command/client.h"

int command_reload(const struct options *options)
{
    return client_command(options, "reload", false);
}
