/* pace: whether a client moves its bytes: some within the time-out, and enough of them within a longer window. Looked at
 * when bytes came, or when the timer says so.
 */
#ifndef NET_PACE_H
#define NET_PACE_H

#include <stdint.h>

struct pace_rules {
    uint64_t timeout; /* ms without a byte */
    uint64_t rate;    /* bytes a second; 0: none */
    uint64_t window;  /* ms over which it is measured */
};

struct pace {
    uint64_t window_began; /* ms */
    uint64_t window_bytes; /* that had moved by then */
    uint64_t moved_at;     /* ms: when a byte was last seen to have moved */
    uint64_t moved_bytes;
};

enum pace_verdict { PACE_GOOD, PACE_SLOW, PACE_STALLED };

/* From now on; `bytes` have moved before. */
void pace_begin(struct pace *pace, uint64_t now_ms, uint64_t bytes);

/* `bytes` have moved until now. */
enum pace_verdict pace_look(struct pace *pace, const struct pace_rules *rules, uint64_t now_ms,
                            uint64_t bytes);

/* Milliseconds until it must be looked at again if no byte moves. */
uint64_t pace_next(const struct pace *pace, const struct pace_rules *rules, uint64_t now_ms);

/* Of the bytes that a socket took, those that the peer has taken from it: a client that reads slowly out of a large
 * buffer is seen to move, though the socket takes no more for long. One system call. */
uint64_t pace_taken(int fd, uint64_t sent);

#endif
