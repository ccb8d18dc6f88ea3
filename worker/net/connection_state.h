/* connection_state: a connection as its parts share it: its life (connection.c), reading (connection_input.c), sending
 * (connection_output.c), and both at once (connection_relay.c). Nobody else includes it.
 */
#ifndef NET_CONNECTION_STATE_H
#define NET_CONNECTION_STATE_H

#include "worker/net/connection.h"
#include "worker/net/tls.h"

static const uint32_t connection_watched = EPOLLIN | EPOLLRDHUP;

void connection_on_event(struct source *source, uint32_t events);

/* --- reading --- */

/* Reads once, and hands it over. */
void connection_read_more(struct connection *connection);

/* What came with the end of a TLS handshake is handed over in this turn. */
void connection_look_ahead(struct connection *connection);

/* What is held comes before what is in the socket. */
void connection_run_deferred(struct deferred *deferred);

void connection_drop_held(struct connection *connection);

/* recv() or the like has returned `n`, 0 or less: the end, or an error, or nothing yet. */
void connection_read_ended(struct connection *connection, ssize_t n);

/* --- sending --- */

/* The kernel has taken `n` of the bytes, or sending has failed (false); `taken`: how many, 0 too when there is no room. */
bool connection_took(struct connection *connection, ssize_t n, size_t *taken);

/* Bytes for which the socket had no room: its user is told to stop. */
void connection_keep_more(struct connection *connection, const char *data, size_t length);

/* What TLS has gathered in net->sealed: in one system call; what isn't taken is kept. */
void connection_send_sealed(struct connection *connection);

/* TLS's last record, once. */
void connection_send_last(struct connection *connection);

/* The socket takes more again. */
void connection_send_kept(struct connection *connection);

void connection_free_chunks(struct connection *connection);

/* A socket whose peer hung up would be reported in every turn: it stays out of the loop until it is read again. */
void connection_park(struct connection *connection);

#endif
