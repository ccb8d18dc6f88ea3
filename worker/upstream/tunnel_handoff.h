/* tunnel_handoff: a tunnel moves to another process of this gateway, with both its connections and what is buffered between
 * them: what that needs to go on, and the tunnel's life between the sending and the answer. Called by role/handover, which
 * gives, and by role/accepting, which takes.
 */
#ifndef UPSTREAM_TUNNEL_HANDOFF_H
#define UPSTREAM_TUNNEL_HANDOFF_H

#include "worker/http/http1_handoff.h"
#include "worker/http/tunnel_end.h"
#include "worker/request/adopt.h"
#include "worker/upstream/tunnel.h"

struct tunnel_parcel {
    struct http1_parcel connection; /* the client's */
    struct tunnel_end client, upstream;
    struct request_story story;
    struct str head; /* of the request, as it came */
    struct str cluster;
    struct address endpoint;
    uint64_t bytes_in, bytes_out; /* of the exchange so far */
    uint64_t silent_ms;
    struct websocket_position down, up;
};

/* --- giving --- */

/* Whether it is of a kind that can be moved, and isn't to stay: plain HTTP/1 on both sides. */
bool tunnel_moves(const struct tunnel *tunnel);

/* Whether it can be given now, with no more than `most` bytes, to the successor of this number (below 16). */
bool tunnel_is_ready(const struct tunnel *tunnel, size_t most, unsigned successor);

/* Where the frames stand, as bytes for the message; `text` has room for HANDOFF_POSITION. */
struct str tunnel_write_position(const struct tunnel_parcel *parcel, char *text);
void tunnel_read_position(struct tunnel_parcel *parcel, struct str text);

/* Takes it out of the loop and off the worker's list. `room`: for what its sockets haven't taken, `most` bytes. */
void tunnel_suspend(struct tunnel *tunnel, struct tunnel_parcel *parcel, char *room);

/* It wasn't taken: as before. */
void tunnel_go_on(struct tunnel *tunnel);

/* The same, and that successor isn't to be asked again. */
void tunnel_refused(struct tunnel *tunnel, unsigned successor);

/* Nobody takes it: it isn't offered any more, until tunnels_offer(). Also of one that is not suspended. */
void tunnel_stay(struct tunnel *tunnel);

/* Whether it was refused by all of those, a bit each. */
bool tunnel_is_refused(const struct tunnel *tunnel, unsigned usable);

/* It is another's: our copies of the descriptors are closed. Also to give back what was taken in vain. */
void tunnel_done(struct tunnel *tunnel);

/* There are other successors: all are asked again. */
void tunnels_offer(struct worker *worker);

/* --- taking --- */

/* The tunnel goes on here, from the next turn of the loop on; NULL: its route, or its endpoint, isn't there any more, or the
 * loop can't have it (errno isn't 0). The descriptors are closed in the end, or at once. */
struct tunnel *tunnel_take(struct http_service *service, const struct tunnel_parcel *parcel,
                           const void *listener, const struct admission *admission);

/* For the content whose request it is, by its hook: makes the call, whose owner it is, and the tunnel. False: there is no such
 * endpoint, or the connection can't be had; the upstream's descriptor is closed then. */
bool tunnel_adopt(struct tunnel *tunnel, struct call *call, const struct call_events *events, void *owner,
                  struct request *request, const struct tunnel_parcel *parcel);

#endif
