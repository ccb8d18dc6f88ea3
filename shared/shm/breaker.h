/* breaker: whether what is behind gets requests: one word, shared by all processes of the node, changed by
 * compare-and-swap only, and a window of what came of calls. Pure: times are given, and nothing is logged.
 *
 *   closed ──trips──▶ open ──time is up──▶ half-open ──the probe is answered──▶ closed
 *                      ▲                       │
 *                      └────the probe fails────┘
 *
 * Half-open, one call of the node is under way, the probe: its owner and deadline are in the word. Whoever comes when the
 * deadline has passed takes over. What a dead process had is given back by the master (breaker_release()).
 */
#ifndef SHM_BREAKER_H
#define SHM_BREAKER_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_BUCKETS = 10 };

/* All zero: closed, and nothing is known. */
struct breaker_cell {
    alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t bucket[BREAKER_BUCKETS]; /* {epoch, good, bad} */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* The word, unpacked. */
struct breaker_view {
    enum breaker_state state;
    unsigned level;   /* how often it opened in a row: the open time grows with it */
    unsigned count;   /* closed: failures in a row; half-open: the slot of the probe's owner */
    uint64_t time_ms; /* closed: since when; open: until when; half-open: the probe's deadline. Monotonic */
};

struct breaker_view breaker_view(const struct breaker_cell *cell);

/* What trips it and how long it is open then. Milliseconds. */
struct breaker_rules {
    unsigned errors;    /* failures in a row; 0: not by those */
    double ratio;       /* of failures in the window; 0: not by that, */
    unsigned volume;    /* and not below so many calls */
    uint64_t window;    /* ms */
    uint64_t open;      /* the first time; twice as long each time it follows on the last, */
    uint64_t open_most; /* up to this, which is also the time closed that ends the row */
    double jitter;      /* of the open time, added by chance */
    uint64_t probe;     /* a probe's deadline */
};

enum breaker_gate {
    BREAKER_PASS,
    BREAKER_PROBE, /* the call is the probe: its end must be told with the ticket */
    BREAKER_TAKEN, /* likewise, in place of one that took too long */
    BREAKER_SHUT,
};

/* May a call be made by the process of `slot`? PROBE and TAKEN: `*ticket` names the probe. SHUT: `*left_ms` until it is
 * worth asking again, 1 at least. */
enum breaker_gate breaker_ask(struct breaker_cell *cell, const struct breaker_rules *rules, unsigned slot,
                              uint64_t now_ms, uint64_t *ticket, uint64_t *left_ms);

/* Whether a call that was let through (not as the probe) may still be made, or repeated. */
static inline bool breaker_passes(const struct breaker_cell *cell)
{
    return (atomic_load_explicit(&cell->word, memory_order_relaxed) & 3) == BREAKER_CLOSED;
}

/* What came of a call. */
struct breaker_result {
    uint64_t ticket;         /* of the probe; 0: it was none */
    uint64_t began_ms;       /* what began before the breaker closed says nothing about the time after */
    uint64_t retry_after_ms; /* that the answer asks for; 0: nothing */
    double chance;           /* in [0, 1), for the jitter */
};

/* A good answer. True: the breaker closed by it. */
bool breaker_good(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                  const struct breaker_result *result);

enum breaker_cause { BREAKER_STAYS, BREAKER_BY_ERRORS, BREAKER_BY_RATIO, BREAKER_BY_PROBE };

/* A bad one, or none. Not STAYS: the breaker opened by it, for `*open_ms`. */
enum breaker_cause breaker_bad(struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                               const struct breaker_result *result, uint64_t *open_ms);

/* The probe ended without a judgement: the next call at `at_ms` or later is the probe. */
void breaker_give_back(struct breaker_cell *cell, uint64_t ticket, uint64_t at_ms);

/* The process of `slot` is dead: likewise, if it had the probe. */
void breaker_release(struct breaker_cell *cell, unsigned slot);

/* The calls of the window, and how many of them failed. */
void breaker_sum(const struct breaker_cell *cell, const struct breaker_rules *rules, uint64_t now_ms,
                 uint32_t *calls, uint32_t *failed);

#endif
