/* policy: the contract of a feature: one file in worker/policy/ that exports one constant structure, and one line in
 * policies.def.
 *
 * A policy is compiled once for each route that has it, and its hooks run for each request of that route, in the
 * order of the stages. What a hook allocates comes from the request's arena; no policy frees anything.
 */
#ifndef REQUEST_POLICY_H
#define REQUEST_POLICY_H

#include "shared/conf/row.h"
#include "shared/conf/settings.h"
#include "shared/conf/wants.h"
#include "worker/codec/expr.h"

struct key_set;
struct link;
struct request;
struct route;
struct tunnel_parcel; /* upstream/tunnel_handoff's */

enum verdict {
    VERDICT_NEXT,   /* go on */
    VERDICT_WAIT,   /* I have armed a wait */
    VERDICT_ANSWER, /* I have produced the response */
    VERDICT_FAIL,   /* problem details are set */
};

/* Where a policy runs. The order is the program's, not the user's. */
enum stage {
    STAGE_OBSERVE,
    STAGE_EDGE,
    STAGE_IDENTIFY,
    STAGE_AUTHORISE,
    STAGE_ADMIT,
    STAGE_SHAPE,
    STAGE_CACHE,
    STAGE_CONTENT,
};

/* The compiling of one policy of one route (route NULL: of the chain for requests without a route). */
struct compiler {
    struct arena *arena; /* the generation's */
    struct wants *wants; /* the generation's: the cells of shared memory that it needs */
    struct errors *errors;
    const struct settings *settings;
    const struct key_set *key_sets; /* by their index in the settings */
    const struct route *route;
    struct origin origin; /* of the policy's setting */
    const char *policy;   /* its name */
    const struct expr_name *names;
    const struct link *links; /* the route's policies of earlier stages, compiled */
    unsigned link_count;
};

/* Each NULL where a policy has nothing to do. */
struct policy {
    const char *name; /* of its setting */
    const char *help;
    enum stage stage;
    const struct section *section; /* its settings */
    const struct section
        *declared;   /* a scheme's: of one `auth.<policy>.<NAME>`, which its routes name; or NULL */
    bool list;       /* may stand several times on a route */
    bool preflights; /* preflights of its routes' requests are routed to it, whatever methods those have */
    const struct policy *also; /* a part of it that runs at another stage, with the same settings; or NULL */
    /* For what is on every chain without being asked for: its configuration, or NULL when it is off. */
    const void *(*always)(const struct settings *settings);
    /* For what follows from the route itself (NULL: the chain of requests without one): its configuration, or NULL. */
    const void *(*of_route)(const struct settings *settings, const struct route *route);
    /* At load: checks, and makes what the hooks get as `compiled`. Without it they get the configuration itself. NULL:
     * with these settings it has nothing to do, and is not in the chain (not of a content). */
    const void *(*compile)(struct compiler *compiler, const void *conf);
    enum verdict (*on_request)(struct request *request, const void *compiled);
    /* A scheme's: adds the WWW-Authenticate by which a client is asked for its credentials (RFC 9110, section 11.6.1). */
    void (*challenge)(struct request *request, const void *compiled);
    enum verdict (*on_content)(struct request *request,
                               const void *compiled); /* STAGE_CONTENT only; never NEXT */
    bool (*on_tunnel)(struct request *request, const void *compiled,
                      const struct tunnel_parcel *parcel); /* STAGE_CONTENT only: the same; false: it can't */
    enum verdict (*on_response)(struct request *request, const void *compiled); /* NEXT only */
    void (*on_done)(struct request *request, const void *compiled);             /* not of a content */
    /* A tunnel that another process began goes on here: instead of on_request, takes what a request of this route holds while
     * it lives. */
    void (*on_adopt)(struct request *request, const void *compiled);
};

/* An error in the policy's settings; `setting` is the name inside its group, or NULL for the policy as a whole. */
void compile_error(struct compiler *compiler, const char *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An expression of the policy's; `braces`: {name} is short for ${params.name}. NULL, and an error, when it is bad or
 * names a parameter that the route's path doesn't have. */
const struct expr *compile_expr(struct compiler *compiler, const char *setting, const char *text,
                                bool braces);

/* Whether a text can stand in a line of a head: no controls and, unless `spaces`, no space. Else an error. */
bool compile_line(struct compiler *compiler, const char *setting, const char *text, bool spaces);

/* Whether the route has the policy of that name, and that is of an earlier stage. */
bool compile_beside(const struct compiler *compiler, const char *policy);

/* What is declared under auth.<the policy's name>.`name`; NULL, and an error with a suggestion, if nothing is. */
struct conf_declaration *compile_declared(struct compiler *compiler, const char *setting, const char *name);

/* The index of an upstream in the settings; -1, and an error with a suggestion, if there is none of that name. */
int compile_upstream(struct compiler *compiler, const char *setting, const char *name);

#endif
