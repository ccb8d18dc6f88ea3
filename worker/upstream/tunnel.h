/* tunnel: a request whose upstream answered 101, from then on: bytes both ways between the client's exchange and a call, until
 * both sides have ended or it was silent for too long. Used by the contents that pass requests on.
 */
#ifndef UPSTREAM_TUNNEL_H
#define UPSTREAM_TUNNEL_H

#include "worker/codec/websocket.h"
#include "worker/request/request.h"
#include "worker/upstream/call.h"

struct tunnel {
    struct list link; /* worker->tunnels; while it is under way to another process, the giver's */
    struct request *request;
    struct call *call;
    struct timer idle;
    uint64_t moved_ms;  /* when bytes last went, either way */
    uint64_t sent_seen; /* what the client had taken then */
    bool websocket;
    struct websocket_position down, up; /* of the frames from and to the upstream, if it is WebSocket */
    uint16_t refused_by; /* tunnel_handoff.h: successors that couldn't take it, by their number */
    bool stays;          /* it isn't offered to anybody any more */
};

/* The answer was passed on, and reads nothing yet. */
void tunnel_begin(struct tunnel *tunnel, struct request *request, struct call *call);

/* One that another process began: the call is a tunnel already. `silent_ms`: when bytes last went. */
void tunnel_resume(struct tunnel *tunnel, struct request *request, struct call *call, uint64_t silent_ms);

/* One of the sides takes more again: what was too much to move may not be so now. */
void tunnel_drained(struct tunnel *tunnel);

/* Bytes of the client, or of the upstream. The request may be gone after them. */
void tunnel_up(struct tunnel *tunnel, const char *data, size_t length, bool last);
void tunnel_down(struct tunnel *tunnel, const char *data, size_t length, bool last);

/* Nobody goes on with it: both sides are told by a close frame with that code where one can stand, and by FIN. `why`: for the
 * log. The request is gone. */
void tunnel_close(struct tunnel *tunnel, unsigned code, const char *why);

/* The same of all that the worker has, as it ends. How many they were. */
unsigned tunnels_close(struct worker *worker, unsigned code, const char *why);

/* The request is over. */
void tunnel_end(struct tunnel *tunnel);

/* Its idle time-out, from when bytes last went on. */
void tunnel_watch(struct tunnel *tunnel);

#endif
