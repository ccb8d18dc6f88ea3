/* meter: what the policies limit, quota and concurrency share: by what requests are told apart, what a request was charged
 * until now, and what is done when nobody can count it.
 */
#ifndef REQUEST_METER_H
#define REQUEST_METER_H

#include "shared/shm/count.h"
#include "worker/request/request.h"

/* What the settings of each of them begin with. */
struct meter_settings {
    struct origin origin;
    const char *name;
    struct conf_strings by;
    int64_t ipv6_prefix;
    int when_full; /* enum meter_when_full */
    bool dry_run;
};

enum meter_when_full { METER_ADMIT, METER_REJECT };
extern const char *const meter_when_full_words[];

#define METER_ROW(kind_, member, ...) ROW_(kind_, struct meter_settings, member, __VA_ARGS__)

#define METER_ROWS                                                                                           \
    METER_ROW(                                                                                               \
        ROW_STRINGS, by, .fallback = "ip",                                                                   \
        .help = "what is counted apart: ip, the client's address; api; route; all, everything together; a "  \
                "name as in ${…}, header.X-Key, cookie.sid, query.key, params.id; a text with ${…}; or " \
                "several of these"),                                                                         \
        METER_ROW(ROW_NUMBER, ipv6_prefix, .fallback = "64", .min = 1, .max = 128,                           \
                  .help = "with ip: how many bits of an IPv6 address count: a client has a whole network"),  \
        METER_ROW(                                                                                           \
            ROW_STRING, name,                                                                                \
            .help =                                                                                          \
                "what it is called in answers and logs; those of one name share what they count, wherever "  \
                "they stand"),                                                                               \
        METER_ROW(ROW_WORD, when_full, .fallback = "admit", .words = meter_when_full_words,                  \
                  .help = "when there is no memory to count a request (state.*): admit or reject"),          \
        METER_ROW(ROW_FLAG, dry_run, .fallback = "false",                                                    \
                  .help = "count, and tell in log and status whom it would refuse, but refuse nobody")

/* What is counted; charged at once, or when it is known. */
enum meter_count { METER_REQUESTS, METER_BYTES_BOTH, METER_BYTES_IN, METER_BYTES_OUT };
extern const char *const meter_count_words[];

/* `count_when`: which answers count. */
struct meter_when_settings {
    struct origin origin;
    struct conf_strings status;
};
extern const struct section meter_when_section;

/* The check of such a section. */
void meter_check(struct conf_loader *loader, const struct meter_settings *settings);

/* Compiled. What is counted belongs to where it is written: to a route, an API, or the defaults; or to its name. */
struct meter {
    struct str name;  /* for people */
    struct str label; /* for fields of the answer: what stands in quotes */
    uint64_t identity;
    enum problem problem; /* of who is refused, */
    const char *detail,
        *detail_never; /* as nothing is left, or as it costs more than there ever is: the policy's to fill in */
    const struct meter_part *parts;
    unsigned part_count;
    bool admit_when_full;
    bool dry_run;
};

/* Whether a key of these settings is known only when the stage IDENTIFY is over. `conf` as below. */
bool meter_needs_identity(const void *conf);

/* `conf` is a structure that begins with struct meter_settings. `variant`: what, beside place and name, makes it another
 * one; or "". False: errors were reported. */
bool meter_compile(struct compiler *compiler, const void *conf, const char *variant, struct meter *meter);

/* --- what counts --- */

/* Statuses from 0 to 599, a bit each. */
struct meter_when {
    uint64_t statuses[10];
};

struct meter_when meter_when(const struct conf_strings *statuses);
bool meter_when_holds(const struct meter_when *when, const struct request *request);

/* A setting `cost`: NULL and `*cost`, or an expression for meter_cost_of(). `most`: a constant may not be more. */
const struct expr *meter_cost(struct compiler *compiler, const char *text, uint64_t most, uint64_t *cost);

/* UINT32_MAX at most, and of a text that is longer than any number. What is no number counts 1. */
uint64_t meter_cost_of(struct request *request, const struct expr *expr);

/* Of a request that is over. */
uint64_t meter_bytes_of(const struct request *request, enum meter_count count);

/* --- what a request was charged --- */

struct meter_note {
    struct meter_note *next;
    const void *owner;                                              /* what the policy compiled */
    void (*undo)(struct request *request, struct meter_note *note); /* NULL: nothing is to be given back */
    uint64_t key;        /* that the request is counted by; 0: none yet */
    uint64_t busy_since; /* ms: when a lock was first waited for; 0: it never was */
};

/* The note of the request that `owner` has, in which `meter` lies; made, all zero of `size`, if there is none yet. Its key
 * is what the zone's `hash` makes of what the request is counted by. NULL: that is too long, and request_fail() was
 * called. */
void *meter_note(struct request *request, const struct meter *meter, const void *owner, size_t size,
                 uint64_t (*hash)(const void *zone, const void *data, size_t length), const void *zone);

/* The same; NULL: there is none. */
void *meter_find(const struct request *request, const void *owner);

/* --- what came of it --- */

/* What becomes of the request. Refused: the problem, or with dry_run only a count and a line now and then. Full: as
 * `when_full` says. Busy: the policy's on_request is called again in a moment, with the same note; at last as if full. */
enum verdict meter_decide(struct request *request, const struct meter *meter, struct meter_note *note,
                          enum count_verdict verdict);

/* Bytes that nobody could count. */
void meter_lost(struct request *request, const struct meter *meter);

/* A field of the answer: "label";NAME=value… */
struct meter_parameter {
    const char *name;
    uint64_t value;
};
void meter_field(struct request *request, const struct meter *meter, struct str field,
                 const struct meter_parameter *parameters, unsigned count);

/* Retry-After, rounded up. */
void meter_retry_after(struct request *request, uint64_t seconds);

#endif
