/* net: the buffers that all connections share. */
#include "worker/net/net.h"

#include <stdlib.h>
#include <unistd.h>

#include "worker/net/connection.h"

int net_init(struct net *net, struct loop *loop, struct stats_row *stats)
{
    *net = (struct net){.loop = loop,
                        .stats = stats,
                        .pipe = {-1, -1},
                        .splices = true,
                        .in = malloc(NET_IN),
                        .out = malloc(NET_OUT),
                        .wire_room = malloc(NET_RECORD + NET_READ),
                        .sealed = malloc(NET_SEALED),
                        .frame = malloc(NET_FRAME)};
    if (net->in && net->out && net->wire_room && net->sealed && net->frame) {
        net->wire = net->wire_room + NET_RECORD;
        return 0;
    }
    net_close(net);
    return -1;
}

void net_close(struct net *net)
{
    free(net->in);
    free(net->out);
    free(net->wire_room);
    free(net->sealed);
    recycler_empty(&net->recycler);
    free(net->frame);
    for (unsigned i = 0; i < 2; i++)
        if (net->pipe[i] >= 0)
            close(net->pipe[i]);
    net->pipe[0] = net->pipe[1] = -1;
    net->in = net->out = net->wire_room = net->wire = net->sealed = net->frame = NULL;
}

void net_flush(struct net *net)
{
    if (net->out_owner)
        connection_flush(net->out_owner);
}
