/* http1_client: a connection to an endpoint that speaks HTTP/1: one exchange at a time, idle in between. */
#ifndef HTTP_HTTP1_CLIENT_H
#define HTTP_HTTP1_CLIENT_H

#include "shared/base/address.h"
#include "worker/http/client.h"
#include "worker/net/net.h"

/* A new connection, connecting, and the first exchange on it; NULL with errno when it failed at once. */
struct client *http1_client_open(const struct client_target *target, void *owner,
                                 const struct client_events *events, const struct client_timeouts *timeouts);

/* --- a tunnel moves to another process (http1_client_tunnel.c): as http1_handoff.h has it for the client's side --- */

struct tunnel_end;

bool http1_client_tunnel_moves(const struct client *client);
size_t http1_client_tunnel_bytes(const struct client *client);
void http1_client_tunnel_suspend(struct client *client, struct tunnel_end *end, char **room);
void http1_client_tunnel_resume(struct client *client);

/* Our copy of the descriptor is closed; no event follows. */
void http1_client_tunnel_done(struct client *client);

/* The descriptor is ours from now on, whatever comes of it. NULL with errno. Nothing is read before client_read(). */
struct client *http1_client_tunnel_take(const struct client_target *target, const struct tunnel_end *end,
                                        void *owner, const struct client_events *events,
                                        const struct client_timeouts *timeouts);

#endif
