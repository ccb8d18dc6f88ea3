/* http1_handoff: idle HTTP/1 connections move to another process: what it needs to go on with them, and their life
 * between the sending and the answer. Called by role/handoff, which gives, and role/takeover, which takes.
 *
 * What was read and not understood yet moves as it came, and is read anew: no state of a parser ever moves.
 */
#ifndef HTTP_HTTP1_HANDOFF_H
#define HTTP_HTTP1_HANDOFF_H

#include "worker/http/exchange.h"

struct connection;

/* What there is to say of an idle connection. */
struct http1_parcel {
    int fd;
    struct address peer;
    struct admission admission;
    struct str held;   /* what was read and not understood yet; the connection's */
    uint64_t left_ms;  /* until its time-out, 1 at least */
    uint32_t requests; /* that it has had */
    bool head_begun;   /* the time-out is that of a head */
};

/* From now on connections that are idle, or become so, wait in service->leaving, and `leave` is due when there are more.
 * Answers don't end their connections for a drain's sake. */
void http1_handoff_begin(struct http_service *service, struct deferred *leave);

/* Nothing waits there any more. */
void http1_handoff_end(struct http_service *service);

/* Whether one that waits there can be handed over now, to the successor of this number (below 16). False: it broke, has more
 * unread bytes than `most`, or was refused by that one. */
bool http1_handoff_ready(const struct connection *connection, size_t most, unsigned successor);

/* Takes it out of `leaving` and out of the loop; what it is goes to the parcel. One of the three below follows. */
void http1_handoff_suspend(struct connection *connection, struct http1_parcel *parcel);

/* It wasn't taken, for no fault of its own: as before. */
void http1_handoff_resume(struct connection *connection);

/* The same, and that successor isn't to be asked again. */
void http1_handoff_refused(struct connection *connection, unsigned successor);

/* Whether it was refused by all of those, a bit each. */
bool http1_handoff_is_refused(const struct connection *connection, unsigned usable);

/* It can't be handed over to anybody: it ends with its next answer. Also of one that is not suspended. */
void http1_handoff_stay(struct connection *connection);

/* It is another's: our copy of the descriptor is closed, and on_closed called. Also to give back what was taken in vain. */
void http1_handoff_done(struct connection *connection);

/* The other side: goes on with a connection; parcel->fd is closed in the end, or at once, as by http1_server_open(). NULL with
 * errno. Nothing is read from it before the next turn of the loop. */
struct connection *http1_handoff_take(struct http_service *service, const struct http1_parcel *parcel,
                                      const void *listener, const struct admission *admission);

/* --- tunnels: http1_server_tunnel.c --- */

struct tunnel_end;

/* Whether an exchange is a tunnel of a kind that moves: plain HTTP/1. */
bool http1_tunnel_moves(const struct exchange *exchange);

/* Bytes that would move with it; SIZE_MAX: not now, as it is about to end. */
size_t http1_tunnel_bytes(const struct exchange *exchange);

/* Takes it out of the loop; what there is to say of it goes to the parcel and the end, the request's head as it came to `head`.
 * What is to be sent is copied to `*room`, which becomes what is behind. One of the two below follows. */
void http1_tunnel_suspend(struct exchange *exchange, struct http1_parcel *parcel, struct tunnel_end *end,
                          struct str *head, char **room);

void http1_tunnel_resume(struct exchange *exchange);

/* It is another's: our copy of the descriptor is closed, the exchange is gone. Also to give back what was taken in vain. */
void http1_tunnel_done(struct exchange *exchange);

/* The other side: an exchange that is a tunnel already, and not read yet; the owner's events begin with read(). `bytes_in` and
 * `bytes_out`: what went through it so far. NULL with errno: it is closed already, and on_closed was called. */
struct exchange *http1_tunnel_take(struct http_service *service, const struct http1_parcel *parcel,
                                   const struct tunnel_end *end, struct str head, uint64_t bytes_in,
                                   uint64_t bytes_out, const void *listener,
                                   const struct admission *admission);

#endif
