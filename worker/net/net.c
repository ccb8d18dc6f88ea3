/* net: the buffers that all connections share. */
#include "worker/net/net.h"

#include <stdlib.h>

#include "worker/net/connection.h"

int net_init(struct net *net, struct loop *loop, struct stats_row *stats)
{
    *net = (struct net){.loop = loop, .stats = stats, .in = malloc(NET_IN), .out = malloc(NET_OUT)};
    if (net->in && net->out)
        return 0;
    net_close(net);
    return -1;
}

void net_close(struct net *net)
{
    free(net->in);
    free(net->out);
    net->in = net->out = NULL;
}

void net_flush(struct net *net)
{
    if (net->out_owner)
        connection_flush(net->out_owner);
}
