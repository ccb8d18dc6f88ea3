/* websocket: what a gateway knows of WebSocket (RFC 6455): the keys of its handshake, where a frame ends, and how a
 * connection is closed. Pure.
 */
#ifndef CODEC_WEBSOCKET_H
#define CODEC_WEBSOCKET_H

#include "shared/base/str.h"

enum {
    WEBSOCKET_NONCE = 16,    /* bytes behind a Sec-WebSocket-Key */
    WEBSOCKET_KEY = 24,      /* characters of one */
    WEBSOCKET_ACCEPT = 28,   /* of a Sec-WebSocket-Accept */
    WEBSOCKET_HEAD_MAX = 14, /* bytes of a frame's head: 2, 8 of length, 4 of mask */
    WEBSOCKET_CLOSE_MAX = 8, /* bytes of a close frame with a code */
    WEBSOCKET_VERSION = 13,
};

/* Close codes (section 7.4.1, and the registry that it made). */
enum { WEBSOCKET_GOING_AWAY = 1001, WEBSOCKET_SERVICE_RESTART = 1012 };

/* Whether a Sec-WebSocket-Key is 16 bytes in base64 (section 4.1). */
bool websocket_key_is_good(struct str key);

/* A key of these random bytes; WEBSOCKET_KEY characters, not terminated. */
void websocket_key(const unsigned char nonce[WEBSOCKET_NONCE], char *key);

/* The Sec-WebSocket-Accept that answers a key (section 4.2.2); WEBSOCKET_ACCEPT characters, not terminated. */
void websocket_accept(struct str key, char *accept);

/* Where a stream of frames stands. All zero: at the first frame's first byte. */
struct websocket_position {
    uint64_t left; /* of the frame's payload */
    unsigned char head[WEBSOCKET_HEAD_MAX];
    unsigned char have; /* bytes of a head that isn't whole */
    bool lost;          /* what came is no frame: nothing can be said any more */
    bool closed;        /* a close frame was there: nothing follows it */
};

/* These bytes went by. */
void websocket_follow(struct websocket_position *position, const char *data, size_t length);

/* Whether a frame of our own could stand here: between two frames. A control frame may also stand between the frames of a
 * message (section 5.4). */
static inline bool websocket_between(const struct websocket_position *position)
{
    return !position->lost && !position->closed && position->left == 0 && position->have == 0;
}

/* A close frame with that code: how many bytes of `frame` it has. `client`: masked, as clients must (section 5.3); with a key
 * of 0, since what it hides is no secret and no one else's. */
size_t websocket_close(unsigned code, bool client, char frame[WEBSOCKET_CLOSE_MAX]);

#endif
