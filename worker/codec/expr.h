/* expr: the value language, text with ${…}: compiled once, evaluated for each request.
 *
 *   ${name}            the value, or nothing
 *   ${name:-default}   the value, or the default when there is none or it is empty (the default is plain text)
 *   {param}            where the caller allows it (paths): short for ${params.param}
 *   {param*}           the same, ${params.param*}: several segments, the value keeps its slashes
 *   $${                a literal ${
 *
 * A name is `word` or `word.argument` (`header.x-user`, `params.id`). Which words there are is the caller's table; one
 * without an argument may have dots (`tls.client.subject`).
 */
#ifndef CODEC_EXPR_H
#define CODEC_EXPR_H

#include "shared/base/arena.h"
#include "shared/base/buf.h"

/* What a value is already, so that EXPR_TARGET need not encode it where it belongs. */
enum expr_form {
    EXPR_TEXT,       /* any text */
    EXPR_PATH_FORM,  /* part of a URI before its query, in normal form: kept there */
    EXPR_QUERY_FORM, /* a query in normal form: kept behind the `?` */
    EXPR_SAFE_FORM,  /* letters, digits and - . _ : only: needs no encoding anywhere */
};

/* A word that an expression may use. */
struct expr_name {
    const char *word; /* NULL ends a table */
    int id;           /* handed to the resolver */
    bool argument;    /* must (true) or must not have ".argument" */
    const char *help;
    enum expr_form form;
};

struct expr; /* compiled; lives in an arena, read-only */

/* What stands for a name: the value, NULL data when there is none. `scratch` is memory for values that must be made:
 * a resolver that uses it appends there and returns what it appended. */
typedef struct str expr_resolve(void *context, int id, struct str argument, struct buf *scratch);

/* How a value is written where it lands. Literal text is written as it is. */
enum expr_escape {
    EXPR_PLAIN,   /* as it is */
    EXPR_SEGMENT, /* percent-encoded for a path segment; a name that ends in `*` keeps its value's slashes */
    EXPR_QUERY,   /* percent-encoded for a query value */
    EXPR_HEADER,  /* no control but the tab can pass: CR, LF, NUL and others end the value there */
    EXPR_JSON,    /* the inside of a JSON string */
    EXPR_LOG,     /* buf_escaped(); nothing at all is "-" */
    EXPR_TARGET,  /* a path and query template: SEGMENT before the first literal `?`, QUERY after it */
};

/* NULL: `*why` in words (in `arena`), with a "did you mean" for an unknown word. */
const struct expr *expr_compile(struct arena *arena, const char *text, const struct expr_name *names,
                                bool braces, const char **why);

/* Appends the value to `out` (check out->overflow). It is set too when `scratch` was too small, and when values would
 * make a path's segment "." or "..", which no encoding keeps a peer from resolving. */
void expr_eval(const struct expr *expr, expr_resolve *resolve, void *context, enum expr_escape escape,
               struct buf *out, struct buf *scratch);

/* The text when it has no variable: true and `*text`. */
bool expr_constant(const struct expr *expr, struct str *text);

/* Calls `each` for every name used: what a loader checks (unknown path parameters, say). */
void expr_each_name(const struct expr *expr, void (*each)(void *context, int id, struct str argument),
                    void *context);

#endif
