/* tunnel_end: what the two connections of a tunnel have in common when it moves. Called by http1_server_tunnel.c and
 * http1_client_tunnel.c.
 */
#include "worker/http/tunnel_end.h"

size_t tunnel_end_bytes(const struct connection *connection)
{
    if (connection->error || connection->broken || connection->parked)
        return SIZE_MAX;
    return connection->held_length + connection_kept(connection);
}

struct tunnel_end tunnel_end_of(struct connection *connection, char **room)
{
    size_t kept = connection_kept(connection);
    struct tunnel_end end;
    connection_freeze(connection);
    connection_copy_kept(connection, *room);
    end = (struct tunnel_end){.fd = connection->source.fd,
                              .held = {connection->held, connection->held_length},
                              .kept = {*room, kept}};
    *room += kept;
    return end;
}

void tunnel_end_restore(struct connection *connection, const struct tunnel_end *end)
{
    connection_prepend(connection, end->held.data, end->held.length);
    connection_keep(connection, end->kept);
    if (end->ended)
        connection_set_eof(connection);
}
