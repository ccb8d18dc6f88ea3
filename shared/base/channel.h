/* channel: the orders between the master and a child, over a SOCK_SEQPACKET pair; a message is a packet.
 *
 * The verbs DRAIN and REOPEN keep their numbers for ever: a master started from a newer program gives them to
 * children of an older one.
 */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

enum channel_verb {
    CHANNEL_READY = 1,  /* child: I could serve now */
    CHANNEL_FAILED = 2, /* child: I can't start; text says why. It exits then */
    CHANNEL_GO = 3,     /* master: serve */
    CHANNEL_DRAIN = 4, /* master: take nothing new, finish, exit. number: milliseconds at most, 0: no limit */
    CHANNEL_STOP = 5,  /* master: exit now, in order */
    CHANNEL_REOPEN =
        6, /* master to logger: descriptors of the logs (error, access); either may be missing by flag */
    CHANNEL_CUT =
        7, /* child, before it exits: number requests or connections were cut; text names their kind */
    CHANNEL_SUCCESSORS = 8, /* master to worker: the inboxes of those that take its connections over, the
                             * latest that were told; none: nobody takes them. Comes before DRAIN */
    CHANNEL_OFFER = 9,      /* worker to an inbox: the end of a hand-off's connection; number: its version */
    CHANNEL_REOPENED = 10,  /* logger: the descriptors of the REOPEN with that number are in use */
};

enum { CHANNEL_TEXT = 1000, CHANNEL_FDS = 16 };

struct channel_message {
    uint32_t verb;
    uint32_t flags;
    uint64_t number;
    uint32_t fd_count;
    int32_t fds[CHANNEL_FDS]; /* sent as SCM_RIGHTS; on receipt the receiver's own, close-on-exec */
    char text[CHANNEL_TEXT];  /* NUL-terminated; a longer one is cut */
};

/* Both ends non-blocking and close-on-exec. 0, or -1 with errno. */
int channel_pair(int ends[2]);

/* 0, or -1 with errno (EAGAIN: the peer doesn't read; EPIPE: it is gone). */
int channel_send(int fd, const struct channel_message *message);

/* 1: a message; 0: the peer is gone; -1: errno (EAGAIN: none now; EPROTO: not a message, it was dropped). */
int channel_receive(int fd, struct channel_message *message);

/* A message with a verb and a number only. */
int channel_tell(int fd, enum channel_verb verb, uint64_t number);

#endif
