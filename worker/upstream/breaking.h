/* breaking: the breaker of an upstream, or a route's own, as calls meet it: compiled from its settings, asked before a call,
 * told what came of it; whoever changes its state writes the line of the log, so that it is one line a node. */
#ifndef UPSTREAM_BREAKING_H
#define UPSTREAM_BREAKING_H

#include "shared/conf/settings.h"
#include "shared/conf/wants.h"
#include "shared/shm/breaker.h"

struct worker;

/* What stands in for an answer. */
struct fallback {
    int upstream;    /* its index in the settings; -1: a fixed answer, */
    unsigned status; /* with this */
    struct str type, body;
};

struct breaking {
    const char *name; /* for people: "upstream users", "route shop/user" */
    unsigned want;    /* the cell's, of the generation */
    struct breaker_rules rules;
    struct conf_numbers statuses; /* that are failures; none: 500 and up */
    const struct fallback *fallback;
};

/* `want`: of its cell. Errors are told. */
const struct breaking *breaking_compile(const struct settings *settings,
                                        const struct breaker_settings *breaker, const char *name,
                                        unsigned want, struct arena *arena, struct errors *errors);

struct breaker_cell *breaking_cell(const struct worker *worker, const struct breaking *breaking);

/* Whether a call may be made; else `*left_ms` until it is worth asking again. `*ticket` isn't 0 when the call is the
 * probe. */
bool breaking_ask(struct worker *worker, const struct breaking *breaking, uint64_t *ticket,
                  uint64_t *left_ms);

/* What came of a try. */
struct breaking_result {
    uint64_t ticket;
    uint64_t began_ms;
    const char *endpoint;    /* whose; NULL: nobody's in particular */
    unsigned status;         /* 0: no answer */
    const char *detail;      /* why, or what a failure is called; NULL: by its status */
    uint64_t retry_after_ms; /* that the answer asks for; 0: nothing */
};

void breaking_tell(struct worker *worker, const struct breaking *breaking,
                   const struct breaking_result *result);

#endif
